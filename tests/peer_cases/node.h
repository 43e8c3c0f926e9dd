// A raft member with the simplest storage and state machine around it: what a script's
// node is. Its clock is its own and moves by ticks.
#ifndef QUORATE_TESTS_PEER_CASES_NODE_H_
#define QUORATE_TESTS_PEER_CASES_NODE_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "engine/raft/raft.h"

namespace quorate::peer_cases {

// A tick of the scripts.
inline constexpr Duration kTick = Milliseconds(100);
inline constexpr int kElectionTicks = 3;
inline constexpr int kHeartbeatTicks = 1;

class Node {
 public:
  // Starts from `snapshot` (may be empty) with nothing behind it.
  Node(raft::Config config, const raft::Snapshot& snapshot);

  raft::Raft& raft() { return raft_; }
  const raft::Raft& raft() const { return raft_; }
  Instant now() const { return now_; }

  void Tick() {
    now_ = now_ + kTick;
    raft_.Tick(now_);
  }
  absl::Status Step(raft::Message message);

  bool HasReady() const { return raft_.HasReady(); }
  // Takes a Ready, tells it as text, and does what it asks for; storage work is queued
  // if it is asynchronous. What is to be sent is appended to *sent.
  std::string ProcessReady(std::vector<raft::Message>* sent);

  bool HasAppendWork() const { return !append_work_.empty(); }
  bool HasApplyWork() const { return !apply_work_.empty(); }
  std::string ProcessAppendWork(std::vector<raft::Message>* sent);
  std::string ProcessApplyWork(std::vector<raft::Message>* sent);

  // The state machine's latest: every applied entry makes one.
  const std::shared_ptr<const raft::Snapshot>& snapshot() const { return snapshot_; }
  absl::Status Compact(LogIndex index);
  // The first thing that went wrong and should not: a committed change that cannot be
  // applied, a broken invariant of raft.
  const absl::Status& complaint() const { return complaint_; }
  // What the storage holds, as text.
  std::string DescribeLog() const;

 private:
  void Store(const std::vector<raft::Entry>& entries,
             const std::shared_ptr<const raft::Snapshot>& snapshot);
  void Apply(const raft::Entry& entry);
  void Complain(const absl::Status& status);
  std::vector<raft::Message> QueueWork(const raft::Ready& ready);

  Instant now_;
  raft::Raft raft_;
  raft::Ready ready_;
  raft::HardState last_state_;
  std::shared_ptr<const raft::Snapshot> snapshot_;
  absl::Status complaint_;

  LogIndex stored_first_;
  std::vector<raft::Entry> stored_;
  std::deque<raft::Message> append_work_;
  std::deque<raft::Message> apply_work_;
};

}  // namespace quorate::peer_cases

#endif  // QUORATE_TESTS_PEER_CASES_NODE_H_
