// A model of the log for tests: the state after each unit that was appended, and what
// of that recovery may return.
#ifndef QUORATE_TESTS_STORAGE_HISTORY_H_
#define QUORATE_TESTS_STORAGE_HISTORY_H_

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/prng.h"
#include "tests/storage/machine.h"

namespace quorate::storage {

struct LogState {
  raft::HardState hard_state;
  std::vector<raft::Entry> entries;

  friend bool operator==(const LogState&, const LogState&) = default;
};

// Draws units, appends them to a machine's log, and judges what is recovered.
class History {
 public:
  explicit History(uint64_t seed) : prng_(Mix64(seed)), states_(1) {}

  // Largest data of an entry, in bytes; drawn up to this, mostly far below.
  void set_max_data(size_t bytes) { max_data_ = bytes; }

  // Appends one drawn unit now (in a turn of the process).
  void Append(Wal* wal) {
    if (prng_.Chance(1, 5)) return AppendCommit(wal);
    LogState next = newest();
    next.hard_state.commit = commit_;
    const std::vector<raft::Entry> entries = DrawEntries(next);
    const bool with_hard_state = entries.empty() || prng_.Chance(1, 3);
    if (with_hard_state) DrawHardState(&next.hard_state);
    for (const raft::Entry& entry : entries) {
      next.entries.resize(entry.index.value() - 1);
      next.entries.push_back(entry);
    }
    commit_ = next.hard_state.commit;
    states_.push_back(next);
    const size_t number = states_.size() - 1;
    wal->Append(entries, with_hard_state ? &next.hard_state : nullptr, true,
                [this, number](const absl::Status& status) {
                  if (!status.ok()) return;
                  CHECK_EQ(acknowledged_ + 1, number);  // in order, once
                  acknowledged_ = number;
                });
  }

  // What was recovered must be the state after some unit, no earlier than the last
  // acknowledged one. From there the history goes on. Returns what is wrong, or nothing.
  std::string Judge(const RecoveredState& recovered) {
    const LogState found = {recovered.hard_state, recovered.entries};
    for (size_t number = states_.size(); number-- > acknowledged_;) {
      if (states_[number] != found) continue;
      states_.resize(number + 1);
      acknowledged_ = number;
      commit_ = found.hard_state.commit;
      return "";
    }
    const auto early = std::find(states_.begin(), states_.end(), found);
    if (early == states_.end()) {
      return absl::StrCat("recovered a state that never was, with ", found.entries.size(),
                          " entries; the last of ", states_.size() - 1, " has ",
                          newest().entries.size());
    }
    return absl::StrCat("recovered unit ", early - states_.begin(), " though ", acknowledged_,
                        " was acknowledged");
  }

  const LogState& newest() const { return states_.back(); }
  size_t acknowledged() const { return acknowledged_; }
  size_t appended() const { return states_.size() - 1; }

 private:
  void AppendCommit(Wal* wal) {
    raft::HardState hard_state = newest().hard_state;
    if (commit_.value() < newest().entries.size()) commit_ = commit_ + 1;
    hard_state.commit = commit_;
    wal->Append({}, &hard_state, false, [](const absl::Status&) {});
  }

  std::vector<raft::Entry> DrawEntries(const LogState& state) {
    std::vector<raft::Entry> entries;
    const uint64_t count = prng_.Below(5);
    const uint64_t last = state.entries.size();
    uint64_t index = last + 1;
    // A new leader's entries replace what was not committed.
    if (last > 0 && prng_.Chance(1, 6)) index = last - prng_.Below(std::min<uint64_t>(last, 4));
    for (uint64_t i = 0; i < count; ++i) {
      std::string data = absl::StrCat("entry ", ++made_, ";");
      const uint64_t pick = prng_.Below(20);
      const size_t limit = pick == 0 ? max_data_ : pick < 8 ? 1200 : 60;
      data.resize(data.size() + prng_.Below(limit), static_cast<char>('a' + made_ % 26));
      entries.push_back(NewEntry(index + i, state.hard_state.term.value(), data));
    }
    return entries;
  }

  void DrawHardState(raft::HardState* hard_state) {
    if (prng_.Chance(1, 2)) {
      ++hard_state->term;
      hard_state->vote = MemberId(prng_.Below(4));
    }
    ++made_;
  }

  Prng prng_;
  size_t max_data_ = 3000;
  uint64_t made_ = 0;
  LogIndex commit_;
  std::vector<LogState> states_;  // after each unit that makes a write; [0] is empty
  size_t acknowledged_ = 0;
};

}  // namespace quorate::storage

#endif  // QUORATE_TESTS_STORAGE_HISTORY_H_
