// Damage of a checkpoint is found while the member runs, and repaired.
#include "storage/scrubber.h"

#include <memory>
#include <optional>
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
    StartScrubbing();
  }
  void TearDown() override { scrubber_.reset(); }

  void StartScrubbing() {
    machine_.Run([this] {
      scrubber_ = std::make_unique<Scrubber>(
          machine_.env().loop, machine_.env().disk, ScrubOptions{.data_dir = kDataDir},
          machine_.checkpoints(), machine_.wal(), [this](const ScrubDamage& damage) {
            damage_ = damage.what;
            if (damage.pack != 0) {
              packs_.push_back(damage.pack);
            } else if (damage.segment == 0) {
              ++manifests_;
              machine_.checkpoints()->GiveUpManifest();
            } else {
              segments_.push_back(damage.segment);
              machine_.wal()->GiveUp(damage.segment);
            }
          });
    });
  }

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
  std::vector<SegmentNumber> segments_;
  int manifests_ = 0;
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

// It is not worth keeping as the one before, either.
TEST_F(ScrubberTest, ADamagedManifestIsReplacedByTheNextCheckpoint) {
  const std::string path = "/data/m1/member/checkpoint/manifest";
  image_.index = LogIndex(2);
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(2, 1, "entry")}).ok());
  WriteCheckpoint();
  for (uint64_t index = 3; index <= 4; ++index) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(index, 1, "entry")}).ok());
  }
  ASSERT_TRUE(machine_.disk().FlipBit(path, 30, 3).ok());
  while (manifests_ == 0) machine_.Settle();
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), path)) << damage_;
  image_.index = LogIndex(4);
  WriteCheckpoint();
  EXPECT_EQ(machine_.checkpoints()->stats().repaired, 1u);
  EXPECT_EQ(machine_.checkpoints()->fallback_index(), LogIndex(1));
  const uint64_t damaged = scrubber_->stats().damaged;
  machine_.Settle();
  EXPECT_EQ(scrubber_->stats().damaged, damaged);
  scrubber_.reset();
  machine_.Crash(sim::CrashKind::kPowerLoss);
  const absl::StatusOr<StorageReport> report = machine_.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->verdict.ok()) << report->verdict;
  EXPECT_EQ(report->checkpoint, LogIndex(4));
  EXPECT_EQ(report->previous_checkpoint, LogIndex(1));
}

// As a disk leaves it that lost the rename, or took the directory's blocks for another file's.
TEST_F(ScrubberTest, AManifestThatIsNotTheNewestOnesIsDamage) {
  const std::string path = "/data/m1/member/checkpoint/manifest";
  const std::string earlier = machine_.ReadFile(path);
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(2, 1, "entry")}).ok());
  image_.index = LogIndex(2);
  WriteCheckpoint();
  const std::string newest = machine_.ReadFile(path);
  const auto put = [&](const std::string& content) {
    machine_.WriteFile(path, content);
    manifests_ = 0;
    machine_.Settle();
  };
  put(newest);
  EXPECT_EQ(manifests_, 0) << damage_;
  put(earlier);
  EXPECT_GT(manifests_, 0);
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), "earlier")) << damage_;
  absl::StatusOr<Manifest> manifest = DecodeManifest(Bytes::Copy(newest), path);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  manifest->identity.member_id = MemberId(0xb2);
  put(std::string(EncodeManifest(*manifest).view()));
  EXPECT_GT(manifests_, 0);
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), "another member's")) << damage_;
  WriteCheckpoint();
  manifests_ = 0;
  machine_.Settle();
  EXPECT_EQ(manifests_, 0) << damage_;
}

