// The story in lines: for people, for programs, and for ShiViz.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "sim/explain/explain.h"

namespace quorate::sim::explain {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kRoles[] = {"follower", "pre-candidate", "candidate", "leader"};

// One thing that happened, wherever it was kept.
struct Line {
  // In the order in which they happen in one turn of a process.
  enum class What { kEvent, kInvoked, kArrived, kState, kSent, kReturned };
  VirtualTime when;
  What what = What::kEvent;
  HostId host;
  size_t at = 0;  // in what keeps it
  std::string text;

  // Causes before effects where times are equal.
  friend bool operator<(const Line& a, const Line& b) {
    return std::tie(a.when, a.what, a.at) < std::tie(b.when, b.what, b.at);
  }
};

const char* OutcomeName(Outcome outcome) {
  static constexpr const char* kNames[] = {"pending", "answered", "no effect", "unknown"};
  return kNames[static_cast<size_t>(outcome)];
}

HostId HostOf(const Run& run, uint32_t client) {
  const std::string name = absl::StrCat("c", client);
  for (uint32_t i = 1; i < run.hosts.size(); ++i) {
    if (run.hosts[i] == name) return HostId(i);
  }
  return HostId();
}

void AddCalls(const Run& run, std::vector<Line>* out) {
  for (History::Id id = 0; id < run.history->size(); ++id) {
    const Call& call = run.history->call(id);
    const HostId host = HostOf(run, call.client);
    const std::string asks = absl::StrCat("asks m", call.member, ": ", call.request.Fingerprint());
    out->push_back({call.invoked, Line::What::kInvoked, host, id, asks});
    if (call.outcome == Outcome::kPending) continue;
    const std::string answer = call.outcome == Outcome::kOk ? Describe(call.result) : call.error;
    out->push_back({call.returned, Line::What::kReturned, host, id,
                    absl::StrCat(OutcomeName(call.outcome), ": ", answer)});
  }
}

std::vector<Line> LinesOf(const Run& run) {
  std::vector<Line> out;
  const Story& story = *run.story;
  for (size_t i = 0; i < story.events().size(); ++i) {
    const Story::Event& e = story.events()[i];
    out.push_back({e.when, Line::What::kEvent, e.host, i,
                   e.text.empty() ? e.kind : absl::StrCat(e.kind, " ", e.text)});
  }
  for (size_t i = 0; i < story.states().size(); ++i) {
    const Story::State& s = story.states()[i];
    out.push_back({s.when, Line::What::kState, s.host, i,
                   absl::StrCat(kRoles[s.role], " of term ", s.term, ", commit ", s.commit,
                                ", applied ", s.applied, ", last ", s.last)});
  }
  for (size_t i = 0; i < story.messages().size(); ++i) {
    const Story::Message& m = story.messages()[i];
    const std::string what = absl::StrCat("#", m.id, " ", m.type, ": ", m.text);
    out.push_back({m.sent, Line::What::kSent, m.from, i,
                   absl::StrCat("sends to ", run.hosts[m.to.value()], " ", what)});
    if (m.arrived == VirtualTime::Infinite()) continue;
    out.push_back({m.arrived, Line::What::kArrived, m.to, i,
                   absl::StrCat("gets from ", run.hosts[m.from.value()], " ", what)});
  }
  AddCalls(run, &out);
  std::sort(out.begin(), out.end());
  return out;
}

const char* KindName(Line::What what) {
  static constexpr const char* kNames[] = {"event", "invoked", "arrived",
                                           "state", "sent",    "returned"};
  return kNames[static_cast<size_t>(what)];
}

// Vector clocks, by host.
using Clock = std::map<HostId, uint64_t>;

std::string Show(const Run& run, const Clock& clock) {
  return absl::StrCat("{",
                      absl::StrJoin(clock, ", ",
                                    [&run](std::string* out, const auto& entry) {
                                      absl::StrAppend(out, "\"", run.hosts[entry.first.value()],
                                                      "\":", entry.second);
                                    }),
                      "}");
}

}  // namespace

std::string ToText(const Run& run) {
  std::string out = absl::StrCat("seed ", run.report->seed, ": ", run.report->options, "\n");
  for (const Violation& violation : run.report->violations) {
    absl::StrAppend(&out, RuleName(violation.rule), ": ", RuleInWords(violation.rule), "\n  ",
                    Describe(violation.when), " ", violation.text, "\n");
    for (const std::string& proof : violation.evidence) absl::StrAppend(&out, "    ", proof, "\n");
  }
  absl::StrAppend(&out, "again: ", run.replay, "\n\n");
  for (const Line& line : LinesOf(run)) {
    absl::StrAppend(&out, Describe(line.when), " ", run.hosts[line.host.value()], " ", line.text,
                    "\n");
  }
  return out;
}

std::string ToJsonLines(const Run& run) {
  const auto dump = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  std::string out;
  for (const Line& line : LinesOf(run)) {
    out += dump({{"ns", line.when.nanos()},
                 {"host", run.hosts[line.host.value()]},
                 {"kind", KindName(line.what)},
                 {"text", line.text}});
  }
  for (const Violation& violation : run.report->violations) {
    out += dump({{"ns", violation.when.nanos()},
                 {"host", "world"},
                 {"kind", "violation"},
                 {"rule", std::string(RuleName(violation.rule))},
                 {"text", violation.text},
                 {"evidence", violation.evidence}});
  }
  return out;
}

// Two lines an event: host and vector clock, then what happened. ShiViz reads it with the
// expression on the first line.
std::string ToShiViz(const Run& run) {
  std::string out = "(?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)\n\n";
  std::vector<Clock> clocks(run.hosts.size());
  std::map<size_t, Clock> sent;  // by message
  for (const Line& line : LinesOf(run)) {
    Clock& clock = clocks[line.host.value()];
    if (line.what == Line::What::kArrived) {
      for (const auto& [host, count] : sent[line.at]) {
        clock[host] = std::max(clock[host], count);
      }
    }
    ++clock[line.host];
    if (line.what == Line::What::kSent) sent[line.at] = clock;
    std::string text = line.text;
    std::replace(text.begin(), text.end(), '\n', ' ');
    absl::StrAppend(&out, run.hosts[line.host.value()], " ", Show(run, clock), "\n",
                    Describe(line.when), " ", text, "\n");
  }
  return out;
}

}  // namespace quorate::sim::explain
