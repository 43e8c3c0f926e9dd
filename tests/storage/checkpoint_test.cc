// Checkpoints and the cut log: whatever is interrupted, the newest checkpoint that was
// acknowledged (or a later one) is there byte for byte, and the log goes on behind it.
#include <gtest/gtest.h>

#include <string>

#include "absl/container/btree_map.h"
#include "absl/strings/match.h"
#include "tests/storage/failed_syncs.h"
#include "tests/storage/history.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

// A life: units and checkpoints, sometimes a state from elsewhere. Ends when `stop` says so.
template <typename Stop>
void Live(Machine* machine, History* history, Prng* prng, int turns, Stop stop) {
  const auto work = [&](uint64_t events) {
    for (uint64_t i = 0; i < events && !stop() && machine->RunOne(); ++i) {
    }
  };
  for (int t = 0; t < turns && !stop(); ++t) {
    machine->Run([&] {
      if (history->installing()) return;
      const uint64_t pick = prng->Below(12);
      if (pick == 0 && history->acknowledged() == history->appended()) {
        return history->Install(machine->wal(), machine->checkpoints());
      }
      if (pick < 5) history->Checkpoint(machine->wal(), machine->checkpoints(), prng->Below(8));
      history->Append(machine->wal());
    });
    work(prng->Below(20));
    // A new state is not mixed with units that follow: the owner holds those back.
    while (history->installing() && !stop() && machine->RunOne()) {
    }
  }
}

TEST(CheckpointTest, AnySeedRecoversWhatWasAcknowledged) {
  uint64_t cut = 0;
  uint64_t taken = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    Prng prng(seed);
    Machine machine(seed);
    History history(seed);
    for (int life = 0; life < 6; ++life) {
      OpenOptions options = Machine::DefaultOptions();
      options.catchup_entries = prng.Chance(1, 2) ? prng.Below(12) : options.catchup_entries;
      const absl::Status status = machine.Open(options);
      ASSERT_TRUE(status.ok()) << status << " seed " << seed << " life " << life;
      ASSERT_EQ(history.Judge(machine.state()), "") << "seed " << seed << " life " << life;
      Live(&machine, &history, &prng, 60, [] { return false; });
      cut += machine.wal()->stats().segments_cut;
      taken += machine.checkpoints()->stats().taken;
      machine.Crash(prng.Chance(1, 3) ? sim::CrashKind::kKill : sim::CrashKind::kPowerLoss);
    }
  }
  EXPECT_GT(cut, 500u);
  EXPECT_GT(taken, 1000u);
}

// The operation under way at the crash counts as begun. "done": there is no such operation.
std::string CrashAt(uint64_t seed, uint64_t operation, uint64_t second, sim::CrashKind kind) {
  Prng prng(seed);
  Machine machine(seed);
  History history(seed);
  uint64_t until = operation;
  bool now = false;
  const auto hook = [&](uint64_t, sim::DiskOperation) {
    if (--until == 0) now = true;
  };
  CHECK(machine.Open().ok());
  machine.disk().SetOperationHook(hook);
  Live(&machine, &history, &prng, 25, [&now] { return now; });
  machine.disk().SetOperationHook(nullptr);
  if (!now) return "done";
  machine.Crash(kind);
  if (second > 0) {  // and again within the recovery
    now = false;
    until = second;
    machine.disk().SetOperationHook(hook);
    machine.StartOpen();
    while (!now && !machine.open_finished()) CHECK(machine.RunOne());
    machine.disk().SetOperationHook(nullptr);
    machine.Crash(kind);
  }
  const absl::Status status = machine.Open();
  return status.ok() ? history.Judge(machine.state()) : status.ToString();
}

TEST(CheckpointTest, ACrashAtEveryOperation) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    for (const auto kind : {sim::CrashKind::kPowerLoss, sim::CrashKind::kKill}) {
      uint64_t operation = 1;
      for (;; ++operation) {
        const std::string wrong = CrashAt(seed, operation, 0, kind);
        if (wrong == "done") break;
        ASSERT_EQ(wrong, "") << "seed " << seed << " operation " << operation;
      }
      EXPECT_GT(operation, 60u);
    }
  }
}

TEST(CheckpointTest, ACrashInTheRecoveryFromACrash) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    for (uint64_t operation = 3;; operation += 7) {
      if (CrashAt(seed, operation, 0, sim::CrashKind::kPowerLoss) == "done") break;
      for (uint64_t second = 1; second <= 40; second += 2) {
        ASSERT_EQ(CrashAt(seed, operation, second, sim::CrashKind::kPowerLoss), "")
            << "seed " << seed << " operations " << operation << ", " << second;
      }
    }
  }
}

