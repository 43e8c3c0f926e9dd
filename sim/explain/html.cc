// One page: what page.html draws, with the data in it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/check.h"
#include "nlohmann/json.hpp"
#include "sim/explain/explain.h"

namespace quorate::sim::explain {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kPage[] =
#include "sim/explain/page.inc"
    ;
constexpr absl::string_view kPlace = "null /* DATA */";

int64_t Nanos(VirtualTime when) { return when == VirtualTime::Infinite() ? -1 : when.nanos(); }

Json Hosts(const Run& run) {
  Json out = Json::array();
  for (size_t i = 1; i < run.hosts.size(); ++i) {
    const std::string& name = run.hosts[i];
    out.push_back({{"id", i}, {"name", name}, {"member", !name.empty() && name[0] == 'm'}});
  }
  return out;
}

Json Messages(const Story& story) {
  Json out = Json::array();
  for (const Story::Message& m : story.messages()) {
    out.push_back(Json::array(
        {m.id, m.from.value(), m.to.value(), Nanos(m.sent), Nanos(m.arrived), m.type, m.text}));
  }
  return out;
}

Json States(const Story& story) {
  Json out = Json::array();
  for (const Story::State& s : story.states()) {
    out.push_back(
        Json::array({s.when.nanos(), s.host.value(), s.role, s.term, s.commit, s.applied, s.last}));
  }
  return out;
}

Json Events(const Story& story) {
  Json out = Json::array();
  for (const Story::Event& e : story.events()) {
    out.push_back(Json::array({e.when.nanos(), e.host.value(), e.kind, e.text}));
  }
  return out;
}

Json Calls(const Run& run) {
  std::vector<size_t> hosts;  // by client
  for (size_t i = 1; i < run.hosts.size(); ++i) {
    if (run.hosts[i][0] == 'c') hosts.push_back(i);
  }
  Json out = Json::array();
  for (const Call& call : run.history->calls()) {
    if (call.client == 0 || call.client > hosts.size()) continue;
    out.push_back(
        Json::array({hosts[call.client - 1], call.member, Nanos(call.invoked), Nanos(call.returned),
                     static_cast<int>(call.outcome), call.request.Fingerprint(),
                     call.outcome == Outcome::kOk ? Describe(call.result) : call.error}));
  }
  return out;
}

Json Violations(const SeedReport& report) {
  Json out = Json::array();
  for (const Violation& v : report.violations) {
    out.push_back({{"rule", std::string(RuleName(v.rule))},
                   {"words", std::string(RuleInWords(v.rule))},
                   {"ns", v.when.nanos()},
                   {"text", v.text},
                   {"evidence", v.evidence}});
  }
  return out;
}

}  // namespace

std::string ToHtml(const Run& run) {
  const Json data = {{"seed", run.report->seed},
                     {"options", run.report->options},
                     {"replay", run.replay},
                     {"end", run.report->simulated.nanos()},
                     {"dropped", run.story->messages_dropped()},
                     {"hosts", Hosts(run)},
                     {"messages", Messages(*run.story)},
                     {"states", States(*run.story)},
                     {"events", Events(*run.story)},
                     {"calls", Calls(run)},
                     {"violations", Violations(*run.report)}};
  std::string text = data.dump(-1, ' ', true, Json::error_handler_t::replace);
  // Nothing in it may end the script that it stands in.
  text = absl::StrReplaceAll(text, {{"<", "\\u003c"}});
  std::string page(kPage);
  const size_t at = page.find(kPlace.data(), 0, kPlace.size());
  CHECK(at != std::string::npos);
  page.replace(at, kPlace.size(), text);
  return page;
}

}  // namespace quorate::sim::explain
