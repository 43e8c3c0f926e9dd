#include "sim/explore/bounds.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim::explore {

namespace {

absl::Status InRange(absl::string_view name, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, " must be between ", low, " and ", high));
}

}  // namespace

absl::Status Bounds::Validate() const {
  const struct {
    absl::string_view name;
    uint64_t value;
    uint64_t low;
    uint64_t high;
  } all[] = {
      {"members", members, 1, kMaxMembers},
      {"terms", terms, 1, kMaxCount},
      {"entries", entries, 0, kMaxCount},
      {"crashes", crashes, 0, kMaxCount},
      {"duplicates", duplicates.value_or(0), 0, kMaxCount},
      {"drops", drops, 0, kMaxCount},
      {"heartbeats", heartbeats, 0, kMaxCount},
      {"timeouts", timeouts.value_or(0), 0, kMaxCount},
      {"reads", reads, 0, kMaxCount},
      {"transfers", transfers, 0, kMaxCount},
  };
  for (const auto& bound : all) {
    absl::Status status = InRange(bound.name, bound.value, bound.low, bound.high);
    if (!status.ok()) return status;
  }
  if (!duplicates.has_value() && !instant_disk) {
    return absl::InvalidArgumentError(
        "--duplicates any needs --instant-disk: each arrival can add a write under way");
  }
  if (!timeouts.has_value() && (pre_vote || check_quorum || transfers > 0)) {
    return absl::InvalidArgumentError(
        "--pre-vote, --check-quorum and --transfers need --timeouts: election timers can fire "
        "without raising a term, so --terms does not bound them");
  }
  return absl::OkStatus();
}

std::string Bounds::CommandLine() const {
  std::string out = absl::StrCat("--members ", members, " --terms ", terms, " --entries ", entries,
                                 " --crashes ", crashes);
  const auto number = [&out](absl::string_view name, uint64_t value) {
    if (value != 0) absl::StrAppend(&out, " --", name, " ", value);
  };
  const auto flag = [&out](absl::string_view name, bool on) {
    if (on) absl::StrAppend(&out, " --", name);
  };
  if (duplicates.has_value()) {
    number("duplicates", *duplicates);
  } else {
    out += " --duplicates any";
  }
  number("drops", drops);
  number("heartbeats", heartbeats);
  if (timeouts.has_value()) absl::StrAppend(&out, " --timeouts ", *timeouts);
  number("reads", reads);
  number("transfers", transfers);
  flag("pre-vote", pre_vote);
  flag("check-quorum", check_quorum);
  flag("one-entry-appends", one_entry_appends);
  flag("instant-disk", instant_disk);
  flag("no-symmetry", !symmetry);
  return out;
}

}  // namespace quorate::sim::explore