TEST(CheckpointTest, AFailedSyncLosesNothingLater) {
  const auto live = [](Machine* machine, History* history, Prng* prng, int turns) {
    Live(machine, history, prng, turns, [machine] { return !machine->wal()->status().ok(); });
  };
  uint64_t lies = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    ASSERT_NO_FATAL_FAILURE(LiveThroughFailedSyncs(seed, 5, live, &lies));
  }
  EXPECT_GT(lies, 0u);
}

TEST(CheckpointTest, OfWhatTheCheckpointHoldsAFewEntriesAreKept) {
  Machine machine(1);
  History history(1);
  ASSERT_TRUE(machine.Open().ok());
  for (int i = 0; i < 60; ++i) {
    machine.Run([&] { history.Append(machine.wal()); });
    machine.Settle();
    if (i != 40) continue;
    machine.Run([&] { history.Checkpoint(machine.wal(), machine.checkpoints(), 0); });
    machine.Settle();
  }
  OpenOptions options = Machine::DefaultOptions();
  for (const uint64_t catchup : {uint64_t{0}, uint64_t{3}, options.catchup_entries}) {
    machine.Restart();
    options.catchup_entries = catchup;
    ASSERT_TRUE(machine.Open(options).ok());
    EXPECT_EQ(history.Check(machine.state()), "") << catchup;
    const LogIndex checkpoint = machine.state().checkpoint->index;
    ASSERT_GT(checkpoint.value(), 3u);
    EXPECT_EQ(machine.state().base.value(),
              checkpoint.value() > catchup ? checkpoint.value() - catchup : 0);
  }
}

// A machine with a log that was cut and a checkpoint in several packs.
void MakeCheckpoint(Machine* machine, History* history) {
  CHECK(machine->Open().ok());
  for (int i = 0; i < 40 || machine->CheckpointFiles().size() < 3; ++i) {
    machine->Run([&] {
      history->Append(machine->wal());
      history->Checkpoint(machine->wal(), machine->checkpoints(), 0);
    });
    machine->Settle();
  }
}

TEST(CheckpointTest, EveryFlippedBitIsNoticed) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  machine.Restart();
  uint64_t fell_back = 0;
  for (const std::string& path : machine.CheckpointFiles()) {
    const std::string whole = machine.ReadFile(path);
    const bool small = whole.size() < 300;
    for (size_t bit = 0; bit < whole.size() * 8; bit += small ? 1 : 97) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      Machine copy(2);
      copy.CopyDiskFrom(machine);
      copy.WriteFile(path, damaged);
      const absl::Status status = copy.Open();
      if (status.ok() && !copy.state().notes.empty()) {  // from the checkpoint before
        ++fell_back;
        ASSERT_TRUE(absl::StrContains(copy.state().notes.front().message, path)) << bit;
        ASSERT_EQ(copy.state().last_index(), LogIndex(history.newest().log.size())) << bit;
        ASSERT_GT(copy.state().entries.size(), 0u);
        continue;
      }
      if (status.ok()) {  // garbage in a pack, or of a pack that is not referred to
        History same = history;
        ASSERT_EQ(same.Judge(copy.state()), "") << path << " bit " << bit;
        continue;
      }
      // The version's bits name a newer format.
      ASSERT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) << status;
      ASSERT_TRUE(absl::StrContains(status.message(), path)) << status;
    }
  }
  EXPECT_GT(fell_back, 100u);
}

// The log leads from the checkpoint before to the same end; then checkpoints go on.
TEST(CheckpointTest, ADamagedManifestIsMadeGoodFromTheOneBefore) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  const LogIndex newest = machine.checkpoints()->fallback_index();
  machine.Restart();
  const std::string path = "/data/m1/member/checkpoint/manifest";
  ASSERT_TRUE(machine.disk().FlipBit(path, 40, 3).ok());
  ASSERT_TRUE(machine.Open().ok());
  ASSERT_EQ(machine.state().notes.size(), 1u);
  EXPECT_TRUE(absl::StrContains(machine.state().notes[0].message, path));
  EXPECT_TRUE(absl::StrContains(machine.state().notes[0].message, "the one before it"));
  EXPECT_FALSE(absl::StrContains(machine.state().notes[0].message, "member remove"));
  ASSERT_TRUE(machine.state().checkpoint.has_value());
  EXPECT_EQ(machine.state().checkpoint->index, newest);
  EXPECT_EQ(machine.state().last_index(), LogIndex(history.newest().log.size()));
  // The damage is gone for good.
  machine.Settle();
  machine.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_TRUE(machine.state().notes.empty());
  EXPECT_EQ(machine.state().last_index(), LogIndex(history.newest().log.size()));
}

