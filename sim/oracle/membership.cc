#include "sim/oracle/membership.h"

#include <utility>

#include "engine/membership/membership.h"
#include "engine/raft/codec.h"
#include "engine/raft/conf_change.h"
#include "engine/replica/membership_change.h"

namespace quorate::sim {

RaftOracle::ConfigRule MembershipRule() {
  return [members = membership::Membership()](
             const raft::ConfState& before,
             const raft::Entry& entry) mutable -> std::optional<raft::ConfState> {
    if (entry.type != raft::EntryType::kConfChange) return std::nullopt;
    const absl::StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data);
    if (!change.ok()) return std::nullopt;
    const absl::StatusOr<membership::Change> asked = engine::MembershipChange(*change);
    if (!asked.ok() || !members.Check(*asked).ok()) return std::nullopt;
    absl::StatusOr<raft::ChangedConfig> changed = raft::ApplyChange(before, raft::ToV2(*change));
    if (!changed.ok()) return std::nullopt;
    members.Apply(*asked);
    return std::move(changed->config);
  };
}

}  // namespace quorate::sim
