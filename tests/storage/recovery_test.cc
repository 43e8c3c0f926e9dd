// What opening a data directory accepts and refuses, and what it says.
#include "storage/recovery.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/crc32c.h"
#include "gtest/gtest.h"
#include "storage/data_dir.h"
#include "storage/segment.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

bool Says(absl::string_view message, absl::string_view text) {
  return message.find(text) != absl::string_view::npos;
}

class RecoveryTest : public ::testing::Test {
 protected:
  // A directory with three entries, closed.
  void MakeDirectory() {
    ASSERT_TRUE(machine_.Open().ok());
    for (uint64_t i = 1; i <= 3; ++i) {
      ASSERT_TRUE(machine_.AppendAndWait({NewEntry(i, 1, "entry")}).ok());
    }
    machine_.Settle();
    machine_.Restart();
  }
  // Opening fails with this code, names `path`, and nothing but the lock was touched.
  std::string ExpectRefused(absl::StatusCode code, const std::string& path,
                            const OpenOptions& options = Machine::DefaultOptions()) {
    std::vector<std::string> before;
    for (const std::string& file : machine_.LogFiles()) before.push_back(machine_.ReadFile(file));
    const absl::Status status = machine_.Open(options);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_TRUE(Says(status.message(), path)) << status;
    std::vector<std::string> after;
    for (const std::string& file : machine_.LogFiles()) after.push_back(machine_.ReadFile(file));
    EXPECT_EQ(before, after);
    machine_.Restart();
    return std::string(status.message());
  }

  Machine machine_{1};
};

TEST_F(RecoveryTest, CreatesADirectoryOnlyWhenAsked) {
  OpenOptions options = Machine::DefaultOptions();
  options.create = false;
  ExpectRefused(absl::StatusCode::kNotFound, kDataDir, options);
  EXPECT_TRUE(machine_.disk().Files().empty());
  EXPECT_EQ(machine_.Peek().status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(machine_.Open().ok());
  EXPECT_FALSE(machine_.state().existed);
  EXPECT_TRUE(machine_.state().entries.empty());
  EXPECT_TRUE(machine_.state().hard_state.empty());
  machine_.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine_.Open(options).ok());
  EXPECT_TRUE(machine_.state().existed);
  const absl::StatusOr<Identity> identity = machine_.Peek();
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(*identity, (Identity{kCluster, kMember}));
}

TEST_F(RecoveryTest, RefusesADirectoryOfAnotherCluster) {
  MakeDirectory();
  OpenOptions options = Machine::DefaultOptions();
  options.cluster_id = ClusterId(0xbeef);
  const std::string message =
      ExpectRefused(absl::StatusCode::kFailedPrecondition, kDataDir, options);
  EXPECT_TRUE(Says(message, "cluster c1")) << message;
  EXPECT_TRUE(Says(message, "cluster beef")) << message;
}

TEST_F(RecoveryTest, RefusesADirectoryOfAnotherMember) {
  MakeDirectory();
  OpenOptions options = Machine::DefaultOptions();
  options.member_id = MemberId(0xb2);
  const std::string message =
      ExpectRefused(absl::StatusCode::kFailedPrecondition, kDataDir, options);
  EXPECT_TRUE(Says(message, "member a1")) << message;
  EXPECT_TRUE(Says(message, "member b2")) << message;
}

