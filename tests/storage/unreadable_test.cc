// What the disk does not read at a start: an error that passes costs nothing but time; what stays
// unreadable is damage, and what is acknowledged comes from elsewhere or the start is refused.
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/storage/history.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

constexpr char kManifest[] = "/data/m1/member/checkpoint/manifest";
// Longer than anything takes that is not waited for on purpose.
constexpr Duration kPause = Milliseconds(100);

bool Says(const absl::Status& status, absl::string_view text) {
  return absl::StrContains(absl::string_view(status.message().data(), status.message().size()),
                           text);
}

absl::btree_map<std::string, std::string> Files(const Machine& machine) {
  absl::btree_map<std::string, std::string> files;
  for (const std::string& path : machine.disk().Files()) files[path] = machine.ReadFile(path);
  return files;
}

// A member's directory with a log that was cut and two checkpoints.
class UnreadableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(machine_.Open().ok());
    for (int i = 0; i < 40 || machine_.CheckpointFiles().size() < 4; ++i) {
      machine_.Run([&] {
        history_.Append(machine_.wal());
        if (i < 38) history_.Checkpoint(machine_.wal(), machine_.checkpoints(), 0);
      });
      machine_.Settle();
    }
    machine_.Restart();
    ASSERT_TRUE(machine_.Open().ok());
    ASSERT_EQ(history_.Check(machine_.state()), "");
    machine_.Settle();
    newest_ = machine_.state().checkpoint->index;
    machine_.Restart();
  }
  static bool Reads(sim::DiskOperation kind) {
    return kind == sim::DiskOperation::kRead || kind == sim::DiskOperation::kOpen ||
           kind == sim::DiskOperation::kList;
  }

  Machine machine_{1};
  History history_{1};
  LogIndex newest_;
};

// Above all the newest checkpoint stays the newest.
TEST_F(UnreadableTest, AnErrorThatPassesCostsNothing) {
  uint64_t again = 0;
  uint64_t refused = 0;
  for (uint64_t number = 1;; ++number) {
    Machine copy(2);
    copy.CopyDiskFrom(machine_);
    uint64_t read = 0;
    copy.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
      if (!Reads(kind) || ++read != number) return absl::OkStatus();
      return absl::DataLossError("read /injected: i/o error");
    });
    const absl::Status status = copy.Open();
    if (read < number) break;
    refused += !status.ok();
    if (!status.ok()) continue;
    const RecoveredState& found = copy.state();
    ASSERT_EQ(history_.Check(found), "") << number;
    ASSERT_EQ(found.checkpoint->index, newest_) << number;
    if (found.notes.empty()) continue;
    EXPECT_FALSE(absl::StrContains(found.notes[0].message, "cannot be used")) << number;
    again += absl::StrContains(found.notes[0].message, "tried again");
  }
  EXPECT_GT(again, 10u);
  // Files that a start makes anew are opened, too; an error there is none of reading.
  EXPECT_LE(refused, 2u);
}

// A sync that failed is final, though what could not be read is read again and synced once more.
TEST_F(UnreadableTest, AFailedSyncBesideItIsNotForgotten) {
  uint64_t refused = 0;
  for (uint64_t number = 1; number < 20; ++number) {
    Machine copy(2);
    copy.CopyDiskFrom(machine_);
    uint64_t synced = 0;
    bool unread = false;
    copy.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
      if (kind == sim::DiskOperation::kRead && !std::exchange(unread, true)) {
        return absl::DataLossError("read /injected: i/o error");
      }
      const bool syncs =
          kind == sim::DiskOperation::kSync || kind == sim::DiskOperation::kWriteAndSync;
      if (!syncs || ++synced != number) return absl::OkStatus();
      return absl::InternalError("fdatasync /injected: i/o error");
    });
    const absl::Status status = copy.Open();
    if (synced < number) break;
    EXPECT_FALSE(status.ok()) << "sync " << number;
    ++refused;
  }
  EXPECT_GE(refused, 2u);
}

// A start asks three times more; then the one before counts, and nothing is lost by that: the log
// reaches back to it.
TEST_F(UnreadableTest, ANewestManifestThatStaysSoIsMadeGoodFromTheOneBefore) {
  ASSERT_TRUE(machine_.disk().BreakSector(kManifest, 0).ok());
  const Instant begun = machine_.env().loop->Now();
  const absl::Status status = machine_.Open();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_GT(machine_.env().loop->Now() - begun, kPause * 10);
  ASSERT_EQ(machine_.state().notes.size(), 1u);
  EXPECT_TRUE(absl::StrContains(machine_.state().notes[0].message,
                                absl::StrCat(kManifest, ": damaged at offset 0: the file cannot")))
      << machine_.state().notes[0].message;
  EXPECT_LT(machine_.state().checkpoint->index, newest_);
  EXPECT_EQ(history_.CheckLog(machine_.state()), "");
  machine_.Settle();
  machine_.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine_.Open().ok());
  EXPECT_TRUE(machine_.state().notes.empty());
  EXPECT_EQ(history_.CheckLog(machine_.state()), "");
}

