#include "sim/report.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

namespace quorate::sim {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const Violation& violation) {
  return Json{{"rule", static_cast<int>(violation.rule)},
              {"name", std::string(RuleName(violation.rule))},
              {"when", violation.when.nanos()},
              {"text", violation.text},
              {"evidence", violation.evidence}};
}

Violation ViolationFromJson(const Json& in) {
  Violation out;
  const size_t rule = in.at("rule").get<size_t>();
  if (rule < kRules) out.rule = static_cast<Rule>(rule);
  out.when = VirtualTime::FromNanos(in.at("when").get<int64_t>());
  out.text = in.at("text").get<std::string>();
  out.evidence = in.at("evidence").get<std::vector<std::string>>();
  return out;
}

SeedReport FromParsed(const Json& in) {
  SeedReport out;
  out.seed = in.at("seed").get<uint64_t>();
  out.options = in.at("options").get<std::string>();
  out.members = in.at("members").get<uint64_t>();
  out.streams = in.at("streams").get<bool>();
  out.classes = in.at("classes").get<std::array<bool, kFaultClasses>>();
  out.digest = in.at("digest").get<uint64_t>();
  out.simulated = Nanoseconds(in.at("simulated").get<int64_t>());
  out.events = in.at("events").get<uint64_t>();
  out.trace_events = in.at("trace_events").get<uint64_t>();
  out.faults = in.at("faults").get<std::array<uint64_t, kFaultKinds>>();
  out.checks = in.at("checks").get<std::array<uint64_t, kRules>>();
  out.elections = in.at("elections").get<uint64_t>();
  out.checkpoints = in.at("checkpoints").get<uint64_t>();
  out.snapshots_installed = in.at("snapshots_installed").get<uint64_t>();
  out.restarts_from_checkpoints = in.at("restarts_from_checkpoints").get<uint64_t>();
  out.repairs = in.at("repairs").get<uint64_t>();
  out.log_segments_cut = in.at("log_segments_cut").get<uint64_t>();
  out.requests = in.at("requests").get<uint64_t>();
  out.answered = in.at("answered").get<uint64_t>();
  out.unknown = in.at("unknown").get<uint64_t>();
  out.retries = in.at("retries").get<uint64_t>();
  out.actions = in.at("actions").get<std::array<uint64_t, kFaultClasses>>();
  out.numbered = in.at("numbered").get<std::vector<uint64_t>>();
  out.acknowledged_writes = in.at("acknowledged_writes").get<uint64_t>();
  out.checked_reads = in.at("checked_reads").get<uint64_t>();
  out.watch_events = in.at("watch_events").get<uint64_t>();
  out.leases_expired = in.at("leases_expired").get<uint64_t>();
  out.auth_changes = in.at("auth_changes").get<uint64_t>();
  out.auth_refusals = in.at("auth_refusals").get<uint64_t>();
  out.auth_denials = in.at("auth_denials").get<uint64_t>();
  out.searches_given_up = in.at("searches_given_up").get<uint64_t>();
  out.sometimes = in.at("sometimes").get<SometimesCounts>();
  out.answered_after = in.at("answered_after").get<uint64_t>();
  out.converged_after = in.at("converged_after").get<uint64_t>();
  out.bound_reached = in.at("bound_reached").get<bool>();
  for (const Json& violation : in.at("violations")) {
    out.violations.push_back(ViolationFromJson(violation));
  }
  out.failures = in.at("failures").get<std::vector<std::string>>();
  return out;
}

// Digits in groups of three.
std::string Thousands(uint64_t value) {
  const std::string digits = absl::StrCat(value);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out.push_back(',');
    out.push_back(digits[i]);
  }
  return out;
}

// value / per, with two digits after the point; 0 if per is 0.
std::string Ratio(uint64_t value, uint64_t per) {
  if (per == 0) return "0.00";
  const auto hundredths = static_cast<unsigned __int128>(value) * 100 / per;
  const auto whole = static_cast<uint64_t>(hundredths / 100);
  return absl::StrCat(Thousands(whole), ".",
                      absl::Dec(static_cast<uint64_t>(hundredths % 100), absl::kZeroPad2));
}

