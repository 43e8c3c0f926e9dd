// The state machine: store, leases, alarms, membership, cluster version, users and roles;
// and the one switch from a committed command to the state.
//
// What an entry leaves behind follows from the entries before it alone. A committed
// command that cannot be decoded, or that this version does not know, must stop the
// member: Apply() returns an error then, and has changed nothing.
#ifndef QUORATE_ENGINE_APPLY_APPLIER_H_
#define QUORATE_ENGINE_APPLY_APPLIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/alarm/alarms.h"
#include "engine/apply/auth_reads.h"
#include "engine/apply/authorize.h"
#include "engine/apply/command.h"
#include "engine/apply/run.h"
#include "engine/auth/auth.h"
#include "engine/auth/tokens.h"
#include "engine/image/image.h"
#include "engine/lease/leases.h"
#include "engine/membership/membership.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/operation_counts.h"
#include "engine/mvcc/page_counts.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"

namespace quorate::apply {

// What the one who asked is told.
struct Outcome {
  absl::Status status;
  mvcc::Answer body;  // the encoded response, if status is OK and one was wanted
  // The answer is due only when the compaction at this revision is finished physically;
  // `body` is not set yet (see CompactionResponse).
  std::optional<Revision> awaits_compaction;
  // What becomes of the member's tokens; null = nothing.
  std::unique_ptr<auth::TokenChange> tokens;
  // Leases that the command granted, was to revoke, or noted what is left of.
  std::vector<LeaseId> leases;
  mvcc::OperationCounts counts;
  // The work was spent before the end; nothing else in here is set for good. See
  // Applier::Continue.
  bool unfinished = false;
};

class Applier : private LeaseKeys {
 public:
  // Size of the store's segments, in bytes.
  explicit Applier(size_t segment_bytes = mvcc::RevisionLog::kSegmentBytes)
      : store_(segment_bytes) {
    store_.set_leases(&leases_);
  }
  // A member may end in the midst of a command.
  ~Applier() { Abandon(); }
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Whether Apply() would accept the command: OK, InvalidArgument (malformed) or
  // Unimplemented (not known to this version). For proposals that come from elsewhere.
  static absl::Status Check(const Command& command);

  // Applies a committed command, unless an alarm refuses it. *outcome is set; its body only
  // if `respond`, with `identity` in the header.
  //
  // A command that touches many keys may take more than `work`: then *outcome is
  // unfinished, nothing of it can be seen yet, and the same *outcome goes into Continue(),
  // turn by turn, before anything else is applied, and before images, digests and the
  // compactor's next step. The bytes behind `command` stay.
  absl::Status Apply(const Command& command, const mvcc::Identity& identity, bool respond,
                     mvcc::Work* work, Outcome* outcome);
  // What the commands in the data of these entries will look for comes into the caches, where that
  // is known beforehand: many that are applied one after another wait less for memory.
  void Prefetch(std::span<const absl::string_view> data) const;
  void Continue(mvcc::Work* work, Outcome* outcome);
  // Gives up an unfinished command, and with it the state: for one that is to be replaced. The
  // command, which may be large, or null.
  std::unique_ptr<CommandRun> Abandon();
  // All at once.
  absl::Status Apply(const Command& command, const mvcc::Identity& identity, bool respond,
                     Outcome* outcome);

  // Applies a committed configuration change; the outcome's status says whether the
  // members changed. No body.
  void ApplyMembershipChange(const membership::Change& change, Outcome* outcome);

