#include "sim/study/quorum.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "sim/study/judge.h"
#include "sim/study/lists.h"

namespace quorate::sim::study {
namespace {

constexpr uint64_t kTrials = 10'000;
constexpr uint64_t kMillion = 1'000'000;
constexpr int kSteps = 20'000;  // of an integral over time
constexpr MemberId kLeader{1};
constexpr uint64_t kFollowerFails = HashName("follower fails");
constexpr uint64_t kMemberFails = HashName("member fails");

bool Fails(const QuorumSetup& setup, uint64_t seed, uint64_t member, uint64_t purpose) {
  return Prng(NamedDraw(seed, member, purpose, 0)).Chance(setup.fail_per_million, kMillion);
}

ClusterOptions OptionsOf(const QuorumSetup& setup, uint64_t seed) {
  ClusterOptions options;
  // Nobody stands for election by itself: the trial says who.
  options.timeout = {Seconds(3600), Seconds(7200)};
  options.quorum = setup.rule;
  // All of the round trip on the way there, so that it is one draw.
  options.latency = setup.round_trip;
  options.answer_latency = DelayModel();
  options.seed = seed;
  return options;
}

// Long enough for every message under way, twice over.
Duration Pause(const QuorumSetup& setup) {
  return setup.round_trip.Longest() * static_cast<int64_t>(2 * setup.slowness) + Seconds(1);
}

raft::DurableLog EmptyLog(uint64_t members) {
  raft::DurableLog log;
  for (uint64_t id = 1; id <= members; ++id) {
    log.snapshot.conf_state.voters.push_back(MemberId(id));
  }
  return log;
}

// Whether one entry proposed to `leader` commits; how long it took is the clock's.
bool Commits(Cluster* cluster, MemberId leader, Duration patience) {
  const raft::Raft& raft = cluster->member(leader);
  if (!cluster->Propose(leader, Bytes::Static("entry")).ok()) return false;
  const LogIndex index = raft.log().last_index();
  return cluster->RunUntil(cluster->now() + patience,
                           [&] { return raft.log().committed() >= index; });
}

// distribution[w]: probability that voters first .. members weigh w together, each of
// them counting with probability `p_others`, the last with `p_last`.
std::vector<double> Weights(const QuorumSetup& setup, uint64_t first, double p_others,
                            double p_last) {
  std::vector<double> distribution = {1};
  for (uint64_t id = first; id <= setup.members; ++id) {
    const double p = id == setup.members ? p_last : p_others;
    const uint64_t weight = setup.rule.WeightOf(MemberId(id));
    std::vector<double> next(distribution.size() + weight);
    for (size_t w = 0; w < distribution.size(); ++w) {
      next[w] += distribution[w] * (1 - p);
      next[w + weight] += distribution[w] * p;
    }
    distribution = std::move(next);
  }
  return distribution;
}

double AtLeast(const std::vector<double>& distribution, uint64_t weight) {
  double sum = 0;
  for (size_t w = weight; w < distribution.size(); ++w) sum += distribution[w];
  return sum;
}

uint64_t Total(const QuorumSetup& setup) {
  return setup.rule.TotalWeight(EmptyLog(setup.members).snapshot.conf_state.voters);
}

// What followers must add to the leader's own weight.
uint64_t NeededFromFollowers(const QuorumSetup& setup) {
  const uint64_t needed = setup.rule.ReplicationWeight(Total(setup));
  const uint64_t own = setup.rule.WeightOf(kLeader);
  return needed > own ? needed - own : 0;
}

double UpShare(const QuorumSetup& setup) {
  return 1 - static_cast<double>(setup.fail_per_million) / kMillion;
}

absl::StatusOr<std::vector<uint64_t>> ParseShares(absl::string_view text) {
  std::vector<uint64_t> shares;
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    double percent = 0;
    if (!absl::ConsumeSuffix(&item, "%") || !absl::SimpleAtod(item, &percent) || !(percent >= 0) ||
        percent > 100) {
      return absl::InvalidArgumentError(
          absl::StrCat("--fail '", item, "': not a share like 10% or 0.1%"));
    }
    shares.push_back(static_cast<uint64_t>(std::llround(percent * 10'000)));
  }
  return shares;
}

std::string ShareText(uint64_t per_million) {
  return absl::StrFormat("%g%%", static_cast<double>(per_million) / 10'000);
}

// Bounds of agreement: 4 standard errors of what was measured.
bool Agrees(double measured, double calculated, double error) {
  return std::fabs(measured - calculated) <= 4 * error + 1e-4 * std::fabs(calculated);
}

NamedTable Beside(const Plan& plan, const std::vector<QuorumSetup>& setups,
                  const Results& results) {
  NamedTable out;
  out.title = "Measured, and calculated";
  out.table = {{"case", "commit wait, mean RTTs", "calculated", "error", "leader can commit",
                "calculated", "can elect", "calculated", "agrees"}};
  for (size_t i = 0; i < setups.size(); ++i) {
    if (results[i].empty()) continue;
    const QuorumSetup& setup = setups[i];
    const auto n = static_cast<double>(results[i].size());
    const double rtt = std::max(1.0, setup.round_trip.MeanNanos());
    const std::vector<int64_t> waits = Values(results[i], kCommitWait);
    const double wait = Mean(waits);
    const double expected = ExpectedCommitWait(setup);
    const double commits = Mean(Values(results[i], kCommitsWithLeader));
    const double elects = Mean(Values(results[i], kElects));
    const double can_commit = CommitAvailability(setup);
    const double can_elect = ElectionAvailability(setup);
    const auto error_of = [n](double p) { return std::sqrt(std::max(p * (1 - p), 1 / n) / n); };
    const bool agrees = Agrees(wait, expected, Deviation(waits) / std::sqrt(n)) &&
                        Agrees(commits, can_commit, error_of(can_commit)) &&
                        Agrees(elects, can_elect, error_of(can_elect));
    out.agrees = out.agrees && agrees;
    out.table.push_back({plan.cases[i].label, NumberText(wait / rtt), NumberText(expected / rtt),
                         ErrorText(wait, expected), absl::StrFormat("%.3f%%", commits * 100),
                         absl::StrFormat("%.3f%%", can_commit * 100),
                         absl::StrFormat("%.3f%%", elects * 100),
                         absl::StrFormat("%.3f%%", can_elect * 100), agrees ? "yes" : "NO"});
  }
  out.notes = {"Agreement: all three within 4 standard errors of the measurement."};
  return out;
}

struct Choice {
  uint64_t members;
  QuorumSystem system;
};

Case CaseOf(const QuorumSetup& setup, const QuorumSystem& system) {
  Case of;
  of.settings = {{"members", absl::StrCat(setup.members)},
                 {"quorum", system.text},
                 {"rtt", setup.round_trip.text()},
                 {"fail", ShareText(setup.fail_per_million)},
                 {"slow", absl::StrCat(setup.slowness)}};
  of.command = CommandOf("quorum", of.settings);
  of.run = [setup](uint64_t seed, Observer* observer) { return RunQuorum(setup, seed, observer); };
  return of;
}

absl::StatusOr<Study> StudyOf(const std::vector<Choice>& choices,
                              const std::vector<DelayModel>& models,
                              const std::vector<uint64_t>& shares,
                              const std::vector<uint64_t>& slownesses) {
  Study study;
  study.trials = kTrials;
  Plan& plan = study.plan;
  plan.name = "quorum";
  plan.title = "Commit latency and availability of quorum systems";
  plan.notes = {
      "The leader counts itself at once; each follower answers after an independent "
      "round trip. Then each follower (for elections: each member) fails independently."};
  plan.columns = {
      {"commit_wait", Unit::kSpan}, {"commits_with_leader", Unit::kFlag}, {"elects", Unit::kFlag}};
  plan.headline = kCommitWait;
  std::vector<QuorumSetup> setups;
  for (const Choice& choice : choices) {
    for (const DelayModel& model : models) {
      for (const uint64_t share : shares) {
        for (const uint64_t slowness : slownesses) {
          QuorumSetup setup{choice.members, {}, model, share, slowness};
          ASSIGN_OR_RETURN(setup.rule, RuleOf(choice.system, choice.members));
          setups.push_back(setup);
          plan.cases.push_back(CaseOf(setup, choice.system));
        }
      }
    }
  }
  LabelAndDraw(&plan);
  study.tables = [plan, setups](const Results& results) {
    return std::vector<NamedTable>{Beside(plan, setups, results)};
  };
  return study;
}

}  // namespace

Row RunQuorum(const QuorumSetup& setup, uint64_t seed, Observer* observer) {
  Row row{};
  Cluster cluster(OptionsOf(setup, seed));
  if (observer != nullptr) cluster.AddObserver(observer);
  cluster.AddVoters(setup.members);
  cluster.SetSlowness(MemberId(setup.members), static_cast<int64_t>(setup.slowness));
  cluster.Campaign(kLeader);
  cluster.RunUntil(cluster.now() + Pause(setup));
  const Instant proposed = cluster.now();
  const bool healthy = Commits(&cluster, kLeader, Pause(setup));
  row[kCommitWait] = healthy ? (cluster.now() - proposed).nanos() : -1;
  cluster.RunUntil(cluster.now() + Pause(setup));
  for (uint64_t id = 2; id <= setup.members; ++id) {
    if (Fails(setup, seed, id, kFollowerFails)) cluster.Crash(MemberId(id));
  }
  row[kCommitsWithLeader] = Commits(&cluster, kLeader, Pause(setup)) ? 1 : 0;

  Cluster survivors(OptionsOf(setup, seed));
  if (observer != nullptr) survivors.AddObserver(observer);
  for (uint64_t id = 1; id <= setup.members; ++id) {
    if (!Fails(setup, seed, id, kMemberFails)) {
      survivors.AddMember(MemberId(id), EmptyLog(setup.members));
    }
  }
  if (survivors.ids().empty()) return row;
  survivors.SetSlowness(MemberId(setup.members), static_cast<int64_t>(setup.slowness));
  const MemberId candidate = survivors.ids().front();
  survivors.Campaign(candidate);
  survivors.RunUntil(survivors.now() + Pause(setup));
  row[kElects] = survivors.Leader() == candidate && Commits(&survivors, candidate, Pause(setup));
  return row;
}

double ExpectedCommitWait(const QuorumSetup& setup) {
  const uint64_t needed = NeededFromFollowers(setup);
  const auto longest =
      static_cast<double>(setup.round_trip.Longest().nanos()) * static_cast<double>(setup.slowness);
  // E[T] is the integral of P(T > t); the middle of each step stands for it.
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double at = (i + 0.5) * longest / kSteps;
    const double answered = setup.round_trip.Cdf(at);
    const double last = setup.round_trip.Cdf(at / static_cast<double>(setup.slowness));
    sum += 1 - AtLeast(Weights(setup, 2, answered, last), needed);
  }
  return sum * longest / kSteps;
}

double CommitAvailability(const QuorumSetup& setup) {
  return AtLeast(Weights(setup, 2, UpShare(setup), UpShare(setup)), NeededFromFollowers(setup));
}

double ElectionAvailability(const QuorumSetup& setup) {
  const uint64_t total = Total(setup);
  const uint64_t needed =
      std::max(setup.rule.ElectionWeight(total), setup.rule.ReplicationWeight(total));
  return AtLeast(Weights(setup, 1, UpShare(setup), UpShare(setup)), needed);
}

absl::StatusOr<Study> QuorumStudy(const QuorumArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> members,
                   ParseNumbers("members", arguments.members, 1, kMaxMembers));
  ASSIGN_OR_RETURN(const std::vector<QuorumSystem> systems,
                   ParseQuorums("quorum", arguments.quorum));
  ASSIGN_OR_RETURN(const std::vector<DelayModel> models, ParseModels("rtt", arguments.rtt));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> shares, ParseShares(arguments.fail));
  std::vector<Choice> choices;
  for (const uint64_t n : members) {
    for (const QuorumSystem& system : systems) choices.push_back({n, system});
  }
  ASSIGN_OR_RETURN(const std::vector<uint64_t> slownesses,
                   ParseNumbers("slow", arguments.slow, 1, 1000));
  return StudyOf(choices, models, shares, slownesses);
}

absl::StatusOr<Study> Table66() {
  std::vector<Choice> choices;
  for (const uint64_t n : {4, 5, 7, 9}) {
    // Commit quorums from 2 up to below a majority; n - q + 1 elect. For 4 that is half.
    for (uint64_t q = 2; q <= 3 && q < n / 2 + 1; ++q) {
      choices.push_back({n, {absl::StrCat("flexible:", n - q + 1, ",", q), n - q + 1, q, {}}});
    }
    choices.push_back({n, QuorumSystem()});
  }
  ASSIGN_OR_RETURN(const DelayModel rtt, DelayModel::Parse("exp:10ms"));
  ASSIGN_OR_RETURN(Study study, StudyOf(choices, {rtt}, {100'000}, {1}));
  study.plan.title = "Flexible quorums: measured and calculated";
  return study;
}

}  // namespace quorate::sim::study