// The file of the log that begins first, if the one behind it begins before the newest
// checkpoint's end; and a file that is still needed.
struct LogSplit {
  std::string superseded;
  std::string needed;
};

LogSplit SplitLog(Machine* machine) {
  const absl::StatusOr<StorageReport> report = machine->Inspect();
  CHECK(report.ok());
  std::vector<SegmentReport> log;
  for (const SegmentReport& segment : report->segments) {
    if (segment.role == SegmentRole::kLog) log.push_back(segment);
  }
  CHECK(log.size() >= 3);
  CHECK(log[1].last_index_before <= report->checkpoint);
  return {log[0].path, log.back().path};
}

// What the checkpoint holds is not needed from the log: it costs no start. The file stays, for
// whoever wants to know what the disk did.
TEST(CheckpointTest, ADamagedSegmentThatNobodyNeedsCostsNoStart) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  history.set_max_data(2000);
  for (const bool checkpoint : {true, false}) {
    const uint64_t segments = machine.wal()->stats().segments;
    while (machine.wal()->stats().segments < segments + 2) {
      machine.Run([&] { history.Append(machine.wal()); });
      machine.Settle();
    }
    if (!checkpoint) continue;
    machine.Run([&] { history.Checkpoint(machine.wal(), machine.checkpoints(), 0); });
    machine.Settle();
  }
  const uint64_t last = history.newest().log.size();
  machine.Restart();
  const LogSplit log = SplitLog(&machine);
  uint64_t started = 0;
  for (const std::string how : {"header", "record", "unreadable", "of one that is needed"}) {
    Machine copy(2);
    copy.CopyDiskFrom(machine);
    const bool needed = how == "of one that is needed";
    const std::string& path = needed ? log.needed : log.superseded;
    const std::string damaged = copy.ReadFile(path);
    ASSERT_TRUE((how == "unreadable" ? copy.disk().BreakSector(path, 600)
                                     : copy.disk().FlipBit(path, how == "header" ? 40 : 600, 3))
                    .ok());
    const absl::StatusOr<StorageReport> report = copy.Inspect();
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(absl::IsDataLoss(report->verdict)) << how;
    EXPECT_EQ(report->repairable, !needed) << how;
    const absl::Status status = copy.Open();
    if (needed) {
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      continue;
    }
    ASSERT_TRUE(status.ok()) << how << ": " << status;
    ++started;
    ASSERT_EQ(copy.state().notes.size(), 1u) << how;
    EXPECT_TRUE(absl::StrContains(copy.state().notes[0].message, path)) << how;
    EXPECT_EQ(copy.state().last_index(), LogIndex(last)) << how;
    EXPECT_EQ(copy.ReadFile(path + ".damaged").size(), damaged.size()) << how;
    // From then on there is nothing wrong.
    copy.Crash(sim::CrashKind::kPowerLoss);
    ASSERT_TRUE(copy.Open().ok()) << how;
    EXPECT_TRUE(copy.state().notes.empty()) << how;
    EXPECT_EQ(copy.state().last_index(), LogIndex(last)) << how;
  }
  EXPECT_EQ(started, 3u);
}

// It would put a wrong state in the place of a right one.
TEST(CheckpointTest, WhatMemoryHasLostIsNotWrittenAnew) {
  Machine machine(1);
  ASSERT_TRUE(machine.Open().ok());
  ASSERT_TRUE(machine.AppendAndWait({NewEntry(1, 1, "entry")}).ok());
  engine::StateImage image;
  image.index = LogIndex(1);
  image.term = Term(1);
  image.segments.push_back({1, Revision(1), Bytes::Copy(std::string(1000, 'a')), {}});
  const auto write = [&] {
    absl::Status status = absl::UnknownError("no answer");
    machine.Run([&] {
      machine.checkpoints()->Write(image, Checkpoints::Origin::kLocal,
                                   [&](const absl::Status& done) { status = done; });
    });
    machine.Settle();
    return status;
  };
  ASSERT_TRUE(write().ok());
  const engine::StateImage whole = image;
  image.segments[0].records = Bytes::Copy(std::string(999, 'a') + "b");
  machine.checkpoints()->GiveUp(1);
  EXPECT_TRUE(absl::IsDataLoss(write()));
  machine.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine.Open().ok());
  ASSERT_TRUE(machine.state().checkpoint.has_value());
  EXPECT_EQ(machine.state().checkpoint->segments, whole.segments);
}