  // Answers to reads at the present revision; whether the subject may have them is for the
  // caller to ask (Authorize), but for StartAuthRead.
  std::unique_ptr<ReadRun> StartRange(const mvcc::RangeRequest& request,
                                      const mvcc::Identity& identity) {
    return RunRange(store_, request, identity, &page_counts_);
  }
  // Of a read-only transaction.
  std::unique_ptr<ReadRun> StartReadTxn(mvcc::TxnRequest request, const mvcc::Identity& identity) {
    return RunReadTxn(&store_, std::move(request), identity);
  }
  std::unique_ptr<ReadRun> StartHashKv(Revision revision, const mvcc::Identity& identity) const {
    return RunHashKv(store_, compactor_, revision, identity);
  }
  Bytes CompactionResponse(const mvcc::Identity& identity) const;
  // Of the Auth service.
  std::unique_ptr<ReadRun> StartAuthRead(Operation operation, absl::string_view body,
                                         const auth::Subject& subject,
                                         const mvcc::Identity& identity) const {
    return RunAuthRead(operation, body, subject, auth_, store_, identity);
  }

  // What `subject` may do.
  Authorizer Authorize(const auth::Subject& subject) const { return {auth_, subject, this}; }

  // AlarmResponse with the alarms of this type; of all types for kNone.
  Bytes AlarmList(int32_t type, const mvcc::Identity& identity) const;

  const mvcc::Store& store() const { return store_; }
  mvcc::Compactor& compactor() { return compactor_; }
  const mvcc::Compactor& compactor() const { return compactor_; }
  const lease::Leases& leases() const { return leases_; }
  // For what notices changes; nothing else changes leases but commands.
  lease::Leases& lease_table() { return leases_; }
  const alarm::Alarms& alarms() const { return alarms_; }
  const membership::Membership& membership() const { return membership_; }
  const auth::Auth& auth() const { return auth_; }

  // Becomes what `loaded` is, which is left with what was here before. What points at the
  // store and the compactor goes on pointing at the right ones.
  void TakeOver(Applier* loaded);
  // Gives memory back in pieces; true once little of it is left. The state is of no use any more.
  bool Release(mvcc::Work* work) {
    return store_.Release(work) && leases_.Release(work) && auth_.Release(work);
  }
  // The same of what deleted users and roles have left; true once it is all.
  bool ReleaseDeleted(mvcc::Work* work) { return auth_.ReleaseDeleted(work); }

  // Over everything that the entries decided, not over how it is kept; O(size).
  uint64_t Digest() const;

 private:
  friend class ImageLoader;

  // LeaseKeys
  std::optional<std::string> KeyFrom(LeaseId lease, absl::string_view from) const override {
    return leases_.KeyFrom(lease, from);
  }

  // Whether alarms let a command pass; if not, sets outcome->status.
  bool AlarmsAllow(bool adds, Outcome* outcome) const;
  // Whether the command's subject may make the request; if not, sets outcome->status.
  template <typename Request>
  bool Permits(const Command& command, const Request& request, Outcome* outcome) const;

  absl::Status ApplyCompaction(absl::string_view body, const mvcc::Identity& identity, bool respond,
                               Outcome* outcome);
  absl::Status ApplyLeaseGrant(absl::string_view body, const mvcc::Identity& identity, bool respond,
                               Outcome* outcome);
  absl::Status ApplyLeaseRevoke(const Command& command, const mvcc::Identity& identity,
                                bool respond, mvcc::Work* work, Outcome* outcome);
  void Begin(std::unique_ptr<CommandRun> run, mvcc::Work* work, Outcome* outcome);
  absl::Status ApplyLeaseCheckpoint(absl::string_view body, const mvcc::Identity& identity,
                                    bool respond, Outcome* outcome);
  absl::Status ApplyAlarm(absl::string_view body, const mvcc::Identity& identity, bool respond,
                          Outcome* outcome);
  absl::Status ApplyClusterVersion(absl::string_view body);
  absl::Status ApplyDowngrade(absl::string_view body);
  absl::Status ApplyMemberAttributes(absl::string_view body);

  lease::Leases leases_;
  mvcc::Store store_;
  mvcc::Compactor compactor_{&store_};
  mvcc::PageCounts page_counts_;
  alarm::Alarms alarms_;
  membership::Membership membership_;
  auth::Auth auth_;
  std::unique_ptr<CommandRun> running_;  // an unfinished command
};

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_APPLIER_H_
