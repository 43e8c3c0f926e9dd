// Damage of a checkpoint is found while the member runs, and repaired.
#include "storage/scrubber.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

class ScrubberTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(machine_.Open().ok());
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(1, 1, "entry")}).ok());
    image_.index = LogIndex(1);
    image_.term = Term(1);
    image_.sections = Bytes::Copy("sections");
    for (uint64_t id = 1; id <= 9; ++id) {
      image_.segments.push_back(
          {id, Revision(static_cast<int64_t>(id)), Bytes::Copy(std::string(1000, 'a')), {}});
    }
    WriteCheckpoint();
    machine_.Run([this] {
      scrubber_ = std::make_unique<Scrubber>(
          machine_.env().loop, machine_.env().disk, ScrubOptions{.data_dir = kDataDir},
          machine_.checkpoints(), [this](PackNumber pack, const absl::Status& damage) {
            packs_.push_back(pack);
            damage_ = damage;
          });
    });
  }
  void TearDown() override { scrubber_.reset(); }

  void WriteCheckpoint() {
    absl::Status status = absl::UnknownError("no answer");
    machine_.Run([&] {
      machine_.checkpoints()->Write(image_, Checkpoints::Origin::kLocal,
                                    [&](const absl::Status& done) { status = done; });
    });
    machine_.Settle();
    ASSERT_TRUE(status.ok()) << status;
  }
  std::string FirstPack() const {
    for (const std::string& file : machine_.CheckpointFiles()) {
      if (absl::EndsWith(file, ".seg")) return file;
    }
    return "";
  }

  Machine machine_{1};
  engine::StateImage image_;
  std::unique_ptr<Scrubber> scrubber_;
  std::vector<PackNumber> packs_;
  absl::Status damage_;
};

TEST_F(ScrubberTest, ReadsEverythingAgainAndAgain) {
  machine_.Settle();
  EXPECT_GE(scrubber_->stats().passes, 2u);
  EXPECT_GE(scrubber_->stats().bytes, 2 * 9000u);
  EXPECT_EQ(scrubber_->stats().damaged, 0u);
}

TEST_F(ScrubberTest, DamageIsFoundAndTheNextCheckpointRepairsIt) {
  const std::string path = FirstPack();
  ASSERT_TRUE(machine_.disk().FlipBit(path, 1500, 3).ok());
  machine_.Settle();
  ASSERT_FALSE(packs_.empty());
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), path)) << damage_;
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), "offset 1000")) << damage_;
  machine_.checkpoints()->GiveUp(packs_.front());
  WriteCheckpoint();
  EXPECT_EQ(machine_.checkpoints()->stats().repaired, 1u);
  const uint64_t damaged = scrubber_->stats().damaged;
  machine_.Settle();
  EXPECT_EQ(scrubber_->stats().damaged, damaged);
  scrubber_.reset();
  machine_.Crash(sim::CrashKind::kPowerLoss);
  const absl::Status status = machine_.Open();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(machine_.state().checkpoint.has_value());
  EXPECT_EQ(machine_.state().checkpoint->segments, image_.segments);
}

// Not at once: it is tried again.
TEST_F(ScrubberTest, ASectorThatCannotBeReadAgainAndAgainIsDamage) {
  ASSERT_TRUE(machine_.disk().BreakSector(FirstPack(), 600).ok());
  machine_.Settle();
  EXPECT_GT(scrubber_->stats().damaged, 0u);
  EXPECT_EQ(scrubber_->stats().errors, 3 * scrubber_->stats().damaged);
}

TEST_F(ScrubberTest, AnErrorThatPassesIsNoDamage) {
  for (const absl::Status& error :
       {absl::DataLossError("read: i/o error"), absl::InternalError("open: too many open files"),
        absl::PermissionDeniedError("open: permission denied")}) {
    for (const sim::DiskOperation which : {sim::DiskOperation::kOpen, sim::DiskOperation::kRead}) {
      int times = 2;
      const uint64_t errors = scrubber_->stats().errors;
      const uint64_t passes = scrubber_->stats().passes;
      machine_.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
        return kind == which && times-- > 0 ? error : absl::OkStatus();
      });
      machine_.Settle();
      machine_.disk().SetOperationFault(nullptr);
      EXPECT_EQ(scrubber_->stats().errors, errors + 2) << error;
      EXPECT_GT(scrubber_->stats().passes, passes) << error;
    }
  }
  EXPECT_EQ(scrubber_->stats().damaged, 0u);
}

// They say nothing about the bytes, however often they come.
TEST_F(ScrubberTest, OtherErrorsAreNeverDamage) {
  machine_.disk().SetOperationFault([](uint64_t, sim::DiskOperation kind) -> absl::Status {
    return kind == sim::DiskOperation::kOpen ? absl::InternalError("too many open files")
                                             : absl::OkStatus();
  });
  machine_.Settle();
  EXPECT_GT(scrubber_->stats().errors, 5u);
  EXPECT_EQ(scrubber_->stats().damaged, 0u);
  machine_.disk().SetOperationFault(nullptr);
  const uint64_t bytes = scrubber_->stats().bytes;
  machine_.Settle();
  EXPECT_GT(scrubber_->stats().bytes, bytes);
}

}  // namespace
}  // namespace quorate::storage