// Seeds of one mode that a class must be on in before its rarer faults are missed.
constexpr uint64_t kSeedsForCoincidence = 8;
// Seeds of a campaign that must come to every situation that is worth a mark.
constexpr uint64_t kSeedsForSometimes = 200;

constexpr uint64_t kNanosPerSecond = 1'000'000'000;

uint64_t PerSecond(uint64_t count, Duration wall) {
  const auto nanos = static_cast<uint64_t>(std::max<int64_t>(1, wall.nanos()));
  return static_cast<uint64_t>(static_cast<unsigned __int128>(count) * kNanosPerSecond / nanos);
}

}  // namespace

std::string ToJson(const SeedReport& report) {
  Json violations = Json::array();
  for (const Violation& violation : report.violations) violations.push_back(ToJson(violation));
  const Json out = {{"seed", report.seed},
                    {"options", report.options},
                    {"members", report.members},
                    {"streams", report.streams},
                    {"classes", report.classes},
                    {"digest", report.digest},
                    {"simulated", report.simulated.nanos()},
                    {"events", report.events},
                    {"trace_events", report.trace_events},
                    {"faults", report.faults},
                    {"checks", report.checks},
                    {"elections", report.elections},
                    {"checkpoints", report.checkpoints},
                    {"snapshots_installed", report.snapshots_installed},
                    {"restarts_from_checkpoints", report.restarts_from_checkpoints},
                    {"repairs", report.repairs},
                    {"log_segments_cut", report.log_segments_cut},
                    {"requests", report.requests},
                    {"answered", report.answered},
                    {"unknown", report.unknown},
                    {"retries", report.retries},
                    {"actions", report.actions},
                    {"numbered", report.numbered},
                    {"acknowledged_writes", report.acknowledged_writes},
                    {"checked_reads", report.checked_reads},
                    {"watch_events", report.watch_events},
                    {"leases_expired", report.leases_expired},
                    {"auth_changes", report.auth_changes},
                    {"auth_refusals", report.auth_refusals},
                    {"auth_denials", report.auth_denials},
                    {"searches_given_up", report.searches_given_up},
                    {"sometimes", report.sometimes},
                    {"answered_after", report.answered_after},
                    {"converged_after", report.converged_after},
                    {"bound_reached", report.bound_reached},
                    {"violations", violations},
                    {"failures", report.failures}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<SeedReport> SeedReportFromJson(absl::string_view line) {
  try {
    return FromParsed(Json::parse(line.begin(), line.end()));
  } catch (const Json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("not a seed's report: ", e.what()));
  }
}

std::string ReplayLine(absl::string_view profile, uint64_t seed) {
  return absl::StrCat("quorate-sim replay --seed ", seed, " --profile ", profile);
}

std::string Explain(absl::string_view profile, const SeedReport& report) {
  std::string out = absl::StrCat("seed ", report.seed, ": ");
  if (report.violations.empty()) {
    return out + (report.bound_reached ? "ended at its bound, clean so far\n" : "clean\n");
  }
  absl::StrAppend(&out, "VIOLATION\n  ", report.options, "\n");
  for (const Violation& violation : report.violations) {
    absl::StrAppend(&out, "  ", RuleName(violation.rule), " at ", Describe(violation.when), ": ",
                    violation.text, "\n");
    for (const std::string& event : violation.evidence) absl::StrAppend(&out, "    ", event, "\n");
  }
  // A member that cannot start is started again and again.
  for (auto it = report.failures.begin(); it != report.failures.end();) {
    const auto next = std::find_if(it, report.failures.end(),
                                   [&](const std::string& failure) { return failure != *it; });
    absl::StrAppend(&out, "  stopped by itself",
                    next - it == 1 ? "" : absl::StrCat(" ", next - it, " times"), ": ", *it, "\n");
    it = next;
  }
  absl::StrAppend(&out, "  replay: ", ReplayLine(profile, report.seed), "\n");
  return out;
}

void Tally::Add(const SeedReport& report) {
  ++seeds_;
  stream_seeds_ += report.streams ? 1 : 0;
  bounds_ += report.bound_reached ? 1 : 0;
  simulated_ = simulated_ + report.simulated;
  events_ += report.events;
  trace_events_ += report.trace_events;
  for (size_t i = 0; i < kFaultKinds; ++i) faults_[i] += report.faults[i];
  for (size_t i = 0; i < kRules; ++i) checks_[i] += report.checks[i];
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (report.classes[i]) ++(report.streams ? on_streams_ : on_datagrams_)[i];
  }
  elections_ += report.elections;
  checkpoints_ += report.checkpoints;
  snapshots_installed_ += report.snapshots_installed;
  restarts_from_checkpoints_ += report.restarts_from_checkpoints;
  repairs_ += report.repairs;
  log_segments_cut_ += report.log_segments_cut;
  requests_ += report.requests;
  answered_ += report.answered;
  unknown_ += report.unknown;
  retries_ += report.retries;
  acknowledged_writes_ += report.acknowledged_writes;
  checked_reads_ += report.checked_reads;
  watch_events_ += report.watch_events;
  leases_expired_ += report.leases_expired;
  auth_changes_ += report.auth_changes;
  auth_refusals_ += report.auth_refusals;
  auth_denials_ += report.auth_denials;
  searches_given_up_ += report.searches_given_up;
  for (size_t i = 0; i < kSometimes; ++i) sometimes_[i] += report.sometimes[i];
  self_stops_ += report.failures.size();
  converged_after_max_ = std::max(converged_after_max_, report.converged_after);
  ++sizes_[report.members];
  if (!report.violations.empty()) failed_.push_back(report);
}

