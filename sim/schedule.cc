#include "sim/schedule.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace quorate::sim {
namespace {

constexpr absl::string_view kMagic = "quorate-sim schedule";
constexpr size_t kMembersMax = 7;
constexpr size_t kClientsMax = 1000;
constexpr int64_t kDurationMax = 3'600'000'000'000;

std::optional<FaultClass> ClassNamed(absl::string_view name) {
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (FaultClassName(static_cast<FaultClass>(i)) == name) return static_cast<FaultClass>(i);
  }
  return std::nullopt;
}

std::optional<WorkloadKind> KindNamed(absl::string_view name) {
  for (size_t i = 0; i < kWorkloadKinds; ++i) {
    if (WorkloadName(static_cast<WorkloadKind>(i)) == name) return static_cast<WorkloadKind>(i);
  }
  return std::nullopt;
}

// One word of a line, and where it stands.
struct Word {
  absl::string_view text;
  size_t column = 0;  // from 1
};

std::vector<Word> WordsOf(absl::string_view line) {
  std::vector<Word> words;
  size_t at = 0;
  while (at < line.size() && line[at] != '#') {
    if (line[at] == ' ' || line[at] == '\t' || line[at] == '\r') {
      ++at;
      continue;
    }
    const size_t begin = at;
    while (at < line.size() && line[at] != ' ' && line[at] != '\t' && line[at] != '\r') ++at;
    words.push_back({line.substr(begin, at - begin), begin + 1});
  }
  return words;
}

class Parser {
 public:
  explicit Parser(absl::string_view name) : name_(name) {}

  absl::StatusOr<Schedule> Parse(absl::string_view text);

 private:
  absl::Status Error(const Word& at, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", line_, ":", at.column, ": ", what));
  }
  absl::Status ParseFirst(absl::string_view line);
  absl::Status ParseLine(const std::vector<Word>& words);
  absl::Status ParseOther(const std::vector<Word>& words);
  absl::Status Number(const std::vector<Word>& words, uint64_t low, uint64_t high, uint64_t* out);
  absl::Status Numbers(const std::vector<Word>& words, size_t from, std::set<uint64_t>* out);
  absl::Status Workloads(const std::vector<Word>& words);
  absl::Status Faults(const std::vector<Word>& words);
  absl::Status Requests(const std::vector<Word>& words);
  absl::Status Digest(const std::vector<Word>& words);

  const std::string name_;
  size_t line_ = 0;
  Schedule schedule_;
  std::set<std::string> seen_;
};

absl::Status Parser::ParseFirst(absl::string_view line) {
  const std::vector<Word> words = WordsOf(line);
  const bool magic = words.size() == 3 && absl::StrCat(words[0].text, " ", words[1].text) == kMagic;
  uint64_t version = 0;
  if (!magic || !absl::SimpleAtoi(words[2].text, &version)) {
    return Error({line, 1},
                 absl::StrCat("a schedule begins with '", kMagic, " ", Schedule::kVersion, "'"));
  }
  if (version == Schedule::kVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(name_, ":1:", words[2].column, ": the schedule has version ", version,
                   ", and this build repeats version ", Schedule::kVersion,
                   ": use the build that made it, or shrink the seed again"));
}

absl::Status Parser::Number(const std::vector<Word>& words, uint64_t low, uint64_t high,
                            uint64_t* out) {
  if (words.size() != 2) {
    return Error(words[0], absl::StrCat("'", words[0].text, "' is followed by one number"));
  }
  if (!absl::SimpleAtoi(words[1].text, out) || *out < low || *out > high) {
    return Error(words[1],
                 absl::StrCat("'", words[1].text, "' is no number from ", low, " to ", high));
  }
  return absl::OkStatus();
}

absl::Status Parser::Numbers(const std::vector<Word>& words, size_t from, std::set<uint64_t>* out) {
  uint64_t last = 0;
  for (size_t i = from; i < words.size(); ++i) {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(words[i].text, &number) || number == 0) {
      return Error(words[i], absl::StrCat("'", words[i].text, "' is no number from 1 on"));
    }
    if (number <= last) {
      return Error(words[i], absl::StrCat(number, " does not come after ", last));
    }
    out->insert(last = number);
  }
  return absl::OkStatus();
}