TEST_F(RecoveryTest, RefusesANewerFormat) {
  MakeDirectory();
  std::string meta = machine_.ReadFile(kMetaFile);
  StoreLe32(meta.data() + 12, 7);
  StoreLe32(meta.data() + 8, Crc32c(meta.substr(0, 8) + meta.substr(12)));
  machine_.WriteFile(kMetaFile, meta);
  const std::string message = ExpectRefused(absl::StatusCode::kFailedPrecondition, kMetaFile);
  EXPECT_TRUE(Says(message, "version 7")) << message;
  EXPECT_TRUE(Says(message, "version 1")) << message;
  EXPECT_EQ(machine_.Peek().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RecoveryTest, RefusesALogOfANewerFormat) {
  MakeDirectory();
  const std::string path = machine_.LogFiles().front();
  std::string log = machine_.ReadFile(path);
  SegmentHeader header;
  ASSERT_EQ(DecodeSegmentHeader(log.data(), 1, &header), SectorState::kLive);
  header.version = 9;
  EncodeSegmentHeader(1, header, log.data());
  machine_.WriteFile(path, log);
  const std::string message = ExpectRefused(absl::StatusCode::kFailedPrecondition, path);
  EXPECT_TRUE(Says(message, "version 9")) << message;
}

TEST_F(RecoveryTest, RefusesADirectoryOfEtcd) {
  machine_.WriteFile("/data/m1/member/snap/db", "bolt");
  EXPECT_TRUE(Says(ExpectRefused(absl::StatusCode::kFailedPrecondition, "/data/m1/member/snap/db"),
                   "etcd"));
  machine_.RemoveFile("/data/m1/member/snap/db");
  const std::string wal = "/data/m1/member/wal/0000000000000000-0000000000000000.wal";
  machine_.WriteFile(wal, "wal");
  EXPECT_TRUE(Says(ExpectRefused(absl::StatusCode::kFailedPrecondition, wal), "etcd"));
  EXPECT_EQ(machine_.Peek().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RecoveryTest, RefusesALockedDirectory) {
  MakeDirectory();
  std::unique_ptr<io::DirectoryLock> held;
  machine_.Run([&] {
    machine_.env().disk->LockDir(
        "/data/m1/member",
        [&](absl::StatusOr<std::unique_ptr<io::DirectoryLock>> lock) { held = *std::move(lock); });
  });
  while (held == nullptr) ASSERT_TRUE(machine_.RunOne());
  const absl::Status status = machine_.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(status.message(), kDataDir)) << status;
  held.reset();
  EXPECT_TRUE(machine_.Open().ok());
}

// A member that lost its log must not vote as if it had never voted.
TEST_F(RecoveryTest, RefusesAMissingLog) {
  MakeDirectory();
  for (const std::string& path : machine_.LogFiles()) machine_.RemoveFile(path);
  ExpectRefused(absl::StatusCode::kDataLoss, kLogDir);
}

TEST_F(RecoveryTest, RefusesALogWithoutMeta) {
  MakeDirectory();
  machine_.RemoveFile(kMetaFile);
  ExpectRefused(absl::StatusCode::kDataLoss, kMetaFile);
}

TEST_F(RecoveryTest, RefusesAMissingSegment) {
  ASSERT_TRUE(machine_.Open().ok());
  for (uint64_t i = 1; i <= 60; ++i) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(i, 1, std::string(1000, 'x'))}).ok());
  }
  machine_.Settle();
  machine_.Restart();
  const std::vector<std::string> files = machine_.LogFiles();
  ASSERT_GE(files.size(), 5u);
  const std::string content = machine_.ReadFile(files[2]);
  machine_.RemoveFile(files[2]);
  ExpectRefused(absl::StatusCode::kDataLoss, files[2]);
  // Another one in its place does not pass for it.
  machine_.WriteFile(files[2], machine_.ReadFile(files[1]));
  ExpectRefused(absl::StatusCode::kDataLoss, files[2]);
  machine_.WriteFile(files[2], content);
  ASSERT_TRUE(machine_.Open().ok());
  EXPECT_EQ(machine_.state().entries.size(), 60u);
}

TEST_F(RecoveryTest, RefusesATruncatedSegment) {
  MakeDirectory();
  const std::string path = machine_.LogFiles().front();
  const std::string content = machine_.ReadFile(path);
  for (size_t size = 0; size < content.size(); size += 100) {
    machine_.WriteFile(path, content.substr(0, size));
    ExpectRefused(absl::StatusCode::kDataLoss, kLogDir);
  }
  machine_.WriteFile(path, content);
  EXPECT_TRUE(machine_.Open().ok());
}

// The checkpoint says that its entries are committed, the log had not said so yet. The header of
// the next segment tells what the log says, and not what its owner knows.
TEST_F(RecoveryTest, TheLogGoesOnInAnotherSegmentThoughTheCheckpointKnewMore) {
  MakeDirectory();
  ASSERT_TRUE(machine_.Open().ok());
  engine::StateImage image;
  image.index = LogIndex(3);
  image.term = Term(1);
  image.sections = Bytes::Copy("sections");
  absl::Status written = absl::UnknownError("no answer");
  machine_.Run([&] {
    machine_.checkpoints()->Write(image, Checkpoints::Origin::kLocal,
                                  [&](const absl::Status& status) { written = status; });
  });
  machine_.Settle();
  ASSERT_TRUE(written.ok()) << written;
  machine_.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine_.Open().ok());
  ASSERT_EQ(machine_.state().hard_state.commit, LogIndex(3));
  const size_t segments = machine_.wal()->ColdSegments().size();
  for (uint64_t i = 4; machine_.wal()->ColdSegments().size() < segments + 2; ++i) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(i, 1, std::string(3000, 'e'))}).ok());
  }
  machine_.Crash(sim::CrashKind::kPowerLoss);
  const absl::Status status = machine_.Open();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(machine_.state().hard_state.commit, LogIndex(3));
}

