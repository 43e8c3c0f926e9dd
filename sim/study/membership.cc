#include "sim/study/membership.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "engine/raft/conf_change.h"
#include "sim/study/judge.h"

namespace quorate::sim::study {
namespace {

using raft::ConfChangeSingle;
using raft::ConfChangeTransition;
using raft::ConfChangeType;
using raft::ConfChangeV2;

constexpr Duration kStep = Milliseconds(50);
constexpr Duration kLong = Seconds(5);
constexpr Duration kEvery = Milliseconds(10);
constexpr uint64_t kCutDraw = HashName("cut");
// A gigabyte at a gigabyte a second, each divided by 16 Ki: it is the time that counts.
constexpr size_t kSnapshotBytes = 64 * 1024;
constexpr uint64_t kBytesASecond = 64 * 1024;

MemberId Id(uint64_t id) { return MemberId(id); }

std::vector<MemberId> Ids(std::initializer_list<uint64_t> numbers) {
  std::vector<MemberId> ids;
  for (const uint64_t number : numbers) ids.push_back(Id(number));
  return ids;
}

ConfChangeV2 Change(std::initializer_list<std::pair<ConfChangeType, uint64_t>> changes) {
  ConfChangeV2 change;
  for (const auto& [type, id] : changes) change.changes.push_back({type, Id(id)});
  return change;
}
ConfChangeV2 Add(uint64_t id) { return Change({{ConfChangeType::kAddNode, id}}); }
ConfChangeV2 AddLearner(uint64_t id) { return Change({{ConfChangeType::kAddLearnerNode, id}}); }
ConfChangeV2 Remove(uint64_t id) { return Change({{ConfChangeType::kRemoveNode, id}}); }

raft::DurableLog LogOf(const std::vector<MemberId>& voters) {
  raft::DurableLog log;
  log.snapshot.conf_state.voters = voters;
  return log;
}

// A cluster with its judge, and the steps that the cases are made of.
class Stage {
 public:
  Stage(ClusterOptions options, uint64_t seed, Observer* observer)
      : cluster_(WithSeed(std::move(options), seed)) {
    cluster_.AddObserver(&judge_);
    if (observer != nullptr) cluster_.AddObserver(observer);
  }
  Cluster& cluster() { return cluster_; }
  Judge& judge() { return judge_; }
  const raft::Raft& member(uint64_t id) { return cluster_.member(Id(id)); }

  void AddMembers(std::initializer_list<uint64_t> ids, const std::vector<MemberId>& voters) {
    for (const uint64_t id : ids) cluster_.AddMember(Id(id), LogOf(voters));
  }
  void Run(Duration span) { cluster_.RunUntil(cluster_.now() + span); }
  bool Run(Duration span, const std::function<bool()>& done) {
    return cluster_.RunUntil(cluster_.now() + span, done);
  }
  // Stands until it wins, at most five times.
  bool Elect(uint64_t id) {
    for (int i = 0; i < 5; ++i) {
      cluster_.Campaign(Id(id));
      if (Run(kStep, [&] { return member(id).role() == raft::Role::kLeader; })) return true;
    }
    return false;
  }
  void Propose(uint64_t id, const ConfChangeV2& change) {
    cluster_.Note(absl::StrCat("a change is proposed to member ", id));
    if (!cluster_.ProposeChange(Id(id), change).ok()) ++refused_;
  }
  void Write(uint64_t id) {
    if (member(id).role() != raft::Role::kLeader) return;
    cluster_.Propose(Id(id), Bytes::Copy(absl::StrCat("write ", ++writes_, " of ", id)))
        .IgnoreError();
  }
  // A write to whoever leads, and to every other member that thinks it does, every 10 ms.
  void WriteOn(Instant end) {
    for (Instant at = cluster_.now(); at < end; at = at + kEvery) {
      cluster_.Schedule(at, [this] {
        for (const MemberId id : cluster_.ids()) {
          if (cluster_.IsUp(id)) Write(id.value());
        }
      });
    }
  }
  bool HasConfig(uint64_t id, const std::vector<MemberId>& voters) {
    const raft::ConfState& config = member(id).conf_state();
    return config.voters == voters && !raft::IsJoint(config);
  }
  Row Result(bool done, Duration stall = Duration()) {
    Row row{};
    row[kStall] = stall.nanos();
    row[kDone] = done ? 1 : 0;
    row[kLost] = judge_.conflicting_commits() ? 1 : 0;
    row[kTwoLeaders] = judge_.two_leaders_in_a_term() ? 1 : 0;
    row[kRefused] = refused_;
    row[kChanges] = judge_.configurations();
    return row;
  }

