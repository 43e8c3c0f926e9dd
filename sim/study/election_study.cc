#include "sim/study/election_study.h"

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sim/study/lists.h"

namespace quorate::sim::study {
namespace {

constexpr size_t kMostCases = 10000;

absl::Status Refuse(absl::string_view option, absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", option, " '", text, "': ", why));
}

// One combination: what is set and how it reads.
struct Combination {
  ElectionSetup setup;
  Settings settings;
  QuorumSystem quorum;  // its rule depends on the members
};

using Change = std::function<void(Combination*)>;

// Multiplies the combinations by the values of one option.
class Sweep {
 public:
  // `changes` with the text of each value.
  void Add(absl::string_view option, const std::vector<std::pair<std::string, Change>>& changes) {
    std::vector<Combination> next;
    for (const Combination& one : combinations_) {
      for (const auto& [text, change] : changes) {
        next.push_back(one);
        change(&next.back());
        next.back().settings.emplace_back(option, text);
      }
    }
    combinations_ = std::move(next);
  }
  template <typename T>
  void Add(absl::string_view option, const std::vector<T>& values,
           const std::function<std::string(const T&)>& text,
           const std::function<void(Combination*, const T&)>& set) {
    std::vector<std::pair<std::string, Change>> changes;
    for (const T& value : values) {
      changes.emplace_back(text(value), [value, set](Combination* c) { set(c, value); });
    }
    Add(option, changes);
  }
  std::vector<Combination>& combinations() { return combinations_; }

 private:
  std::vector<Combination> combinations_ = std::vector<Combination>(1);
};

std::string NumberOf(const uint64_t& n) { return absl::StrCat(n); }
std::string SwitchOf(const bool& on) { return on ? "on" : "off"; }

absl::Status AddSizes(const ElectionArguments& arguments, Sweep* sweep) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> members,
                   ParseNumbers("members", arguments.members, 2, kMaxMembers));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> failed,
                   ParseNumbers("failed", arguments.failed, 1, kMaxMembers));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> short_logs,
                   ParseNumbers("short-logs", arguments.short_logs, 0, kMaxMembers));
  sweep->Add<uint64_t>("members", members, NumberOf,
                       [](Combination* c, const uint64_t& n) { c->setup.members = n; });
  sweep->Add<uint64_t>("failed", failed, NumberOf,
                       [](Combination* c, const uint64_t& n) { c->setup.failed = n; });
  sweep->Add<uint64_t>("short-logs", short_logs, NumberOf,
                       [](Combination* c, const uint64_t& n) { c->setup.short_logs = n; });
  return absl::OkStatus();
}

absl::Status AddTimes(const ElectionArguments& arguments, Sweep* sweep) {
  ASSIGN_OR_RETURN(const std::vector<WaitRange> timeouts,
                   ParseRanges("timeout", arguments.timeout));
  sweep->Add<WaitRange>("timeout", timeouts, RangeText, [](Combination* c, const WaitRange& range) {
    c->setup.cluster.timeout = range;
  });
  if (arguments.candidate_timeout != "same") {
    ASSIGN_OR_RETURN(const std::vector<WaitRange> ranges,
                     ParseRanges("candidate-timeout", arguments.candidate_timeout));
    sweep->Add<WaitRange>(
        "candidate-timeout", ranges, RangeText,
        [](Combination* c, const WaitRange& range) { c->setup.cluster.candidate_timeout = range; });
  }
  if (arguments.heartbeat != "half") {
    ASSIGN_OR_RETURN(const Duration span, ParseSpan(arguments.heartbeat));
    if (span <= Duration()) return Refuse("heartbeat", arguments.heartbeat, "must be above 0");
    sweep->Add("heartbeat", {{arguments.heartbeat,
                              [span](Combination* c) { c->setup.cluster.heartbeat = span; }}});
  }
  ASSIGN_OR_RETURN(const std::vector<DelayModel> latencies,
                   ParseModels("latency", arguments.latency));
  ASSIGN_OR_RETURN(const std::vector<DelayModel> writes,
                   ParseModels("write-latency", arguments.write_latency));
  const auto text = [](const DelayModel& model) { return model.text(); };
  sweep->Add<DelayModel>("latency", latencies, text, [](Combination* c, const DelayModel& model) {
    c->setup.cluster.latency = model;
  });
  sweep->Add<DelayModel>(
      "write-latency", writes, text,
      [](Combination* c, const DelayModel& model) { c->setup.cluster.write = model; });
  if (arguments.vote_write != "parallel" && arguments.vote_write != "before") {
    return Refuse("vote-write", arguments.vote_write, "neither parallel nor before");
  }
  const bool parallel = arguments.vote_write == "parallel";
  sweep->Add("vote-write", {{arguments.vote_write, [parallel](Combination* c) {
                               c->setup.cluster.parallel_vote = parallel;
                             }}});
  return absl::OkStatus();
}

