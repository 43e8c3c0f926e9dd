// Studies end to end on the real engine: same seeds, same rows; what comes out agrees
// with calculation, with papers within wide bounds, and with what must be safe.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "sim/markup.h"
#include "sim/study/diagram.h"
#include "sim/study/election_study.h"
#include "sim/study/membership.h"
#include "sim/study/page.h"
#include "sim/study/papers.h"
#include "sim/study/partition.h"
#include "sim/study/quorum.h"
#include "sim/study/trials.h"

namespace quorate::sim::study {
namespace {

Results RunStudy(const Study& study, uint64_t trials, uint64_t jobs = 1, uint64_t shard = 1,
                 uint64_t shards = 1) {
  TrialOptions options;
  options.trials = trials;
  options.seed = 100;
  options.jobs = jobs;
  options.shard = shard;
  options.shards = shards;
  return *RunTrials(study.plan, options);
}

Study Sweep() {
  ElectionArguments arguments;
  arguments.members = "3,5";
  arguments.timeout = "150-155,150-300";
  arguments.prevote = "on,off";
  return *ElectionStudy(arguments);
}

std::string Refusal(const ElectionArguments& arguments) {
  return std::string(ElectionStudy(arguments).status().message());
}

TEST(Election, EveryCombinationIsACase) {
  const Study study = Sweep();
  ASSERT_EQ(study.plan.cases.size(), 8u);
  EXPECT_EQ(study.plan.cases[0].label, "members 3, timeout 150-155, prevote on");
  // Curves of one plot differ in their timeouts only.
  ASSERT_EQ(study.plan.plots.size(), 4u);
  EXPECT_EQ(study.plan.plots[0].names, (std::vector<std::string>{"150-155", "150-300"}));
}

TEST(Election, RowsDoNotDependOnProcessesOrShards) {
  const Study study = Sweep();
  const std::string whole = CsvText(study.plan, RunStudy(study, 30));
  EXPECT_EQ(CsvText(study.plan, RunStudy(study, 30, 3)), whole);
  std::vector<std::string> lines;
  for (uint64_t shard = 1; shard <= 4; ++shard) {
    const std::string part = CsvText(study.plan, RunStudy(study, 30, 2, shard, 4));
    for (size_t at = part.find('\n') + 1; at < part.size();) {
      const size_t end = part.find('\n', at);
      lines.push_back(part.substr(at, end - at));
      EXPECT_TRUE(absl::StrContains(whole, lines.back() + "\n")) << lines.back();
      at = end + 1;
    }
  }
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(std::unique(lines.begin(), lines.end()) - lines.begin(), 8 * 30);
}

TEST(Election, ATrialIsASeedWhereverItRuns) {
  const Study study = Sweep();
  const Results all = RunStudy(study, 5);
  for (size_t c = 0; c < all.size(); ++c) {
    for (const Trial& trial : all[c]) {
      Diagram diagram;  // being watched changes nothing
      EXPECT_EQ(study.plan.cases[c].run(trial.seed, &diagram), trial.row);
    }
  }
}

TEST(Election, WhatMakesNoClusterIsRefused) {
  ElectionArguments arguments;
  arguments.failed = "3";
  EXPECT_EQ(Refusal(arguments),
            "--failed 3 of 5 members: those that are left weigh 2, an election needs 3 of 5");
  arguments.failed = "5";
  EXPECT_EQ(Refusal(arguments),
            "--failed 5 of 5 members: the leader fails, and somebody must be left");
  arguments = ElectionArguments();
  arguments.short_logs = "4";
  EXPECT_EQ(Refusal(arguments), "--short-logs 4: nobody could win among 4 survivors");
  arguments = ElectionArguments();
  arguments.heartbeat = "150ms";
  EXPECT_EQ(Refusal(arguments), "--heartbeat '150': not below the timeout 150-300");
  arguments = ElectionArguments();
  arguments.vote_write = "never";
  EXPECT_EQ(Refusal(arguments), "--vote-write 'never': neither parallel nor before");
  arguments = ElectionArguments();
  arguments.quorum = "flexible:3,2";
  EXPECT_TRUE(absl::StrContains(Refusal(arguments), "{1, 2, 3} and the commit quorum {4, 5}"));
}

// Nobody stands before the least timeout has passed since the last heartbeat, which came
// at most a heartbeat interval (half of it) before the crash; a vote takes two messages
// and a write.
TEST(Election, DowntimeIsWithinWhatIsPossible) {
  ElectionArguments arguments;
  arguments.timeout = "150-300";
  const Study study = *ElectionStudy(arguments);
  const Results results = RunStudy(study, 300);
  for (const Trial& trial : results[0]) {
    EXPECT_EQ(trial.row[kElected], 1);
    EXPECT_GE(trial.row[kDowntime], (75 + 2 * 1 + 4) * 1'000'000);
    if (trial.row[kTerms] == 1) {
      EXPECT_LE(trial.row[kDowntime], (300 + 2 * 4 + 12) * 1'000'000);
    }
    EXPECT_NE(trial.row[kLeader], 1);
  }
}

TEST(Election, MembersOfTheFirstRankWin) {
  ElectionArguments arguments;
  arguments.timeout = "150-160";
  arguments.priority = "0/0/200/200/200";
  const Study study = *ElectionStudy(arguments);
  const Results results = RunStudy(study, 100);
  for (const Trial& trial : results[0]) EXPECT_EQ(trial.row[kLeader], 2);
}

TEST(Election, EqualTimeoutsAndDelaysSplitForEver) {
  ElectionArguments arguments;
  arguments.timeout = "150-150";
  arguments.latency = "2.4ms";
  arguments.write_latency = "8ms";
  arguments.limit = "10s";
  const Study study = *ElectionStudy(arguments);
  const Results results = RunStudy(study, 5);
  for (const Trial& trial : results[0]) {
    EXPECT_EQ(trial.row[kElected], 0);
    EXPECT_EQ(trial.row[kDowntime], Seconds(10).nanos());
  }
  EXPECT_TRUE(
      absl::StrContains(Text(SummaryTable(study.plan, Summaries(study.plan, results))), ">10000"));
}

TEST(Papers, Figure16WithinWideBounds) {
  const Study study = *Figure16();
  const Results results = RunStudy(study, 60);
  const auto median = [&](size_t i) {
    return Summarize(Values(results[i], kDowntime)).p50.value / 1e6;
  };
  EXPECT_NEAR(median(2), 287, 60);  // 150-155
  EXPECT_NEAR(median(5), 165, 40);  // 150-300
  EXPECT_NEAR(median(9), 30, 12);   // 12-24
  const std::vector<NamedTable> tables = study.tables(results);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].table.size(), 5u);  // the head and four bold cells
}