TEST_F(RecoveryTest, ASectorThatCannotBeReadIsNamed) {
  MakeDirectory();
  const std::string path = machine_.LogFiles().front();
  ASSERT_TRUE(machine_.disk().BreakSector(path, 1024).ok());
  const absl::Status status = machine_.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(status.message(), path)) << status;
  EXPECT_TRUE(Says(status.message(), "offset 1024")) << status;
  EXPECT_TRUE(Says(status.message(), "etcdctl member remove")) << status;
}

TEST_F(RecoveryTest, OptionsOutOfRange) {
  OpenOptions options = Machine::DefaultOptions();
  options.segment_bytes = 1000;
  EXPECT_EQ(machine_.Open(options).code(), absl::StatusCode::kInvalidArgument);
  options = Machine::DefaultOptions();
  options.data_dir = "";
  EXPECT_EQ(machine_.Open(options).code(), absl::StatusCode::kInvalidArgument);
}

// Every byte of the log's files, a bit each: what was acknowledged is returned exactly,
// or the damage is found; and found it is wherever the log has data.
TEST_F(RecoveryTest, NoFlippedBitGoesUnseen) {
  ASSERT_TRUE(machine_.Open().ok());
  std::vector<raft::Entry> entries;
  for (uint64_t i = 1; i <= 14; ++i) {
    entries.push_back(NewEntry(i, 1, std::string(i * 61, static_cast<char>('a' + i))));
    ASSERT_TRUE(machine_.AppendAndWait({entries.back()}).ok());
    if (i != 7) continue;
    machine_.Crash(sim::CrashKind::kPowerLoss);
    ASSERT_TRUE(machine_.Open().ok());
  }
  machine_.Settle();
  machine_.Restart();
  const absl::StatusOr<StorageReport> report = machine_.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  uint64_t found = 0;
  for (const SegmentReport& segment : report->segments) {
    const std::string& path = segment.path;
    for (size_t at = 0; at < segment.file_bytes; at += 7) {
      Machine machine(at);
      machine.CopyDiskFrom(machine_);
      ASSERT_TRUE(machine.disk().FlipBit(path, at, static_cast<int>(at % 8)).ok());
      const absl::Status status = machine.Open();
      if (status.ok()) {
        ASSERT_EQ(machine.state().entries, entries) << path << " at " << at;
        ASSERT_GE(at, segment.log_bytes) << path << " at " << at;
      } else {
        ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
        ++found;
      }
    }
  }
  EXPECT_GT(found, 1000u);
}

// A sector, or a page of them, that was lost as a whole looks as if it had never been
// written. Only at the very end of the log that cannot be told from a crash.
TEST_F(RecoveryTest, NoMissingSectorsGoUnseen) {
  ASSERT_TRUE(machine_.Open().ok());
  for (uint64_t i = 1; i <= 60; ++i) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(i, 1, std::string(700, 'x'))}).ok());
  }
  machine_.Settle();
  machine_.Restart();
  const absl::StatusOr<StorageReport> report = machine_.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  uint64_t found = 0;
  for (const size_t lost : {512, 4096}) {
    for (const SegmentReport& segment : report->segments) {
      const std::string content = machine_.ReadFile(segment.path);
      for (size_t at = 0; at < segment.log_bytes; at += lost) {
        std::string damaged = content;
        const size_t end = std::min<size_t>(at + lost, content.size());
        std::fill(damaged.begin() + static_cast<ptrdiff_t>(at),
                  damaged.begin() + static_cast<ptrdiff_t>(end), '\0');
        machine_.WriteFile(segment.path, damaged);
        Machine machine(at);
        machine.CopyDiskFrom(machine_);
        const absl::Status status = machine.Open();
        if (status.ok()) {
          // The last write, and what lies beside it in the page.
          ASSERT_GE(end + 1024, segment.log_bytes) << segment.path << " at " << at;
          ASSERT_GE(machine.state().entries.size(), 60 - lost / 512);
        } else {
          ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
          ++found;
        }
      }
      machine_.WriteFile(segment.path, content);
    }
  }
  EXPECT_GT(found, 100u);
}

}  // namespace
}  // namespace quorate::storage
