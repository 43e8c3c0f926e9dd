#include "sim/study/command.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "sim/progress_line.h"
#include "sim/study/diagram.h"
#include "sim/study/lists.h"
#include "sim/study/page.h"
#include "sim/study/papers.h"
#include "sim/study/report.h"
#include "sim/study/trials.h"

namespace quorate::sim::study {
namespace {

void ShowProgress(uint64_t done, uint64_t total, ProgressLine* line) {
  if (!line->Due()) return;
  const double seconds = line->seconds();
  const double rate = static_cast<double>(done) / seconds;
  line->Show(absl::StrFormat(
      "%d of %d trials, %.0f s, %.0f trials/s, %s left", done, total, seconds, rate,
      done == 0 ? "?" : absl::StrFormat("%.0f s", static_cast<double>(total - done) / rate)));
}

// A file that cannot be written should not show after an hour: opens it, keeps its
// contents.
absl::Status CheckWritable(const std::string& path) {
  if (path.empty() || std::ofstream(path, std::ios::app)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot write ", path));
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) return absl::InvalidArgumentError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

std::string SvgPath(const CommandOptions& options, const Plan& plan, size_t number) {
  return absl::StrCat(options.svg, "/", plan.name, "-", number + 1, ".svg");
}

absl::Status CheckFiles(const CommandOptions& options, const Plan& plan) {
  for (const std::string& path : {options.csv, options.json, options.html}) {
    RETURN_IF_ERROR(CheckWritable(path));
  }
  return options.svg.empty() ? absl::OkStatus() : CheckWritable(SvgPath(options, plan, 0));
}

// "A..B", in milliseconds of the trial.
absl::StatusOr<std::pair<Instant, Instant>> ParseWindow(const std::string& text) {
  if (text.empty()) return std::make_pair(Instant(), Instant::Infinite());
  const size_t dots = text.find("..");
  if (dots == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("--window '", text, "': not like 0..300"));
  }
  ASSIGN_OR_RETURN(const Duration from, ParseSpan(text.substr(0, dots)));
  ASSIGN_OR_RETURN(const Duration to, ParseSpan(text.substr(dots + 2)));
  if (from >= to) {
    return absl::InvalidArgumentError(absl::StrCat("--window '", text, "': upside down"));
  }
  return std::make_pair(Instant() + from, Instant() + to);
}

absl::Status Replay(const Study& study, const CommandOptions& options, const std::string& command) {
  const Plan& plan = study.plan;
  if (plan.cases.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--replay shows one trial of one case; these options make ", plan.cases.size(), " cases"));
  }
  uint64_t seed = 0;
  if (!absl::SimpleAtoi(options.replay, &seed)) {
    return absl::InvalidArgumentError(absl::StrCat("--replay '", options.replay, "': no seed"));
  }
  ASSIGN_OR_RETURN(const auto window, ParseWindow(options.window));
  RETURN_IF_ERROR(CheckWritable(options.html));
  const std::string picture =
      options.svg.empty() ? "" : absl::StrCat(options.svg, "/", plan.name, "-", seed, ".svg");
  RETURN_IF_ERROR(CheckWritable(picture));
  Diagram diagram(window.first, window.second);
  const Row row = plan.cases[0].run(seed, &diagram);
  std::cout << diagram.Text();
  std::cout << "#";
  for (size_t c = 0; c < plan.columns.size(); ++c) {
    const Column& column = plan.columns[c];
    std::cout << " " << column.name << " "
              << (column.unit == Unit::kSpan ? absl::StrCat(Millis(Nanoseconds(row[c])), " ms")
                                             : absl::StrCat(row[c]));
  }
  std::cout << "\n" << std::flush;
  const std::string title = absl::StrCat(plan.title, ": the trial of seed ", seed);
  if (!options.html.empty()) {
    RETURN_IF_ERROR(WriteFile(options.html, diagram.Html(title, command)));
  }
  return picture.empty() ? absl::OkStatus() : WriteFile(picture, diagram.Svg());
}

void Print(const Plan& plan, const Results& results, const std::vector<NamedTable>& tables) {
  std::cout << plan.title << "\n\n";
  for (const std::string& note : plan.notes) std::cout << "- " << note << "\n";
  for (const NamedTable& table : tables) {
    std::cout << "\n" << table.title << "\n\n" << Text(table.table);
    for (const std::string& note : table.notes) std::cout << note << "\n";
  }
  std::cout << "\nSummary: " << plan.columns[plan.headline].name
            << " (in brackets: 95% confidence intervals by bootstrap)\n\n"
            << Text(SummaryTable(plan, Summaries(plan, results)))
            << "\nMeans of what else was measured\n\n"
            << Text(MeansTable(plan, results)) << "\nSlowest trials\n\n";
  for (const Outlier& outlier : Outliers(plan, results)) {
    std::cout << HeadlineText(plan, static_cast<double>(outlier.trial.row[plan.headline]))
              << " ms: " << ReplayCommand(plan.cases[outlier.of_case], outlier.trial.seed) << "\n";
  }
  std::cout << std::flush;
}

absl::Status WriteFiles(const CommandOptions& options, const Plan& plan, const Results& results,
                        const std::vector<NamedTable>& tables, const std::string& command) {
  if (!options.csv.empty()) RETURN_IF_ERROR(WriteFile(options.csv, CsvText(plan, results)));
  if (!options.json.empty()) {
    RETURN_IF_ERROR(WriteFile(options.json, JsonText(plan, results, options.seed)));
  }
  if (!options.html.empty()) {
    RETURN_IF_ERROR(WriteFile(options.html, PageHtml(plan, results, tables, command)));
  }
  if (options.svg.empty()) return absl::OkStatus();
  for (size_t i = 0; i < plan.plots.size(); ++i) {
    RETURN_IF_ERROR(WriteFile(SvgPath(options, plan, i), PlotSvg(plan, results, plan.plots[i])));
  }
  return absl::OkStatus();
}

absl::StatusOr<Study> StudyOf(const CLI::App& app, const CommandOptions& options) {
  if (app.got_subcommand("election")) return ElectionStudy(options.election);
  if (app.got_subcommand("partition")) return PartitionStudy(options.partition);
  if (app.got_subcommand("quorum")) return QuorumStudy(options.quorum);
  if (app.got_subcommand("membership")) return MembershipStudy(options.membership);
  for (const Paper& paper : Papers()) {
    if (app.got_subcommand(std::string(paper.name))) return paper.make();
  }
  return absl::InvalidArgumentError("no study");
}

void AddText(CLI::App* app, const char* name, std::string* value, const char* about) {
  app->add_option(name, *value, about)->capture_default_str();
}

void AddElection(CLI::App* app, ElectionArguments* arguments) {
  const auto text = [app](const char* name, std::string* value, const char* about) {
    AddText(app, name, value, about);
  };
  text("--members", &arguments->members, "sizes: 3..9, 3,5");
  text("--failed", &arguments->failed, "members that are down, the leader among them");
  text("--short-logs", &arguments->short_logs, "survivors whose logs are too short to win");
  text("--timeout", &arguments->timeout, "election timeouts, ms: 150-155,150-200");
  text("--candidate-timeout", &arguments->candidate_timeout,
       "a candidate's wait until it stands again, if it differs");
  text("--heartbeat", &arguments->heartbeat, "'half' of the least timeout, or a time");
  text("--latency", &arguments->latency,
       "one way: const:T, uniform:A..B, exp:MEAN, exp:FIXED+MEAN, file:PATH");
  text("--write-latency", &arguments->write_latency, "until a vote or entry is durable");
  text("--vote-write", &arguments->vote_write,
       "a candidate's own vote is written 'before' its requests leave, or 'parallel'");
  text("--prevote", &arguments->prevote, "on, off or on,off");
  text("--checkquorum", &arguments->checkquorum, "on, off or on,off");
  text("--priority", &arguments->priority, "none, or delays of members 1, 2, ...: 0/50/100");
  text("--quorum", &arguments->quorum,
       "majority, weighted:W1,W2,..., flexible:ELECTION,COMMIT; several with commas");
  text("--limit", &arguments->limit, "trials without a leader for so long are cut");
}

void AddPartition(CLI::App* app, PartitionArguments* arguments) {
  AddText(app, "--scenario", &arguments->scenario, "all, or names");
  AddText(app, "--links", &arguments->links, "a file of scenarios (docs/STUDIES.md)");
  AddText(app, "--rules", &arguments->rules, "of plain, prevote, checkquorum, both");
  AddText(app, "--timeout", &arguments->timeout, "election timeout, ms");
  AddText(app, "--heartbeat", &arguments->heartbeat, "between heartbeats");
  AddText(app, "--latency", &arguments->latency, "one way");
  AddText(app, "--length", &arguments->length, "of the fault");
  AddText(app, "--every", &arguments->every, "between proposals");
}

void AddQuorum(CLI::App* app, QuorumArguments* arguments) {
  AddText(app, "--members", &arguments->members, "sizes: 3..9, 3,5");
  AddText(app, "--quorum", &arguments->quorum,
          "majority, weighted:W1,W2,..., flexible:ELECTION,COMMIT; several with commas");
  AddText(app, "--rtt", &arguments->rtt, "round trip to a follower: models as of --latency");
  AddText(app, "--fail", &arguments->fail, "how likely a member is down: 10%,1%");
  AddText(app, "--slow", &arguments->slow, "the last member takes so many times as long: 1,10,100");
}

void AddCommon(CLI::App* app, CommandOptions* options) {
  app->add_option("--trials", options->trials, "of each case; default: the study's own number")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  app->add_option("--seed", options->seed, "of the first trial; the others follow")
      ->capture_default_str();
  app->add_option("--jobs", options->jobs, "processes; default: one a processor")
      ->check(CLI::Range(uint64_t{1}, uint64_t{256}));
  app->add_option("--shard", options->shard, "I/N: only every N-th trial, from the I-th on")
      ->capture_default_str();
  app->add_option("--csv", options->csv, "write a line a trial to this file");
  app->add_option("--json", options->json, "write the summary to this file");
  app->add_option("--html", options->html, "write tables and plots to this file");
  app->add_option("--svg", options->svg, "write the plots into this folder");
  app->add_option("--replay", options->replay,
                  "show the trial of this seed as a space-time diagram (also with --html, --svg)");
  app->add_option("--window", options->window, "with --replay: only this part, in ms: 0..300");
  app->add_flag("--check", options->check,
                "exit with 1 if a table does not agree with what it is compared to");
}

}  // namespace

void AddOptions(CLI::App* app, CommandOptions* options) {
  app->require_subcommand(1);
  CLI::App* const election =
      app->add_subcommand("election", "downtime after the leader fails (Raft paper, 9.3)");
  AddElection(election, &options->election);
  AddCommon(election, options);
  CLI::App* const partition =
      app->add_subcommand("partition", "commits and terms while some links are down");
  AddPartition(partition, &options->partition);
  AddCommon(partition, options);
  CLI::App* const quorum = app->add_subcommand(
      "quorum", "commit latency and availability of quorum systems, measured and calculated");
  AddQuorum(quorum, &options->quorum);
  AddCommon(quorum, options);
  CLI::App* const membership =
      app->add_subcommand("membership", "changes of membership, done well and done badly");
  AddText(membership, "--case", &options->membership, "all, or names");
  AddCommon(membership, options);
  for (const Paper& paper : Papers()) {
    AddCommon(app->add_subcommand(std::string(paper.name), std::string(paper.about)), options);
  }
}

absl::StatusOr<bool> Run(const CLI::App& app, const CommandOptions& options,
                         const std::string& command, const std::function<Duration()>& now) {
  ASSIGN_OR_RETURN(const Study study, StudyOf(app, options));
  if (!options.replay.empty()) {
    RETURN_IF_ERROR(Replay(study, options, command));
    return true;
  }
  TrialOptions trials;
  trials.trials = options.trials != 0 ? options.trials : study.trials;
  trials.seed = options.seed;
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  trials.jobs = options.jobs != 0 ? options.jobs : static_cast<uint64_t>(std::max(1L, processors));
  ASSIGN_OR_RETURN(const Shard shard, ParseShard(options.shard));
  trials.shard = shard.number;
  trials.shards = shard.of;
  RETURN_IF_ERROR(CheckFiles(options, study.plan));
  RETURN_IF_ERROR(CountTrials(study.plan, trials).status());
  Results results;
  {
    ProgressLine progress(now);
    trials.on_progress = [&](uint64_t done, uint64_t total) {
      ShowProgress(done, total, &progress);
    };
    ASSIGN_OR_RETURN(results, RunTrials(study.plan, trials));
  }
  std::vector<NamedTable> tables;
  if (study.tables) tables = study.tables(results);
  Print(study.plan, results, tables);
  RETURN_IF_ERROR(WriteFiles(options, study.plan, results, tables, command));
  bool agrees = true;
  for (const NamedTable& table : tables) agrees = agrees && table.agrees;
  return agrees || !options.check;
}

}  // namespace quorate::sim::study
