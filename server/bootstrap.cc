#include "server/bootstrap.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/config/ids.h"
#include "server/start_alone.h"

namespace quorate::server {

using config::HexId;

Foundation FoundationOf(const config::Config& config) {
  Foundation foundation;
  std::vector<MemberId> ids;
  for (const config::InitialMember& member : config.Members()) {
    const MemberId id = config::FounderId(member.peer_urls, config.initial_cluster_token);
    ids.push_back(id);
    foundation.members.push_back({id, member.name, config::UrlStrings(member.peer_urls)});
    if (member.name == config.name) foundation.member_id = id;
  }
  foundation.cluster_id = config::FoundedClusterId(ids);
  std::sort(foundation.members.begin(), foundation.members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return foundation;
}

DataDirectory::DataDirectory(const io::Env& env, io::Network* secure_network,
                             const config::Config& config, log::Logger* log, const JoinPoint* join,
                             GateListener* peer_gate, std::optional<storage::RepairState> repair,
                             Callback done)
    : env_(env),
      secure_network_(secure_network),
      config_(config),
      log_(log),
      peer_gate_(peer_gate),
      done_(std::move(done)),
      foundation_(FoundationOf(config)),
      repair_(std::move(repair)) {
  if (join != nullptr) join_ = *join;
  opening_ = storage::PeekIdentity(
      env_, config_.DataDir(),
      [this](const absl::StatusOr<storage::Identity>& identity) { OnIdentity(identity); });
}

DataDirectory::~DataDirectory() = default;

void DataDirectory::OnIdentity(const absl::StatusOr<storage::Identity>& found) {
  const bool joins = config_.initial_cluster_state == config::ClusterState::kExisting;
  if (absl::IsNotFound(found.status()) && joins) {
    return Inquire([this] {
      Open(storage::Identity{join_->cluster_id, join_->member_id}, /*create=*/true);
    });
  }
  const absl::StatusOr<storage::Identity> identity = IdentityToOpen(found);
  if (!identity.ok()) return Finish(identity.status());
  if (!found.ok()) {
    return InquireAsFounder([this, identity = *identity] { Open(identity, /*create=*/true); });
  }
  found_ = *found;
  Open(*identity, /*create=*/false);
}

void DataDirectory::InquireAsFounder(std::function<void()> then) {
  if (join_.has_value() || foundation_.members.size() == 1) {
    const absl::Status founds = join_.has_value()
                                    ? CheckNotFoundedBefore(foundation_.member_id, join_->members)
                                    : absl::OkStatus();
    return founds.ok() ? then() : Finish(founds);
  }
  peer_gate_->Open([](const std::unique_ptr<io::Stream>&, bool) {});
  inquiry_ = std::make_unique<Inquiry>(
      env_, secure_network_, config_, log_, Inquiry::Purpose::kFound, foundation_.member_id,
      [this, then = std::move(then)](const absl::StatusOr<JoinPoint>& answered) {
        peer_gate_->Hold();
        answered.ok() ? then() : Finish(answered.status());
      });
}

void DataDirectory::Inquire(std::function<void()> then) {
  if (join_.has_value()) return then();
  inquiry_ = std::make_unique<Inquiry>(
      env_, secure_network_, config_, log_, Inquiry::Purpose::kJoin, MemberId(0),
      [this, then = std::move(then)](absl::StatusOr<JoinPoint> point) {
        if (!point.ok()) return Finish(point.status());
        join_ = *std::move(point);
        then();
      });
}

void DataDirectory::Open(const storage::Identity& identity, bool create) {
  start_.cluster_id = identity.cluster_id;
  start_.member_id = identity.member_id;
  storage::OpenOptions options;
  options.data_dir = config_.DataDir();
  options.cluster_id = identity.cluster_id;
  options.member_id = identity.member_id;
  options.create = create;
  options.segment_bytes = config_.wal_segment_bytes;
  options.first_segment_bytes = config_.wal_first_segment_bytes;
  options.pack_bytes = config_.checkpoint_pack_bytes;
  options.repair = std::exchange(repair_, std::nullopt);
  options.catchup_entries = config_.snapshot_catchup_entries;
  options.prepare = engine::Replica::PrepareSegment;
  opening_ = storage::OpenStorage(
      env_, std::move(options),
      [this](absl::StatusOr<storage::OpenedStorage> opened) { OnOpened(std::move(opened)); });
}

absl::StatusOr<storage::Identity> DataDirectory::IdentityToOpen(
    const absl::StatusOr<storage::Identity>& found) const {
  const bool is_new = config_.initial_cluster_state == config::ClusterState::kNew;
  if (found.ok()) {
    const bool flags_tell =
        is_new && !config_.initial_cluster.empty() && !config_.force_new_cluster;
    if (!flags_tell) return *found;
    // The same member: others may have come since the foundation, and be in the flags now.
    if (foundation_.member_id == found->member_id) {
      if (foundation_.cluster_id != found->cluster_id) {
        LOG_WARN(log_,
                 "the data directory's cluster is not the one that the flags would found; "
                 "the flags are ignored",
                 {"data-dir", config_.DataDir()}, {"cluster-id", HexId(found->cluster_id)},
                 {"cluster-id-of-flags", HexId(foundation_.cluster_id)});
      }
      return *found;
    }
    // No id: the flags have another --name than at the foundation, which may be.
    const bool another_member =
        foundation_.member_id != MemberId(0) && foundation_.member_id != found->member_id;
    if (found->cluster_id == foundation_.cluster_id) {
      if (!another_member) return *found;
      return absl::FailedPreconditionError(absl::StrCat(
          "data directory ", config_.DataDir(), " belongs to member ", HexId(found->member_id),
          " of this cluster, but --name ", config_.name, " is member ",
          HexId(foundation_.member_id), "; give each member its own --data-dir"));
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "data directory ", config_.DataDir(), " belongs to member ", HexId(found->member_id),
        " of cluster ", HexId(found->cluster_id), ", but --initial-cluster and ",
        "--initial-cluster-token name cluster ", HexId(foundation_.cluster_id),
        "; use the directory with the flags it was created with (--initial-cluster-state existing ",
        "for a member that joined a running cluster), or give another --data-dir"));
  }
  if (!absl::IsNotFound(found.status())) return found.status();
  const absl::Status valid = config_.ValidateBootstrap();
  if (!valid.ok()) return valid;
  return storage::Identity{foundation_.cluster_id, foundation_.member_id};
}

void DataDirectory::OnOpened(absl::StatusOr<storage::OpenedStorage> opened) {
  if (!opened.ok()) return Finish(opened.status());
  for (const storage::RecoveryNote& note : opened->state.notes) {
    LOG_WARN(log_, note.message, {"file", note.file}, {"offset", note.offset},
             {"bytes", note.bytes});
  }
  start_.wal = std::move(opened->wal);
  start_.checkpoints = std::move(opened->checkpoints);
  start_.lock = std::move(opened->lock);
  start_.recovered.hard_state = opened->state.hard_state;
  start_.recovered.checkpoint = std::move(opened->state.checkpoint);
  start_.recovered.base = opened->state.base;
  start_.recovered.base_term = opened->state.base_term;
  start_.recovered.entries = std::move(opened->state.entries);
  const bool blank = start_.recovered.base == LogIndex(0) && start_.recovered.entries.empty() &&
                     start_.recovered.hard_state.empty();
  if (!blank) return config_.force_new_cluster ? BeginAlone() : Finish(absl::OkStatus());
  if (config_.initial_cluster_state == config::ClusterState::kNew) return Found();
  Inquire([this] { Join(); });
}

// It has heard nothing from its cluster yet.
void DataDirectory::Join() {
  if (join_->cluster_id != start_.cluster_id || join_->member_id != start_.member_id) {
    return Finish(absl::FailedPreconditionError(absl::StrCat(
        "data directory ", config_.DataDir(), " was created for member ", HexId(start_.member_id),
        " of cluster ", HexId(start_.cluster_id), " and holds no data; by its URLs this is member ",
        HexId(join_->member_id), " of cluster ", HexId(join_->cluster_id),
        ": remove the directory, or correct the flags")));
  }
  start_.joins = true;
  start_.members = join_->members;
  Finish(absl::OkStatus());
}

// A directory without a single entry is that of a founder who got no further: the
// founding entries are the first thing that any founder makes durable.
void DataDirectory::Found() {
  const absl::Status valid = config_.ValidateBootstrap();
  if (!valid.ok()) return Finish(valid);
  if (foundation_.member_id != start_.member_id) {
    return Finish(absl::FailedPreconditionError(absl::StrCat(
        "data directory ", config_.DataDir(), " was created for member ", HexId(start_.member_id),
        " and holds no data; the flags name member ", HexId(foundation_.member_id),
        ": remove the directory, or correct the flags")));
  }
  start_.founded = true;
  start_.recovered = engine::Replica::Bootstrap(foundation_.members);
  Append(start_.recovered.entries);
}

// --force-new-cluster. What the log holds counts, whether or not this member had heard that it is
// committed: of what was acknowledged nothing that is here may be lost.
void DataDirectory::BeginAlone() {
  engine::Recovered& recovered = start_.recovered;
  absl::StatusOr<AloneStart> alone = StartAlone(recovered, start_.member_id);
  if (!alone.ok()) {
    return Finish(absl::Status(alone.status().code(),
                               absl::StrCat("--force-new-cluster: data directory ",
                                            config_.DataDir(), ": ", alone.status().message())));
  }
  if (alone->removed.empty()) return Finish(absl::OkStatus());
  std::vector<std::string> removed;
  for (const MemberId id : alone->removed) removed.push_back(HexId(id));
  LOG_WARN(log_, "forcing a new cluster of this member alone",
           {"local-member-id", HexId(start_.member_id)}, {"cluster-id", HexId(start_.cluster_id)},
           {"removed-member-ids", removed}, {"commit-index", alone->hard_state.commit.value()});
  recovered.hard_state = alone->hard_state;
  recovered.entries.insert(recovered.entries.end(), alone->entries.begin(), alone->entries.end());
  Append(alone->entries);
}

// Makes the entries and the recovered hard state durable, and is done.
void DataDirectory::Append(const std::vector<raft::Entry>& entries) {
  start_.wal->Append(entries, &start_.recovered.hard_state, /*must_sync=*/true,
                     [this](const absl::Status& status) {
                       // Not from inside the log's own callback: the log may be destroyed.
                       env_.loop->Defer([status, alive = std::weak_ptr<bool>(alive_), this] {
                         if (!alive.expired()) Finish(status);
                       });
                     });
}

void DataDirectory::Finish(const absl::Status& status) {
  // The callback may destroy this object.
  const Callback done = done_;
  if (!status.ok()) return done(status);
  StartPoint start = std::move(start_);
  done(std::move(start));
}

}  // namespace quorate::server
