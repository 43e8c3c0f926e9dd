// Membership changes: whatever sequence of them is accepted, neighbouring configurations
// never have disjoint quorums, and the configuration's own rules hold.
#include "engine/raft/conf_change.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace quorate::raft {
namespace {

constexpr uint64_t kIds = 6;

std::vector<ConfChangeSingle> Changes(std::initializer_list<std::pair<ConfChangeType, int>> list) {
  std::vector<ConfChangeSingle> changes;
  for (const auto& [type, id] : list) changes.push_back({type, MemberId(id)});
  return changes;
}

bool IsQuorum(const ConfState& config, uint32_t members) {
  return HasReplicationQuorum(QuorumRule(), {config.voters, config.voters_outgoing},
                              [&](MemberId id) { return (members >> id.value() & 1) != 0; });
}

bool QuorumsIntersect(const ConfState& a, const ConfState& b) {
  for (uint32_t members = 0; members < 1u << (kIds + 1); members += 2) {
    const uint32_t others = ~members & ((1u << (kIds + 1)) - 2);
    if (IsQuorum(a, members) && IsQuorum(b, others)) return false;
  }
  return true;
}

rc::Gen<ConfChangeV2> AnyChange() {
  return rc::gen::map(
      rc::gen::tuple(rc::gen::inRange(0, 3),
                     rc::gen::container<std::vector<std::pair<int, uint64_t>>>(rc::gen::pair(
                         rc::gen::inRange(0, 4), rc::gen::inRange<uint64_t>(0, kIds + 1)))),
      [](const auto& parts) {
        ConfChangeV2 change;
        change.transition = static_cast<ConfChangeTransition>(std::get<0>(parts));
        for (const auto& [type, id] : std::get<1>(parts)) {
          change.changes.push_back({static_cast<ConfChangeType>(type), MemberId(id)});
        }
        return change;
      });
}

RC_GTEST_PROP(ConfChange, NeighboursHaveNoDisjointQuorums, ()) {
  ConfState config;
  config.voters = {MemberId(1), MemberId(2), MemberId(3)};
  const auto steps = *rc::gen::inRange(1, 12);
  for (int i = 0; i < steps; ++i) {
    auto change = *rc::gen::resize(5, AnyChange());
    if (IsJoint(config) && *rc::gen::arbitrary<bool>()) change = ConfChangeV2();
    const auto next = ApplyChange(config, change);
    if (!next.ok()) continue;
    RC_ASSERT(ValidateConfig(next->config).ok());
    RC_ASSERT(QuorumsIntersect(config, next->config));
    for (const MemberId id : next->fresh) {
      const auto members = MembersOf(next->config);
      RC_ASSERT(std::binary_search(members.begin(), members.end(), id));
    }
    config = next->config;
  }
}

TEST(ConfChange, TwoVotersAtOnceNeedAJointPhase) {
  ConfState config;
  config.voters = {MemberId(1)};
  const auto both = Changes({{ConfChangeType::kAddNode, 2}, {ConfChangeType::kAddNode, 3}});
  EXPECT_EQ(ChangeSimple(config, both).status().message(),
            "more than one voter changed without entering joint config");
  const auto joint = EnterJoint(config, /*auto_leave=*/true, both);
  ASSERT_TRUE(joint.ok());
  EXPECT_EQ(Describe(joint->config), "voters=(1 2 3)&&(1) autoleave");
  EXPECT_EQ(Describe(LeaveJoint(joint->config)->config), "voters=(1 2 3)");
}

TEST(ConfChange, ADemotedVoterVotesUntilTheJointPhaseEnds) {
  ConfState config;
  config.voters = {MemberId(1), MemberId(2)};
  const auto joint = EnterJoint(config, false, Changes({{ConfChangeType::kAddLearnerNode, 2}}));
  ASSERT_TRUE(joint.ok());
  EXPECT_TRUE(IsVoter(joint->config, MemberId(2)));
  EXPECT_FALSE(IsLearner(joint->config, MemberId(2)));
  EXPECT_TRUE(IsLearner(LeaveJoint(joint->config)->config, MemberId(2)));
}

TEST(ConfChange, NobodyLeftIsRefused) {
  ConfState config;
  config.voters = {MemberId(1)};
  EXPECT_EQ(ChangeSimple(config, Changes({{ConfChangeType::kRemoveNode, 1}})).status().message(),
            "removed all voters");
}

TEST(ConfChange, ConfigurationsFromOutsideAreChecked) {
  const auto valid = [](ConfState config) { return ValidateConfig(config).ok(); };
  const MemberId one(1);
  const MemberId two(2);
  EXPECT_TRUE(valid({}));
  EXPECT_TRUE(valid({.voters = {one}, .learners = {two}}));
  EXPECT_FALSE(valid({.voters = {two, one}}));
  EXPECT_FALSE(valid({.voters = {one, one}}));
  EXPECT_FALSE(valid({.voters = {MemberId(0)}}));
  EXPECT_FALSE(valid({.learners = {one}}));
  EXPECT_FALSE(valid({.voters = {one}, .learners = {one}}));
  EXPECT_FALSE(valid({.voters = {one}, .learners_next = {two}}));
  EXPECT_FALSE(valid({.voters = {one}, .auto_leave = true}));
}

}  // namespace
}  // namespace quorate::raft
