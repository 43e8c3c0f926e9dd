// A model of the log for tests: the state after each unit that was appended, and what
// of that recovery may return.
#ifndef QUORATE_TESTS_STORAGE_HISTORY_H_
#define QUORATE_TESTS_STORAGE_HISTORY_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/prng.h"
#include "tests/storage/machine.h"

namespace quorate::storage {

// A log from entry 1 on. Copies share what they have in common.
class SharedLog {
 public:
  uint64_t size() const { return last_ == nullptr ? 0 : last_->entry.index.value(); }
  void Truncate(uint64_t size) {
    while (this->size() > size) last_ = last_->before;
  }
  void Append(raft::Entry entry) {
    CHECK_EQ(entry.index.value(), size() + 1);
    last_ = std::make_shared<const Node>(Node{std::move(entry), last_});
  }
  // An entry that it holds.
  const raft::Entry& At(uint64_t index) const {
    const Node* node = last_.get();
    while (node->entry.index.value() > index) node = node->before.get();
    return node->entry;
  }
  // Whether it ends with these, behind an entry of that term (if there is one).
  bool EndsWith(Term before, const std::vector<raft::Entry>& entries) const {
    const Node* node = last_.get();
    for (size_t i = entries.size(); i-- > 0; node = node->before.get()) {
      if (node == nullptr || node->entry != entries[i]) return false;
    }
    return node == nullptr || node->entry.term == before;
  }

 private:
  struct Node {
    raft::Entry entry;
    std::shared_ptr<const Node> before;
  };
  std::shared_ptr<const Node> last_;
};

struct LogState {
  raft::HardState hard_state;
  SharedLog log;
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
      next.log.Truncate(entry.index.value() - 1);
      next.log.Append(entry);
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

  // Takes a checkpoint at an entry that is durable (in a turn of the process): the segments
  // of its state are made up, some of them those of the checkpoint before. The log is cut
  // behind it when it is done, up to `keep` entries before.
  void Checkpoint(Wal* wal, Checkpoints* checkpoints, uint64_t keep) {
    const uint64_t last = states_[acknowledged_].log.size();
    if (last <= floor_.value()) return;
    const raft::Entry& entry = states_[acknowledged_].log.At(last);
    // What was applied is committed: no unit replaces it any more.
    for (size_t later = acknowledged_; later < states_.size(); ++later) {
      const SharedLog& log = states_[later].log;
      if (log.size() < last || log.At(last) != entry) return;
    }
    floor_ = entry.index;
    images_.push_back(DrawImage(entry));
    checkpoints->Write(
        images_.back(), Checkpoints::Origin::kLocal,
        [this, wal, checkpoints, index = entry.index, keep](const absl::Status& status) {
          if (!status.ok()) return;
          checkpointed_ = index;
          if (index.value() <= keep) return;
          wal->Cut(std::min(index - keep, checkpoints->fallback_index()));
        });
  }
  // A state from elsewhere, ahead of the log, which begins anew behind it.
  void Install(Wal* wal, Checkpoints* checkpoints) {
    LogState next = newest();
    const uint64_t index = next.log.size() + 1 + prng_.Below(5);
    ++next.hard_state.term;
    while (next.log.size() < index) {
      next.log.Append(NewEntry(next.log.size() + 1, next.hard_state.term.value(), "elsewhere"));
    }
    next.hard_state.vote = MemberId(0);
    next.hard_state.commit = commit_ = floor_ = LogIndex(index);
    images_.push_back(DrawImage(next.log.At(index)));
    installing_ = index;
    // From the manifest on, either state may be found until the log has followed.
    states_.push_back(next);
    checkpoints->Write(
        images_.back(), Checkpoints::Origin::kPeer, [this, wal, next](const absl::Status& status) {
          if (!status.ok()) return;
          checkpointed_ = floor_;
          wal->BeginAnew(floor_, next.hard_state.term);
          const size_t number = states_.size() - 1;
          wal->Append({}, &next.hard_state, true, [this, number](const absl::Status& written) {
            if (!written.ok()) return;
            acknowledged_ = number;
            installing_ = 0;
          });
        });
  }
  bool installing() const { return installing_ != 0; }

  // What was recovered must be the state after some unit, no earlier than the last
  // acknowledged one. From there the history goes on. Returns what is wrong, or nothing.
  std::string Judge(const RecoveredState& recovered) {
    size_t number = 0;
    const std::string wrong = Check(recovered, &number);
    if (!wrong.empty()) return wrong;
    checkpointed_ = floor_ = CheckpointIndex(recovered);
    installing_ = 0;
    states_.resize(number + 1);
    acknowledged_ = number;
    commit_ = recovered.hard_state.commit;
    return "";
  }
  // The same, and the history stays where it was. *unit: after which unit.
  std::string Check(const RecoveredState& recovered, size_t* unit = nullptr) const {
    const std::string checkpoint = CheckCheckpoint(recovered);
    return checkpoint.empty() ? CheckLog(recovered, unit) : checkpoint;
  }
  // The same, but that a checkpoint may be gone of which the log holds everything.
  std::string CheckLog(const RecoveredState& recovered, size_t* unit = nullptr) const {
    for (size_t number = states_.size(); number-- > acknowledged_;) {
      if (!Matches(states_[number], recovered)) continue;
      if (unit != nullptr) *unit = number;
      return "";
    }
    const auto early = std::find_if(states_.begin(), states_.end(), [&](const LogState& state) {
      return Matches(state, recovered);
    });
    if (early == states_.end()) {
      return absl::StrCat("recovered a state that never was, with ", recovered.entries.size(),
                          " entries; the last of ", states_.size() - 1, " has ",
                          newest().log.size());
    }
    return absl::StrCat("recovered unit ", early - states_.begin(), " though ", acknowledged_,
                        " was acknowledged");
  }