// Checkpoints of entries 2 and 5, none of which shares a segment with another; between them one of
// entry 4 that fails when the one of entry 2 has become the one before and nothing is the newest.
class HalfInstalledTest : public ScrubberTest {
 protected:
  void SetUp() override {
    ScrubberTest::SetUp();
    for (uint64_t index = 2; index <= 5; ++index) {
      ASSERT_TRUE(machine_.AppendAndWait({NewEntry(index, 1, "entry")}).ok());
    }
    RenewImage(2);
    WriteCheckpoint();
    of_entry_2_ = image_;
    int renames = 0;
    machine_.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
      return kind == sim::DiskOperation::kRename && ++renames == 2
                 ? absl::InternalError("rename: i/o error")
                 : absl::OkStatus();
    });
    RenewImage(4);
    absl::Status status;
    machine_.Run([&] {
      machine_.checkpoints()->Write(image_, Checkpoints::Origin::kLocal,
                                    [&](const absl::Status& done) { status = done; });
    });
    const uint64_t passes = scrubber_->stats().passes;
    while (scrubber_->stats().passes < passes + 5) machine_.Settle();
    machine_.disk().SetOperationFault(nullptr);
    ASSERT_EQ(status.code(), absl::StatusCode::kInternal);
    ASSERT_TRUE(absl::IsNotFound(machine_.disk().Peek(kManifest).status()));
  }
  void RenewImage(uint64_t index) {
    image_.index = LogIndex(index);
    for (engine::LogSegment& segment : image_.segments) segment.id += 100;
  }
  void CheckpointEntry5() {
    RenewImage(5);
    WriteCheckpoint();
    EXPECT_EQ(machine_.checkpoints()->fallback_index(), LogIndex(2));
    EXPECT_GT(machine_.checkpoints()->stats().kept_packs, 0u);
  }

  static constexpr char kManifest[] = "/data/m1/member/checkpoint/manifest";
  engine::StateImage of_entry_2_;
};

// It would not become the one before, in memory, that it already is on the disk, and its files
// would be removed.
TEST_F(HalfInstalledTest, AManifestThatIsNotThereYetIsNoDamage) {
  EXPECT_EQ(manifests_, 0) << damage_;
  EXPECT_EQ(scrubber_->stats().errors, 0u);
  CheckpointEntry5();
  const uint64_t bytes = scrubber_->stats().bytes;
  machine_.Settle();
  EXPECT_GT(scrubber_->stats().bytes, bytes);
  EXPECT_EQ(manifests_, 0) << damage_;
  scrubber_.reset();
  machine_.Restart();
  ASSERT_TRUE(machine_.disk().FlipBit(kManifest, 40, 3).ok());
  const absl::Status status = machine_.Open();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(machine_.state().checkpoint.has_value());
  EXPECT_EQ(machine_.state().checkpoint->index, LogIndex(2));
  EXPECT_EQ(machine_.state().checkpoint->segments, of_entry_2_.segments);
  EXPECT_EQ(machine_.state().last_index(), LogIndex(5));
}

TEST_F(HalfInstalledTest, WhatHasBecomeTheOneBeforeStaysItWhenItIsFoundDamaged) {
  machine_.checkpoints()->GiveUpManifest();
  CheckpointEntry5();
}

TEST_F(HalfInstalledTest, WhatHasBecomeTheOneBeforeStaysItWhenAPackOfItIsFoundDamaged) {
  for (const PlacedSegment& placed : machine_.checkpoints()->Segments()) {
    machine_.checkpoints()->GiveUp(placed.pack);
  }
  CheckpointEntry5();
}

TEST_F(ScrubberTest, ManifestsThatAreReplacedMeanwhileAreNoDamage) {
  for (uint64_t index = 2; index <= 60; ++index) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(index, 1, "entry")}).ok());
    image_.index = LogIndex(index);
    WriteCheckpoint();
  }
  EXPECT_GT(scrubber_->stats().passes, 20u);
  EXPECT_EQ(scrubber_->stats().damaged, 0u);
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

class LogScrubberTest : public ScrubberTest {
 protected:
  // Entries until there are several cold segments.
  void SetUp() override {
    ScrubberTest::SetUp();
    for (uint64_t index = 2; machine_.wal()->ColdSegments().size() < 3; ++index) {
      ASSERT_TRUE(machine_.AppendAndWait({NewEntry(index, 1, std::string(3000, 'e'))}).ok());
      last_ = LogIndex(index);
    }
    cold_ = machine_.wal()->ColdSegments()[1];
  }
  void CheckpointAll() {
    image_.index = last_;
    WriteCheckpoint();
  }