absl::Status AddRules(const ElectionArguments& arguments, Sweep* sweep) {
  ASSIGN_OR_RETURN(const std::vector<bool> prevote, ParseSwitches("prevote", arguments.prevote));
  ASSIGN_OR_RETURN(const std::vector<bool> checkquorum,
                   ParseSwitches("checkquorum", arguments.checkquorum));
  ASSIGN_OR_RETURN(const std::vector<Priority> priorities,
                   ParsePriorities("priority", arguments.priority));
  ASSIGN_OR_RETURN(const std::vector<QuorumSystem> quorums,
                   ParseQuorums("quorum", arguments.quorum));
  ASSIGN_OR_RETURN(const Duration limit, ParseSpan(arguments.limit));
  if (limit <= Duration()) return Refuse("limit", arguments.limit, "must be above 0");
  sweep->Add<bool>("prevote", prevote, SwitchOf,
                   [](Combination* c, const bool& on) { c->setup.cluster.pre_vote = on; });
  sweep->Add<bool>("checkquorum", checkquorum, SwitchOf,
                   [](Combination* c, const bool& on) { c->setup.cluster.check_quorum = on; });
  sweep->Add<Priority>(
      "priority", priorities, [](const Priority& p) { return p.text; },
      [](Combination* c, const Priority& p) { c->setup.cluster.delays = p.delays; });
  sweep->Add<QuorumSystem>(
      "quorum", quorums, [](const QuorumSystem& q) { return q.text; },
      [](Combination* c, const QuorumSystem& q) { c->quorum = q; });
  sweep->Add("limit", {{arguments.limit, [limit](Combination* c) { c->setup.limit = limit; }}});
  return absl::OkStatus();
}

absl::Status Check(Combination* combination) {
  ElectionSetup& setup = combination->setup;
  ASSIGN_OR_RETURN(setup.cluster.quorum, RuleOf(combination->quorum, setup.members));
  RETURN_IF_ERROR(Validate(setup));
  if (setup.cluster.heartbeat >= setup.cluster.timeout.low) {
    return Refuse("heartbeat", Millis(setup.cluster.heartbeat),
                  absl::StrCat("not below the timeout ", RangeText(setup.cluster.timeout)));
  }
  if (setup.cluster.delays.size() > setup.members) {
    return Refuse("priority", combination->settings.back().second,
                  absl::StrCat("more delays than ", setup.members, " members"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Case>> ElectionCases(const ElectionArguments& arguments) {
  Sweep sweep;
  RETURN_IF_ERROR(AddSizes(arguments, &sweep));
  RETURN_IF_ERROR(AddTimes(arguments, &sweep));
  RETURN_IF_ERROR(AddRules(arguments, &sweep));
  if (sweep.combinations().size() > kMostCases) {
    return absl::InvalidArgumentError(
        absl::StrCat(sweep.combinations().size(), " combinations: at most ", kMostCases));
  }
  std::vector<Case> cases;
  for (Combination& combination : sweep.combinations()) {
    RETURN_IF_ERROR(Check(&combination));
    Case of;
    of.command = CommandOf("election", combination.settings);
    of.settings = std::move(combination.settings);
    of.run = [setup = std::move(combination.setup)](uint64_t seed, Observer* observer) {
      return RunElection(setup, seed, observer);
    };
    cases.push_back(std::move(of));
  }
  return cases;
}

absl::StatusOr<Study> ElectionStudy(const ElectionArguments& arguments) {
  Study study;
  Plan& plan = study.plan;
  plan.name = "election";
  plan.title = "Downtime after the leader fails";
  plan.notes = {
      "A heartbeat arrives everywhere at once; the leader fails at a moment drawn uniformly from "
      "one heartbeat interval after it; downtime ends when a new leader sends its first message.",
      absl::StrCat("One-way latency ", arguments.latency, ", write latency ",
                   arguments.write_latency, ", own vote written ",
                   arguments.vote_write == "parallel" ? "while the requests travel"
                                                      : "before the requests leave",
                   ".")};
  plan.columns = ElectionColumns();
  plan.headline = kDowntime;
  ASSIGN_OR_RETURN(plan.cases, ElectionCases(arguments));
  ASSIGN_OR_RETURN(const Duration limit, ParseSpan(arguments.limit));
  plan.limit = limit.nanos();
  LabelAndDraw(&plan);
  return study;
}

}  // namespace quorate::sim::study
