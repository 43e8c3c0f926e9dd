// What an entry that changes raft's configuration says about the cluster's members.
#ifndef QUORATE_ENGINE_REPLICA_MEMBERSHIP_CHANGE_H_
#define QUORATE_ENGINE_REPLICA_MEMBERSHIP_CHANGE_H_

#include "absl/status/statusor.h"
#include "engine/membership/membership.h"
#include "engine/raft/types.h"

namespace quorate::engine {

// InvalidArgument if the change's context is malformed.
absl::StatusOr<membership::Change> MembershipChange(const raft::ConfChange& change);

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_MEMBERSHIP_CHANGE_H_
