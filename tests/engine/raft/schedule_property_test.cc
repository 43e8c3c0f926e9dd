// Any schedule of messages, losses, duplicates, crashes, disk completions, timers,
// proposals and membership changes keeps figure 3's safety properties and every
// invariant; and once faults stop, the group comes to one log.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "tests/engine/raft/group.h"

namespace quorate::raft::test {
namespace {

constexpr uint32_t kActions = 64;

// A choice of what happens next: decoded against what is possible then.
struct Choice {
  uint32_t action;  // below kActions
  uint32_t which;
  uint32_t other;
};

std::ostream& operator<<(std::ostream& out, const Choice& choice) {
  return out << "{" << choice.action << ", " << choice.which << ", " << choice.other << "}";
}

ConfChangeV2 ChangeFrom(uint32_t bits, uint64_t members) {
  ConfChangeV2 change;
  const uint32_t count = bits % 3 + 1;
  for (uint32_t i = 0; i < count; ++i) {
    bits /= 7;
    const auto type = static_cast<ConfChangeType>((bits % 3) == 2 ? 3 : bits % 3);
    change.changes.push_back({type, MemberId(bits / 3 % members + 1)});
  }
  if (bits % 5 == 0) change.transition = ConfChangeTransition::kJointExplicit;
  if (bits % 11 == 0) change = ConfChangeV2();
  return change;
}

class Scheduler {
 public:
  Scheduler(Group* group, uint64_t members) : group_(*group), members_(members) {}

  void Run(const Choice& choice) {
    const uint64_t id = choice.which % members_ + 1;
    const size_t messages = group_.messages().size();
    const size_t message = messages == 0 ? 0 : choice.other % messages;
    const uint32_t action = choice.action;
    if (action < 3) {
      group_.ElapseToDeadline(id);
    } else if (action < 10) {
      group_.Propose(id, std::to_string(choice.other)).IgnoreError();
    } else if (action < 11) {
      Crash(id, choice.other % 3);
    } else if (action < 15) {
      group_.Restart(id);
    } else if (action < 20) {
      Disturb(id, choice.other);
    } else if (action < 34) {
      group_.CompleteUnit(id);
    } else if (messages == 0) {
      return;
    } else if (action < 36) {
      group_.DropAt(message);
    } else if (action < 38) {
      if (messages < 200) group_.DuplicateAt(message);
    } else {
      group_.DeliverAt(message);
    }
    for (uint64_t each = 1; each <= members_; ++each) group_.Pump(each);
  }

 private:
  void Crash(uint64_t id, size_t kept) {
    group_.Crash(id, kept);
    // Often back at once: a group of the dead finds no bugs.
    if (kept != 0) group_.Restart(id);
  }

  void Disturb(uint64_t id, uint32_t bits) {
    if (!group_.IsUp(id)) return;
    Raft& raft = group_.raft(id);
    const Instant now = group_.peer(id).now;
    const MemberId target(bits / 8 % members_ + 1);
    switch (bits % 8) {
      case 0:
        raft.TransferLeader(target, now);
        break;
      case 1:
        raft.ReadIndex(Bytes::Copy(std::to_string(bits)), now).IgnoreError();
        break;
      case 2:
        raft.ForgetLeader(now).IgnoreError();
        break;
      case 3:
        raft.ReportUnreachable(target, now);
        break;
      case 4:
        raft.ReportSnapshot(target, bits % 3 == 0, now);
        break;
      case 5:
        group_.Compact(id, bits / 64 % 3);
        break;
      default:
        group_.ProposeChange(id, ChangeFrom(bits / 8, members_)).IgnoreError();
        break;
    }
  }

  Group& group_;
  uint64_t members_;
};

rc::Gen<std::vector<Choice>> Schedules() {
  const auto any = rc::gen::arbitrary<uint32_t>();
  return rc::gen::scale(
      20.0, rc::gen::container<std::vector<Choice>>(rc::gen::construct<Choice>(
                rc::gen::noShrink(rc::gen::inRange<uint32_t>(0, kActions)),
                rc::gen::noShrink(rc::gen::inRange<uint32_t>(0, 1000)), rc::gen::noShrink(any))));
}

GroupOptions Options(uint64_t voters, bool pre_vote, bool check_quorum, uint64_t seed) {
  GroupOptions options{.voters = voters, .pre_vote = pre_vote, .check_quorum = check_quorum};
  options.seed = seed;
  options.tune = [](Config* config) {
    config->max_inflight_messages = 3;
    config->max_append_bytes = 40;
    config->max_committed_bytes_per_ready = 60;
    config->max_uncommitted_bytes = 200;
  };
  return options;
}

RC_GTEST_PROP(Schedules, KeepTheSafetyProperties, ()) {
  const auto voters = *rc::gen::inRange<uint64_t>(1, 6);
  Group group(Options(voters, *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>(),
                      *rc::gen::arbitrary<uint64_t>()));
  group.AddStranger(voters + 1);
  Scheduler scheduler(&group, voters + 1);
  for (const Choice& choice : *Schedules()) {
    scheduler.Run(choice);
    if (!group.violation().empty()) RC_FAIL(group.violation());
  }
  group.CheckLogs();
  RC_CLASSIFY(!group.Applied(1).empty(), "something was decided");
  RC_ASSERT(group.violation() == "");
}

RC_GTEST_PROP(Schedules, LeadToOneLogOnceFaultsStop, ()) {
  const auto voters = *rc::gen::inRange<uint64_t>(1, 6);
  const bool pre_vote = *rc::gen::arbitrary<bool>();
  Group group(Options(voters, pre_vote, pre_vote, *rc::gen::arbitrary<uint64_t>()));
  Scheduler scheduler(&group, voters);
  for (const Choice& choice : *Schedules()) {
    // Without membership changes: whoever could be elected is still there.
    if (choice.action >= 15 && choice.action < 20 && choice.other % 8 > 5) continue;
    scheduler.Run(choice);
  }
  for (uint64_t id = 1; id <= voters; ++id) group.Restart(id);
  group.Settle();
  // A proposal may be lost with its leader: a client proposes again.
  const auto has_it = [&](uint64_t id) {
    const std::vector<std::string> applied = group.Applied(id);
    return std::find(applied.begin(), applied.end(), "at last") != applied.end();
  };
  bool all = false;
  for (int wait = 0; wait < 300 && !all; ++wait) {
    for (const uint64_t leader : group.Leaders()) {
      // The transport tells of snapshots that it lost: nobody else can.
      for (uint64_t id = 1; id <= voters; ++id) {
        group.raft(leader).ReportSnapshot(MemberId(id), false, group.peer(leader).now);
      }
      group.Propose(leader, "at last").IgnoreError();
    }
    all = true;
    for (uint64_t id = 1; id <= voters; ++id) {
      group.Elapse(id, Group::kHeartbeat);
      group.Settle();
      all = all && has_it(id);
    }
  }
  RC_ASSERT(all);
  RC_ASSERT(group.violation() == "");
}

}  // namespace
}  // namespace quorate::raft::test