absl::Status Parser::Workloads(const std::vector<Word>& words) {
  for (size_t i = 1; i < words.size(); ++i) {
    const std::optional<WorkloadKind> kind = KindNamed(words[i].text);
    if (!kind.has_value()) {
      return Error(words[i], absl::StrCat("there is no workload '", words[i].text, "'"));
    }
    schedule_.kinds[static_cast<size_t>(*kind)] = true;
  }
  return absl::OkStatus();
}

absl::Status Parser::Faults(const std::vector<Word>& words) {
  const std::optional<FaultClass> fault_class =
      words.size() < 2 ? std::nullopt : ClassNamed(words[1].text);
  if (!fault_class.has_value()) {
    return Error(words[words.size() < 2 ? 0 : 1], "'faults' is followed by a class of faults");
  }
  const auto at = static_cast<size_t>(*fault_class);
  if (schedule_.classes[at]) return Error(words[1], "this class has a line already");
  schedule_.classes[at] = true;
  if (words.size() == 3 && words[2].text == "all") return absl::OkStatus();
  return Numbers(words, 2, &schedule_.reduction.actions[at].emplace());
}

absl::Status Parser::Requests(const std::vector<Word>& words) {
  uint64_t client = 0;
  if (words.size() < 2 || !absl::SimpleAtoi(words[1].text, &client) || client == 0 ||
      client > kClientsMax) {
    return Error(words[words.size() < 2 ? 0 : 1], "'requests' is followed by a client's number");
  }
  const auto [kept, fresh] =
      schedule_.reduction.requests.try_emplace(static_cast<uint32_t>(client));
  if (!fresh) return Error(words[1], "this client has a line already");
  return Numbers(words, 2, &kept->second);
}

absl::Status Parser::Digest(const std::vector<Word>& words) {
  uint64_t digest = 0;
  if (words.size() != 2 || words[1].text.size() != 16 ||
      !absl::SimpleHexAtoi(words[1].text, &digest)) {
    return Error(words.back(), "a digest is 16 hexadecimal digits");
  }
  schedule_.expected_digest = digest;
  return absl::OkStatus();
}

absl::Status Parser::ParseLine(const std::vector<Word>& words) {
  const absl::string_view key = words[0].text;
  if (key == "faults") return Faults(words);
  if (key == "requests") return Requests(words);
  if (!seen_.insert(std::string(key)).second) {
    return Error(words[0], absl::StrCat("'", key, "' is here twice"));
  }
  uint64_t number = 0;
  if (key == "seed") return Number(words, 0, ~uint64_t{0}, &schedule_.seed);
  if (key == "members") {
    RETURN_IF_ERROR(Number(words, 1, kMembersMax, &number));
    schedule_.members = number;
  } else if (key == "clients") {
    RETURN_IF_ERROR(Number(words, 1, kClientsMax, &number));
    schedule_.clients = number;
  } else if (key == "watchers") {
    RETURN_IF_ERROR(Number(words, 0, kClientsMax, &number));
    schedule_.watchers = number;
  } else if (key == "duration_ns") {
    RETURN_IF_ERROR(Number(words, 1, kDurationMax, &number));
    schedule_.duration = Nanoseconds(static_cast<int64_t>(number));
  } else {
    return ParseOther(words);
  }
  return absl::OkStatus();
}

absl::Status Parser::ParseOther(const std::vector<Word>& words) {
  const absl::string_view key = words[0].text;
  if (key == "workloads") return Workloads(words);
  if (key == "digest") return Digest(words);
  if (key == "profile" && words.size() == 2) {
    schedule_.profile = std::string(words[1].text);
    return absl::OkStatus();
  }
  if (key == "administrator" && words.size() == 2 &&
      (words[1].text == "on" || words[1].text == "off")) {
    schedule_.administrator = words[1].text == "on";
    return absl::OkStatus();
  }
  if (key == "expect" && words.size() >= 2) {
    schedule_.expected_rule =
        absl::StrJoin(words.begin() + 1, words.end(), " ",
                      [](std::string* out, const Word& word) { absl::StrAppend(out, word.text); });
    return absl::OkStatus();
  }
  return Error(words[0], absl::StrCat("'", key, "' is no line of a schedule"));
}

absl::StatusOr<Schedule> Parser::Parse(absl::string_view text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_;
    if (line_ == 1) {
      RETURN_IF_ERROR(ParseFirst(line));
      continue;
    }
    const std::vector<Word> words = WordsOf(line);
    if (!words.empty()) RETURN_IF_ERROR(ParseLine(words));
  }
  for (const char* key : {"seed", "members", "duration_ns", "clients"}) {
    if (seen_.count(key) == 0) {
      return Error({"", 1}, absl::StrCat("the file ends without a line '", key, "'"));
    }
  }
  return std::move(schedule_);
}

}  // namespace

