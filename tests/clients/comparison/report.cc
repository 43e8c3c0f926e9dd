#include "tests/clients/comparison/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quorate::differential {

void RunReport::Count(Type type, absl::string_view refusal) {
  Tally& tally = by_type[type];
  ++tally.sent;
  if (refusal.empty()) {
    ++tally.succeeded;
  } else {
    ++tally.refusals[std::string(refusal)];
  }
}

std::string RunReport::Text(bool refusals) const {
  std::string text =
      absl::StrFormat("%-22s %9s %9s %6s\n", "type", "requests", "succeeded", "share");
  for (const auto& [type, tally] : by_type) {
    absl::StrAppendFormat(
        &text, "%-22s %9d %9d %5.1f%%\n", Info(type).name, tally.sent, tally.succeeded,
        100.0 * static_cast<double>(tally.succeeded) / static_cast<double>(tally.sent));
    if (!refusals) continue;
    for (const auto& [why, count] : tally.refusals) {
      absl::StrAppendFormat(&text, "    %7d  %s\n", count, why);
    }
  }
  absl::StrAppend(&text, requests, " requests, ", hashes, " hashes, ", watches.events,
                  " watch events compared (with ", watches.fragments, " fragments and ",
                  watches.notes, " progress notes); ", watches.forgiven,
                  " watchers overtaken by a compaction were not\n");
  return text;
}

std::string RunReport::Shortcomings(const std::set<Type>& wanted) const {
  std::string text;
  for (const Type type : wanted) {
    const auto found = by_type.find(type);
    if (found == by_type.end()) {
      absl::StrAppend(&text, Info(type).name, " was never sent\n");
    } else if (found->second.succeeded * 100 < kLeastSuccess * found->second.sent) {
      absl::StrAppend(&text, Info(type).name, " succeeded only ", found->second.succeeded, " of ",
                      found->second.sent, " times\n");
    }
  }
  return text;
}

}  // namespace quorate::differential
