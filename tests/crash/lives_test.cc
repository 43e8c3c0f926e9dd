// Drawn lives of a log, each ended by a crash: nothing acknowledged is missing, nothing is
// invented, and no crash is ever taken for damage.
#include <string>

#include "gtest/gtest.h"
#include "tests/storage/failed_syncs.h"
#include "tests/storage/history.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

sim::CrashKind DrawKind(Prng* prng) {
  return prng->Chance(1, 3) ? sim::CrashKind::kKill : sim::CrashKind::kPowerLoss;
}

// Opens, and crashes within the opening up to `crashes` times. Returns what was wrong.
std::string OpenThroughCrashes(Machine* machine, Prng* prng, int crashes) {
  for (int i = 0; i < crashes; ++i) {
    machine->StartOpen();
    const uint64_t events = prng->Below(40);
    for (uint64_t e = 0; e < events && !machine->open_finished(); ++e) CHECK(machine->RunOne());
    if (machine->open_finished()) {
      const absl::Status status = machine->TakeOpened();
      if (!status.ok()) return status.ToString();
    }
    machine->Crash(DrawKind(prng));
  }
  const absl::Status status = machine->Open();
  return status.ok() ? "" : status.ToString();
}

// Appends in turns for a while and stops anywhere.
void Live(Machine* machine, History* history, Prng* prng) {
  const uint64_t turns = prng->Below(30);
  for (uint64_t t = 0; t < turns; ++t) {
    const uint64_t units = 1 + prng->Below(4);
    machine->Run([&] {
      for (uint64_t i = 0; i < units; ++i) history->Append(machine->wal());
    });
    const uint64_t events = prng->Below(6);
    for (uint64_t i = 0; i < events && machine->RunOne(); ++i) {
    }
  }
}

std::string RunSeed(uint64_t seed, int lives) {
  Prng prng(seed);
  Machine machine(seed);
  History history(seed);
  if (prng.Chance(1, 4)) history.set_max_data(40'000);  // larger than a segment
  for (int life = 0; life < lives; ++life) {
    const int crashes = prng.Chance(1, 2) ? static_cast<int>(prng.Below(4)) : 0;
    std::string wrong = OpenThroughCrashes(&machine, &prng, crashes);
    if (wrong.empty()) wrong = history.Judge(machine.state());
    if (!wrong.empty()) return absl::StrCat("life ", life, ": ", wrong);
    Live(&machine, &history, &prng);
    machine.Crash(DrawKind(&prng));
  }
  return "";
}

TEST(LivesTest, AnySeedRecoversWhatWasAcknowledged) {
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    ASSERT_EQ(RunSeed(seed, 6), "") << "seed " << seed;
  }
}

// A process that is killed between renaming a spare segment and syncing the directory leaves a
// name that is not durable. The next start must not rename the file again before that name is: a
// power loss could then keep the later name and the earliest one, both of one file (this seed).
TEST(LivesTest, ASpareIsRenamedAgainOnlyOnceItsNameIsDurable) { EXPECT_EQ(RunSeed(108, 6), ""); }

TEST(LivesTest, AFailedSyncLosesNothingLater) {
  const auto live = [](Machine* machine, History* history, Prng* prng, int) {
    Live(machine, history, prng);
  };
  uint64_t lies = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    ASSERT_NO_FATAL_FAILURE(LiveThroughFailedSyncs(seed, 3, live, &lies));
  }
  EXPECT_GT(lies, 0u);
}

}  // namespace
}  // namespace quorate::storage
