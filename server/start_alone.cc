#include "server/start_alone.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/raft/codec.h"
#include "engine/raft/conf_change.h"
#include "engine/replica/image_meta.h"
#include "server/config/ids.h"

namespace quorate::server {
namespace {

// Raft's configuration once everything is applied. A change that is impossible for the list of
// members changes neither; it may leave a member too many here, whose removal then does nothing.
absl::StatusOr<raft::ConfState> LastConfiguration(const engine::Recovered& recovered) {
  raft::ConfState config;
  LogIndex applied;
  if (recovered.checkpoint.has_value()) {
    ASSIGN_OR_RETURN(const engine::ImageMeta meta, engine::DecodeImageMeta(*recovered.checkpoint));
    config = meta.snapshot.conf_state;
    applied = meta.snapshot.index;
  }
  for (const raft::Entry& entry : recovered.entries) {
    const bool changes = entry.type != raft::EntryType::kNormal && !entry.data.empty();
    if (!changes || entry.index <= applied) continue;
    ASSIGN_OR_RETURN(const raft::ConfChangeV2 change, raft::DecodeChange(entry));
    absl::StatusOr<raft::ChangedConfig> changed = raft::ApplyChange(config, change);
    if (changed.ok()) config = std::move(changed->config);
  }
  return config;
}

}  // namespace

absl::StatusOr<AloneStart> StartAlone(const engine::Recovered& recovered, MemberId self) {
  ASSIGN_OR_RETURN(const raft::ConfState config, LastConfiguration(recovered));
  if (raft::IsJoint(config) || !raft::IsVoter(config, self)) {
    return absl::FailedPreconditionError(
        absl::StrCat("member ", config::HexId(self), " is no voter of its cluster (",
                     raft::Describe(config), "); use the data of one that is"));
  }
  AloneStart start;
  // Nothing in this term is anybody else's.
  start.hard_state.term = recovered.hard_state.term + 1;
  LogIndex last = recovered.base + recovered.entries.size();
  for (const MemberId id : raft::MembersOf(config)) {
    if (id == self) continue;
    start.removed.push_back(id);
    raft::ConfChange change;
    change.type = raft::ConfChangeType::kRemoveNode;
    change.node_id = id;
    raft::Entry entry;
    entry.term = start.hard_state.term;
    entry.index = ++last;
    entry.type = raft::EntryType::kConfChange;
    entry.data = raft::EncodeToBytes(change);
    start.entries.push_back(std::move(entry));
  }
  start.hard_state.commit = last;
  return start;
}

}  // namespace quorate::server