// Where every stream is garbled nobody believes what clients are told, and they have no leases and
// no watches.
bool Tally::ClientsCount() const {
  return seeds_ == 0 || on_streams_[static_cast<size_t>(FaultClass::kCorruption)] < seeds_;
}

// Where every seed has a directory of an earlier time, what comes of that ends it: what is checked
// of the end may never be.
bool Tally::EndsCount() const {
  return seeds_ == 0 || on_datagrams_[static_cast<size_t>(FaultClass::kAgedDirectory)] < seeds_;
}

std::vector<Tally::Total> Tally::Totals() const {
  const bool clients = ClientsCount();
  return {{"elections", elections_, true},
          {"checkpoints", checkpoints_, true},
          {"snapshots_installed", snapshots_installed_, true},
          {"restarts_from_checkpoints", restarts_from_checkpoints_, true},
          {"repairs", repairs_, false},
          {"log_segments_cut", log_segments_cut_, true},
          {"requests", requests_, true},
          {"answered", answered_, clients},
          {"unknown_outcomes", unknown_, false},
          {"retries", retries_, false},
          {"acknowledged_writes", acknowledged_writes_, clients},
          {"checked_reads", checked_reads_, clients},
          {"watch_events", watch_events_, clients},
          {"leases_expired", leases_expired_, clients},
          {"auth_changes", auth_changes_, false},
          {"auth_refusals", auth_refusals_, false},
          {"auth_denials", auth_denials_, false},
          {"searches_given_up", searches_given_up_, false},
          {"members_stopped_by_themselves", self_stops_, false}};
}