// As long as there is only one, the log is whole.
TEST(CheckpointTest, TheOnlyCheckpointDamagedIsMadeGoodFromTheLog) {
  Machine machine(1);
  History history(1);
  ASSERT_TRUE(machine.Open().ok());
  for (int i = 0; i < 20; ++i) {
    machine.Run([&] { history.Append(machine.wal()); });
    machine.Settle();
  }
  machine.Run([&] { history.Checkpoint(machine.wal(), machine.checkpoints(), 0); });
  machine.Settle();
  machine.Restart();
  ASSERT_TRUE(machine.disk().FlipBit("/data/m1/member/checkpoint/manifest", 40, 3).ok());
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_FALSE(machine.state().checkpoint.has_value());
  EXPECT_EQ(machine.state().notes.size(), 1u);
  EXPECT_TRUE(history.newest().log.EndsWith(Term(0), machine.state().entries));
  machine.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_TRUE(machine.state().notes.empty());
  EXPECT_TRUE(history.newest().log.EndsWith(Term(0), machine.state().entries));
}

// A volume that went back in time, or a write cache that lied, takes the end of the log and of a
// pack together. The manifest still tells how far the log had come.
TEST(CheckpointTest, NoneIsMadeGoodFromALogThatIsShorterThanItWas) {
  Machine machine(1);
  History history(1);
  ASSERT_TRUE(machine.Open().ok());
  const auto append = [&] {
    machine.Run([&] { history.Append(machine.wal()); });
    machine.Settle();
  };
  for (int i = 0; i < 5; ++i) append();
  const auto logs = [&] {
    absl::btree_map<std::string, std::string> out;
    for (const std::string& path : machine.disk().Files()) {
      if (absl::StrContains(path, "/log/")) out[path] = machine.ReadFile(path);
    }
    return out;
  };
  const auto earlier = logs();
  const auto packs = [&] {
    std::vector<std::string> out = machine.CheckpointFiles();
    std::erase_if(out, [](const std::string& path) { return absl::StrContains(path, "manifest"); });
    return out;
  };
  while (packs().empty()) {
    for (int i = 0; i < 5; ++i) append();
    machine.Run([&] { history.Checkpoint(machine.wal(), machine.checkpoints(), 1000); });
    machine.Settle();
  }
  machine.Restart();
  const std::string pack = packs().front();
  Machine sound(2);
  sound.CopyDiskFrom(machine);
  ASSERT_TRUE(sound.disk().FlipBit(pack, 0, 3).ok());
  ASSERT_TRUE(sound.Open().ok());  // the log is whole
  for (const auto& [path, content] : logs()) machine.RemoveFile(path);
  for (const auto& [path, content] : earlier) machine.WriteFile(path, content);
  ASSERT_TRUE(machine.disk().FlipBit(pack, 0, 3).ok());
  const absl::Status status = machine.Open();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), pack)) << status;
}

// Five checkpoints that find no space for what they write: each attempt would take some more of
// what is left if it left anything behind.
void RefuseCheckpoints(Machine* machine, History* history) {
  const auto files = [machine] {
    std::vector<std::string> paths = machine->CheckpointFiles();
    std::erase_if(paths, [](const std::string& path) { return absl::EndsWith(path, ".tmp"); });
    return paths;
  };
  const std::vector<std::string> before = files();
  uint64_t refused = 0;
  while (refused < 5) {
    machine->Run([&] { history->Append(machine->wal()); });
    machine->Settle();
    machine->disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
      if (kind != sim::DiskOperation::kWrite && kind != sim::DiskOperation::kWriteAndSync) {
        return absl::OkStatus();
      }
      ++refused;
      return absl::ResourceExhaustedError("write: no space left on device");
    });
    machine->Run([&] { history->Checkpoint(machine->wal(), machine->checkpoints(), 0); });
    machine->Settle();
    machine->disk().SetOperationFault(nullptr);
  }
  EXPECT_EQ(files(), before);
}

TEST(CheckpointTest, OneThatFindsNoSpaceLeavesNothingBehind) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  RefuseCheckpoints(&machine, &history);
}