// It comes back while the start waits.
TEST_F(UnreadableTest, ANewestManifestThatComesBackCounts) {
  ASSERT_TRUE(machine_.disk().BreakSector(kManifest, 0).ok());
  const Instant begun = machine_.env().loop->Now();
  machine_.StartOpen();
  while (machine_.env().loop->Now() - begun < kPause * 5) ASSERT_TRUE(machine_.RunOne());
  ASSERT_FALSE(machine_.open_finished());
  machine_.disk().MendSectors();
  while (!machine_.open_finished()) ASSERT_TRUE(machine_.RunOne());
  ASSERT_TRUE(machine_.TakeOpened().ok());
  EXPECT_EQ(machine_.state().checkpoint->index, newest_);
  EXPECT_EQ(history_.Check(machine_.state()), "");
}

// Whatever cannot be opened, however often it is asked for: what else there is to start from is
// what a start goes on from, as with what is damaged.
TEST_F(UnreadableTest, ACheckpointThatCannotBeOpenedIsMadeGoodFromTheOneBefore) {
  uint64_t fell_back = 0;
  for (uint64_t number = 1;; ++number) {
    Machine copy(2);
    copy.CopyDiskFrom(machine_);
    uint64_t opened = 0;
    bool failed = false;
    Instant last = copy.env().loop->Now();
    copy.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
      const Instant now = copy.env().loop->Now();
      if (now - last > kPause) opened = 1;  // all is read again, but for meta
      last = now;
      if (kind != sim::DiskOperation::kOpen || ++opened != number) return absl::OkStatus();
      failed = true;
      return absl::DataLossError("open: structure needs cleaning");
    });
    const absl::Status status = copy.Open();
    if (!failed) break;
    if (!status.ok()) {
      ASSERT_TRUE(absl::IsDataLoss(status)) << number << ": " << status;
      continue;
    }
    ASSERT_EQ(history_.CheckLog(copy.state()), "") << number;
    if (copy.state().notes.empty()) continue;
    if (copy.state().notes[0].file == kMetaFile) continue;  // no part of the checkpoint
    ++fell_back;
    EXPECT_TRUE(absl::StrContains(copy.state().notes[0].message, "/checkpoint/")) << number;
  }
  EXPECT_GE(fell_back, 2u) << "the manifest, and a file that it refers to";
}

TEST_F(UnreadableTest, ASectorOfTheLogThatStaysSoIsNamedAndNothingIsChanged) {
  const std::string path = machine_.LogFiles().back();
  ASSERT_TRUE(machine_.disk().BreakSector(path, 0).ok());
  const auto before = Files(machine_);
  const absl::Status status = machine_.Open();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(Says(status, absl::StrCat(path, ": damaged at offset 0"))) << status;
  EXPECT_TRUE(Says(status, "etcdctl member remove")) << status;
  EXPECT_EQ(Files(machine_), before);
  machine_.Restart();
  machine_.disk().MendSectors();
  ASSERT_TRUE(machine_.Open().ok());
  EXPECT_EQ(history_.Check(machine_.state()), "");
}

TEST_F(UnreadableTest, MetaIsWrittenAnewAndRefusedInFullIfNothingElseTells) {
  ASSERT_TRUE(machine_.disk().BreakSector(kMetaFile, 0).ok());
  Machine copy(2);
  copy.CopyDiskFrom(machine_);
  ASSERT_TRUE(copy.Open().ok());
  EXPECT_EQ(history_.Check(copy.state()), "");
  for (const std::string& path : machine_.LogFiles()) machine_.RemoveFile(path);
  for (const std::string& path : machine_.CheckpointFiles()) machine_.RemoveFile(path);
  const auto before = Files(machine_);
  const absl::Status status = machine_.Open();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(Says(status, absl::StrCat(kMetaFile, ": damaged at offset 0"))) << status;
  EXPECT_TRUE(Says(status, "etcdctl member remove")) << status;
  machine_.Restart();
  EXPECT_EQ(Files(machine_), before);
}

}  // namespace
}  // namespace quorate::storage
