#include "sim/study/lists.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace quorate::sim::study {
namespace {

constexpr size_t kCurves = 8;

template <typename... Parts>
absl::Status Refuse(absl::string_view option, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("--", option, " ", parts...));
}

absl::Status Refuse(absl::string_view option, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("--", option, ": ", status.message()));
}

bool IsDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

absl::StatusOr<Duration> SpanOf(absl::string_view option, absl::string_view text) {
  absl::StatusOr<Duration> span = ParseSpan(text);
  if (!span.ok()) return Refuse(option, span.status());
  return span;
}

std::string Names(uint64_t members, uint32_t set) {
  std::vector<std::string> names;
  for (uint64_t id = 1; id <= members; ++id) {
    if ((set >> (id - 1) & 1) != 0) names.push_back(absl::StrCat(id));
  }
  return absl::StrCat("{", absl::StrJoin(names, ", "), "}");
}

// A smallest set of weight `needed` whose complement weighs `other` or more; 0 = none.
uint32_t Disjoint(const raft::QuorumRule& rule, uint64_t members, uint64_t needed, uint64_t other) {
  uint32_t found = 0;
  for (uint32_t set = 1; set < (uint32_t{1} << members); ++set) {
    uint64_t in = 0;
    uint64_t out = 0;
    for (uint64_t id = 1; id <= members; ++id) {
      ((set >> (id - 1) & 1) != 0 ? in : out) += rule.WeightOf(MemberId(id));
    }
    if (in < needed || out < other) continue;
    if (found == 0 || __builtin_popcount(set) < __builtin_popcount(found)) found = set;
  }
  return found;
}

absl::Status CheckIntersections(const QuorumSystem& system, const raft::QuorumRule& rule,
                                uint64_t members) {
  raft::VoterSet voters;
  for (uint64_t id = 1; id <= members; ++id) voters.push_back(MemberId(id));
  const absl::Status valid = rule.Validate(voters);
  if (valid.ok()) return valid;
  const uint64_t total = rule.TotalWeight(voters);
  const uint64_t election = rule.ElectionWeight(total);
  const uint64_t replication = rule.ReplicationWeight(total);
  const uint32_t everybody = (uint32_t{1} << members) - 1;
  if (const uint32_t set = Disjoint(rule, members, election, replication); set != 0) {
    return Refuse("quorum", system.text, " of ", members, " members: the election quorum ",
                  Names(members, set), " and the commit quorum ", Names(members, everybody ^ set),
                  " share nobody: a leader could miss committed entries");
  }
  if (const uint32_t set = Disjoint(rule, members, election, election); set != 0) {
    return Refuse("quorum", system.text, " of ", members, " members: the election quorums ",
                  Names(members, set), " and ", Names(members, everybody ^ set),
                  " share nobody: a term could have two leaders");
  }
  return Refuse("quorum", system.text, ": ", valid.message());
}

// Names of settings in which the cases differ.
std::vector<bool> Varying(const Plan& plan) {
  std::vector<bool> varying(plan.cases.empty() ? 0 : plan.cases[0].settings.size());
  for (const Case& of : plan.cases) {
    for (size_t i = 0; i < varying.size(); ++i) {
      if (of.settings[i].second != plan.cases[0].settings[i].second) varying[i] = true;
    }
  }
  return varying;
}

// Curves of one plot differ in this setting: the timeouts, if they vary.
size_t SettingOfCurves(const Plan& plan, const std::vector<bool>& varying) {
  size_t chosen = varying.size();
  for (size_t i = 0; i < varying.size(); ++i) {
    if (!varying[i]) continue;
    chosen = i;
    if (plan.cases[0].settings[i].first == "timeout") break;
  }
  return chosen;
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> ParseNumbers(absl::string_view option, absl::string_view text,
                                                   uint64_t least, uint64_t most) {
  std::vector<uint64_t> numbers;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const size_t dots = item.find("..");
    const absl::string_view from = item.substr(0, dots);
    const absl::string_view to = dots == absl::string_view::npos ? from : item.substr(dots + 2);
    uint64_t first = 0;
    uint64_t last = 0;
    if (!absl::SimpleAtoi(from, &first) || !absl::SimpleAtoi(to, &last) || first > last) {
      return Refuse(option, "'", item, "': neither a number N nor a range A..B");
    }
    if (first < least || last > most) {
      return Refuse(option, "'", item, "': must be within ", least, " and ", most);
    }
    for (uint64_t n = first; n <= last; ++n) numbers.push_back(n);
  }
  return numbers;
}

absl::StatusOr<std::vector<bool>> ParseSwitches(absl::string_view option, absl::string_view text) {
  std::vector<bool> switches;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    if (item != "on" && item != "off") return Refuse(option, "'", item, "': neither on nor off");
    switches.push_back(item == "on");
  }
  return switches;
}

absl::StatusOr<std::vector<WaitRange>> ParseRanges(absl::string_view option,
                                                   absl::string_view text) {
  std::vector<WaitRange> ranges;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const size_t dash = item.find('-');
    if (dash == absl::string_view::npos) {
      return Refuse(option, "'", item, "': not a range like 150-300");
    }
    WaitRange range;
    ASSIGN_OR_RETURN(range.low, SpanOf(option, item.substr(0, dash)));
    ASSIGN_OR_RETURN(range.high, SpanOf(option, item.substr(dash + 1)));
    if (range.high < range.low) return Refuse(option, "'", item, "': the range is upside down");
    if (range.low < Microseconds(1)) return Refuse(option, "'", item, "': must be above 0");
    ranges.push_back(range);
  }
  return ranges;
}

