// Our raft agrees with etcd's, line by line, on its published behaviour scripts and on
// others (data/README.md).
#include <cctype>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/peer_cases/runner.h"
#include "tests/peer_cases/script.h"

namespace quorate::peer_cases {
namespace {

constexpr char kFolder[] = "tests/peer_cases/data";

std::vector<std::string> Scripts() {
  auto scripts = FindScripts(kFolder);
  return scripts.ok() ? *std::move(scripts) : std::vector<std::string>();
}

class RaftCases : public testing::TestWithParam<std::string> {};

TEST_P(RaftCases, AgreesLineByLine) {
  const auto text = ReadScript(GetParam());
  ASSERT_TRUE(text.ok()) << text.status();
  const auto result = RunScript(*text);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->commands, 0);
  for (const Mismatch& mismatch : result->mismatches) {
    ADD_FAILURE() << GetParam() << ":" << mismatch.line << ": " << mismatch.command << "\n"
                  << mismatch.diff;
  }
}

std::string NameOf(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(sizeof(kFolder));
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Scripts, RaftCases, testing::ValuesIn(Scripts()), NameOf);

TEST(Runner, FindsTheScripts) {
  EXPECT_GE(Scripts().size(), 53u);
  EXPECT_EQ(FindScripts(Scripts()[0])->size(), 1u);  // a file by itself
  EXPECT_FALSE(FindScripts("tests/peer_cases/data/none").ok());
}

TEST(Runner, ReportsWhatDiffers) {
  const auto result = RunScript("vote cfg=(1) votes=(y)\n----\nVoteLost\n");
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->mismatches.size(), 1u);
  EXPECT_EQ(result->mismatches[0].line, 1);
  EXPECT_EQ(result->mismatches[0].diff, "- VoteLost\n+ VoteWon\n");
}

TEST(Runner, ComparesEveryLineOfAReady) {
  const std::string script =
      "add-nodes 1 voters=(1) index=2\n----\nok\n\ncampaign 1\n----\nok\n\n"
      "process-ready 1\n----\nReady MustSync=true:\nLead:0 State:StateCandidate\n";
  EXPECT_TRUE(RunScript(script + "HardState Term:1 Vote:1 Commit:2\n")->mismatches.empty());
  EXPECT_EQ(RunScript(script + "HardState Term:1 Vote:1 Commit:3\n")->mismatches.size(), 1u);
  EXPECT_EQ(RunScript(script)->mismatches.size(), 1u);
}

TEST(Runner, LeavesLogLinesOutOnBothSides) {
  EXPECT_EQ(Comparable("INFO 1 became leader\n  DEBUG x\n"), "ok\n");
  EXPECT_EQ(Comparable("> 1 handling Ready\n  INFO x\n  <empty Ready>\n"),
            "> 1 handling Ready\n  <empty Ready>\n");
}

TEST(Runner, NamesAnUnknownCommandAndAnUnfinishedCase) {
  const auto unknown = RunScript("fly 1\n----\nok\n");
  ASSERT_TRUE(unknown.ok());
  ASSERT_EQ(unknown->mismatches.size(), 1u);
  EXPECT_NE(unknown->mismatches[0].diff.find("unknown command: fly"), std::string::npos);
  EXPECT_FALSE(RunScript("campaign 1\n").ok());
}

// A committed change that cannot be applied, say: told in the output, so that the script
// fails and the others still run.
TEST(Runner, GoesOnAfterAScriptThatBreaksTheRules) {
  const std::string script =
      "add-nodes 1 voters=(1) index=4 disable-conf-change-validation=true\n----\nok\n\n"
      "campaign 1\n----\nok\n\nstabilize log-level=none\n----\nok\n\n"
      "propose-conf-change 1\nr1\n----\nok\n\nstabilize log-level=none\n----\n";
  EXPECT_TRUE(RunScript(script + "removed all voters\n")->mismatches.empty());
  EXPECT_EQ(RunScript(script + "ok\n")->mismatches.size(), 1u);
}

TEST(Runner, TakesLinesThatEndWithACarriageReturn) {
  EXPECT_TRUE(RunScript("vote cfg=(1) votes=(y)\r\n----\r\nVoteWon\r\n")->mismatches.empty());
}

TEST(Runner, OutputMayHoldBlankLinesBetweenDoubleMarks) {
  const auto cases = ParseScript("a\n----\n----\nx\n\ny\n----\n----\n\nb\n----\nok\n");
  ASSERT_TRUE(cases.ok());
  ASSERT_EQ(cases->size(), 2u);
  EXPECT_EQ((*cases)[0].expected, "x\n\ny\n");
}

}  // namespace
}  // namespace quorate::peer_cases