  LogIndex last_;
  ColdSegment cold_;
};

TEST_F(LogScrubberTest, ReadsColdSegments) {
  const uint64_t before = scrubber_->stats().bytes;
  uint64_t cold = 0;
  for (const ColdSegment& segment : machine_.wal()->ColdSegments()) cold += segment.log_bytes;
  ASSERT_GT(cold, 2 * 16 * 1024u * 9 / 10);
  const uint64_t passes = scrubber_->stats().passes;
  while (scrubber_->stats().passes < passes + 2) machine_.Settle();
  EXPECT_GE(scrubber_->stats().bytes - before, 2 * (cold + 9000));
  EXPECT_EQ(scrubber_->stats().log_damaged, 0u);
}

// Without the checkpoint it would cost the member all that it had acknowledged.
TEST_F(LogScrubberTest, DamageIsFoundWhileTheMemberStillHasWhatTheSegmentHeld) {
  for (const uint64_t offset : {uint64_t{100}, uint64_t{700}, cold_.log_bytes - 1}) {
    SCOPED_TRACE(offset);
    ASSERT_TRUE(machine_.disk().FlipBit(cold_.path, offset, 5).ok());
    Machine unwarned(2);
    unwarned.CopyDiskFrom(machine_);
    EXPECT_TRUE(absl::IsDataLoss(unwarned.Open()));
    ASSERT_TRUE(machine_.disk().FlipBit(cold_.path, offset, 5).ok());
  }
  ASSERT_TRUE(machine_.disk().FlipBit(cold_.path, 700, 5).ok());
  machine_.Settle();
  ASSERT_FALSE(segments_.empty());
  EXPECT_EQ(segments_.front(), cold_.segment);
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), cold_.path + ": damaged at offset 512"))
      << damage_;
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u);
  EXPECT_EQ(scrubber_->stats().log_repaired, 0u);
  CheckpointAll();
  machine_.Settle();
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u) << "once, not at each pass";
  EXPECT_EQ(scrubber_->stats().log_repaired, 1u);
  scrubber_.reset();
  machine_.Crash(sim::CrashKind::kPowerLoss);
  const absl::Status status = machine_.Open();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(machine_.state().last_index(), last_);
  ASSERT_TRUE(machine_.state().checkpoint.has_value());
  EXPECT_EQ(machine_.state().checkpoint->index, last_);
}

// A start could do nothing about it: the log ends there, acknowledged entries and all.
TEST_F(LogScrubberTest, TheSegmentThatIsBeingWrittenToIsLeftAndACheckpointStandsForIt) {
  const std::optional<ColdSegment> open = machine_.wal()->OpenSegment();
  ASSERT_TRUE(open.has_value());
  ASSERT_GT(open->log_bytes, 1024u);
  ASSERT_EQ(open->last_index, last_);
  ASSERT_TRUE(machine_.disk().FlipBit(open->path, 700, 5).ok());
  Machine unwarned(2);
  unwarned.CopyDiskFrom(machine_);
  EXPECT_TRUE(absl::IsDataLoss(unwarned.Open()));
  while (segments_.empty()) machine_.Settle();
  EXPECT_EQ(segments_.front(), open->segment);
  machine_.Settle();
  ASSERT_TRUE(machine_.wal()->OpenSegment().has_value());
  EXPECT_GT(machine_.wal()->OpenSegment()->segment, open->segment) << "though nothing was appended";
  EXPECT_TRUE(machine_.wal()->HoldsCold(open->segment));
  EXPECT_EQ(scrubber_->stats().log_repaired, 0u);
  CheckpointAll();
  machine_.Settle();
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u);
  EXPECT_EQ(scrubber_->stats().log_repaired, 1u);
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(last_.value() + 1, 1, "entry")}).ok());
  scrubber_.reset();
  machine_.Crash(sim::CrashKind::kPowerLoss);
  const absl::Status status = machine_.Open();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(machine_.state().last_index(), last_ + 1);
}

