// Lives in which a sync fails, pages are lost behind our back, the process comes back and reads
// them all the same; then the power fails.
#ifndef QUORATE_TESTS_STORAGE_FAILED_SYNCS_H_
#define QUORATE_TESTS_STORAGE_FAILED_SYNCS_H_

#include <cstdint>

#include "gtest/gtest.h"
#include "tests/storage/history.h"
#include "tests/storage/machine.h"

namespace quorate::storage {

// Four such lives: nothing acknowledged may be missing after any of them. An opening whose own sync
// fails refuses; one of the next `retries` must succeed. `live(machine, history, prng, turns)`
// works on the machine. Adds to *lies how often the disk said that a sync had succeeded that had
// not.
template <typename Live>
void LiveThroughFailedSyncs(uint64_t seed, int retries, Live live, uint64_t* lies) {
  Prng prng(seed);
  sim::DiskOptions disk;
  disk.sync_lie_ppm = 1'000'000;
  Machine machine(seed, disk);
  History history(seed);
  for (int life = 0; life < 4; ++life) {
    absl::Status status = machine.Open();
    for (int i = 0; !status.ok() && i < retries; ++i) {
      ASSERT_EQ(status.code(), absl::StatusCode::kInternal) << status << " seed " << seed;
      machine.Crash(sim::CrashKind::kKill);
      status = machine.Open();
    }
    ASSERT_TRUE(status.ok()) << status << " seed " << seed;
    ASSERT_EQ(history.Judge(machine.state()), "") << "seed " << seed;
    live(&machine, &history, &prng, 30);
    machine.disk().FailNextSyncs(1);
    live(&machine, &history, &prng, 30);
    machine.Crash(sim::CrashKind::kKill);
    status = machine.Open();
    if (status.ok()) {
      ASSERT_EQ(history.Judge(machine.state()), "") << "seed " << seed;
      live(&machine, &history, &prng, 20);
    }
    machine.Crash(sim::CrashKind::kPowerLoss);
  }
  *lies += machine.faults().count(sim::Fault::kDiskSyncLie);
}

}  // namespace quorate::storage

#endif  // QUORATE_TESTS_STORAGE_FAILED_SYNCS_H_