std::vector<std::string> Tally::Missing() const {
  std::vector<std::string> out;
  for (const Total& total : Totals()) {
    if (total.must_move && total.value == 0) out.emplace_back(total.name);
  }
  for (size_t i = 0; i < kFaultClasses; ++i) {
    const auto fault_class = static_cast<FaultClass>(i);
    if (on_streams_[i] + on_datagrams_[i] == 0) continue;
    // What takes a coincidence needs some seeds.
    const bool streams = on_streams_[i] >= kSeedsForCoincidence;
    const bool datagrams = on_datagrams_[i] > 0;
    for (const Fault fault : FaultsOf(fault_class, streams, datagrams)) {
      if (faults_[static_cast<size_t>(fault)] > 0) continue;
      // Much must be sent at once over a link that is slow just then.
      if (fault == Fault::kLinkOverflow && on_datagrams_[i] < kSeedsForCoincidence) continue;
      // One action in three is of each kind.
      const bool of_three = fault_class == FaultClass::kAmnesia;
      if (of_three && on_streams_[i] + on_datagrams_[i] < kSeedsForCoincidence) continue;
      out.push_back(absl::StrCat(FaultName(fault), " (of ", FaultClassName(fault_class), ", on in ",
                                 on_streams_[i] + on_datagrams_[i], " seeds)"));
    }
  }
  if (seeds_ >= kSeedsForSometimes) {
    for (size_t i = 0; i < kSometimes; ++i) {
      if (sometimes_[i] == 0) out.push_back(absl::StrCat("sometimes: ", SometimesName(i)));
    }
  }
  const bool clients_count = ClientsCount();
  const bool ends_count = EndsCount();
  for (size_t i = 0; i < static_cast<size_t>(Rule::kDeterminism); ++i) {
    const auto rule = static_cast<Rule>(i);
    if (!clients_count && rule >= Rule::kReadSafety && rule <= Rule::kWorkload) continue;
    const bool of_end =
        rule == Rule::kGeneralChecker || (rule >= Rule::kNoLostWrite && rule <= Rule::kLiveness);
    if (!ends_count && of_end) continue;
    if (checks_[i] == 0) out.push_back(absl::StrCat("checks of ", RuleName(static_cast<Rule>(i))));
  }
  // Of those that need a class of faults. Messages are seen one by one in typed mode only.
  const auto changes = static_cast<size_t>(FaultClass::kMembership);
  for (const Rule rule : {Rule::kOneChange, Rule::kRemoved}) {
    if (on_datagrams_[changes] < kSeedsForCoincidence) continue;
    if (checks_[static_cast<size_t>(rule)] == 0) {
      out.push_back(absl::StrCat("checks of ", RuleName(rule)));
    }
  }
  return out;
}

// How fast, and of what mix: a faster campaign of less is no progress.
std::string Tally::SpeedLines(Duration wall, uint64_t jobs) const {
  const auto wall_nanos = static_cast<uint64_t>(std::max<int64_t>(1, wall.nanos()));
  const auto simulated_nanos = static_cast<uint64_t>(simulated_.nanos());
  uint64_t faults = 0;
  for (const uint64_t count : faults_) faults += count;
  const auto hit =
      std::count_if(sometimes_.begin(), sometimes_.end(), [](uint64_t count) { return count > 0; });
  return absl::StrCat(
      "speed: ", Ratio(simulated_nanos, kNanosPerSecond), " s simulated in ",
      Ratio(wall_nanos, kNanosPerSecond), " s by ", jobs, " process", jobs == 1 ? "" : "es", ": ",
      Ratio(simulated_nanos, wall_nanos), " times real time, ", Thousands(PerSecond(events_, wall)),
      " events a second (", Thousands(events_), "; ", Thousands(trace_events_), " in traces), ",
      Ratio(60 * seeds_ * kNanosPerSecond, wall_nanos),
      " seeds a minute\nmix: ", seeds_ == 0 ? 0 : stream_seeds_ * 100 / seeds_,
      "% of the seeds on byte streams, ", Ratio(requests_ * kNanosPerSecond, simulated_nanos),
      " requests and ", Ratio(faults * kNanosPerSecond, simulated_nanos),
      " faults a simulated second, ", hit, " of ", kSometimes, " \"sometimes\" branches hit\n");
}

