// Explanations of a real run: everything that was kept is in them, and the page needs nothing
// else.
#include "sim/explain/explain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "nlohmann/json.hpp"

namespace quorate::sim::explain {
namespace {

struct Told {
  Story story{100'000};
  SeedReport report;
  std::unique_ptr<World> world;
  Run run;

  explicit Told(absl::string_view profile, uint64_t seed) {
    Options options = *DrawOptions(profile, seed);
    options.duration = Seconds(2);
    world = std::make_unique<World>(options, nullptr, &story);
    report = world->Run();
    run.report = &report;
    run.story = &story;
    run.history = &world->history();
    run.hosts = world->HostNames();
    run.replay = "quorate-sim replay --seed 3";
  }
};

TEST(Explain, TellingDoesNotChangeTheRun) {
  const Told told("leader-kill", 3);
  Options options = *DrawOptions("leader-kill", 3);
  options.duration = Seconds(2);
  EXPECT_EQ(World(options).Run().digest, told.report.digest);
}

TEST(Explain, AStoryHasMessagesStatesAndEvents) {
  Options options = *DrawOptions("leader-kill", 3);
  for (uint64_t seed = 3; options.streams; ++seed) options = *DrawOptions("leader-kill", seed);
  const Told told("leader-kill", options.seed);
  EXPECT_GT(told.story.messages().size(), 100u);
  EXPECT_GT(told.story.states().size(), 20u);
  const auto has = [&](const char* kind) {
    return std::any_of(told.story.events().begin(), told.story.events().end(),
                       [&](const Story::Event& e) { return e.kind == kind; });
  };
  EXPECT_TRUE(has("leads"));
  EXPECT_TRUE(has("boot"));
  for (const Story::Message& m : told.story.messages()) EXPECT_LE(m.sent, m.arrived);
}

TEST(Explain, ThePageIsOneFile) {
  Told told("quiet", 3);
  told.report.violations.push_back({Rule::kReadSafety,
                                    VirtualTime() + Seconds(1),
                                    "</script> is text",
                                    {"1.000000000 s proof"}});
  const std::string page = ToHtml(told.run);
  EXPECT_EQ(page.find("http:"), std::string::npos) << "nothing from the network";
  EXPECT_EQ(page.find("https:"), std::string::npos);
  EXPECT_EQ(page.find("null /* DATA */"), std::string::npos);
  EXPECT_NE(page.find("R11 read safety"), std::string::npos);
  EXPECT_NE(page.find(std::string(RuleInWords(Rule::kReadSafety))), std::string::npos);
  const size_t end = page.find("</script>");
  EXPECT_EQ(page.find("</script>", end + 1), std::string::npos) << "data cannot end the script";
}

TEST(Explain, LinesAreInOrderOfTime) {
  const Told told("quiet", 4);
  std::istringstream lines(ToJsonLines(told.run));
  int64_t last = 0;
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const nlohmann::json event = nlohmann::json::parse(line);
    EXPECT_GE(event.at("ns").get<int64_t>(), last);
    last = event.at("ns").get<int64_t>();
  }
  EXPECT_GT(count, 100u);
}

// Each host's own count goes up by one an event, and what a message brings is known after it.
TEST(Explain, ShiVizClocksAreVectorClocks) {
  const Told told("quiet", 4);
  std::istringstream lines(ToShiViz(told.run));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "(?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)");
  std::getline(lines, line);
  std::map<std::string, uint64_t> own;
  for (std::string event; std::getline(lines, line) && std::getline(lines, event);) {
    const size_t space = line.find(' ');
    const std::string host = line.substr(0, space);
    const nlohmann::json clock = nlohmann::json::parse(line.substr(space + 1));
    ASSERT_EQ(clock.at(host).get<uint64_t>(), ++own[host]) << event;
    for (const auto& [other, count] : clock.items()) {
      ASSERT_LE(count.get<uint64_t>(), own[other]) << "nothing of the future";
    }
  }
  EXPECT_GT(own.size(), 3u);
}

TEST(Explain, FormatsHaveNames) {
  EXPECT_TRUE(ParseFormat("html").ok());
  const absl::Status status = ParseFormat("pdf").status();
  EXPECT_NE(std::string(status.message()).find("html, text, jsonl, shiviz"), std::string::npos);
}

}  // namespace
}  // namespace quorate::sim::explain
