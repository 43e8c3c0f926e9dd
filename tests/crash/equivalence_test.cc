// recover(disk) equals the state that applied the same entries, whatever of them lies in a
// checkpoint, in the log or in a state from elsewhere, and whatever either has cleaned: by state
// image and by HashKV at every revision.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "engine/apply/applier.h"
#include "tests/engine/apply/drawn_state.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

using apply::Applier;
using Command = std::pair<apply::Operation, std::string>;

constexpr Term kTerm{1};

// A member that keeps its state on a disk, and a state that never was anywhere but in memory.
class Pair {
 public:
  explicit Pair(uint64_t seed) : machine_(seed), commands_(seed) {
    apply::AddMember(&reference_, 7);
    apply::AddMember(member_.get(), 7);
    RC_ASSERT(machine_.Open().ok());
    // Its members are no entries here: a checkpoint holds them from the beginning on.
    Append(1);
    TakeCheckpoint();
  }

  void Step() {
    switch (prng().Below(10)) {
      case 0:
        return TakeCheckpoint();
      case 1:
        return Clean();
      case 2:
        if (prng().Chance(1, 3)) return Install();
        return Clean();
      case 3:
        if (prng().Chance(1, 3)) return Restart();
        return TakeCheckpoint();
      default:
        return Append(1 + prng().Below(4));
    }
  }

  void Restart() {
    machine_.Crash(prng().Chance(1, 2) ? sim::CrashKind::kKill : sim::CrashKind::kPowerLoss);
    const absl::Status opened = machine_.Open();
    if (!opened.ok()) RC_FAIL(std::string(opened.message()));
    const RecoveredState& found = machine_.state();
    RC_ASSERT(found.checkpoint.has_value());
    RC_ASSERT(found.last_index() == last_);
    member_ = apply::Load(*found.checkpoint, 1 + prng().Below(9));
    LogIndex index = found.base;
    for (const raft::Entry& entry : found.entries) {
      if (++index > found.checkpoint->index) apply::Run(member_.get(), Decoded(entry));
    }
    ++restarts_;
    apply::ExpectSame(reference_, *member_);
  }

  uint64_t restarts() const { return restarts_; }
  uint64_t checkpoints() const { return checkpoints_; }
  uint64_t installs() const { return installs_; }

 private:
  Prng& prng() { return commands_.prng(); }

  static Bytes Encoded(const Command& command) {
    std::string data(4, '\0');
    StoreLe32(data.data(), static_cast<uint32_t>(command.first));
    return Bytes::Copy(data + command.second);
  }
  static Command Decoded(const raft::Entry& entry) {
    const absl::string_view data = entry.data;
    return {static_cast<apply::Operation>(LoadLe32(data.data())), std::string(data.substr(4))};
  }

  // One unit of new entries, durable before it is applied.
  void Append(uint64_t count) {
    std::vector<raft::Entry> entries;
    for (uint64_t i = 0; i < count; ++i) {
      const Command command = commands_.Next(reference_.store().revision());
      entries.push_back({kTerm, ++last_, raft::EntryType::kNormal, Encoded(command)});
      apply::Run(&reference_, command);
    }
    RC_ASSERT(machine_.AppendAndWait(entries).ok());
    for (const raft::Entry& entry : entries) apply::Run(member_.get(), Decoded(entry));
  }

  void Clean() {
    Applier* const which = prng().Chance(1, 2) ? &reference_ : member_.get();
    which->compactor().Step(prng().Chance(1, 3) ? apply::kUnbounded : prng().Below(5));
  }

  void Write(const Applier& state, Checkpoints::Origin origin) {
    engine::StateImage image = apply::Share(state);
    image.index = last_;
    image.term = kTerm;
    std::optional<absl::Status> done;
    machine_.Run([&] {
      machine_.checkpoints()->Write(std::move(image), origin,
                                    [&](const absl::Status& status) { done = status; });
    });
    while (!done.has_value()) RC_ASSERT(machine_.RunOne());
    RC_ASSERT(done->ok());
  }

  void TakeCheckpoint() {
    Write(*member_, Checkpoints::Origin::kLocal);
    ++checkpoints_;
    const uint64_t keep = prng().Below(4);
    if (last_ <= LogIndex(keep)) return;
    const LogIndex cut = std::min(last_ - keep, machine_.checkpoints()->fallback_index());
    machine_.Run([&] { machine_.wal()->Cut(cut); });
  }

  // The member misses some entries and gets the state behind them.
  void Install() {
    for (uint64_t i = 1 + prng().Below(5); i > 0; --i) {
      apply::Run(&reference_, commands_.Next(reference_.store().revision()));
      ++last_;
    }
    Write(reference_, Checkpoints::Origin::kPeer);
    machine_.Run([this] { machine_.wal()->BeginAnew(last_, kTerm); });
    RC_ASSERT(machine_.AppendAndWait({}, raft::HardState{kTerm, MemberId(0), last_}).ok());
    member_ = apply::Load(apply::Share(reference_), apply::kUnbounded);
    ++installs_;
  }

  Machine machine_;
  apply::Commands commands_;
  Applier reference_{apply::kSegmentBytes};
  std::unique_ptr<Applier> member_ = std::make_unique<Applier>(apply::kSegmentBytes);
  LogIndex last_;
  uint64_t restarts_ = 0;
  uint64_t checkpoints_ = 0;
  uint64_t installs_ = 0;
};

RC_GTEST_PROP(Equivalence, RecoveredEqualsApplied, ()) {
  Pair pair(*rc::gen::arbitrary<uint64_t>());
  const auto steps = *rc::gen::inRange<int>(0, 150);
  for (int i = 0; i < steps; ++i) pair.Step();
  pair.Restart();
  RC_CLASSIFY(pair.checkpoints() > 3, "several checkpoints");
  RC_CLASSIFY(pair.installs() > 0, "states from elsewhere");
  RC_CLASSIFY(pair.restarts() > 2, "several restarts");
}

}  // namespace
}  // namespace quorate::storage
