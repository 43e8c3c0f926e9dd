#include "sim/study/partition.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "sim/study/judge.h"

namespace quorate::sim::study {
namespace {

// The fault begins so long after the first election: everybody is up to date.
constexpr Instant kFault = Instant::FromNanos(1'000'000'000);
constexpr Duration kMostBefore = Milliseconds(400);

constexpr absl::string_view kKnown = R"(
scenario control
members 3

scenario quorum-loss
members 5
leader 3
only 1-2 1-3 1-4 1-5

# Nobody who could win is linked to a majority: the hub's log is stale.
scenario constrained
members 5
leader 3
at -80ms isolate 1
only 1-2 1-4 1-5

scenario constrained-current
members 5
leader 3
only 1-2 1-4 1-5

scenario chained
members 3
leader 2
cut 2-3

scenario chain-of-5
members 5
only 1-2 2-3 3-4 4-5

scenario howard-1
members 5
leader 3
only 1-2 2-3 1-3 2-4 3-5

scenario howard-2
members 5
leader 4
crash 5
only 1-2 2-3 1-3 2-4

scenario cloudflare
members 3
leader 3
cut 1-3

scenario leader-deaf
members 3
cut 2>1 3>1

scenario leader-mute
members 3
cut 1>2 1>3

scenario follower-deaf-3
members 3
cut 1>3 2>3

scenario follower-deaf-5
members 5
cut 1>5 2>5 3>5 4>5

scenario follower-returns
members 5
isolate 5
at 3s heal
)";

absl::Status Wrong(int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, " of the links: ", what));
}

absl::StatusOr<MemberId> MemberOf(absl::string_view text, const Scenario& scenario, int line) {
  uint64_t id = 0;
  if (!absl::SimpleAtoi(text, &id) || id < 1 || id > scenario.members) {
    return Wrong(line, absl::StrCat("'", text, "' is no member of ", scenario.members));
  }
  return MemberId(id);
}

absl::Status ReadLinks(const std::vector<absl::string_view>& words, const Scenario& scenario,
                       int line, LinkAction* action) {
  for (const absl::string_view word : words) {
    const size_t at = word.find_first_of("->");
    if (at == absl::string_view::npos) {
      return Wrong(line, absl::StrCat("'", word, "' is no link like 1-2 or 1>2"));
    }
    ASSIGN_OR_RETURN(const MemberId a, MemberOf(word.substr(0, at), scenario, line));
    ASSIGN_OR_RETURN(const MemberId b, MemberOf(word.substr(at + 1), scenario, line));
    action->links.emplace_back(a, b);
    if (word[at] == '-') action->links.emplace_back(b, a);
  }
  return words.empty() ? Wrong(line, "names no link") : absl::OkStatus();
}

absl::Status ReadTime(std::vector<absl::string_view>* words, int line, LinkAction* action) {
  if (words->front() != "at") return absl::OkStatus();
  if (words->size() < 3) return Wrong(line, "'at' wants a time and an action");
  absl::string_view text = (*words)[1];
  const bool before = absl::ConsumePrefix(&text, "-");
  const absl::StatusOr<Duration> span = ParseSpan(text);
  if (!span.ok()) return Wrong(line, span.status().message());
  if (before && *span > kMostBefore) return Wrong(line, "at most 400ms before the fault");
  action->at = before ? Duration() - *span : *span;
  words->erase(words->begin(), words->begin() + 2);
  return absl::OkStatus();
}

absl::Status ReadAction(std::vector<absl::string_view> words, int line, Scenario* scenario) {
  using Kind = LinkAction::Kind;
  static constexpr std::pair<absl::string_view, Kind> kKinds[] = {
      {"cut", Kind::kCut},         {"link", Kind::kLink}, {"only", Kind::kOnly},
      {"isolate", Kind::kIsolate}, {"heal", Kind::kHeal}, {"crash", Kind::kCrash}};
  LinkAction action;
  action.text = absl::StrJoin(words, " ");
  RETURN_IF_ERROR(ReadTime(&words, line, &action));
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const auto& known) { return known.first == words[0]; });
  if (kind == std::end(kKinds)) {
    return Wrong(line, absl::StrCat("'", words[0],
                                    "' is none of scenario, members, leader, at, cut, link, only, "
                                    "isolate, heal, crash"));
  }
  action.kind = kind->second;
  words.erase(words.begin());
  switch (action.kind) {
    case Kind::kHeal:
      break;
    case Kind::kIsolate:
    case Kind::kCrash:
      if (words.empty()) return Wrong(line, "names no member");
      for (const absl::string_view word : words) {
        ASSIGN_OR_RETURN(const MemberId id, MemberOf(word, *scenario, line));
        action.members.push_back(id);
      }
      break;
    default:
      RETURN_IF_ERROR(ReadLinks(words, *scenario, line, &action));
  }
  scenario->actions.push_back(std::move(action));
  return absl::OkStatus();
}