std::string RangeText(const WaitRange& range) {
  return absl::StrCat(Millis(range.low), "-", Millis(range.high));
}

absl::StatusOr<std::vector<DelayModel>> ParseModels(absl::string_view option,
                                                    absl::string_view text) {
  std::vector<DelayModel> models;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    absl::StatusOr<DelayModel> model = DelayModel::Parse(item);
    if (!model.ok()) return Refuse(option, model.status());
    models.push_back(*std::move(model));
  }
  return models;
}

absl::StatusOr<std::vector<Priority>> ParsePriorities(absl::string_view option,
                                                      absl::string_view text) {
  std::vector<Priority> priorities;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    Priority priority;
    if (item != "none") {
      priority.text = std::string(item);
      for (const absl::string_view delay : absl::StrSplit(item, '/')) {
        ASSIGN_OR_RETURN(const Duration span, SpanOf(option, delay));
        priority.delays.push_back(span);
      }
    }
    priorities.push_back(std::move(priority));
  }
  return priorities;
}

absl::StatusOr<std::vector<QuorumSystem>> ParseQuorums(absl::string_view option,
                                                       absl::string_view text) {
  std::vector<std::string> items;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    if (IsDigits(item) && !items.empty()) {
      absl::StrAppend(&items.back(), ",", item);
    } else {
      items.emplace_back(item);
    }
  }
  std::vector<QuorumSystem> systems;
  for (const std::string& item : items) {
    QuorumSystem system;
    system.text = item;
    absl::string_view rest = item;
    std::vector<uint32_t> numbers;
    const bool weighted = absl::ConsumePrefix(&rest, "weighted:");
    const bool flexible = !weighted && absl::ConsumePrefix(&rest, "flexible:");
    if (weighted || flexible) {
      for (const absl::string_view number : absl::StrSplit(rest, ',')) {
        numbers.emplace_back();
        if (!absl::SimpleAtoi(number, &numbers.back()) || numbers.back() == 0 ||
            numbers.back() > 1000) {
          return Refuse(option, "'", item, "': '", number, "' is no number from 1 to 1000");
        }
      }
    }
    if (flexible && numbers.size() != 2) {
      return Refuse(option, "'", item, "': flexible takes two sizes, of an election and a commit");
    }
    if (weighted) {
      system.weights = std::move(numbers);
    } else if (flexible) {
      system.election = numbers[0];
      system.replication = numbers[1];
    } else if (item != "majority") {
      return Refuse(option, "'", item,
                    "': unknown; there are: majority, weighted:W1,W2,..., flexible:Q1,Q2");
    }
    systems.push_back(std::move(system));
  }
  return systems;
}

absl::StatusOr<raft::QuorumRule> RuleOf(const QuorumSystem& system, uint64_t members) {
  raft::QuorumRule rule;
  if (!system.weights.empty()) {
    if (system.weights.size() != members) {
      return Refuse("quorum", system.text, ": ", system.weights.size(), " weights for ", members,
                    " members");
    }
    std::vector<std::pair<MemberId, uint32_t>> weights;
    for (uint64_t id = 1; id <= members; ++id) {
      weights.emplace_back(MemberId(id), system.weights[id - 1]);
    }
    ASSIGN_OR_RETURN(rule, raft::QuorumRule::Weighted(std::move(weights)));
  } else if (system.election != 0) {
    ASSIGN_OR_RETURN(rule, raft::QuorumRule::Flexible(system.election, system.replication));
  }
  RETURN_IF_ERROR(CheckIntersections(system, rule, members));
  return rule;
}

absl::StatusOr<Shard> ParseShard(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  Shard shard;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &shard.number) ||
      !absl::SimpleAtoi(parts[1], &shard.of) || shard.number < 1 || shard.number > shard.of) {
    return Refuse("shard", "'", text, "': not like 2/8, the second of eight");
  }
  return shard;
}

std::string CommandOf(absl::string_view study, const Settings& settings) {
  std::string command = absl::StrCat("quorate-sim study ", study);
  for (const auto& [name, value] : settings) absl::StrAppend(&command, " --", name, " ", value);
  return command;
}

void LabelAndDraw(Plan* plan) {
  if (plan->cases.empty()) return;
  const std::vector<bool> varying = Varying(*plan);
  const size_t curves = SettingOfCurves(*plan, varying);
  // Cases that differ in the curves' setting only share a plot.
  std::map<std::string, Plot> groups;
  std::vector<std::string> order;
  for (size_t c = 0; c < plan->cases.size(); ++c) {
    Case& of = plan->cases[c];
    std::vector<std::string> label;
    std::vector<std::string> group;
    for (size_t i = 0; i < varying.size(); ++i) {
      if (!varying[i]) continue;
      const std::string words = absl::StrCat(of.settings[i].first, " ", of.settings[i].second);
      label.push_back(words);
      if (i != curves) group.push_back(words);
    }
    of.label = label.empty() ? plan->name : absl::StrJoin(label, ", ");
    const std::string key = absl::StrJoin(group, ", ");
    if (groups.find(key) == groups.end()) order.push_back(key);
    Plot& plot = groups[key];
    if (plot.cases.size() == kCurves) {
      plan->plots.push_back(std::exchange(plot, Plot()));
    }
    plot.title = key.empty() ? plan->title : key;
    plot.cases.push_back(c);
    plot.names.push_back(curves < varying.size() ? of.settings[curves].second : of.label);
  }
  for (const std::string& key : order) plan->plots.push_back(groups[key]);
}

}  // namespace quorate::sim::study