// A start makes sure of the manifest that is there if it finds no space to write it anew, in the
// file or in the directory.
TEST(CheckpointTest, AFullDirectoryCostsNoStart) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  machine.Restart();
  uint64_t renames = 0;
  machine.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
    if (kind != sim::DiskOperation::kRename || ++renames > 1) return absl::OkStatus();
    return absl::ResourceExhaustedError("rename /injected: no space left on device");
  });
  const absl::Status status = machine.Open();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_GE(renames, 1u);
  EXPECT_EQ(history.Check(machine.state()), "");
  machine.disk().SetOperationFault(nullptr);
  // Checkpoints that find no space go on leaving nothing behind, and others succeed.
  RefuseCheckpoints(&machine, &history);
  machine.Run([&] {
    history.Append(machine.wal());
    history.Checkpoint(machine.wal(), machine.checkpoints(), 0);
  });
  machine.Settle();
  machine.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_EQ(history.Judge(machine.state()), "");
}

// The directory could not be synced after both renames, so that what is there is not what is
// known. The log reaches back to the one before that is really there.
TEST(CheckpointTest, AFailedSyncOfTheDirectoryDoesNotCostTheOneBefore) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  const auto checkpoint = [&](bool fail) {
    for (int i = 0; i < 5; ++i) {
      machine.Run([&] { history.Append(machine.wal()); });
      machine.Settle();
    }
    machine.disk().SetOperationFault([fail](uint64_t, sim::DiskOperation kind) -> absl::Status {
      return fail && kind == sim::DiskOperation::kSyncDir ? absl::InternalError("sync: i/o error")
                                                          : absl::OkStatus();
    });
    machine.Run([&] { history.Checkpoint(machine.wal(), machine.checkpoints(), 0); });
    machine.Settle();
    machine.disk().SetOperationFault(nullptr);
  };
  checkpoint(true);
  checkpoint(false);
  const LogIndex before = machine.checkpoints()->fallback_index();
  machine.Restart();
  ASSERT_TRUE(machine.disk().FlipBit("/data/m1/member/checkpoint/manifest", 40, 3).ok());
  const absl::Status status = machine.Open();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(machine.state().checkpoint.has_value());
  EXPECT_EQ(machine.state().checkpoint->index, before);
  EXPECT_EQ(machine.state().last_index(), LogIndex(history.newest().log.size()));
}

TEST(CheckpointTest, AMissingFileIsDamage) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  machine.Restart();
  for (const std::string& path : machine.CheckpointFiles()) {
    Machine copy(2);
    copy.CopyDiskFrom(machine);
    copy.RemoveFile(path);
    const absl::Status status = copy.Open();
    if (status.ok()) {  // from the checkpoint before
      EXPECT_EQ(copy.state().last_index(), LogIndex(history.newest().log.size())) << path;
    } else {
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    }
  }
  // Without any manifest the log has no beginning.
  machine.RemoveFile("/data/m1/member/checkpoint/manifest");
  machine.RemoveFile("/data/m1/member/checkpoint/manifest.previous");
  EXPECT_TRUE(absl::IsDataLoss(machine.Open()));
}

TEST(CheckpointTest, DiskSpaceStaysWithinBoundsOfWhatLives) {
  Machine machine(3);
  History history(3);
  ASSERT_TRUE(machine.Open().ok());
  for (int i = 0; i < 600; ++i) {
    machine.Run([&] {
      history.Append(machine.wal());
      history.Checkpoint(machine.wal(), machine.checkpoints(), 2);
    });
    machine.Settle();
  }
  const CheckpointStats& stats = machine.checkpoints()->stats();
  EXPECT_GT(stats.taken, 300u);
  EXPECT_EQ(stats.failed, 0u);
  // A third of the bytes may be dead, and what the open pack holds besides.
  EXPECT_LE(stats.pack_bytes, stats.live_bytes * 3 / 2 + 2 * 4096);
  EXPECT_LE(stats.kept_bytes, stats.live_bytes * 3 / 2 + 2 * 4096);
  // And the manifests, and the open pack.
  EXPECT_LE(machine.CheckpointFiles().size(), stats.packs + stats.kept_packs + 3);
  EXPECT_LE(machine.LogFiles().size(), 6u);
}

TEST(CheckpointTest, InspectionShowsIt) {
  Machine machine(1);
  History history(1);
  MakeCheckpoint(&machine, &history);
  machine.Restart();
  const absl::StatusOr<StorageReport> report = machine.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->verdict.ok()) << report->verdict;
  EXPECT_GT(report->checkpoint, LogIndex(0));
  EXPECT_TRUE(absl::StrContains(DescribeReport(*report), "checkpoint at entry"));
}

}  // namespace
}  // namespace quorate::storage
