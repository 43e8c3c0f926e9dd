// A group of raft members with disks and a network that a test moves by hand, and the
// safety rules of the paper's figure 3 checked all along.
//
//   Group group({.voters = 3});
//   group.Elect(1);
//   group.Propose(1, "x");
//   group.Settle();
//   EXPECT_EQ(group.Applied(2), (std::vector<std::string>{"x"}));
//
// Members use asynchronous storage: what a member hands out is durable only once
// CompleteUnit() says so, and a crash loses the rest.
#ifndef QUORATE_TESTS_ENGINE_RAFT_GROUP_H_
#define QUORATE_TESTS_ENGINE_RAFT_GROUP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/raft/raft.h"

namespace quorate::raft::test {

// For the disk, in order.
struct Unit {
  std::vector<Entry> entries;
  std::optional<HardState> hard_state;
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<Message> responses;
};

struct Peer {
  Config config;
  std::unique_ptr<Raft> raft;  // null while crashed
  Instant now;                 // its clock
  Ready ready;

  // The disk.
  HardState durable_state;
  SnapshotMeta durable_snapshot;
  std::vector<Entry> durable_entries;
  std::deque<Unit> units;

  // The state machine: lost in a crash, then replayed.
  LogIndex applied;
  ConfState applied_config;
  std::vector<ReadState> reads;
};

struct GroupOptions {
  uint64_t voters = 3;
  uint64_t learners = 0;
  bool pre_vote = false;
  bool check_quorum = false;
  ReadOnlyMode read_only = ReadOnlyMode::kSafe;
  // Further changes to each member's configuration.
  std::function<void(Config*)> tune = nullptr;
  // Entries that member `id` starts with, and its term.
  std::map<uint64_t, std::vector<uint64_t>> terms_of_logs = {};
  uint64_t term = 0;
  uint64_t seed = 1;
};

class Group {
 public:
  explicit Group(GroupOptions options);

  static constexpr Duration kElection = Milliseconds(1000);
  static constexpr Duration kHeartbeat = Milliseconds(100);
  static constexpr Duration kClockDrift = Milliseconds(50);

  Peer& peer(uint64_t id) { return peers_.at(MemberId(id)); }
  Raft& raft(uint64_t id) { return *peer(id).raft; }
  std::vector<uint64_t> ids() const;
  bool IsUp(uint64_t id) { return peer(id).raft != nullptr; }

  // A member that knows nothing joins the network; a configuration change adds it.
  void AddStranger(uint64_t id);

  // ---- one thing at a time ----
  absl::Status Propose(uint64_t id, absl::string_view data);
  absl::Status ProposeChange(uint64_t id, const ConfChangeV2& change);
  void Campaign(uint64_t id);
  absl::Status Step(uint64_t id, Message message);
  // The clock of one member moves on.
  void Elapse(uint64_t id, Duration span);
  // To the member's next deadline.
  void ElapseToDeadline(uint64_t id);
  void CompleteUnit(uint64_t id);
  // The first `kept` units under way reach the disk, the others are lost.
  void Crash(uint64_t id, size_t kept = 0);
  void Restart(uint64_t id);
  void DeliverAt(size_t i);
  void DropAt(size_t i);
  void DuplicateAt(size_t i);
  // Makes a snapshot of what is applied and drops the log up to `keep` entries before it.
  void Compact(uint64_t id, uint64_t keep = 0);
  // Takes and carries out what the member has ready; storage units stay queued.
  void Pump(uint64_t id);

  // ---- until nothing moves ----
  // All disks complete, all messages arrive that the network lets through.
  void Settle();
  // A campaign that nobody disturbs; true if it was won.
  bool Elect(uint64_t id);
  // Cuts (heals) the links of these members with the others.
  void Isolate(std::set<uint64_t> ids);
  void Heal() { cut_.clear(); }
  // The network loses all messages of this type.
  std::optional<MessageType> lost_type;

  std::vector<Message>& messages() { return messages_; }
  size_t CountMessages(MessageType type, uint64_t to) const;

  // What member `id` has applied: payloads of normal entries, without empty ones.
  std::vector<std::string> Applied(uint64_t id);
  // Terms of the entries of its log.
  std::vector<uint64_t> TermsOf(uint64_t id);
  std::vector<uint64_t> Leaders();

  // The first rule that was broken, or empty.
  const std::string& violation() const { return violation_; }
  // Figure 3, Log Matching, over all pairs of logs.
  void CheckLogs();

 private:
  Config ConfigOf(uint64_t id) const;
  void Start(uint64_t id);
  void Do(uint64_t id, const std::function<void(Raft*)>& action);
  void Write(Peer* peer, const Unit& unit);
  void Apply(uint64_t id, const Entry& entry);
  void InstallSnapshot(Peer* peer, const Snapshot& snapshot);
  void Deliver(const Message& message);
  bool IsCut(const Message& message) const;
  void Violate(const std::string& what);
  void CheckLeader(uint64_t id);

  GroupOptions options_;
  std::map<MemberId, Peer> peers_;
  std::vector<Message> messages_;
  std::set<std::pair<MemberId, MemberId>> cut_;
  std::map<Term, MemberId> leaders_;  // Election Safety
  std::map<LogIndex, Entry> chosen_;  // State Machine Safety
  std::string violation_;
};

ConfChangeV2 AddVoter(uint64_t id);
ConfChangeV2 AddLearner(uint64_t id);
ConfChangeV2 RemoveMember(uint64_t id);

}  // namespace quorate::raft::test

#endif  // QUORATE_TESTS_ENGINE_RAFT_GROUP_H_
