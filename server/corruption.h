// Whether all members hold the same data, asked by hashes: etcd's corruption checks.
//
//   before serving    --feature-gates=InitialCorruptCheck=true: a member that holds other data
//                     than most does not begin to serve;
//   now and then      --corrupt-check-time: the leader compares all members at its revision;
//   at compactions    --feature-gates=CompactHashCheck=true: the leader compares the hashes that
//                     members keep of the newest compaction, at no cost but the question.
//
// Members compare where their hashes leave out the same history. Whoever differs from a hash that
// most voters share gets the CORRUPT alarm; where no hash is shared by most, an alarm without a
// member is raised. Learners, which serve no such question, are neither asked nor counted. (etcd
// takes the leader's data for right, and a member that starts beside a corrupt one refuses to,
// whoever of them is.)
#ifndef QUORATE_SERVER_CORRUPTION_H_
#define QUORATE_SERVER_CORRUPTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "io/loop.h"
#include "server/config/config.h"
#include "server/log/logger.h"
#include "server/node/node.h"
#include "server/node/peer_transport.h"

namespace quorate::server {

// What a member says of its data up to one revision.
struct MemberHash {
  MemberId member;
  uint32_t hash = 0;
  Revision at;
  Revision compacted;  // the history that the hash leaves out
  Revision current;    // of the member's store when it answered
  // Of the first in a round that found differences: no key lives at `at`, or none may. The hash
  // that is computed then differs from the one that a compaction keeps (engine/mvcc/hash.h), so
  // that a difference tells nothing.
  bool empty = false;
};

struct HashVerdict {
  size_t agreeing = 0;  // members with the hash that most have, or that all compared have
  std::vector<MemberId> differing;  // from most, in ascending order
  bool undecided = false;           // hashes differ, and none is that of most members
};

// `hashes` begins with the one to compare with; those that leave out other history do not count.
// Most: more than half of the cluster's `members`.
HashVerdict JudgeHashes(const std::vector<MemberHash>& hashes, size_t members);

// A member that lost or made up a transaction has another revision than the rest at the same place
// of the log. Nobody sound can have been ahead of `revision` and `compacted`: this member's, after
// a linearizable read that began when all of `hashes` were there. If most are, the others differ.
HashVerdict JudgeRevisions(const std::vector<MemberHash>& hashes, Revision revision,
                           Revision compacted, size_t members);

// Asks this member, and then all other voters, for the hash at one revision. Destroying it gives
// up.
class HashRound {
 public:
  // First this member's own. Members that cannot be asked or have no hash to give are left out.
  using Callback = std::function<void(absl::StatusOr<std::vector<MemberHash>>)>;

  // At revision 0: at this member's present one. `patience`: how long the others may take. All
  // borrowed. `done` comes once, later, and may destroy this object.
  HashRound(io::Loop* loop, log::Logger* log, node::Node* node, node::PeerTransport* transport,
            Revision at, Duration patience, Callback done);
  HashRound(const HashRound&) = delete;
  HashRound& operator=(const HashRound&) = delete;
  ~HashRound();

 private:
  void OnOwn(const absl::Status& status, const Bytes& body);
  void OnOther(MemberId member, const absl::Status& status, const Bytes& body);
  void Finish();
  void Report();

  io::Loop* const loop_;
  log::Logger* const log_;
  node::Node* const node_;
  node::PeerTransport* const transport_;
  const Duration patience_;
  const Callback done_;
  std::unique_ptr<io::Timer> timer_;
  node::CallId call_;
  absl::btree_set<MemberId> awaited_;
  std::vector<MemberHash> hashes_;
  std::shared_ptr<HashRound*> self_;  // what callbacks hold
};

class CorruptionMonitor {
 public:
  // All borrowed.
  CorruptionMonitor(io::Loop* loop, log::Logger* log, node::Node* node,
                    node::PeerTransport* transport, const config::Config& config);
  CorruptionMonitor(const CorruptionMonitor&) = delete;
  CorruptionMonitor& operator=(const CorruptionMonitor&) = delete;

  // The check before serving, if it is wanted; then those that go on. `done` is called once: with
  // FailedPrecondition if this member holds other data than the others. It may come at once, and
  // may not destroy this object.
  void Start(std::function<void(const absl::Status&)> done);

 private:
  using Hashes = std::vector<MemberHash>;

  void OnInitial(const absl::StatusOr<Hashes>& hashes);
  void Serve(const absl::Status& status);
  void OnCheckTimer();
  // Judges, logs and raises what differs.
  HashVerdict Compare(const Hashes& hashes);
  void OnChecked(const absl::StatusOr<Hashes>& hashes);
  void CompareRevisions(const Hashes& hashes);
  void OnRevisionsKnown(const Hashes& hashes);
  void OnCompactTimer();
  void OnCompactChecked(const absl::StatusOr<Hashes>& hashes);
  void LogDifferences(const HashVerdict& verdict, const Hashes& hashes);
  // Raises the alarms that the verdict asks for.
  void Raise(const HashVerdict& verdict);
  void Raise(MemberId member);
  bool leads() const;
  size_t voters() const;

  io::Loop* const loop_;
  log::Logger* const log_;
  node::Node* const node_;
  node::PeerTransport* const transport_;
  const config::Config& config_;
  std::function<void(const absl::Status&)> done_;
  std::unique_ptr<HashRound> initial_;
  std::unique_ptr<HashRound> check_;    // while one is in progress
  std::unique_ptr<HashRound> compact_;  // while one is in progress
  Revision compaction_checked_;         // on all members
  std::unique_ptr<io::Timer> check_timer_;
  std::unique_ptr<io::Timer> compact_timer_;
  std::shared_ptr<CorruptionMonitor*> self_;  // what callbacks hold
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_CORRUPTION_H_
