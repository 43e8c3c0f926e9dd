#include "sim/story.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

// Kinds of the trace that a story has: those that faults and lives are made of.
bool IsTold(absl::string_view name) {
  static constexpr absl::string_view kPrefixes[] = {"disk-", "clock-", "process-", "stream-"};
  static constexpr absl::string_view kNames[] = {
      "boot",  "exit",    "ready",           "failed",         "leads",   "power-loss",
      "block", "unblock", "leader-transfer", "leader-usurped", "nemesis", "phase"};
  // These happen all the time, and show in the messages.
  if (name == "stream-loss" || name == "stream-stall") return false;
  if (std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames)) return true;
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes), [name](absl::string_view prefix) {
    return name.substr(0, prefix.size()) == prefix;
  });
}

}  // namespace

void Story::Sent(Message message) {
  messages_.push_back(std::move(message));
  if (messages_.size() <= max_messages_) return;
  messages_.pop_front();
  ++dropped_;
}

void Story::Arrived(uint64_t id, VirtualTime when) {
  const auto at = std::lower_bound(messages_.begin(), messages_.end(), id,
                                   [](const Message& m, uint64_t wanted) { return m.id < wanted; });
  if (at == messages_.end() || at->id != id) return;
  at->arrived = std::min(at->arrived, when);
}

void Story::OnState(const State& state) {
  State& latest = latest_[state.host];
  const bool same = latest.role == state.role && latest.term == state.term &&
                    latest.commit == state.commit && latest.applied == state.applied &&
                    latest.last == state.last;
  latest = state;
  if (!same) states_.push_back(state);
}

void Story::OnTrace(VirtualTime when, HostId host, const TraceKind& kind, uint64_t a, uint64_t b) {
  if (!IsTold(kind.name())) return;
  std::string text;
  if (kind.a() != nullptr) absl::StrAppend(&text, kind.a(), " ", a);
  if (kind.b() != nullptr) absl::StrAppend(&text, ", ", kind.b(), " ", b);
  events_.push_back({when, host, kind.name(), std::move(text)});
}

}  // namespace quorate::sim
