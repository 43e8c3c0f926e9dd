// A member's storage at work, the same at every repetition, and all that a crash may leave.
#ifndef QUORATE_TESTS_CRASH_SCRIPT_H_
#define QUORATE_TESTS_CRASH_SCRIPT_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "tests/storage/history.h"
#include "tests/storage/machine.h"

namespace quorate::storage {

// Opens a new directory and works with it: appends, commits, replaced tails, checkpoints
// behind which the log is cut, a state from elsewhere. What is done follows from the seed,
// and so do the disk's operations, one by one.
class Script {
 public:
  explicit Script(uint64_t seed, OpenOptions sizes = Machine::DefaultOptions())
      : machine(seed), history(seed), options(std::move(sizes)), prng_(seed) {
    history.set_max_data(options.max_write_bytes * 3 / 8);
  }
  // One whose writes are of a few sectors each, so that all that a crash may leave of them can be
  // walked; in segments that are as small beside them.
  static OpenOptions SmallSizes() {
    OpenOptions options = Machine::DefaultOptions();
    options.segment_bytes = 4096;
    options.pack_bytes = 1024;
    options.max_write_bytes = 1024;
    return options;
  }

  // Runs until `operations` of the disk have begun. False: the log failed, or the directory
  // could not be opened, before that.
  bool RunTo(uint64_t operations) {
    stop_ = operations;
    machine.disk().SetOperationHook(
        [this](uint64_t number, sim::DiskOperation) { reached_ = reached_ || number >= stop_; });
    const bool ran = Open() && Work();
    machine.disk().SetOperationHook(nullptr);
    return ran;
  }
  // Why it ended early.
  const absl::Status& status() const { return status_; }
  // Everything under way comes to its end.
  void Settle() { machine.Settle(); }

  Machine machine;
  History history;
  const OpenOptions options;

 private:
  bool Open() {
    machine.StartOpen(options);
    while (!reached_ && !machine.open_finished()) CHECK(machine.RunOne());
    if (!machine.open_finished()) return true;
    status_ = machine.TakeOpened();
    return status_.ok();
  }
  bool Work() {
    for (uint64_t turn = 1; !reached_; ++turn) {
      machine.Run([&] { DoTurn(turn); });
      // Mostly without waiting for what is under way.
      if (turn % 4 == 0) {
        RunEvents(1000);
      } else {
        RunEvents(prng_.Below(12));
      }
      status_ = machine.wal()->status();
      if (!status_.ok()) return false;
      if (history.installing()) {
        RunEvents(1000);
        // A member that cannot install a state that it has accepted ends.
        if (!reached_ && history.installing()) return false;
      }
    }
    return true;
  }
  void DoTurn(uint64_t turn) {
    if (turn % 29 == 20) install_due_ = true;
    // A new state is not mixed with units around it: the owner holds those back.
    if (install_due_ && history.acknowledged() == history.appended()) {
      install_due_ = false;
      return history.Install(machine.wal(), machine.checkpoints());
    }
    if (turn % 7 == 5) history.Checkpoint(machine.wal(), machine.checkpoints(), turn % 3);
    for (uint64_t n = 1 + prng_.Below(3); n > 0; --n) history.Append(machine.wal());
  }
  void RunEvents(uint64_t most) {
    for (uint64_t i = 0; i < most && !reached_ && machine.RunOne(); ++i) {
    }
  }

  Prng prng_;
  bool install_due_ = false;
  uint64_t stop_ = 0;
  bool reached_ = false;
  absl::Status status_;
};

// Goes through sequences of choices among so many outcomes each: through all of them, or
// through `most` drawn ones if there are more. The first takes every first outcome.
class Choices {
 public:
  Choices(uint64_t most, uint64_t seed) : most_(most), seed_(seed) {}

  sim::Disk::CrashChoice function() {
    return [this](uint64_t outcomes) { return Choose(outcomes); };
  }
  // Goes on to the next sequence. False: there is none.
  bool Next() {
    ++walked_;
    at_ = 0;
    if (!drawing_ && product_ > most_) drawing_ = true;
    if (drawing_) {
      prng_ = Prng(NamedDraw(seed_, walked_, 0, 0));
      keep_percent_ = prng_.Below(101);
      return walked_ < most_;
    }
    for (; !taken_.empty(); taken_.pop_back()) {
      if (++taken_.back().first < taken_.back().second) break;
    }
    if (taken_.empty()) return false;
    // Other outcomes may bring more choices than the first ones did.
    drawing_ = walked_ >= most_;
    return !drawing_;
  }
  bool complete() const { return !drawing_; }
  // Sequences before the present one.
  uint64_t walked() const { return walked_; }

 private:
  uint64_t Choose(uint64_t outcomes) {
    if (drawing_) {
      // The second sequence loses nothing.
      if (walked_ == 1 || prng_.Chance(keep_percent_, 100)) return outcomes - 1;
      return prng_.Below(outcomes);
    }
    if (at_ == taken_.size()) {
      taken_.push_back({0, outcomes});
      if (walked_ == 0) product_ = std::min(product_ * outcomes, most_ + 1);
    }
    return taken_[at_++].first;
  }

  const uint64_t most_;
  const uint64_t seed_;
  uint64_t walked_ = 0;
  bool drawing_ = false;
  uint64_t product_ = 1;
  std::vector<std::pair<uint64_t, uint64_t>> taken_;  // outcome, of so many
  size_t at_ = 0;
  Prng prng_{0};
  uint64_t keep_percent_ = 0;
};

}  // namespace quorate::storage

#endif  // QUORATE_TESTS_CRASH_SCRIPT_H_
