// What a simulated disk keeps and what it loses.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/sim/sim_io_fixture.h"

namespace quorate::testing {
namespace {

using sim::CrashKind;
using sim::Fault;

// Unsynced data survives a power loss with this chance, in ppm.
sim::HostOptions Surviving(std::vector<uint32_t> survive_ppm) {
  sim::HostOptions options;
  options.disk.survive_ppm = std::move(survive_ppm);
  return options;
}

TEST(SimDiskTest, APowerLossKeepsWhatWasSyncedAndLosesTheRest) {
  SimWorld world(1);
  DiskHost m(&world, Surviving({0}));
  io::File* file = m.DurableFile("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(2000, 'a')).ok());
  ASSERT_TRUE(m.Sync(file).ok());
  ASSERT_TRUE(m.Write(file, 1000, std::string(3000, 'b')).ok());
  m.CrashAndBoot(CrashKind::kPowerLoss);
  EXPECT_EQ(*m.host.disk().Peek("/f"), std::string(2000, 'a'));
  EXPECT_GT(world.count(Fault::kDiskLostSector), 0u);
  EXPECT_GT(world.count(Fault::kDiskLostSize), 0u);
}

TEST(SimDiskTest, AKilledProcessLosesNoPages) {
  SimWorld world(1);
  DiskHost m(&world, Surviving({0}));
  ASSERT_TRUE(m.Write(m.Open("/f"), 0, "page cache").ok());
  m.CrashAndBoot(CrashKind::kKill);
  EXPECT_EQ(*m.host.disk().Peek("/f"), "page cache");
}

TEST(SimDiskTest, UnsyncedSectorsAreKeptOrLostOneByOne) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SimWorld world(seed);
    DiskHost m(&world, Surviving({500'000}));
    io::File* file = m.DurableFile("/f");
    ASSERT_TRUE(m.Write(file, 0, std::string(4 * 512, 'o')).ok());
    ASSERT_TRUE(m.Sync(file).ok());
    ASSERT_TRUE(m.Write(file, 0, std::string(4 * 512, 'n')).ok());
    m.CrashAndBoot(CrashKind::kPowerLoss);
    const std::string content = *m.host.disk().Peek("/f");
    ASSERT_EQ(content.size(), 4u * 512);
    std::string outcome;
    for (size_t sector = 0; sector < 4; ++sector) {
      const std::string bytes = content.substr(sector * 512, 512);
      EXPECT_EQ(bytes, std::string(512, bytes[0])) << "torn inside a sector";
      outcome += bytes[0];
    }
    outcomes.insert(outcome);
  }
  // All sixteen mixtures are possible; most must come up.
  EXPECT_GT(outcomes.size(), 10u);
  EXPECT_TRUE(outcomes.contains("onon") || outcomes.contains("nono") || outcomes.contains("noon"));
}

TEST(SimDiskTest, ASectorWrittenTwiceMayKeepAnyVersion) {
  std::set<char> outcomes;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SimWorld world(seed);
    DiskHost m(&world, Surviving({300'000}));
    io::File* file = m.DurableFile("/f");
    for (const char c : {'1', '2', '3'}) {
      ASSERT_TRUE(m.Write(file, 0, std::string(512, c)).ok());
      if (c == '1') {
        ASSERT_TRUE(m.Sync(file).ok());
      }
    }
    m.CrashAndBoot(CrashKind::kPowerLoss);
    outcomes.insert((*m.host.disk().Peek("/f"))[0]);
  }
  EXPECT_EQ(outcomes, std::set<char>({'1', '2', '3'}));
}

TEST(SimDiskTest, NamesAreDurableOnceTheirDirectoryIsSynced) {
  SimWorld world(1);
  DiskHost m(&world, Surviving({0}));
  ASSERT_TRUE(m.MakeDirs("/data/wal").ok());
  ASSERT_TRUE(m.SyncDir("/").ok());
  ASSERT_TRUE(m.SyncDir("/data").ok());
  io::File* synced = m.Open("/data/wal/1");
  ASSERT_TRUE(m.Write(synced, 0, "one").ok());
  ASSERT_TRUE(m.Sync(synced).ok());
  ASSERT_TRUE(m.SyncDir("/data/wal").ok());
  io::File* nameless = m.Open("/data/wal/2");
  ASSERT_TRUE(m.Write(nameless, 0, "two").ok());
  ASSERT_TRUE(m.Sync(nameless).ok());  // the bytes, not the name
  m.CrashAndBoot(CrashKind::kPowerLoss);
  EXPECT_EQ(m.host.disk().Files(), std::vector<std::string>({"/data/wal/1"}));
  EXPECT_EQ(*m.host.disk().Peek("/data/wal/1"), "one");
  EXPECT_GT(world.count(Fault::kDiskLostName), 0u);
}

TEST(SimDiskTest, ARenameIsAtomicOverAPowerLoss) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SimWorld world(seed);
    DiskHost m(&world, Surviving({500'000}));
    for (const std::string name : {"old", "new"}) {
      io::File* file = m.Open(name == "old" ? "/current" : "/temporary");
      ASSERT_TRUE(m.Write(file, 0, name).ok());
      ASSERT_TRUE(m.Sync(file).ok());
    }
    ASSERT_TRUE(m.SyncDir("/").ok());
    ASSERT_TRUE(m.Rename("/temporary", "/current").ok());
    m.CrashAndBoot(CrashKind::kPowerLoss);
    const std::string content = *m.host.disk().Peek("/current");
    outcomes.insert(content);
    EXPECT_EQ(m.host.disk().Files().size(), content == "new" ? 1u : 2u);
  }
  EXPECT_EQ(outcomes, std::set<std::string>({"new", "old"}));
}

TEST(SimDiskTest, AFailedSyncLosesPagesThatStillReadBackAndALaterSyncLies) {
  SimWorld world(5);
  sim::HostOptions options = Surviving({1'000'000});
  options.disk.sync_lie_ppm = 1'000'000;
  DiskHost m(&world, options);
  io::File* file = m.DurableFile("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(64 * 512, 'a')).ok());
  ASSERT_TRUE(m.Sync(file).ok());
  ASSERT_TRUE(m.Write(file, 0, std::string(64 * 512, 'b')).ok());
  m.host.disk().FailNextSyncs(1);
  EXPECT_TRUE(absl::IsInternal(m.Sync(file)));
  EXPECT_EQ(*m.host.disk().Peek("/f"), std::string(64 * 512, 'b'));
  EXPECT_TRUE(m.Sync(file).ok()) << "the kernel has nothing left to write";
  m.CrashAndBoot(CrashKind::kPowerLoss);
  const std::string content = *m.host.disk().Peek("/f");
  EXPECT_NE(content.find('a'), std::string::npos) << "lost pages came back";
  EXPECT_EQ(world.count(Fault::kDiskSyncError), 1u);
  EXPECT_EQ(world.count(Fault::kDiskSyncLie), 1u);
}

TEST(SimDiskTest, RewritingAfterAFailedSyncIsDurableAgain) {
  SimWorld world(5);
  sim::HostOptions options = Surviving({0});
  options.disk.sync_lie_ppm = 1'000'000;
  DiskHost m(&world, options);
  io::File* file = m.DurableFile("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(8 * 512, 'b')).ok());
  m.host.disk().FailNextSyncs(1);
  EXPECT_FALSE(m.Sync(file).ok());
  ASSERT_TRUE(m.Write(file, 0, std::string(8 * 512, 'b')).ok());
  ASSERT_TRUE(m.Sync(file).ok());
  m.CrashAndBoot(CrashKind::kPowerLoss);
  EXPECT_EQ(*m.host.disk().Peek("/f"), std::string(8 * 512, 'b'));
}

TEST(SimDiskTest, AFullDiskTakesWhatFits) {
  SimWorld world(1);
  sim::HostOptions options;
  options.disk.capacity_bytes = 1500;
  DiskHost m(&world, options);
  io::File* file = m.Open("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(1000, 'x')).ok());
  const absl::Status status = m.Write(file, 1000, std::string(1000, 'y'));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("/f"), absl::string_view::npos);
  EXPECT_EQ(m.host.disk().used_bytes(), 1024u) << "whole sectors";
  ASSERT_TRUE(m.Write(file, 0, std::string(1000, 'z')).ok()) << "overwriting needs no space";
  EXPECT_EQ(world.count(Fault::kDiskFull), 1u);
}

TEST(SimDiskTest, ABrokenSectorIsDataLossUntilItIsRewrittenOrMended) {
  SimWorld world(1);
  DiskHost m(&world);
  io::File* file = m.Open("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(2048, 'x')).ok());
  ASSERT_TRUE(m.host.disk().BreakSector("/f", 600).ok());
  const auto read = [&](uint64_t offset, size_t size) {
    return m.Await<absl::StatusOr<Bytes>>([&](auto done) { file->Read(offset, size, done); });
  };
  EXPECT_TRUE(absl::IsDataLoss(read(0, 2048).status()));
  EXPECT_TRUE(read(0, 512).ok());
  EXPECT_TRUE(read(1024, 1024).ok());
  ASSERT_TRUE(m.Write(file, 512, std::string(512, 'y')).ok());
  EXPECT_TRUE(read(0, 2048).ok());
  ASSERT_TRUE(m.host.disk().BreakSector("/f", 1500).ok());
  EXPECT_TRUE(absl::IsDataLoss(read(1024, 1024).status()));
  m.host.disk().MendSectors();
  const absl::StatusOr<Bytes> mended = read(1024, 1024);
  ASSERT_TRUE(mended.ok()) << mended.status();
  EXPECT_EQ(mended->view(), std::string(1024, 'x'));
  EXPECT_TRUE(absl::IsNotFound(m.host.disk().BreakSector("/other", 0)));
  EXPECT_TRUE(absl::IsOutOfRange(m.host.disk().FlipBit("/f", 1 << 20, 0)));
}

TEST(SimDiskTest, PreallocatedSegmentsCostNoMemoryAndHoldWhatIsWritten) {
  SimWorld world(1);
  DiskHost m(&world);
  // A hundred gigabytes of zeros would not fit otherwise.
  sim::DiskOptions huge = m.host.disk().options();
  huge.capacity_bytes = uint64_t{1} << 40;
  m.host.disk().SetOptions(huge);
  for (int i = 0; i < 1600; ++i) {
    io::File* file = m.Open("/wal" + std::to_string(i));
    ASSERT_TRUE(m.Await<absl::Status>([&](auto done) {
                   file->WriteZeros(0, uint64_t{64} << 20, done);
                 }).ok());
    ASSERT_TRUE(m.Write(file, 12'345'678, "record").ok());
  }
  EXPECT_EQ(m.host.disk().used_bytes(), uint64_t{1600} * 64 << 20);
  EXPECT_EQ(m.host.disk().Peek("/wal7")->substr(12'345'677, 8), std::string("\0record\0", 8));
}

TEST(SimDiskTest, NoCallbackComesAfterACrashAndTheLockIsFree) {
  SimWorld world(1);
  DiskHost m(&world);
  int called = 0;
  std::unique_ptr<io::DirectoryLock> lock;
  const auto lock_root = [&] {
    return m.Await<absl::StatusOr<std::unique_ptr<io::DirectoryLock>>>(
        [&](auto done) { m.env.disk->LockDir("/", done); });
  };
  auto first = lock_root();
  ASSERT_TRUE(first.ok());
  io::File* file = m.Open("/f");
  m.host.Run([&] {
    for (int i = 0; i < 5; ++i) file->WriteAndSync(0, {Bytes::Copy("x")}, [&](auto) { ++called; });
    m.env.disk->List("/", [&](auto) { ++called; });
  });
  m.CrashAndBoot(CrashKind::kPowerLoss);
  world.RunFor(Seconds(10));
  EXPECT_EQ(called, 0);
  EXPECT_EQ(world.count(Fault::kDiskCutOperation), 2u);  // one of the file, one of the names
  auto second = lock_root();
  EXPECT_TRUE(second.ok()) << second.status();
  first->reset();  // the dead process's: must not free the new one's
  EXPECT_TRUE(absl::IsFailedPrecondition(lock_root().status()));
}

TEST(SimDiskTest, TheDurableCopyIsWhatAPowerLossNowWouldKeepAtLeast) {
  SimWorld world(1);
  DiskHost m(&world, Surviving({0}));
  io::File* file = m.DurableFile("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(600, 'a')).ok());
  ASSERT_TRUE(m.Sync(file).ok());
  ASSERT_TRUE(m.Write(file, 500, std::string(900, 'b')).ok());
  m.Open("/unsynced");
  const auto copy = m.host.disk().DurableCopy();
  EXPECT_EQ(*copy->Peek("/f"), std::string(600, 'a'));
  EXPECT_EQ(copy->Files(), std::vector<std::string>({"/f"}));
  EXPECT_EQ(*m.host.disk().PeekDurable("/f"), std::string(600, 'a'));
  EXPECT_EQ(m.host.disk().Peek("/f")->size(), 1400u);
}

// The log's own operation: what a crash cuts is not all or nothing.
TEST(SimDiskTest, AWriteAndSyncThatACrashCutsMayBeTorn) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimWorld world(seed);
    DiskHost m(&world, Surviving({500'000}));
    io::File* file = m.DurableFile("/f");
    ASSERT_TRUE(m.Write(file, 0, std::string(3 * 512, 'o')).ok());
    ASSERT_TRUE(m.Sync(file).ok());
    m.host.Run([&] {
      file->WriteAndSync(0, {Bytes::Copy(std::string(3 * 512, 'n'))}, [](const absl::Status&) {});
    });
    m.CrashAndBoot(CrashKind::kPowerLoss);
    const std::string content = *m.host.disk().Peek("/f");
    ASSERT_EQ(content.size(), 3u * 512);
    outcomes.insert({content[0], content[512], content[1024]});
  }
  EXPECT_TRUE(outcomes.contains("ooo"));
  EXPECT_TRUE(outcomes.contains("nnn"));
  EXPECT_TRUE(outcomes.contains("noo") || outcomes.contains("ono") || outcomes.contains("oon"));
}

// A test may walk through all that a crash can leave.
TEST(SimDiskTest, ACloneLosesWhatIsChosen) {
  SimWorld world(1);
  DiskHost m(&world);
  io::File* file = m.DurableFile("/f");
  ASSERT_TRUE(m.Write(file, 0, std::string(1024, 'o')).ok());
  ASSERT_TRUE(m.Sync(file).ok());
  ASSERT_TRUE(m.Write(file, 0, std::string(1024, 'n')).ok());
  m.Open("/unsynced");
  for (uint64_t kept = 0; kept < 8; ++kept) {
    sim::Host other(world.context(), &world.network(), "clone" + std::to_string(kept), {});
    other.disk().CloneFrom(m.host.disk());
    uint64_t asked = 0;
    other.disk().SetCrashChoice([&](uint64_t outcomes) {
      EXPECT_EQ(outcomes, 2u);
      return kept >> asked++ & 1;
    });
    other.disk().LosePower();
    EXPECT_EQ(asked, 3u);
    const bool name = (kept & 1) != 0;
    EXPECT_EQ(other.disk().Files().size(), name ? 2u : 1u);
    const std::string content = *other.disk().Peek("/f");
    EXPECT_EQ(content[0], (kept & 2) != 0 ? 'n' : 'o');
    EXPECT_EQ(content[512], (kept & 4) != 0 ? 'n' : 'o');
  }
  EXPECT_EQ(*m.host.disk().Peek("/f"), std::string(1024, 'n'));
}

TEST(SimDiskTest, AnyOperationCanBeMadeToFail) {
  SimWorld world(1);
  DiskHost m(&world, Surviving({0}));
  io::File* file = m.DurableFile("/f");
  m.host.disk().SetOperationFault([](uint64_t, sim::DiskOperation operation) {
    return operation == sim::DiskOperation::kSync ? absl::InternalError("sync /f: i/o error")
                                                  : absl::OkStatus();
  });
  ASSERT_TRUE(m.Write(file, 0, std::string(64 * 512, 'x')).ok());
  EXPECT_TRUE(absl::IsInternal(m.Sync(file)));
  m.host.disk().SetOperationFault(nullptr);
  m.CrashAndBoot(CrashKind::kPowerLoss);
  EXPECT_NE(*m.host.disk().Peek("/f"), std::string(64 * 512, 'x'));
}

TEST(SimDiskTest, EveryOperationCanBeACrashPoint) {
  SimWorld world(1);
  DiskHost m(&world);
  io::File* file = m.DurableFile("/f");
  std::vector<std::string> seen;
  m.host.disk().SetOperationHook([&](uint64_t number, sim::DiskOperation operation) {
    EXPECT_EQ(number, m.host.disk().operations());
    seen.emplace_back(sim::DiskOperationName(operation));
  });
  ASSERT_TRUE(m.Write(file, 0, "x").ok());
  ASSERT_TRUE(m.Sync(file).ok());
  ASSERT_TRUE(m.SyncDir("/").ok());
  m.host.disk().SetOperationHook(nullptr);
  EXPECT_EQ(seen, std::vector<std::string>({"write", "sync", "sync-dir"}));
}

}  // namespace
}  // namespace quorate::testing