TEST(Papers, SplitRatesAgreeWithTheCalculation) {
  const Study study = *Table62();
  const NamedTable table = study.tables(RunStudy(study, 400))[0];
  EXPECT_TRUE(table.agrees) << Text(table.table);
  EXPECT_EQ(table.table.size(), 21u);
}

TEST(Partition, ScenariosAreReadOrRefusedByLine) {
  const auto scenarios = *ParseScenarios(
      "# mine\nscenario a\nmembers 5\nleader 2\nat -80ms isolate 1\nonly 1-2 3>4\nat 3s heal\n"
      "scenario b\ncrash 3\n");
  ASSERT_EQ(scenarios.size(), 2u);
  EXPECT_EQ(scenarios[0].actions[0].at, Duration() - Milliseconds(80));
  EXPECT_EQ(scenarios[0].actions[1].links.size(), 3u);
  EXPECT_EQ(scenarios[1].members, 3u);
  const auto refusal = [](const char* text) {
    return std::string(ParseScenarios(text).status().message());
  };
  EXPECT_EQ(refusal("cut 1-2"), "line 1 of the links: 'scenario NAME' comes first");
  EXPECT_EQ(refusal("scenario a\ncut 1-4"), "line 2 of the links: '4' is no member of 3");
  EXPECT_EQ(refusal("scenario a\n\nsnip 1-2"),
            "line 3 of the links: 'snip' is none of scenario, members, leader, at, cut, link, "
            "only, isolate, heal, crash");
  EXPECT_EQ(refusal("scenario a\ncut 12"), "line 2 of the links: '12' is no link like 1-2 or 1>2");
  EXPECT_EQ(refusal(""), "the links name no scenario");
}

// What the rules are for (thesis, sections 6.2 and 9.6; the scenarios of Omni-Paxos and of
// Howard and Abraham): plain Raft suffers, each rule alone fails somewhere, both recover.
TEST(Partition, RulesHelpWhereTheyShould) {
  PartitionArguments arguments;
  arguments.scenario = "control,quorum-loss,constrained,cloudflare,follower-deaf-3,leader-deaf";
  arguments.length = "10s";
  const Study study = *PartitionStudy(arguments);
  const Results results = RunStudy(study, 3);
  const auto mean = [&](size_t scenario, size_t rules, size_t column) {
    const std::vector<int64_t> values = Values(results[scenario * 4 + rules], column);
    double sum = 0;
    for (const int64_t value : values) sum += static_cast<double>(value);
    return sum / static_cast<double>(values.size());
  };
  enum { kPlain, kPreVote, kCheckQuorum, kBoth };
  for (size_t rules = kPlain; rules <= kBoth; ++rules) {
    EXPECT_EQ(mean(0, rules, kCommits), 200);  // control
    EXPECT_EQ(mean(2, rules, kCommits), 0);    // nobody could win
  }
  EXPECT_EQ(mean(1, kPreVote, kCommits), 0);  // pre-votes alone deadlock
  EXPECT_GT(mean(1, kBoth, kCommits), 180);
  EXPECT_GT(mean(4, kPlain, kLeaderChanges), 10);  // a deaf follower deposes leaders
  EXPECT_EQ(mean(4, kBoth, kLeaderChanges), 0);
  EXPECT_EQ(mean(4, kBoth, kTermGrowth), 0);
  EXPECT_EQ(mean(5, kPlain, kCommits), 0);  // a deaf leader stays
  EXPECT_GT(mean(5, kBoth, kCommits), 180);
  for (const std::vector<Trial>& trials : results) {
    for (const Trial& trial : trials) EXPECT_EQ(trial.row[kUnsafe], 0);
  }
}

