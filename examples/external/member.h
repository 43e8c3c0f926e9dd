// One member of a cluster that gives out tickets: Quorate's raft core, its write-ahead
// log, and the dispenser, over the io interfaces. It knows neither real nor simulated
// time, disk or network: whoever builds it gives them to it.
#ifndef QUORATE_EXAMPLES_EXTERNAL_MEMBER_H_
#define QUORATE_EXAMPLES_EXTERNAL_MEMBER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "dispenser.h"
#include "engine/raft/raft.h"
#include "engine/replica/inspector.h"
#include "io/env.h"
#include "storage/recovery.h"

namespace tickets {

struct MemberOptions {
  quorate::MemberId id;
  std::vector<quorate::MemberId> voters;  // sorted; they never change
  quorate::Duration election_timeout = quorate::Milliseconds(300);
  quorate::Duration heartbeat_interval = quorate::Milliseconds(30);
  // Of the generator that draws the election timeouts.
  uint64_t seed = 0;
  // A planted bug, for tests of the oracles: customers get their answer when the leader
  // has written their wish into its own log, before anybody else has.
  bool answer_before_commit = false;
  // To the member it is addressed to.
  std::function<void(const quorate::raft::Message&)> send;
  // The member cannot go on, and must be ended (not from inside this call).
  std::function<void(const absl::Status&)> on_failure;
};

// What the simulator's raft oracle looks at is part of the interface.
class Member final : public quorate::engine::ReplicaInspector {
 public:
  using Callback = std::function<void(absl::StatusOr<uint64_t> ticket)>;

  Member(const quorate::io::Env& env, MemberOptions options);
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // Reads the disk; afterwards it takes part.
  void Start();
  bool started() const { return raft_ != nullptr; }

  // From another member; lost if it has not started yet.
  void Receive(quorate::raft::Message message);
  // Asks for a ticket. Unavailable if this member does not lead, or loses its lead
  // before the outcome is known; then the ticket may have been given or not.
  void Take(const Wish& wish, Callback done);

  const Dispenser& dispenser() const { return dispenser_; }

  quorate::LogIndex first_index() const override { return raft_->log().first_index(); }
  quorate::LogIndex last_index() const override { return raft_->log().last_index(); }
  std::optional<quorate::Term> TermAt(quorate::LogIndex index) const override;
  std::optional<quorate::raft::Entry> EntryAt(quorate::LogIndex index) const override;
  quorate::raft::HardState hard_state() const override { return raft_->hard_state(); }
  quorate::raft::ConfState conf_state() const override { return raft_->conf_state(); }
  quorate::engine::Role role() const override;
  quorate::MemberId leader() const override { return raft_->leader(); }
  quorate::LogIndex applied() const override { return applied_; }
  uint64_t applied_chain() const override { return applied_chain_; }
  uint64_t StateDigest() const override { return dispenser_.Digest(); }

 private:
  struct Waiting {
    quorate::Term term;
    Callback done;
  };

  void OnOpened(absl::StatusOr<quorate::storage::OpenedStorage> opened);
  // Does what raft wants done, until it wants nothing.
  void Work();
  void Write(quorate::raft::Ready* ready);
  void OnDurable(const absl::Status& status, std::vector<quorate::raft::Message> responses);
  void Apply(const quorate::raft::Entry& entry);
  void ArmTimer();
  quorate::Instant now() const { return env_.loop->Now(); }

  const quorate::io::Env env_;
  const MemberOptions options_;
  std::unique_ptr<quorate::storage::PendingOpen> opening_;
  std::unique_ptr<quorate::io::DirectoryLock> lock_;
  std::unique_ptr<quorate::storage::Wal> wal_;
  std::unique_ptr<quorate::raft::Raft> raft_;
  std::unique_ptr<quorate::io::Timer> timer_;
  quorate::raft::Ready ready_;
  Dispenser dispenser_;
  quorate::LogIndex applied_;
  uint64_t applied_chain_ = 0;
  std::map<quorate::LogIndex, Waiting> waiting_;
};

}  // namespace tickets

#endif  // QUORATE_EXAMPLES_EXTERNAL_MEMBER_H_
