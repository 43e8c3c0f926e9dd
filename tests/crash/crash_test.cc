// Fails everything once: a crash at every single operation of the disk in a script's life,
// with whatever of the unsynced writes, names and sizes survives, and a second crash at every
// operation of the recovery from it. Nothing acknowledged is missing, nothing is invented, and
// no crash is taken for damage.
//
// QUORATE_LONG=1: all outcomes of every crash within far higher bounds, and scripts of 10,000
// operations, sampled; the sample is printed.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/crash/script.h"

namespace quorate::storage {
namespace {

struct Bounds {
  uint64_t operations = 200;
  uint64_t cuts = 54;    // outcomes of the operations under way at a crash
  uint64_t losses = 10;  // outcomes of what was not synced, for each of those
  // Of the crashes at one operation, how many have their recovery crashed everywhere: one in
  // so many, another one at each operation; 0 = none.
  uint64_t repeat_every = 20;
};

bool Long() { return std::getenv("QUORATE_LONG") != nullptr; }

class CrashTest : public ::testing::Test {
 protected:
  // A crash when `operation` of the script begins. False: something is wrong, as said.
  void CrashAt(uint64_t seed, uint64_t operation, const Bounds& bounds) {
    Choices cuts(bounds.cuts, seed * 1000 + operation);
    uint64_t crash = operation;
    const auto everywhere = [&] {
      return bounds.repeat_every > 0 && crash++ % bounds.repeat_every == 0;
    };
    do {
      Script script(seed);
      ASSERT_TRUE(script.RunTo(operation)) << script.status();
      script.machine.disk().SetCrashChoice(cuts.function());
      script.machine.Crash(sim::CrashKind::kKill);
      script.machine.disk().SetCrashChoice(nullptr);
      const std::string place =
          absl::StrCat("seed ", seed, " operation ", operation, " cut ", cuts.walked());
      place_ = absl::StrCat(place, " killed");
      Recover(script, nullptr, 0, everywhere());
      Choices losses(bounds.losses, seed * 1000 + operation);
      do {
        if (HasFailure()) return;
        place_ = absl::StrCat(place, " loss ", losses.walked());
        Recover(script, losses.function(), losses.walked() + 1, everywhere());
      } while (losses.Next());
      complete_ += losses.complete() && cuts.complete();
      ++crashes_;
    } while (cuts.Next());
  }

  // Recovers from the crash, as chosen; `everywhere`: and from second crashes.
  void Recover(const Script& script, const sim::Disk::CrashChoice& choice, uint64_t variant,
               bool everywhere) {
    Machine machine(variant);
    machine.CloneDiskFrom(script.machine, choice);
    Machine crashed(variant);
    if (everywhere) crashed.CloneDiskFrom(machine, nullptr);
    const uint64_t before = machine.disk().operations();
    const absl::Status status = machine.Open();
    ASSERT_TRUE(status.ok()) << status << " " << place_;
    ASSERT_EQ(script.history.Check(machine.state()), "") << place_;
    ++recoveries_;
    const uint64_t operations = machine.disk().operations() - before;
    if (variant % 4 == 0) GoOn(script, &machine);
    for (uint64_t at = 1; everywhere && at <= operations && !HasFailure(); ++at) {
      RecoverTwice(script, crashed, at);
    }
  }

  // The log can be written on, and what it says then is there the next time.
  void GoOn(const Script& script, Machine* machine) {
    History history = script.history;
    ASSERT_EQ(history.Judge(machine->state()), "") << place_;
    machine->Run([&] { history.Append(machine->wal()); });
    machine->Settle();
    machine->Crash(sim::CrashKind::kPowerLoss);
    const absl::Status status = machine->Open();
    ASSERT_TRUE(status.ok()) << status << " going on after " << place_;
    ASSERT_EQ(history.Judge(machine->state()), "") << "going on after " << place_;
  }

  // The recovery of `crashed` is itself crashed when its operation `at` begins.
  void RecoverTwice(const Script& script, const Machine& crashed, uint64_t at) {
    Machine machine(at + crashed.seed() * 100);
    machine.CloneDiskFrom(crashed, nullptr);
    bool now = false;
    const uint64_t first = machine.disk().operations();
    machine.disk().SetOperationHook([&](uint64_t number, sim::DiskOperation) {
      if (number >= first + at) now = true;
    });
    machine.StartOpen();
    while (!now && !machine.open_finished()) CHECK(machine.RunOne());
    machine.disk().SetOperationHook(nullptr);
    machine.Crash(at % 4 == 0 ? sim::CrashKind::kKill : sim::CrashKind::kPowerLoss);
    const absl::Status status = machine.Open();
    ASSERT_TRUE(status.ok()) << status << " " << place_ << " second crash at " << at;
    ASSERT_EQ(script.history.Check(machine.state()), "") << place_ << " second crash at " << at;
    ++second_crashes_;
  }

  std::string place_;
  uint64_t recoveries_ = 0;
  uint64_t second_crashes_ = 0;
  uint64_t crashes_ = 0;
  uint64_t complete_ = 0;  // of those, the ones of which every outcome was tried
};

TEST_F(CrashTest, AtEveryOperationAndAtEveryOperationOfTheRecovery) {
  Bounds bounds;
  if (Long()) bounds = {.operations = 400, .losses = 300, .repeat_every = 4};
  for (uint64_t operation = 1; operation <= bounds.operations && !HasFailure(); ++operation) {
    CrashAt(1, operation, bounds);
  }
  std::printf("%lu recoveries and %lu after a second crash; of %lu crashes %lu in every outcome\n",
              recoveries_, second_crashes_, crashes_, complete_);
  EXPECT_GT(recoveries_, 10 * bounds.operations);
  EXPECT_GT(second_crashes_, 20 * bounds.operations);
}

// One operation is drawn in each of as many equal parts of a script's life, each in a script of its
// own.
TEST_F(CrashTest, AtDrawnOperationsOfLongScripts) {
  const uint64_t operations = Long() ? 10'000 : 1500;
  const uint64_t crashes = Long() ? 140 : 12;
  constexpr uint64_t kBegin = 200;  // before it the other test crashes everywhere
  const uint64_t part = (operations - kBegin) / crashes;
  Prng prng(7);
  uint64_t last = 0;
  for (uint64_t n = 1; n <= crashes && !HasFailure(); ++n) {
    last = kBegin + (n - 1) * part + prng.Below(part);
    CrashAt(n, last, {.cuts = 3, .losses = 3, .repeat_every = Long() ? 8u : 0u});
  }
  std::printf(
      "sample: %lu of %lu operations, the last of them number %lu; %lu crashes, %lu recoveries and "
      "%lu after a second crash\n",
      crashes, operations, last, crashes_, recoveries_, second_crashes_);
  EXPECT_GE(crashes_, crashes);
  EXPECT_GT(recoveries_, 2 * crashes);
  if (Long()) {
    EXPECT_GT(second_crashes_, 50 * crashes);
  }
}

}  // namespace
}  // namespace quorate::storage