absl::StatusOr<Schedule> WholeSchedule(absl::string_view profile, uint64_t seed) {
  ASSIGN_OR_RETURN(const Options options, DrawOptions(profile, seed));
  Schedule out;
  out.seed = seed;
  out.profile = std::string(profile);
  out.members = options.members;
  out.duration = options.duration;
  out.clients = options.workload.clients;
  out.watchers = options.workload.watchers;
  out.administrator = options.workload.administrator;
  out.kinds = options.workload.kinds;
  for (size_t i = 0; i < kFaultClasses; ++i) out.classes[i] = options.faults[i].on;
  return out;
}

absl::StatusOr<Options> OptionsOf(const Schedule& schedule) {
  ASSIGN_OR_RETURN(Options options, DrawOptions(schedule.profile, schedule.seed));
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (schedule.classes[i] && !options.faults[i].on) {
      return absl::InvalidArgumentError(
          absl::StrCat("seed ", schedule.seed, " of profile ", schedule.profile, " has no faults ",
                       "of class ", FaultClassName(static_cast<FaultClass>(i))));
    }
    options.faults[i].on = schedule.classes[i];
  }
  options.members = schedule.members;
  options.duration = schedule.duration;
  options.workload.clients = schedule.clients;
  options.workload.watchers = schedule.watchers;
  options.workload.administrator = schedule.administrator;
  options.workload.kinds = schedule.kinds;
  options.reduction = schedule.reduction;
  return options;
}

std::string ToText(const Schedule& schedule) {
  std::string out = absl::StrCat(kMagic, " ", Schedule::kVersion, "\n");
  absl::StrAppend(&out, "seed ", schedule.seed, "\nprofile ", schedule.profile, "\nmembers ",
                  schedule.members, "\nduration_ns ", schedule.duration.nanos(), "\nclients ",
                  schedule.clients, "\nwatchers ", schedule.watchers, "\nadministrator ",
                  schedule.administrator ? "on" : "off", "\nworkloads");
  for (size_t i = 0; i < kWorkloadKinds; ++i) {
    if (schedule.kinds[i]) {
      absl::StrAppend(&out, " ", WorkloadName(static_cast<WorkloadKind>(i)));
    }
  }
  out += "\n";
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (!schedule.classes[i]) continue;
    const auto& kept = schedule.reduction.actions[i];
    absl::StrAppend(&out, "faults ", FaultClassName(static_cast<FaultClass>(i)),
                    !kept.has_value() ? std::string(" all")
                    : kept->empty()   ? std::string()
                                      : absl::StrCat(" ", absl::StrJoin(*kept, " ")),
                    "\n");
  }
  for (const auto& [client, kept] : schedule.reduction.requests) {
    absl::StrAppend(&out, "requests ", client, kept.empty() ? "" : " ", absl::StrJoin(kept, " "),
                    "\n");
  }
  if (!schedule.expected_rule.empty()) {
    absl::StrAppend(&out, "expect ", schedule.expected_rule, "\n");
  }
  if (schedule.expected_digest.has_value()) {
    absl::StrAppend(&out, absl::StrFormat("digest %016x\n", *schedule.expected_digest));
  }
  return out;
}

absl::StatusOr<Schedule> ParseSchedule(absl::string_view text, absl::string_view name) {
  return Parser(name).Parse(text);
}

std::string Summary(const Schedule& schedule) {
  size_t faults = 0;
  size_t whole = 0;
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (!schedule.classes[i]) continue;
    const auto& kept = schedule.reduction.actions[i];
    whole += kept.has_value() ? 0 : 1;
    faults += kept.has_value() ? kept->size() : 0;
  }
  size_t requests = 0;
  for (const auto& [client, kept] : schedule.reduction.requests) requests += kept.size();
  const bool all = schedule.reduction.requests.size() < schedule.clients;
  return absl::StrCat(schedule.members, " members, ", schedule.clients, " clients, ",
                      schedule.duration.millis(), " ms, ", faults, " faults",
                      whole > 0 ? absl::StrCat(" and all of ", whole, " classes") : "", ", ",
                      all ? std::string("all") : absl::StrCat(requests), " requests");
}

}  // namespace quorate::sim
