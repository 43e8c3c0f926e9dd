// What must happen once the faults have ended, and by when.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "server/config/version.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

// The leader looks at the members' versions every four seconds.
constexpr Duration kIntroduction = Seconds(9);

// After the last fault, in election timeouts (each is at least election_timeout and at
// most twice that): a leader, an acknowledged write through every member, equal state.
constexpr int64_t kLeaderTimeouts = 10;
constexpr int64_t kAnswerTimeouts = 20;
constexpr int64_t kConvergeTimeouts = 10;
// So late messages are at most.
constexpr int64_t kLateTimeouts = 10;
// For a leader, and what it adds to the time of every lease.
constexpr int64_t kLeaseTimeouts = 12;
// The members must have been connected for a while, a learner must have caught up, and a new
// member must have got its state.
constexpr Duration kOperatorPatience = Seconds(30);
// What a world with short timeouts needs besides: to read its disk at a start, and, on
// streams, to notice dead connections and to make new ones.
constexpr Duration kTypedSlack = Seconds(3);
constexpr Duration kStreamSlack = Seconds(12);

// For a leader of a bare majority, in which all must vote for the one with the longest log: each
// time that another one stands first is lost, and with few members and no PreVote that is most.
constexpr int64_t kBareMajorityTimeouts = 40;

// How long a follower is cut off from its leader: for several elections of its own.
constexpr int64_t kCutTimeouts = 5;

}  // namespace

bool World::HasLeader(const std::vector<size_t>& among) {
  const size_t leader = cluster_->Leader();
  if (leader == 0) return false;
  for (const size_t m : among) {
    node::Node* const node = cluster_->node(m);
    if (node == nullptr) return false;
    if (node->replica().inspector().leader() != cluster_->node(leader)->member_id()) return false;
  }
  return true;
}

bool World::Converged() {
  const LogIndex committed = cluster_->oracle().committed();
  for (const size_t m : cluster_->active()) {
    node::Node* const node = cluster_->node(m);
    if (node == nullptr || !cluster_->ready(m)) return false;
    const engine::ReplicaInspector& inspector = node->replica().inspector();
    if (inspector.applied() != committed || inspector.last_index() != committed) return false;
  }
  return true;
}

bool World::WatchersAtHead() const {
  return std::all_of(watchers_.begin(), watchers_.end(), [](const auto& w) { return w->AtHead(); });
}

// Members propose things of their own: each its name, the leader the cluster's version.
bool World::HaveIntroducedThemselves() {
  const auto ours = config::ParseVersion(config::kServerVersion);
  for (const size_t m : cluster_->active()) {
    node::Node* const node = cluster_->node(m);
    if (node == nullptr || config::ParseVersion(node->cluster_version()) != ours) return false;
    for (const engine::MemberInfo& member : node->members()) {
      if (member.name.empty()) return false;
    }
  }
  return true;
}

// How things stand, for a liveness report.
std::string World::Standing() {
  std::string out;
  for (const size_t m : cluster_->active()) {
    absl::StrAppend(&out, out.empty() ? "" : "; ", "member ", m, " ");
    node::Node* const node = cluster_->node(m);
    if (node == nullptr) {
      absl::StrAppend(&out, cluster_->running(m) ? "is recovering" : "is down");
      continue;
    }
    const engine::ReplicaStatus status = node->status();
    static constexpr const char* kRoles[] = {"follower", "pre-candidate", "candidate", "leader"};
    absl::StrAppend(&out, kRoles[static_cast<int>(status.role)], " term ", status.term.value(),
                    " commit ", status.commit.value(), " applied ", status.applied.value(),
                    " last ", status.last_index.value(), cluster_->ready(m) ? "" : " not ready");
  }
  return out;
}

void World::Expect(Duration bound, const char* what, const std::function<bool()>& done) {
  if (Broken()) return;
  judge_.Checked(Rule::kLiveness);
  if (RunUntil(scheduler_.now() + bound, done) || Broken()) return;
  judge_.Report(Rule::kLiveness, scheduler_.now(),
                absl::StrCat("all faults ended at ", Describe(healed_), ", but ", what, " until ",
                             Describe(scheduler_.now())),
                {Standing()});
}