TEST(Quorum, MeasuredAgreesWithCalculated) {
  QuorumArguments arguments;
  arguments.members = "5";
  arguments.quorum = "majority,flexible:4,2,weighted:3,1,1,1,1";
  arguments.rtt = "exp:10ms,uniform:5ms..20ms,3ms";
  arguments.fail = "20%";
  const Study study = *QuorumStudy(arguments);
  const NamedTable table = study.tables(RunStudy(study, 1500))[0];
  EXPECT_TRUE(table.agrees) << Text(table.table);
  EXPECT_EQ(table.table.size(), 10u);
}

// One slow follower of five costs next to nothing, as a quorum does without it; of three
// one of two must answer; a commit by everybody waits for it.
TEST(Quorum, ASlowFollowerOnlyHurtsWhoNeedsIt) {
  QuorumArguments arguments;
  arguments.members = "5";
  arguments.quorum = "majority,flexible:1,5,flexible:5,5";
  arguments.rtt = "uniform:9ms..11ms";
  arguments.slow = "1,100";
  EXPECT_FALSE(QuorumStudy(arguments).ok());  // two elections by one member each
  arguments.quorum = "majority,flexible:5,5";
  const Study study = *QuorumStudy(arguments);
  const Results results = RunStudy(study, 300);
  const NamedTable table = study.tables(results)[0];
  EXPECT_TRUE(table.agrees) << Text(table.table);
  const auto p99 = [&](size_t i) {
    return Summarize(Values(results[i], kCommitWait)).p99.value / 1e6;
  };
  EXPECT_NEAR(p99(1) / p99(0), 1, 0.1);
  EXPECT_GT(p99(3), 900);
}

// Controls lose something, the engine nothing.
TEST(Membership, EveryCaseShowsWhatItShould) {
  const Study study = *MembershipStudy("all");
  const NamedTable table = study.tables(RunStudy(study, 12))[0];
  EXPECT_TRUE(table.agrees) << Text(table.table);
  EXPECT_EQ(table.table.size(), MembershipCases().size() + 1);
}

TEST(Diagram, ShowsATrialInWordsAndAsAPicture) {
  ElectionArguments arguments;
  const Study study = *ElectionStudy(arguments);
  Diagram diagram;
  study.plan.cases[0].run(17, &diagram);
  const std::string text = diagram.Text();
  EXPECT_TRUE(absl::StrContains(text, "the leader, member 1, fails"));
  EXPECT_TRUE(absl::StrContains(text, "vote request of term 2"));
  EXPECT_TRUE(absl::StrContains(text, "is leader in term"));
  const std::string html = diagram.Html("A <trial>", "quorate-sim study election --replay 17");
  EXPECT_TRUE(absl::StrContains(html, "A &lt;trial&gt;"));
  EXPECT_TRUE(absl::StrContains(html, "<svg"));
  // Self-contained: nothing is loaded.
  EXPECT_FALSE(absl::StrContains(html, "<script"));
  EXPECT_FALSE(absl::StrContains(html, "src="));
}

TEST(Page, NamesTheCommandOfEachOutlier) {
  const Study study = Sweep();
  const Results results = RunStudy(study, 10);
  const std::string html = PageHtml(study.plan, results, {}, "quorate-sim study election");
  for (const Outlier& outlier : Outliers(study.plan, results)) {
    EXPECT_TRUE(absl::StrContains(
        html, Escaped(ReplayCommand(study.plan.cases[outlier.of_case], outlier.trial.seed))));
  }
  EXPECT_FALSE(absl::StrContains(html, "src="));
  EXPECT_FALSE(absl::StrContains(html, "<script"));
}

// A CHECK that fails in a trial ends its process, not the study's word for it.
TEST(Trials, AProcessThatDiesNamesItsTrial) {
  Study study = Sweep();
  study.plan.cases[1].run = [](uint64_t seed, Observer*) -> Row {
    if (seed == 103) _exit(9);
    return Row();
  };
  TrialOptions options;
  options.trials = 10;
  options.seed = 100;
  options.jobs = 2;
  const absl::Status status = RunTrials(study.plan, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(absl::StrContains(status.message(), "--members 3")) << status;
  EXPECT_TRUE(absl::EndsWith(status.message(), "--replay 103")) << status;
}

TEST(Trials, TooManyAreRefused) {
  const Study study = Sweep();
  TrialOptions options;
  options.trials = 50'000'000;
  EXPECT_FALSE(CountTrials(study.plan, options).ok());
  options.trials = 2;
  options.seed = ~uint64_t{0};
  EXPECT_FALSE(CountTrials(study.plan, options).ok());
}

}  // namespace
}  // namespace quorate::sim::study
