// Fails everything once: a crash at every single operation of the disk in a script's life,
// with whatever of the unsynced writes, names and sizes survives, and a second crash at every
// operation of the recovery from it, with whatever survives that. Nothing acknowledged is missing,
// nothing is invented, and no crash is taken for damage.
//
// Of a script of 200 operations all of that is walked (without QUORATE_LONG=1 second crashes follow
// only one in so many first ones); of one with larger writes, and of scripts of 10,000 operations,
// samples. What was walked is printed.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/crash/script.h"

namespace quorate::storage {
namespace {

bool Long() { return std::getenv("QUORATE_LONG") != nullptr; }

constexpr uint64_t kAll = ~uint64_t{0};

// How much of what a crash may leave is walked: drawn ones, if there is more.
struct Outcomes {
  uint64_t cuts = kAll;    // of the operations under way at a crash
  uint64_t losses = kAll;  // of what was not synced, for each of those
};

struct Bounds {
  Outcomes first;
  // Of what first crashes leave, how much has its recovery crashed everywhere: one in so many.
  uint64_t second_every = 1;
  Outcomes second;
};

// What was walked of the crashes at one of both places.
struct Count {
  uint64_t crashes = 0;     // operations begun, and what was left of those under way
  uint64_t complete = 0;    // of those, the ones of which everything was walked that may be left
  uint64_t left = 0;        // disks that they left
  uint64_t recoveries = 0;  // from those of them that had not been seen in that state of affairs
};

class CrashTest : public ::testing::Test {
 protected:
  // A crash when `operation` of the script begins.
  void CrashAt(uint64_t seed, uint64_t operation, const Bounds& bounds) {
    std::unique_ptr<Script> script;
    place_ = absl::StrCat("seed ", seed, " operation ", operation);
    ForEachLeft(
        bounds.first, seed * 1000 + operation, &first_,
        [&] {
          script = std::make_unique<Script>(seed, sizes_);
          EXPECT_TRUE(script->RunTo(operation)) << script->status();
          return &script->machine;
        },
        [&](Machine* left, bool killed, const std::string& what) {
          // What a killed process leaves looks durable, and a second crash may show that it is not.
          if (!killed && !first_seen_.insert(StateOf(*left, script->history)).second) return;
          place_ = absl::StrCat("seed ", seed, " operation ", operation, what);
          const bool again = ++visited_ % bounds.second_every == 0;
          Recover(*script, left, again ? &bounds.second : nullptr);
        });
  }

  // Goes through what a crash may leave that strikes where `make` has a machine stand.
  template <typename Make, typename Visit>
  void ForEachLeft(const Outcomes& outcomes, uint64_t seed, Count* count, const Make& make,
                   const Visit& visit) {
    Choices cuts(outcomes.cuts, seed);
    do {
      Machine* const machine = make();
      machine->disk().SetCrashChoice(cuts.function());
      machine->Crash(sim::CrashKind::kKill);
      machine->disk().SetCrashChoice(nullptr);
      const std::string cut = absl::StrCat(" cut ", cuts.walked());
      Choices losses(outcomes.losses, seed);
      do {
        if (HasFailure()) return;
        Machine left(seed);
        left.CloneDiskFrom(*machine, losses.function());
        ++count->left;
        visit(&left, /*killed=*/false, absl::StrCat(cut, " loss ", losses.walked()));
      } while (losses.Next());
      ++count->left;
      visit(machine, /*killed=*/true, absl::StrCat(cut, " killed"));
      ++count->crashes;
      count->complete += losses.complete() && cuts.complete();
    } while (cuts.Next());
  }

  // The same for a disk that was seen before, while the same was acknowledged and asked for.
  static uint64_t StateOf(const Machine& left, const History& history) {
    return Mix64(left.disk().Digest() + history.stage());
  }

  // Recovers what a crash of the script left; `second`: and from crashes of that.
  void Recover(const Script& script, Machine* left, const Outcomes* second) {
    Machine crashed(left->seed());
    if (second != nullptr) crashed.CloneDiskFrom(*left, nullptr);
    Machine machine(left->seed());
    machine.CloneDiskFrom(*left, nullptr);
    const uint64_t before = machine.disk().operations();
    ExpectRecovered(script, &machine, &first_);
    const uint64_t operations = machine.disk().operations() - before;
    if (visited_ % 4 == 0) GoOn(script, &machine);
    for (uint64_t at = 1; second != nullptr && at <= operations && !HasFailure(); ++at) {
      RecoverTwice(script, crashed, at, *second);
    }
    recovery_operations_ += second != nullptr ? operations : 0;
  }

  void ExpectRecovered(const Script& script, Machine* machine, Count* count) {
    ++count->recoveries;
    const absl::Status status = machine->Open(script.options);
    ASSERT_TRUE(status.ok()) << status << " " << place_;
    ASSERT_EQ(script.history.Check(machine->state()), "") << place_;
  }