std::string Tally::Text(Duration wall, uint64_t jobs) const {
  std::string out = absl::StrCat("profile ", profile_, ": ", seeds_, " seeds (", stream_seeds_,
                                 " on byte streams), ", failed_.size(), " with violations, ",
                                 bounds_, " ended at a bound\n");
  absl::StrAppend(&out, SpeedLines(wall, jobs));
  absl::StrAppend(&out, "slowest convergence after the faults: ", Ratio(converged_after_max_, 100),
                  " election timeouts\n");
  absl::StrAppend(
      &out, "seeds by members: ", absl::StrJoin(sizes_, ", ", absl::PairFormatter(": ")), "\n\n");
  for (const Total& total : Totals()) {
    absl::StrAppend(&out, absl::StrFormat("  %-32s %s\n", total.name, Thousands(total.value)));
  }
  absl::StrAppend(&out, "\nfaults injected (of all kinds that exist)\n");
  for (size_t i = 0; i < kFaultKinds; ++i) {
    absl::StrAppend(&out, absl::StrFormat("  %-32s %s\n", FaultName(static_cast<Fault>(i)),
                                          Thousands(faults_[i])));
  }
  absl::StrAppend(&out, "\nsometimes\n");
  for (size_t i = 0; i < kSometimes; ++i) {
    absl::StrAppend(&out,
                    absl::StrFormat("  %-72s %s\n", SometimesName(i), Thousands(sometimes_[i])));
  }
  absl::StrAppend(&out, "\nseeds with the class on\n");
  for (size_t i = 0; i < kFaultClasses; ++i) {
    absl::StrAppend(&out,
                    absl::StrFormat("  %-32s %d\n", FaultClassName(static_cast<FaultClass>(i)),
                                    on_streams_[i] + on_datagrams_[i]));
  }
  absl::StrAppend(&out, "\nchecks\n");
  for (size_t i = 0; i < kRules; ++i) {
    absl::StrAppend(&out, absl::StrFormat("  %-32s %s\n", RuleName(static_cast<Rule>(i)),
                                          Thousands(checks_[i])));
  }
  return out;
}

std::string Tally::Json(Duration wall, uint64_t jobs) const {
  sim::Json out;
  out["profile"] = profile_;
  out["seeds"] = seeds_;
  out["stream_seeds"] = stream_seeds_;
  out["violations"] = failed_.size();
  out["bounds"] = bounds_;
  out["jobs"] = jobs;
  out["simulated_ns"] = simulated_.nanos();
  out["wall_ns"] = wall.nanos();
  out["times_real_time"] = static_cast<uint64_t>(simulated_.nanos()) /
                           static_cast<uint64_t>(std::max<int64_t>(1, wall.nanos()));
  out["events"] = events_;
  out["events_per_second"] = PerSecond(events_, wall);
  out["trace_events"] = trace_events_;
  out["slowest_convergence_election_timeouts"] = static_cast<double>(converged_after_max_) / 100;
  for (const auto& [members, seeds] : sizes_)
    out["seeds_by_members"][absl::StrCat(members)] = seeds;
  for (const Total& total : Totals()) out[total.name] = total.value;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    out["faults"][std::string(FaultName(static_cast<Fault>(i)))] = faults_[i];
  }
  for (size_t i = 0; i < kFaultClasses; ++i) {
    out["classes"][std::string(FaultClassName(static_cast<FaultClass>(i)))] =
        on_streams_[i] + on_datagrams_[i];
  }
  for (size_t i = 0; i < kRules; ++i) {
    out["checks"][std::string(RuleName(static_cast<Rule>(i)))] = checks_[i];
  }
  for (size_t i = 0; i < kSometimes; ++i) {
    out["sometimes"][std::string(SometimesName(i))] = sometimes_[i];
  }
  out["missing"] = Missing();
  out["failed"] = sim::Json::array();
  for (const SeedReport& report : failed_) {
    sim::Json seed = {{"seed", report.seed},
                      {"options", report.options},
                      {"replay", ReplayLine(profile_, report.seed)},
                      {"violations", sim::Json::array()}};
    for (const Violation& violation : report.violations) {
      seed["violations"].push_back(ToJson(violation));
    }
    out["failed"].push_back(seed);
  }
  return out.dump(2, ' ', false, sim::Json::error_handler_t::replace);
}

}  // namespace quorate::sim
