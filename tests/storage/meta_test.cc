// A damaged file `meta`: what the log and the checkpoints say takes its place, or nothing does.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "storage/data_dir.h"
#include "storage/segment.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

bool Says(const absl::Status& status, absl::string_view text) {
  return absl::StrContains(absl::string_view(status.message().data(), status.message().size()),
                           text);
}

class MetaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(machine_.Open().ok());
    for (uint64_t i = 1; i <= 3; ++i) {
      ASSERT_TRUE(machine_.AppendAndWait({NewEntry(i, 1, "entry")}).ok());
    }
    machine_.Settle();
    machine_.Restart();
    meta_ = machine_.ReadFile(kMetaFile);
  }
  std::vector<std::string> Damages() const {
    std::string flipped = meta_;
    flipped[20] = static_cast<char>(flipped[20] ^ 4);
    return {std::string(), meta_.substr(0, 100), meta_ + "x", std::string(512, '\0'), flipped};
  }
  void ExpectRefused() {
    const absl::Status status = machine_.Open();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_TRUE(Says(status, kMetaFile)) << status;
    EXPECT_TRUE(Says(status, "member remove")) << status;
    EXPECT_FALSE(Says(status, "A start gets it back")) << "no start can";
    EXPECT_EQ(machine_.Peek().status().code(), absl::StatusCode::kDataLoss);
    machine_.Restart();
  }

  Machine machine_{1};
  std::string meta_;
};

TEST_F(MetaTest, NoFlippedBitIsTakenForAnIdentity) {
  for (size_t at = 0; at < meta_.size(); ++at) {
    std::string flipped = meta_;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    EXPECT_FALSE(DecodeMeta(flipped, kMetaFile).ok()) << at;
  }
}

TEST_F(MetaTest, ADamagedOneIsWrittenAnewAsTheLogSays) {
  for (const std::string& damaged : Damages()) {
    machine_.WriteFile(kMetaFile, damaged);
    const absl::StatusOr<Identity> identity = machine_.Peek();
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(*identity, (Identity{kCluster, kMember}));
    EXPECT_EQ(machine_.ReadFile(kMetaFile), damaged) << "a look changes nothing";
    const absl::Status status = machine_.Open();
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(machine_.state().last_index(), LogIndex(3));
    ASSERT_EQ(machine_.state().notes.size(), 1u);
    EXPECT_EQ(machine_.state().notes.front().file, kMetaFile);
    EXPECT_EQ(machine_.ReadFile(kMetaFile), meta_);
    machine_.Crash(sim::CrashKind::kPowerLoss);
    ASSERT_TRUE(machine_.Open().ok());
    EXPECT_TRUE(machine_.state().notes.empty());
    EXPECT_EQ(machine_.ReadFile(kMetaFile), meta_);
    machine_.Restart();
  }
}

TEST_F(MetaTest, APowerLossWhileItIsWrittenAnewLosesNothing) {
  machine_.WriteFile(kMetaFile, meta_.substr(0, 100));
  Machine whole(1);
  whole.CloneDiskFrom(machine_, nullptr);
  const uint64_t before = whole.disk().operations();
  ASSERT_TRUE(whole.Open().ok());
  const uint64_t operations = whole.disk().operations() - before;
  for (uint64_t at = 1; at <= operations; ++at) {
    Machine machine(at);
    machine.CloneDiskFrom(machine_, nullptr);
    const uint64_t first = machine.disk().operations();
    bool now = false;
    machine.disk().SetOperationHook([&](uint64_t number, sim::DiskOperation) {
      if (number >= first + at) now = true;
    });
    machine.StartOpen();
    while (!now && !machine.open_finished()) CHECK(machine.RunOne());
    machine.disk().SetOperationHook(nullptr);
    machine.Crash(sim::CrashKind::kPowerLoss);
    const absl::Status status = machine.Open();
    ASSERT_TRUE(status.ok()) << status << " operation " << at;
    EXPECT_EQ(machine.state().last_index(), LogIndex(3));
    EXPECT_EQ(machine.ReadFile(kMetaFile), meta_);
  }
}

// A directory of another member is refused as ever, by what its log says.
TEST_F(MetaTest, ItIsNotGivenToAnotherMember) {
  machine_.WriteFile(kMetaFile, meta_ + "x");
  OpenOptions options = Machine::DefaultOptions();
  options.member_id = MemberId(0xb2);
  const absl::Status status = machine_.Open(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(Says(status, "member a1")) << status;
  EXPECT_EQ(machine_.ReadFile(kMetaFile), meta_ + "x");
}

TEST_F(MetaTest, ItIsRefusedIfNothingElseTells) {
  for (const std::string& path : machine_.LogFiles()) machine_.RemoveFile(path);
  for (const std::string& damaged : Damages()) {
    machine_.WriteFile(kMetaFile, damaged);
    ExpectRefused();
  }
}

TEST_F(MetaTest, ItIsRefusedIfTheLogDoesNotAgree) {
  const std::string other = std::string(kLogDir) + "/" + SegmentName(99);
  std::string sector(io::kSectorBytes, '\0');
  EncodeSegmentHeader(99, {.cluster_id = kCluster, .member_id = MemberId(0xb2)}, sector.data());
  machine_.WriteFile(other, sector);
  machine_.WriteFile(kMetaFile, meta_ + "x");
  ExpectRefused();
  EXPECT_EQ(machine_.ReadFile(kMetaFile), meta_ + "x");
}

TEST_F(MetaTest, AnInspectionTellsThatAStartWritesItAnew) {
  machine_.WriteFile(kMetaFile, meta_ + "x");
  const absl::StatusOr<StorageReport> report = machine_.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->verdict.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(report->verdict, kMetaFile)) << report->verdict;
  EXPECT_TRUE(report->repairable);
  EXPECT_EQ(report->last_index, LogIndex(3));
  EXPECT_EQ(machine_.ReadFile(kMetaFile), meta_ + "x");
}

}  // namespace
}  // namespace quorate::storage