void World::LivenessPhase() {
  if (Broken()) return;
  nemesis_->Heal();
  healed_ = scheduler_.now();
  const Duration slack = options_.streams ? kStreamSlack : kTypedSlack;
  const Duration timeout = options_.election_timeout;
  if (options_.core_first) CoreAlone();
  healed_ = scheduler_.now();
  const auto since_heal = [&] {
    return static_cast<uint64_t>((scheduler_.now() - healed_).nanos() * 100 / timeout.nanos());
  };
  Expect(timeout * kLeaderTimeouts + slack, "no leader was followed by all members",
         [this] { return HasLeader(cluster_->active()); });
  Expect(kOperatorPatience + slack, "a change of the membership was not made",
         [this] { return operator_->idle(); });
  Expect(kOperatorPatience + slack, "an alarm stands that the operator puts out",
         [this] { return caretaker_->all_out(); });
  Expect(timeout * kLeaderTimeouts + slack, "no leader was followed by all members",
         [this] { return HasLeader(cluster_->active()); });
  if (access_ != nullptr) access_->Stop();
  for (const auto& client : clients_) client->BeginProbe();
  // A client asks one thing at a time, every second time of one that it has not tried yet, and
  // may have to wait for a lost answer. Many clients with a low rate together pause for long.
  const WorkloadOptions& w = options_.workload;
  const Duration pause =
      Seconds(1) * static_cast<int64_t>(w.clients) / static_cast<int64_t>(w.rate);
  const Duration log_in = auth_ == nullptr ? Duration() : Seconds(5);
  const Duration patience =
      log_in + w.request_timeout * 2 +
      (Seconds(1) + pause * 8) * static_cast<int64_t>(cluster_->active().size());
  Expect(timeout * kAnswerTimeouts + slack + patience, "not every member acknowledged a write",
         [this] {
           return std::all_of(clients_.begin(), clients_.end(),
                              [](const auto& c) { return c->unproven().empty(); });
         });
  answered_after_ = since_heal();
  for (const auto& client : clients_) client->Stop();
  for (const auto& watcher : watchers_) watcher->Settle();
  if (administrator_ != nullptr) administrator_->Stop();
  Expect(std::max(options_.workload.request_timeout * 2, Seconds(3)),
         "some requests were not answered", [this] {
           return (administrator_ == nullptr || administrator_->idle()) &&
                  (access_ == nullptr || access_->idle()) &&
                  std::all_of(clients_.begin(), clients_.end(),
                              [](const auto& c) { return c->idle(); });
         });
  Expect(timeout * kConvergeTimeouts + slack, "the members did not converge",
         [this] { return Converged(); });
  converged_after_ = since_heal();
  // A leader elected at the last moment gives them all of their time, and some more.
  Expect(leases_->longest() + timeout * kLeaseTimeouts + slack, "some leases did not end",
         [this] { return leases_->standing() == 0 && Converged(); });
  Expect(Seconds(10) + slack, "some watchers did not get everything",
         [this] { return WatchersAtHead(); });
  // So that nothing comes after what S2 compares with: no proposal that was on its way when the
  // faults ended, and none of the members' own.
  const VirtualTime all_came = healed_ + timeout * kLateTimeouts;
  if (scheduler_.now() < all_came) RunUntil(all_came, [] { return false; });
  RunUntil(scheduler_.now() + kIntroduction, [this] { return HaveIntroducedThemselves(); });
  Expect(timeout * kConvergeTimeouts + slack, "the members did not converge",
         [this] { return Converged(); });
  if (options_.cut_from_leader) CutFollowerFromLeader();
}

// The least that can go on, each as the faults left it: what only a larger cluster gets over shows
// here. The others come back afterwards.
void World::CoreAlone() {
  Prng draw(NamedDraw(options_.seed, HashName("world"), HashName("core"), 0));
  std::vector<size_t> core = cluster_->active();
  const size_t quorum = core.size() / 2 + 1;
  while (core.size() > quorum) {
    const auto out = core.begin() + static_cast<std::ptrdiff_t>(draw.Below(core.size()));
    cluster_->Crash(*out, CrashKind::kKill, Duration::Infinite());
    core.erase(out);
  }
  const Duration slack = options_.streams ? kStreamSlack : kTypedSlack;
  Expect(options_.election_timeout * kBareMajorityTimeouts + slack,
         "no leader was followed by a majority that is alone",
         [this, &core] { return HasLeader(core); });
  const LogIndex before = cluster_->oracle().committed();
  Expect(
      options_.election_timeout * kAnswerTimeouts + slack + options_.workload.request_timeout * 2,
      "a majority that is alone commits nothing",
      [this, before] { return cluster_->oracle().committed() > before; });
  cluster_->StartAll();
}

// A member that hears all others but the leader campaigns in vain (thesis, section 9.6): whom it
// asks has heard of the leader.
void World::CutFollowerFromLeader() {
  const size_t leader = Broken() ? 0 : cluster_->Leader();
  if (leader == 0) return;
  const Term term = cluster_->node(leader)->status().term;
  std::vector<size_t> others = cluster_->active();
  others.erase(std::find(others.begin(), others.end(), leader));
  Prng draw(NamedDraw(options_.seed, HashName("world"), HashName("cut"), 0));
  const size_t cut = others[draw.Below(others.size())];
  network_->BlockBoth(cluster_->host_id(leader), cluster_->host_id(cut));
  RunUntil(scheduler_.now() + options_.election_timeout * kCutTimeouts, [] { return false; });
  network_->UnblockAll();
  judge_.Checked(Rule::kStability);
  if (!Broken() && cluster_->node(leader)->status().term != term) {
    judge_.Report(Rule::kStability, scheduler_.now(),
                  absl::StrCat("member ", leader, " led term ", term.value(),
                               ", heard by all but member ", cut, ", and was deposed"),
                  {Standing()});
  }
  const Duration slack = options_.streams ? kStreamSlack : kTypedSlack;
  Expect(options_.election_timeout * kConvergeTimeouts + slack, "the members did not converge",
         [this] { return HasLeader(cluster_->active()) && Converged(); });
}

}  // namespace quorate::sim
