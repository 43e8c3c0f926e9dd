// From a configuration and a data directory to a member that may start: recovery of what
// the directory holds, or, in an empty one, the foundation of a new cluster or the first
// steps in a running one.
#ifndef QUORATE_SERVER_BOOTSTRAP_H_
#define QUORATE_SERVER_BOOTSTRAP_H_

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "engine/replica/replica.h"
#include "io/disk.h"
#include "io/env.h"
#include "server/config/config.h"
#include "server/gate_listener.h"
#include "server/join.h"
#include "server/log/logger.h"
#include "storage/checkpoints.h"
#include "storage/recovery.h"
#include "storage/wal.h"

namespace quorate::server {

struct StartPoint {
  MemberId member_id;
  ClusterId cluster_id;
  // True if a new cluster was founded just now.
  bool founded = false;
  // True if this member joins a running cluster and its log is still empty. Then whom to
  // listen to, until the log says it: the cluster's members.
  bool joins = false;
  std::vector<membership::Member> members;
  // All of it is durable.
  engine::Recovered recovered;
  std::unique_ptr<storage::Wal> wal;
  std::unique_ptr<storage::Checkpoints> checkpoints;
  // To be destroyed after the log and the checkpoints.
  std::unique_ptr<io::DirectoryLock> lock;
};

// Identities as --initial-cluster gives them; members in ascending id.
struct Foundation {
  MemberId member_id;
  ClusterId cluster_id;
  std::vector<engine::BootstrapMember> members;
};
Foundation FoundationOf(const config::Config& config);

// Opens the data directory of a member. Destroying it gives up, without a callback.
//
// A directory that holds a member is recovered and the --initial-* flags are ignored, as
// etcd does, but for one case: flags (with state "new") by which this is another member than
// the directory's are refused, since the peers would refuse such a member anyway. A founder whose
// directory is empty founds nothing if the others know it already (server/join).
class DataDirectory {
 public:
  using Callback = std::function<void(absl::StatusOr<StartPoint>)>;

  // All borrowed. `secure_network`: for members with https URLs. With `join` (may be null) nobody
  // asks the others: it is what they would tell a member that joins, or a founder (no members:
  // nobody answers). `peer_gate`: while a founder asks, whoever calls there is turned away; of
  // founders that start together none waits for another.
  // `done` comes once, later, and may destroy this object. Errors name the directory or file, and
  // say what to do: held by another process, of another cluster, damaged, of a newer format.
  // A directory that was found damaged is opened with `repair`, the state of another member.
  DataDirectory(const io::Env& env, io::Network* secure_network, const config::Config& config,
                log::Logger* log, const JoinPoint* join, GateListener* peer_gate,
                std::optional<storage::RepairState> repair, Callback done);
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  ~DataDirectory();

  // Whose the directory was found to be; zeros if that is not known.
  const storage::Identity& found() const { return found_; }

 private:
  void OnIdentity(const absl::StatusOr<storage::Identity>& identity);
  absl::StatusOr<storage::Identity> IdentityToOpen(
      const absl::StatusOr<storage::Identity>& found) const;
  void Open(const storage::Identity& identity, bool create);
  // Asks the others whether this founder is a member already; `then` is called if not.
  void InquireAsFounder(std::function<void()> then);
  // Asks the cluster who this member is; `then` is called unless that fails.
  void Inquire(std::function<void()> then);
  void OnOpened(absl::StatusOr<storage::OpenedStorage> opened);
  void Found();
  void Join();
  void BeginAlone();
  void Append(const std::vector<raft::Entry>& entries);
  void Finish(const absl::Status& status);

  const io::Env env_;
  io::Network* const secure_network_;
  const config::Config& config_;
  log::Logger* const log_;
  GateListener* const peer_gate_;
  const Callback done_;
  const Foundation foundation_;
  std::optional<storage::RepairState> repair_;
  storage::Identity found_;
  StartPoint start_;
  std::optional<JoinPoint> join_;
  std::unique_ptr<Inquiry> inquiry_;
  std::unique_ptr<storage::PendingOpen> opening_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what deferred callbacks hold
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_BOOTSTRAP_H_