// The pass saw it while it was written to; by now the header of the next one is under way, and
// slow.
TEST_F(LogScrubberTest, TheSegmentThatIsJustBeingLeftIsGivenUpToItsEnd) {
  CheckpointAll();
  const auto spare = [this] {
    machine_.Run([this] { machine_.wal()->Cut(last_); });  // the next segment takes it
    machine_.Settle();
  };
  spare();
  const std::optional<ColdSegment> before = machine_.wal()->OpenSegment();
  ASSERT_TRUE(before.has_value());
  ASSERT_GT(before->log_bytes, 3'000u);
  ASSERT_LT(before->log_bytes, 10'000u);
  const uint64_t passes = scrubber_->stats().passes;
  while (scrubber_->stats().passes == passes) ASSERT_TRUE(machine_.RunOne());
  ++last_;
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(last_.value(), 1, std::string(1000, 'e'))}).ok());
  ASSERT_EQ(machine_.wal()->OpenSegment()->segment, before->segment);
  sim::DiskOptions slow_syncs;
  slow_syncs.sync_min = Seconds(30);
  machine_.disk().SetOptions(slow_syncs);
  const raft::Entry next = NewEntry(last_.value() + 1, 1, std::string(13'000, 'e'));
  bool answered = false;
  machine_.Run([&] {
    machine_.wal()->Append({&next, 1}, nullptr, true,
                           [&](const absl::Status& status) { answered = status.ok(); });
  });
  while (machine_.wal()->OpenSegment().has_value()) ASSERT_TRUE(machine_.RunOne());
  machine_.disk().SetOptions(sim::DiskOptions());  // only that one is slow
  EXPECT_EQ(machine_.wal()->LastIndexOf(before->segment), last_);
  ASSERT_TRUE(machine_.disk().FlipBit(before->path, 700, 5).ok());
  while (segments_.empty()) ASSERT_TRUE(machine_.RunOne());
  ASSERT_FALSE(answered) << "it is left already";
  EXPECT_EQ(segments_.front(), before->segment);
  machine_.Settle();
  ASSERT_TRUE(answered);
  EXPECT_EQ(machine_.wal()->LastIndexOf(before->segment), last_);
  EXPECT_EQ(scrubber_->stats().log_repaired, 0u) << "the checkpoint ends before it does";
  CheckpointAll();
  machine_.Settle();
  EXPECT_EQ(scrubber_->stats().log_repaired, 1u);
  spare();
  EXPECT_FALSE(machine_.wal()->HoldsCold(before->segment));
  EXPECT_EQ(machine_.wal()->LastIndexOf(before->segment), std::nullopt);
  for (const std::string& path : machine_.LogFiles()) EXPECT_NE(path, before->path);
}

// What waited to be written is forgotten then: it does not tell any more where the segment ends.
TEST_F(LogScrubberTest, ALogThatHasFailedHasNoOpenSegmentAndRepairsNothing) {
  const std::optional<ColdSegment> open = machine_.wal()->OpenSegment();
  ASSERT_TRUE(open.has_value());
  ASSERT_TRUE(machine_.disk().FlipBit(open->path, 700, 5).ok());
  while (segments_.empty()) ASSERT_TRUE(machine_.RunOne());
  machine_.disk().FailNextSyncs(1);
  machine_.Settle();
  ASSERT_FALSE(machine_.wal()->status().ok());
  EXPECT_FALSE(machine_.wal()->OpenSegment().has_value());
  EXPECT_EQ(machine_.wal()->LastIndexOf(open->segment), std::nullopt);
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u);
  EXPECT_EQ(scrubber_->stats().log_repaired, 0u);
}

// What is written behind the part that is checked is none of the check's business.
TEST_F(LogScrubberTest, ASegmentThatGrowsWhileItIsReadIsNoDamage) {
  const uint64_t passes = scrubber_->stats().passes;
  for (uint64_t index = last_.value() + 1; scrubber_->stats().passes < passes + 30; ++index) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(index, 1, "entry")}).ok());
    for (int i = 0; i < 40; ++i) machine_.RunOne();
  }
  EXPECT_EQ(scrubber_->stats().log_damaged, 0u);
}