  const LogState& newest() const { return states_.back(); }
  size_t acknowledged() const { return acknowledged_; }
  size_t appended() const { return states_.size() - 1; }
  // As long as it stays the same, so does what may be recovered.
  uint64_t stage() const {
    return states_.size() + acknowledged_ + images_.size() + checkpointed_.value();
  }

 private:
  // Behind its base the recovered log is that of `state`; what a checkpoint covers is
  // committed.
  static bool Matches(const LogState& state, const RecoveredState& recovered) {
    if (state.log.size() != recovered.last_index().value()) return false;
    if (!state.log.EndsWith(recovered.base_term, recovered.entries)) return false;
    raft::HardState expected = state.hard_state;
    if (recovered.checkpoint.has_value()) {
      expected.commit = std::max(expected.commit, recovered.checkpoint->index);
    }
    return expected == recovered.hard_state;
  }

  static LogIndex CheckpointIndex(const RecoveredState& recovered) {
    return recovered.checkpoint.has_value() ? recovered.checkpoint->index : LogIndex(0);
  }
  // The newest that was acknowledged, or a later one that was asked for; byte for byte.
  std::string CheckCheckpoint(const RecoveredState& recovered) const {
    const LogIndex index = CheckpointIndex(recovered);
    if (index < checkpointed_) {
      return absl::StrCat("recovered checkpoint ", index.value(), " though ", checkpointed_.value(),
                          " was acknowledged");
    }
    if (recovered.base > index) return "the log begins behind the checkpoint";
    if (index == LogIndex(0)) return "";
    for (const engine::StateImage& image : images_) {
      if (image.index != index || image.term != recovered.checkpoint->term) continue;
      if (image.sections != recovered.checkpoint->sections ||
          image.segments != recovered.checkpoint->segments) {
        continue;
      }
      return "";
    }
    return absl::StrCat("recovered a checkpoint of entry ", index.value(), " that never was");
  }

  // Segments come, grow, are rewritten and go, as in a revision log.
  engine::StateImage DrawImage(const raft::Entry& entry) {
    engine::StateImage image;
    image.index = entry.index;
    image.term = entry.term;
    image.sections = Bytes::Copy(absl::StrCat("sections of ", entry.index.value(), " ", ++made_));
    if (!images_.empty()) image.segments = images_.back().segments;
    const auto data = [this] {
      return Bytes::Copy(std::string(1 + prng_.Below(900), static_cast<char>('A' + ++made_ % 26)));
    };
    std::vector<engine::LogSegment> kept;
    for (engine::LogSegment& segment : image.segments) {
      if (prng_.Chance(1, 8)) continue;
      if (prng_.Chance(1, 8)) segment = {++last_segment_, Revision(1), data(), {}};
      if (prng_.Chance(1, 4)) segment.garbage = Bytes::Copy("gggg");
      kept.push_back(segment);
    }
    for (uint64_t n = prng_.Below(3); n > 0; --n) {
      kept.push_back({++last_segment_, Revision(static_cast<int64_t>(made_)), data(), {}});
    }
    image.segments = std::move(kept);
    return image;
  }

  void AppendCommit(Wal* wal) {
    raft::HardState hard_state = newest().hard_state;
    if (commit_.value() < newest().log.size()) commit_ = commit_ + 1;
    hard_state.commit = commit_;
    wal->Append({}, &hard_state, false, [](const absl::Status&) {});
  }

  std::vector<raft::Entry> DrawEntries(const LogState& state) {
    std::vector<raft::Entry> entries;
    const uint64_t count = prng_.Below(5);
    const uint64_t last = state.log.size();
    uint64_t index = last + 1;
    // A new leader's entries replace what was not committed.
    if (last > 0 && prng_.Chance(1, 6)) index = last - prng_.Below(std::min<uint64_t>(last, 4));
    index = std::max(index, floor_.value() + 1);
    for (uint64_t i = 0; i < count; ++i) {
      std::string data = absl::StrCat("entry ", ++made_, ";");
      const uint64_t pick = prng_.Below(20);
      const size_t limit = pick == 0  ? max_data_
                           : pick < 8 ? std::min<size_t>(max_data_, 1200)
                                      : 60;
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
  std::vector<engine::StateImage> images_;  // asked for
  LogIndex floor_;                          // of the last one asked for
  LogIndex checkpointed_;                   // acknowledged
  uint64_t installing_ = 0;
  uint64_t last_segment_ = 0;
};

}  // namespace quorate::storage

#endif  // QUORATE_TESTS_STORAGE_HISTORY_H_