  // The log can be written on, and what it says then is there the next time.
  void GoOn(const Script& script, Machine* machine) {
    if (HasFailure()) return;
    History history = script.history;
    ASSERT_EQ(history.Judge(machine->state()), "") << place_;
    machine->Run([&] { history.Append(machine->wal()); });
    machine->Settle();
    machine->Crash(sim::CrashKind::kPowerLoss);
    const absl::Status status = machine->Open(script.options);
    ASSERT_TRUE(status.ok()) << status << " going on after " << place_;
    ASSERT_EQ(history.Judge(machine->state()), "") << "going on after " << place_;
  }

  // The recovery of `crashed` is itself crashed when its operation `at` begins.
  void RecoverTwice(const Script& script, const Machine& crashed, uint64_t at,
                    const Outcomes& outcomes) {
    const std::string first = place_;
    std::unique_ptr<Machine> machine;
    ForEachLeft(
        outcomes, crashed.seed() + at, &second_,
        [&] {
          machine = std::make_unique<Machine>(crashed.seed());
          machine->CloneDiskFrom(crashed, nullptr);
          RunOpenTo(machine.get(), script.options, at);
          return machine.get();
        },
        [&](Machine* left, bool, const std::string& what) {
          if (!second_seen_.insert(StateOf(*left, script.history)).second) return;
          place_ = absl::StrCat(first, ", second crash at ", at, what);
          ExpectRecovered(script, left, &second_);
        });
    place_ = first;
  }

  static void RunOpenTo(Machine* machine, const OpenOptions& options, uint64_t at) {
    bool now = false;
    const uint64_t first = machine->disk().operations();
    machine->disk().SetOperationHook(
        [&](uint64_t number, sim::DiskOperation) { now = now || number >= first + at; });
    machine->StartOpen(options);
    while (!now) CHECK(machine->RunOne());
    machine->disk().SetOperationHook(nullptr);
  }

  void Print(const std::string& what) const {
    std::printf("%s\n", what.c_str());
    for (const auto& [name, count] : {std::pair("first", &first_), {"second", &second_}}) {
      std::printf(
          "  %s crashes: %lu, %lu of them in every outcome; they left %lu disks; %lu "
          "recoveries, as the others had been seen\n",
          name, count->crashes, count->complete, count->left, count->recoveries);
    }
    std::printf("  operations of recoveries at which second ones were: %lu\n",
                recovery_operations_);
  }

  OpenOptions sizes_ = Machine::DefaultOptions();
  std::string place_;
  Count first_;
  Count second_;
  uint64_t visited_ = 0;
  uint64_t recovery_operations_ = 0;
  // By what they left.
  absl::flat_hash_set<uint64_t> first_seen_;
  absl::flat_hash_set<uint64_t> second_seen_;
};

TEST_F(CrashTest, AtEveryOperationAndAtEveryOperationOfTheRecovery) {
  constexpr uint64_t kOperations = 200;
  sizes_ = Script::SmallSizes();
  for (uint64_t operation = 1; operation <= kOperations && !HasFailure(); ++operation) {
    CrashAt(1, operation, {.second_every = Long() ? 1u : 40u});
  }
  Print(absl::StrCat("at each of ", kOperations, " operations:"));
  EXPECT_EQ(first_.complete, first_.crashes);
  EXPECT_EQ(second_.complete, second_.crashes);
  EXPECT_GT(first_.crashes, 2 * kOperations);
  EXPECT_GT(second_.crashes, (Long() ? 1000 : 20) * kOperations);
}

// Writes of many sectors can tear in more ways than can be walked.
TEST_F(CrashTest, AtEveryOperationWithLargeWrites) {
  const uint64_t operations = Long() ? 400 : 100;
  Bounds bounds = {.first = {54, 10}, .second_every = 100, .second = {1, 1}};
  if (Long()) bounds = {.first = {54, 300}, .second_every = 20, .second = {3, 3}};
  for (uint64_t operation = 1; operation <= operations && !HasFailure(); ++operation) {
    CrashAt(1, operation, bounds);
  }
  Print(absl::StrCat("at each of ", operations, " operations with large writes:"));
  EXPECT_GT(first_.crashes, 2 * operations);
}

// One operation is drawn in each of as many equal parts of a script's life, each in a script of its
// own.
TEST_F(CrashTest, AtDrawnOperationsOfLongScripts) {
  const uint64_t operations = Long() ? 10'000 : 1500;
  const uint64_t crashes = Long() ? 600 : 12;
  constexpr uint64_t kBegin = 200;  // before it the first test crashes everywhere
  const uint64_t part = (operations - kBegin) / crashes;
  Prng prng(7);
  uint64_t last = 0;
  for (uint64_t n = 1; n <= crashes && !HasFailure(); ++n) {
    last = kBegin + (n - 1) * part + prng.Below(part);
    CrashAt(n, last, {.first = {3, 3}, .second_every = Long() ? 4u : 100u, .second = {1, 1}});
  }
  Print(absl::StrCat("at ", crashes, " of ", operations, " operations, the last of them number ",
                     last, ":"));
  EXPECT_GE(first_.crashes, crashes);
  if (Long()) {
    EXPECT_GT(second_.crashes, 50 * crashes);
  }
}

}  // namespace
}  // namespace quorate::storage