// As when the segment's last entries are not committed yet: the checkpoint can not have them.
TEST_F(LogScrubberTest, ACheckpointThatEndsBeforeTheDamagedSegmentHasAnotherOneAskedFor) {
  const auto passes = [this](uint64_t more) {
    const uint64_t before = scrubber_->stats().passes;
    while (scrubber_->stats().passes < before + more) machine_.Settle();
  };
  ASSERT_TRUE(machine_.disk().FlipBit(cold_.path, 700, 5).ok());
  while (segments_.empty()) passes(1);
  image_.index = LogIndex(cold_.last_index.value() - 1);
  WriteCheckpoint();
  segments_.clear();
  damage_ = absl::OkStatus();
  passes(2);
  ASSERT_FALSE(segments_.empty()) << "nothing would ever stand for it";
  EXPECT_EQ(segments_.front(), cold_.segment);
  EXPECT_TRUE(absl::StrContains(damage_.ToString(), cold_.path + ": damaged at offset 512"))
      << damage_;
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u) << "counted once";
  EXPECT_EQ(scrubber_->stats().log_repaired, 0u);
  CheckpointAll();
  passes(1);
  EXPECT_EQ(scrubber_->stats().log_repaired, 1u);
  segments_.clear();
  passes(2);
  EXPECT_TRUE(segments_.empty()) << "no more once it is repaired";
  EXPECT_EQ(scrubber_->stats().log_repaired, 1u);
}

// That of a member which voted many times before it got its first entry.
TEST_F(ScrubberTest, ADamagedSegmentOfTheLogWithoutEntriesIsRepairedByTheFirstCheckpoint) {
  scrubber_.reset();
  machine_.CopyDiskFrom(Machine(2));
  ASSERT_TRUE(machine_.Open().ok());
  for (uint64_t term = 1; machine_.wal()->ColdSegments().empty(); ++term) {
    ASSERT_LT(term, 100u);
    const raft::HardState voted{Term(term), MemberId(3), LogIndex(0)};
    ASSERT_TRUE(machine_.AppendAndWait({}, voted).ok());
  }
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(1, 100, "entry")}).ok());
  const ColdSegment cold = machine_.wal()->ColdSegments()[0];
  ASSERT_EQ(cold.last_index, LogIndex(0));
  StartScrubbing();
  ASSERT_TRUE(machine_.disk().FlipBit(cold.path, 700, 5).ok());
  while (segments_.empty()) machine_.Settle();
  EXPECT_EQ(scrubber_->stats().log_repaired, 0u);
  WriteCheckpoint();
  machine_.Settle();
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u);
  EXPECT_EQ(scrubber_->stats().log_repaired, 1u);
}

TEST_F(LogScrubberTest, ASectorOfTheLogThatCannotBeReadIsDamage) {
  ASSERT_TRUE(machine_.disk().BreakSector(cold_.path, 2048).ok());
  machine_.Settle();
  ASSERT_FALSE(segments_.empty());
  EXPECT_EQ(segments_.front(), cold_.segment);
  EXPECT_EQ(scrubber_->stats().log_damaged, 1u);
  EXPECT_EQ(scrubber_->stats().errors, 3u);
}

// What the disk has lost once is not trusted with the log again.
TEST_F(LogScrubberTest, ADamagedSegmentIsNotRecycled) {
  ASSERT_TRUE(machine_.disk().FlipBit(cold_.path, 700, 5).ok());
  machine_.Settle();
  CheckpointAll();
  const std::vector<ColdSegment> cold = machine_.wal()->ColdSegments();
  machine_.Run([this] { machine_.wal()->Cut(cold_.last_index); });
  machine_.Settle();
  for (const std::string& path : machine_.LogFiles()) EXPECT_NE(path, cold_.path);
  EXPECT_FALSE(machine_.wal()->HoldsCold(cold_.segment));
  EXPECT_TRUE(machine_.wal()->HoldsCold(cold.back().segment));
}

}  // namespace
}  // namespace quorate::storage