 private:
  static ClusterOptions WithSeed(ClusterOptions options, uint64_t seed) {
    options.seed = seed;
    if (options.latency.IsNone()) options.latency = *DelayModel::Parse("uniform:1ms..3ms");
    return options;
  }

  Judge judge_;
  Cluster cluster_;
  int64_t refused_ = 0;
  uint64_t writes_ = 0;
};

// Members that are removed without learning of it would disturb the others otherwise
// (thesis, section 4.2.3).
ClusterOptions WithBothRules() {
  ClusterOptions options;
  options.pre_vote = true;
  options.check_quorum = true;
  return options;
}

// Nobody stands for election unless told to.
ClusterOptions ByHand() {
  ClusterOptions options;
  options.timeout = {Seconds(3600), Seconds(7200)};
  options.heartbeat = Milliseconds(20);
  return options;
}

// ---- three members become five in one step ----

// Members 1 and 2 still count three voters, the others five already.
Row DirectSwitch(uint64_t seed, Observer* observer) {
  Stage stage(ClusterOptions(), seed, observer);
  stage.AddMembers({1, 2}, Ids({1, 2, 3}));
  stage.AddMembers({3, 4, 5}, Ids({1, 2, 3, 4, 5}));
  stage.cluster().Partition({Ids({1, 2}), Ids({3, 4, 5})});
  stage.WriteOn(stage.cluster().now() + kLong);
  stage.Run(kLong);
  return stage.Result(true);
}

// The same cut at any moment of the change that the engine makes of it: a joint one.
Row JointSwitch(uint64_t seed, Observer* observer) {
  Stage stage(WithBothRules(), seed, observer);
  stage.AddMembers({1, 2, 3, 4, 5}, Ids({1, 2, 3}));
  stage.Elect(1);
  stage.Run(kStep);
  stage.Propose(1, Change({{ConfChangeType::kAddNode, 4}, {ConfChangeType::kAddNode, 5}}));
  Prng prng(NamedDraw(seed, 0, kCutDraw, 0));
  stage.Run(prng.Between(Duration(), Milliseconds(30)));
  stage.cluster().Note("the cut");
  stage.cluster().Partition({Ids({1, 2}), Ids({3, 4, 5})});
  stage.WriteOn(stage.cluster().now() + kLong);
  stage.Run(kLong);
  stage.cluster().OpenAllLinks();
  stage.Run(kLong);
  return stage.Result(stage.HasConfig(1, Ids({1, 2, 3, 4, 5})));
}

// ---- one server at a time: Ongaro's three schedules (raft-dev, 2015) ----

enum class Activation : uint8_t { kAppendUnguarded, kAppendGuarded, kApplied };

// Two leaders, in terms that follow each other, change the configuration at once. `first`
// stays with member 1 and its companions, `second` is committed by member 2's, who lose
// sight of `missed` right after its vote.
struct Schedule {
  std::vector<MemberId> voters;
  std::vector<MemberId> fresh;
  ConfChangeV2 first;
  std::vector<MemberId> with_first;
  ConfChangeV2 second;
  std::vector<MemberId> electors;  // of member 2
  MemberId missed;
  std::vector<MemberId> revenants;  // who elect member 1 again
};

Row RunSchedule(const Schedule& schedule, Activation activation, uint64_t seed,
                Observer* observer) {
  ClusterOptions options = ByHand();
  options.activate_on_append = activation != Activation::kApplied;
  options.check_conf_changes = activation == Activation::kApplied;
  options.step_down_on_removal = false;
  Stage stage(options, seed, observer);
  Cluster& cluster = stage.cluster();
  for (const MemberId id : schedule.voters) cluster.AddMember(id, LogOf(schedule.voters));
  for (const MemberId id : schedule.fresh) cluster.AddMember(id, LogOf(schedule.voters));
  stage.Elect(1);
  stage.Run(kStep);
  cluster.Partition({schedule.with_first});
  stage.Propose(1, schedule.first);
  stage.Run(kStep);
  cluster.Partition({schedule.electors});
  stage.Elect(2);
  cluster.SetLink(Id(2), schedule.missed, false);
  cluster.SetLink(schedule.missed, Id(2), false);
  if (activation == Activation::kAppendGuarded) {
    stage.Run(kStep, [&] { return stage.member(2).HasCommittedInTerm(); });
  }
  if (activation != Activation::kAppendGuarded || stage.member(2).HasCommittedInTerm()) {
    stage.Propose(2, schedule.second);
  }
  stage.Run(kStep);
  cluster.Partition({schedule.revenants});
  // Member 1, which still takes itself for the leader, learns that times have moved on.
  cluster.Campaign(schedule.missed);
  stage.Run(kStep);
  stage.Elect(1);
  stage.Run(kStep);
  return stage.Result(true);
}

Schedule AddAndRemove() {
  return {Ids({1, 2, 3, 4}), Ids({5}),       Add(5),      Ids({1, 5}),
          Remove(1),         Ids({2, 3, 4}), MemberId(4), Ids({1, 4, 5})};
}
Schedule TwoAdds() {
  return {Ids({1, 2, 3, 4}), Ids({5, 6}), Add(5),        Ids({1, 5}), Add(6),
          Ids({2, 3, 4, 6}), MemberId(4), Ids({1, 4, 5})};
}
Schedule TwoRemoves() {
  return {Ids({1, 2, 3, 4}), {},          Remove(2),  Ids({1}), Remove(1),
          Ids({2, 3, 4}),    MemberId(3), Ids({1, 3})};
}

template <Schedule (*kSchedule)(), Activation kActivation>
Row Ongaro(uint64_t seed, Observer* observer) {
  return RunSchedule(kSchedule(), kActivation, seed, observer);
}

// ---- etcd issue 11284: two removals under way, a member that has applied neither ----

template <bool kChecked>
Row TwoRemovalsPending(uint64_t seed, Observer* observer) {
  ClusterOptions options = ByHand();
  options.check_conf_changes = kChecked;
  Stage stage(options, seed, observer);
  Cluster& cluster = stage.cluster();
  stage.AddMembers({1, 2, 3, 4, 5}, Ids({1, 2, 3, 4, 5}));
  stage.Elect(3);
  stage.Run(kStep);
  cluster.Partition({Ids({1, 2, 3})});
  stage.Propose(3, Remove(4));
  stage.Propose(3, Remove(5));
  if (kChecked) {
    // The second was refused while the first was pending: again, now that it is applied.
    const LogIndex first = stage.member(3).log().last_index();
    stage.Run(kStep, [&] { return stage.member(3).log().applied() >= first; });
    stage.Propose(3, Remove(5));
  }
  // Member 1 gets both entries but does not hear that they are committed.
  const LogIndex last = stage.member(3).log().last_index();
  stage.Run(kStep, [&] { return stage.member(1).log().last_index() >= last; });
  cluster.SetLink(Id(3), Id(1), false);
  stage.Run(kStep);
  cluster.Note("member 1 is with the removed ones");
  cluster.Partition({Ids({2, 3}), Ids({1, 4, 5})});
  stage.Elect(1);
  stage.Write(1);
  stage.Write(3);
  stage.Run(kStep);
  return stage.Result(true);
}

// ---- a joint swap of all three members, cut between the halves at each step ----

template <int kAt>
Row JointSwap(uint64_t seed, Observer* observer) {
  Stage stage(WithBothRules(), seed, observer);
  Cluster& cluster = stage.cluster();
  stage.AddMembers({1, 2, 3, 4, 5, 6}, Ids({1, 2, 3}));
  stage.Elect(1);
  stage.Run(kStep);
  const auto cut = [&cluster] {
    cluster.Note("the cut");
    cluster.Partition({Ids({1, 2, 3}), Ids({4, 5, 6})});
  };
  if (kAt == 0) cut();
  stage.Propose(1, Change({{ConfChangeType::kAddNode, 4},
                           {ConfChangeType::kAddNode, 5},
                           {ConfChangeType::kAddNode, 6},
                           {ConfChangeType::kRemoveNode, 1},
                           {ConfChangeType::kRemoveNode, 2},
                           {ConfChangeType::kRemoveNode, 3}}));
  const LogIndex joint = stage.member(1).log().last_index();
  const std::function<bool()> reached = [&] {
    switch (kAt) {
      case 2:
        return raft::IsJoint(stage.member(1).conf_state());
      case 3:
        return stage.member(4).log().last_index() > joint;
      case 4:
        return stage.HasConfig(1, Ids({4, 5, 6}));
      default:
        return true;
    }
  };
  stage.Run(kLong, reached);
  if (kAt != 0) cut();
  stage.WriteOn(cluster.now() + kLong * 2);
  stage.Run(kLong);
  cluster.Note("healed");
  cluster.OpenAllLinks();
  stage.Run(kLong);
  // A leader outside of the new configuration has stepped down.
  bool done = stage.HasConfig(4, Ids({4, 5, 6})) && cluster.Leader().value() >= 4;
  for (uint64_t id = 1; id <= 3; ++id) {
    done = done && stage.member(id).role() != raft::Role::kLeader;
  }
  return stage.Result(done);
}

// ---- dead voter 3 is replaced by 4 ----

enum class Order : uint8_t { kAddFirst, kRemoveFirst, kJoint };
enum class Newcomer : uint8_t { kHealthy, kSlow, kDead };

template <Order kOrder, Newcomer kNewcomer>
Row Replace(uint64_t seed, Observer* observer) {
  Stage stage(ByHand(), seed, observer);
  Cluster& cluster = stage.cluster();
  stage.AddMembers({1, 2, 3, 4}, Ids({1, 2, 3}));
  stage.Elect(1);
  stage.Run(kStep);
  cluster.Crash(Id(3));
  if (kNewcomer == Newcomer::kDead) cluster.Crash(Id(4));
  if (kNewcomer == Newcomer::kSlow) cluster.SetSlowness(Id(4), 100);
  stage.judge().Start(cluster.now());
  const Instant end = cluster.now() + kLong;
  stage.WriteOn(end);
  stage.Run(kStep);
  const ConfChangeV2 joint =
      Change({{ConfChangeType::kAddNode, 4}, {ConfChangeType::kRemoveNode, 3}});
  stage.Propose(1, kOrder == Order::kJoint      ? joint
                   : kOrder == Order::kAddFirst ? Add(4)
                                                : Remove(3));
  if (kOrder != Order::kJoint) {
    const std::vector<MemberId> between =
        kOrder == Order::kAddFirst ? Ids({1, 2, 3, 4}) : Ids({1, 2});
    stage.Run(end - cluster.now(), [&] { return stage.HasConfig(1, between); });
    if (stage.HasConfig(1, between)) {
      stage.Propose(1, kOrder == Order::kAddFirst ? Remove(3) : Add(4));
    }
  }
  cluster.RunUntil(end);
  return stage.Result(stage.HasConfig(1, Ids({1, 2, 4})), stage.judge().LongestGap(end));
}

// ---- an empty voter joins {1, 2, 3}, of which 3 is down; the log is compacted ----

template <bool kLearnerFirst>
Row AddEmptyVoter(uint64_t seed, Observer* observer) {
  ClusterOptions options = ByHand();
  options.bandwidth = kBytesASecond;
  Stage stage(options, seed, observer);
  Cluster& cluster = stage.cluster();
  stage.AddMembers({1, 2, 3, 4}, Ids({1, 2, 3}));
  stage.Elect(1);
  stage.Run(kStep);
  cluster.Crash(Id(3));
  stage.judge().Start(cluster.now());
  const Instant end = cluster.now() + kLong;
  stage.WriteOn(end);
  stage.Run(kStep);
  stage.Propose(1, kLearnerFirst ? AddLearner(4) : Add(4));
  const auto progress = [&] { return stage.member(1).tracker().Find(Id(4)); };
  stage.Run(kStep, [&] { return progress() != nullptr; });
  // Before the newcomer has said that it has nothing, the log it would need is gone.
  const raft::Log& log = stage.member(1).log();
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->meta = {log.applied(), stage.member(1).term(), stage.member(1).conf_state()};
  snapshot->data = Bytes::Copy(std::string(kSnapshotBytes, 'x'));
  const LogIndex compacted = log.applied();
  cluster.SetSnapshot(Id(1), std::move(snapshot));
  cluster.Compact(Id(1), compacted);
  if (kLearnerFirst) {
    const auto caught_up = [&] {
      return progress()->state == raft::ProgressState::kReplicate &&
             progress()->match + 10 >= log.last_index();
    };
    if (stage.Run(end - cluster.now(), caught_up)) stage.Propose(1, Add(4));
  }
  cluster.RunUntil(end);
  return stage.Result(stage.HasConfig(1, Ids({1, 2, 3, 4})), stage.judge().LongestGap(end));
}

}  // namespace

absl::Span<const MembershipCase> MembershipCases() {
  using A = Activation;
  using E = Expectation;
  using N = Newcomer;
  using O = Order;
  static constexpr MembershipCase kCases[] = {
      {"direct-3-to-5", "control: members 1, 2 count three voters, 3, 4, 5 count five",
       E::kTwoLeadersInATerm, DirectSwitch},
      {"joint-3-to-5", "the engine's joint change, cut at any moment", E::kCompletes, JointSwitch},
      {"add-remove-unguarded", "control: effective when appended, no own-term entry first",
       E::kLoses, Ongaro<AddAndRemove, A::kAppendUnguarded>},
      {"two-adds-unguarded", "control: the same with two additions", E::kLoses,
       Ongaro<TwoAdds, A::kAppendUnguarded>},
      {"two-removes-unguarded", "control: the same with two removals", E::kLoses,
       Ongaro<TwoRemoves, A::kAppendUnguarded>},
      {"add-remove-guarded", "effective when appended, after an own-term commit", E::kSafe,
       Ongaro<AddAndRemove, A::kAppendGuarded>},
      {"two-adds-guarded", "the same with two additions", E::kSafe,
       Ongaro<TwoAdds, A::kAppendGuarded>},
      {"two-removes-guarded", "the same with two removals", E::kSafe,
       Ongaro<TwoRemoves, A::kAppendGuarded>},
      {"add-remove", "the engine: effective when applied, with its checks", E::kSafe,
       Ongaro<AddAndRemove, A::kApplied>},
      {"two-adds", "the same with two additions", E::kSafe, Ongaro<TwoAdds, A::kApplied>},
      {"two-removes", "the same with two removals", E::kSafe, Ongaro<TwoRemoves, A::kApplied>},
      {"pending-unchecked", "control: two removals pending at once (etcd issue 11284)", E::kLoses,
       TwoRemovalsPending<false>},
      {"pending-checked", "the engine: one pending change at a time", E::kSafe,
       TwoRemovalsPending<true>},
      {"joint-swap-0", "three for three, cut before the change is proposed", E::kCompletes,
       JointSwap<0>},
      {"joint-swap-1", "... cut when it is proposed", E::kCompletes, JointSwap<1>},
      {"joint-swap-2", "... cut when the joint configuration is in force", E::kCompletes,
       JointSwap<2>},
      {"joint-swap-3", "... cut when the new half has the end of it", E::kCompletes, JointSwap<3>},
      {"joint-swap-4", "... cut when the new configuration is in force", E::kCompletes,
       JointSwap<4>},
      {"add-first-healthy", "replace a dead voter: add 4, then remove 3", E::kNoStall,
       Replace<O::kAddFirst, N::kHealthy>},
      {"add-first-slow", "... 4 is a hundred times slower", E::kStall,
       Replace<O::kAddFirst, N::kSlow>},
      {"add-first-dead", "... 4 is dead, too", E::kStall, Replace<O::kAddFirst, N::kDead>},
      {"remove-first-healthy", "replace a dead voter: remove 3, then add 4", E::kNoStall,
       Replace<O::kRemoveFirst, N::kHealthy>},
      {"remove-first-slow", "... 4 is a hundred times slower", E::kNoStall,
       Replace<O::kRemoveFirst, N::kSlow>},
      {"remove-first-dead", "... 4 is dead, too", E::kNoStall, Replace<O::kRemoveFirst, N::kDead>},
      {"joint-replace-healthy", "replace a dead voter in one joint change", E::kNoStall,
       Replace<O::kJoint, N::kHealthy>},
      {"joint-replace-slow", "... 4 is a hundred times slower", E::kNoStall,
       Replace<O::kJoint, N::kSlow>},
      {"joint-replace-dead", "... 4 is dead, too", E::kNoStall, Replace<O::kJoint, N::kDead>},
      {"empty-voter", "an empty voter, a second behind, joins a cluster with one down", E::kStall,
       AddEmptyVoter<false>},
      {"empty-learner-first", "... as a learner until it has caught up", E::kNoStall,
       AddEmptyVoter<true>},
  };
  return kCases;
}

}  // namespace quorate::sim::study