absl::Status ReadLine(const std::vector<absl::string_view>& words, int line,
                      std::vector<Scenario>* scenarios) {
  if (words[0] == "scenario") {
    if (words.size() != 2) return Wrong(line, "'scenario' wants one name without blanks");
    for (const Scenario& known : *scenarios) {
      if (known.name == words[1]) return Wrong(line, absl::StrCat(words[1], " is there twice"));
    }
    scenarios->push_back(Scenario{std::string(words[1])});
    return absl::OkStatus();
  }
  if (scenarios->empty()) return Wrong(line, "'scenario NAME' comes first");
  Scenario& scenario = scenarios->back();
  if (words[0] == "members") {
    if (words.size() != 2 || !absl::SimpleAtoi(words[1], &scenario.members) ||
        scenario.members < 2 || scenario.members > kMaxMembers) {
      return Wrong(line, absl::StrCat("'members' wants a number from 2 to ", kMaxMembers));
    }
    if (!scenario.actions.empty()) return Wrong(line, "'members' comes before the actions");
    return absl::OkStatus();
  }
  if (words[0] == "leader") {
    if (words.size() != 2) return Wrong(line, "'leader' wants a member");
    ASSIGN_OR_RETURN(scenario.leader, MemberOf(words[1], scenario, line));
    return absl::OkStatus();
  }
  return ReadAction(words, line, &scenario);
}

void Apply(const LinkAction& action, Cluster* cluster) {
  using Kind = LinkAction::Kind;
  cluster->Note(action.text);
  if (action.kind == Kind::kHeal) cluster->OpenAllLinks();
  if (action.kind == Kind::kOnly) cluster->Partition({});
  const bool open = action.kind != Kind::kCut;
  for (const auto& [from, to] : action.links) cluster->SetLink(from, to, open);
  for (const MemberId id : action.members) {
    if (action.kind == Kind::kCrash) {
      cluster->Crash(id);
    } else {
      cluster->Isolate(id);
    }
  }
}

void ScheduleProposals(const PartitionSetup& setup, Cluster* cluster) {
  uint64_t number = 0;
  for (Instant at = kFault - kMostBefore; at < kFault + setup.length; at = at + setup.every) {
    const std::string payload = absl::StrCat("proposal ", ++number);
    cluster->Schedule(at, [cluster, payload] {
      const MemberId leader = cluster->Leader();
      if (leader == raft::kNobody) return;
      // Refused by a leader that is handing over: a client would see an error.
      cluster->Propose(leader, Bytes::Copy(payload)).IgnoreError();
    });
  }
}

}  // namespace

absl::StatusOr<std::vector<Scenario>> ParseScenarios(absl::string_view text) {
  std::vector<Scenario> scenarios;
  int line = 0;
  for (absl::string_view content : absl::StrSplit(text, '\n')) {
    ++line;
    content = content.substr(0, content.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(content, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (!words.empty()) RETURN_IF_ERROR(ReadLine(words, line, &scenarios));
  }
  if (scenarios.empty()) return absl::InvalidArgumentError("the links name no scenario");
  return scenarios;
}

std::vector<Scenario> KnownScenarios() { return *ParseScenarios(kKnown); }

Row RunPartition(const PartitionSetup& setup, uint64_t seed, Observer* observer) {
  ClusterOptions options = setup.cluster;
  options.seed = seed;
  Cluster cluster(std::move(options));
  Judge judge;
  cluster.AddObserver(&judge);
  if (observer != nullptr) cluster.AddObserver(observer);
  cluster.AddVoters(setup.scenario.members);
  cluster.Campaign(setup.scenario.leader);
  ScheduleProposals(setup, &cluster);
  for (const LinkAction& action : setup.scenario.actions) {
    cluster.Schedule(kFault + action.at, [&cluster, &action] { Apply(action, &cluster); });
  }
  Term term;
  // Proposals made before the fault are committed before it begins, or count for it.
  cluster.RunUntil(kFault - Nanoseconds(1));
  term = cluster.LatestTerm();
  judge.Start(kFault);
  const Instant end = kFault + setup.length;
  cluster.RunUntil(end);
  Row row{};
  row[kGap] = std::min(judge.LongestGap(end), setup.length).nanos();
  row[kCommits] = judge.commits();
  row[kLeaderChanges] = judge.leader_changes();
  row[kTermGrowth] = static_cast<int64_t>(cluster.LatestTerm() - term);
  row[kUnsafe] = judge.two_leaders_in_a_term() || judge.conflicting_commits() ? 1 : 0;
  return row;
}

}  // namespace quorate::sim::study
