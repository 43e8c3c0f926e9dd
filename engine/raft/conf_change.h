// Membership changes as pure functions over a configuration (Raft paper, section 6;
// thesis, chapter 4).
//
// A configuration is a ConfState: voters, the outgoing half of a joint configuration,
// learners, and voters that become learners when the joint phase ends. Members in
// learners_next are still voters of the outgoing half: a member is never voter and
// learner at once.
#ifndef QUORATE_ENGINE_RAFT_CONF_CHANGE_H_
#define QUORATE_ENGINE_RAFT_CONF_CHANGE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/raft/quorum.h"
#include "engine/raft/types.h"

namespace quorate::raft {

// A configuration after a change.
struct ChangedConfig {
  ConfState config;
  // Members that the change brought in (or removed and brought in again): nothing is
  // known of their logs. Sorted.
  std::vector<MemberId> fresh;
};

// One voter more or less, and any number of learners: a quorum of the old and one of
// the new configuration always intersect (thesis, section 4.1). FailedPrecondition in
// a joint configuration, when two voters differ, or when no voter would be left.
// Changes to member 0 and kUpdateNode change nothing.
absl::StatusOr<ChangedConfig> ChangeSimple(const ConfState& config,
                                           absl::Span<const ConfChangeSingle> changes);

// Any change, by way of a joint configuration (section 6).
absl::StatusOr<ChangedConfig> EnterJoint(const ConfState& config, bool auto_leave,
                                         absl::Span<const ConfChangeSingle> changes);
absl::StatusOr<ChangedConfig> LeaveJoint(const ConfState& config);

// What `change` asks for: one of the three above.
absl::StatusOr<ChangedConfig> ApplyChange(const ConfState& config, const ConfChangeV2& change);

// Whether the change asks for leaving a joint configuration / for entering one.
bool IsLeaveJoint(const ConfChangeV2& change);
bool IsEnterJoint(const ConfChangeV2& change);

ConfChangeV2 ToV2(const ConfChange& change);
// The change that an entry of type kConfChange or kConfChangeV2 carries.
absl::StatusOr<ConfChangeV2> DecodeChange(const Entry& entry);

// Whether a configuration from outside (a snapshot) is one that changes can lead to:
// InvalidArgument says what is wrong. The configuration without any members is valid.
absl::Status ValidateConfig(const ConfState& config);

// Every member, sorted.
std::vector<MemberId> MembersOf(const ConfState& config);
bool IsJoint(const ConfState& config);
bool IsVoter(const ConfState& config, MemberId id);  // of either half
bool IsLearner(const ConfState& config, MemberId id);

// "voters=(1 2 3)&&(1) learners=(4) learners_next=(2) autoleave", ids in hex.
std::string Describe(const ConfState& config);

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_CONF_CHANGE_H_
