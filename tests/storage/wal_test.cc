// How the log groups, orders, acknowledges and fails.
#include "storage/wal.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

class WalTest : public ::testing::Test {
 protected:
  void Open(const OpenOptions& options = Machine::DefaultOptions()) {
    const absl::Status status = machine_.Open(options);
    ASSERT_TRUE(status.ok()) << status;
    machine_.Settle();  // the next segment is ready
  }
  Wal::Callback Note(const std::string& name) {
    return [this, name](const absl::Status& status) {
      answers_.push_back(status.ok() ? name : absl::StrCat(name, " failed"));
      last_status_ = status;
    };
  }
  void AppendEntry(const std::string& name, size_t bytes = 10) {
    const raft::Entry entry = NewEntry(++last_index_, 1, std::string(bytes, 'x'));
    machine_.wal()->Append({&entry, 1}, nullptr, true, Note(name));
  }
  uint64_t writes() { return machine_.wal()->stats().writes; }

  Machine machine_{1};
  uint64_t last_index_ = 0;
  std::vector<std::string> answers_;
  absl::Status last_status_;
};

TEST_F(WalTest, WhatATurnAppendsIsOneWrite) {
  Open();
  machine_.Run([this] {
    for (int i = 0; i < 20; ++i) AppendEntry(absl::StrCat(i));
    EXPECT_TRUE(answers_.empty());
  });
  machine_.Settle();
  EXPECT_EQ(writes(), 1u);
  ASSERT_EQ(answers_.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(answers_[i], absl::StrCat(i));
}

TEST_F(WalTest, WhatGathersDuringASyncIsTheNextWrite) {
  Open();
  machine_.Run([this] { AppendEntry("first"); });
  // Each as a turn of its own, all while the first write is on its way.
  for (int i = 0; i < 10; ++i) machine_.Run([this, i] { AppendEntry(absl::StrCat(i)); });
  EXPECT_NE(machine_.wal()->write_in_flight_since(), Instant::Infinite());
  EXPECT_GT(machine_.wal()->unsynced_bytes(), 0u);
  machine_.Settle();
  EXPECT_EQ(writes(), 2u);
  EXPECT_EQ(answers_.size(), 11u);
  EXPECT_EQ(machine_.wal()->unsynced_bytes(), 0u);
  EXPECT_EQ(machine_.wal()->write_in_flight_since(), Instant::Infinite());
}

// Two groups that waited for each other's syncs would each go along with every second one.
TEST_F(WalTest, WhoAppendsAgainInTheAnswerGoesAlongWithTheNextWrite) {
  Open();
  int left = 40;
  std::function<void(const absl::Status&)> again = [&](const absl::Status& status) {
    ASSERT_TRUE(status.ok());
    if (left-- <= 0) return;
    const raft::Entry entry = NewEntry(++last_index_, 1, "x");
    machine_.wal()->Append({&entry, 1}, nullptr, true, again);
  };
  machine_.Run([&] { again(absl::OkStatus()); });
  // While the first is on its way; from now on it takes turns with the others.
  machine_.Run([&] {
    for (int i = 0; i < 3; ++i) again(absl::OkStatus());
  });
  machine_.Settle();
  EXPECT_EQ(last_index_, 40u);
  // One, then all four at a time.
  EXPECT_EQ(writes(), 1u + 10);
}

TEST_F(WalTest, ACommitIndexCostsNoSync) {
  Open();
  const raft::HardState voted{Term(1), MemberId(2), LogIndex(0)};
  machine_.Run([&] {
    machine_.wal()->Append({}, &voted, true, Note("vote"));
    AppendEntry("entry");
    const raft::HardState commit{Term(1), MemberId(2), LogIndex(1)};
    machine_.wal()->Append({}, &commit, false, Note("commit"));
  });
  machine_.Settle();
  EXPECT_EQ(writes(), 1u);
  EXPECT_EQ(answers_, (std::vector<std::string>{"vote", "entry", "commit"}));
  const uint64_t syncs_before = machine_.disk().operations();
  machine_.Run([&] {
    const raft::HardState commit{Term(1), MemberId(2), LogIndex(1)};
    machine_.wal()->Append({}, &commit, false, Note("idle"));
    EXPECT_NE(answers_.back(), "idle");  // never from inside the call
  });
  machine_.Settle();
  EXPECT_EQ(answers_.back(), "idle");
  EXPECT_EQ(machine_.disk().operations(), syncs_before);
  // The next write carries it.
  machine_.Run([this] { AppendEntry("second"); });
  machine_.Settle();
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open();
  EXPECT_EQ(machine_.state().hard_state, (raft::HardState{Term(1), MemberId(2), LogIndex(1)}));
  EXPECT_EQ(machine_.state().entries.size(), 2u);
}

TEST_F(WalTest, AnEntryReplacesTheTailFromItsIndexOn) {
  Open();
  ASSERT_TRUE(machine_
                  .AppendAndWait({NewEntry(1, 1, "a"), NewEntry(2, 1, "b"), NewEntry(3, 1, "c"),
                                  NewEntry(4, 1, "d")})
                  .ok());
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(2, 2, "B")}).ok());
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open();
  EXPECT_EQ(machine_.state().entries,
            (std::vector<raft::Entry>{NewEntry(1, 1, "a"), NewEntry(2, 2, "B")}));
  // And the log goes on from there.
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(3, 2, "C")}).ok());
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open();
  EXPECT_EQ(machine_.state().last_index(), LogIndex(3));
}

TEST_F(WalTest, EntriesOfAllTypesAndNoDataComeBack) {
  Open();
  std::vector<raft::Entry> entries = {NewEntry(1, 1, ""), NewEntry(2, 1, "change"),
                                      NewEntry(3, 2, std::string(10 * limits::kMiB, 'z')),
                                      NewEntry(4, 2, std::string("\0\n\xff", 3))};
  entries[1].type = raft::EntryType::kConfChange;
  entries[3].type = raft::EntryType::kConfChangeV2;
  ASSERT_TRUE(machine_.AppendAndWait(entries).ok());
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(5, 2, "after")}).ok());
  entries.push_back(NewEntry(5, 2, "after"));
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open();
  EXPECT_EQ(machine_.state().entries, entries);
}

TEST_F(WalTest, ManySegments) {
  Open();
  std::vector<raft::Entry> entries;
  for (uint64_t i = 1; i <= 500; ++i) {
    entries.push_back(NewEntry(i, 1, std::string(i % 997, static_cast<char>('a' + i % 26))));
    ASSERT_TRUE(machine_.AppendAndWait({entries.back()}).ok());
  }
  EXPECT_GT(machine_.wal()->stats().segments, 15u);
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open();
  EXPECT_EQ(machine_.state().entries, entries);
}

// Restarts must not pile up files, whatever was prepared and left.
TEST_F(WalTest, RestartsRecycleWhatTheyLeave) {
  Open();
  for (uint64_t i = 1; i <= 30; ++i) {
    machine_.Crash(i % 2 == 0 ? sim::CrashKind::kKill : sim::CrashKind::kPowerLoss);
    Open();
    EXPECT_LE(machine_.LogFiles().size(), 3u);
  }
  for (uint64_t i = 1; i <= 30; ++i) {
    ASSERT_TRUE(machine_.AppendAndWait({NewEntry(i, 1, "x")}).ok());
    ASSERT_TRUE(machine_.AppendAndWait({}, raft::HardState{Term(i), {}, {}}).ok());
    machine_.Crash(sim::CrashKind::kPowerLoss);
    Open();
    ASSERT_EQ(machine_.state().last_index(), LogIndex(i));
  }
  uint64_t bytes = 0;
  for (const std::string& path : machine_.LogFiles()) bytes += machine_.ReadFile(path).size();
  EXPECT_LE(bytes, 30 * 2048 + 3 * 16 * 1024u);
}

TEST_F(WalTest, AFailedSyncIsFinal) {
  Open();
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(1, 1, "good")}).ok());
  last_index_ = 1;
  machine_.disk().FailNextSyncs(1);
  machine_.Run([this] {
    AppendEntry("a");
    AppendEntry("b");
  });
  machine_.Run([this] { AppendEntry("c"); });
  machine_.Settle();
  EXPECT_EQ(answers_, (std::vector<std::string>{"a failed", "b failed", "c failed"}));
  EXPECT_EQ(last_status_.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(machine_.wal()->status().ok());
  const uint64_t operations = machine_.disk().operations();
  machine_.Run([this] { AppendEntry("d"); });
  machine_.Settle();
  EXPECT_EQ(answers_.back(), "d failed");
  EXPECT_EQ(machine_.disk().operations(), operations);  // nothing is tried again
}

TEST_F(WalTest, AFailedWriteIsFinal) {
  Open();
  sim::DiskOptions options;
  options.write_error_ppm = 1'000'000;
  machine_.disk().SetOptions(options);
  machine_.Run([this] { AppendEntry("a"); });
  machine_.Settle();
  machine_.disk().SetOptions(sim::DiskOptions());
  machine_.Run([this] { AppendEntry("b"); });
  machine_.Settle();
  EXPECT_EQ(answers_, (std::vector<std::string>{"a failed", "b failed"}));
}

// Nothing is lost and nothing is acknowledged: the log waits, and goes on by itself.
TEST_F(WalTest, AFullDiskIsWaitedFor) {
  Open();
  sim::DiskOptions options;
  options.capacity_bytes = machine_.disk().used_bytes();
  machine_.disk().SetOptions(options);
  // Both segments that are ready get filled before it shows.
  for (int i = 0; i < 100; ++i) {
    machine_.Run([this, i] { AppendEntry(absl::StrCat(i), 1000); });
    machine_.Settle();
  }
  EXPECT_TRUE(machine_.wal()->waits_for_space());
  EXPECT_TRUE(machine_.wal()->status().ok()) << machine_.wal()->status();
  const size_t answered = answers_.size();
  EXPECT_GT(answered, 0u);
  EXPECT_LT(answered, 100u);
  EXPECT_GT(machine_.wal()->unsynced_bytes(), 0u);
  EXPECT_NE(machine_.wal()->write_in_flight_since(), Instant::Infinite());
  machine_.Settle();
  EXPECT_EQ(answers_.size(), answered);
  machine_.disk().SetOptions(sim::DiskOptions());
  machine_.Settle();
  EXPECT_FALSE(machine_.wal()->waits_for_space());
  ASSERT_EQ(answers_.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(answers_[static_cast<size_t>(i)], absl::StrCat(i));
}

// It asks for its segment again each second. Meanwhile what space there is belongs to others: a
// checkpoint that would let the log be cut needs some of it.
TEST_F(WalTest, ALogThatWaitsForSpaceDoesNotFillTheDisk) {
  Open();
  sim::DiskOptions options;
  options.capacity_bytes = machine_.disk().used_bytes() + 12 * 1024;
  machine_.disk().SetOptions(options);
  for (int i = 0; i < 100; ++i) {
    machine_.Run([this, i] { AppendEntry(absl::StrCat(i), 1000); });
    machine_.Settle();
  }
  ASSERT_TRUE(machine_.wal()->waits_for_space());
  const uint64_t used = machine_.disk().used_bytes();
  const uint64_t before = machine_.disk().operations();
  uint64_t most = 0;
  machine_.disk().SetOperationHook(
      [&](uint64_t, sim::DiskOperation) { most = std::max(most, machine_.disk().used_bytes()); });
  machine_.Settle();
  EXPECT_GT(machine_.disk().operations(), before) << "it is asked for again";
  EXPECT_EQ(most, used);
  machine_.disk().SetOptions(sim::DiskOptions());
  machine_.Settle();
  EXPECT_EQ(answers_.size(), 100u);
}

// A write that fails is final, one that needs more room than there is must wait instead.
TEST_F(WalTest, AUnitLargerThanASegmentWaitsForSpace) {
  Open();
  sim::DiskOptions options;
  options.capacity_bytes = machine_.disk().used_bytes() + 20 * 1024;
  machine_.disk().SetOptions(options);
  machine_.Run([this] { AppendEntry("large", 100'000); });
  machine_.Settle();
  EXPECT_TRUE(answers_.empty());
  EXPECT_TRUE(machine_.wal()->status().ok()) << machine_.wal()->status();
  EXPECT_TRUE(machine_.wal()->waits_for_space());
  machine_.disk().SetOptions(sim::DiskOptions());
  machine_.Run([this] { AppendEntry("next"); });
  machine_.Settle();
  EXPECT_EQ(answers_, (std::vector<std::string>{"large", "next"}));
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open();
  ASSERT_EQ(machine_.state().entries.size(), 2u);
  EXPECT_EQ(machine_.state().entries[0].data.size(), 100'000u);
}

// The segment that a start on a full disk made do with holds next to nothing.
TEST_F(WalTest, TheSmallestFirstSegmentDoesNotGrow) {
  Open();
  ASSERT_TRUE(machine_.AppendAndWait({NewEntry(1, 1, "a")}).ok());
  last_index_ = 1;
  machine_.Restart();
  sim::DiskOptions options;
  options.capacity_bytes = machine_.disk().used_bytes() + 12 * 1024;
  machine_.disk().SetOptions(options);
  OpenOptions open = Machine::DefaultOptions();
  open.first_segment_bytes = open.segment_bytes = 64 * 1024;
  Open(open);
  ASSERT_TRUE(machine_.wal()->waits_for_space());
  machine_.Run([this] { AppendEntry("large", 15'000); });
  machine_.Settle();
  EXPECT_TRUE(answers_.empty());
  EXPECT_TRUE(machine_.wal()->status().ok()) << machine_.wal()->status();
  machine_.disk().SetOptions(sim::DiskOptions());
  machine_.Settle();
  EXPECT_EQ(answers_, (std::vector<std::string>{"large"}));
  machine_.Crash(sim::CrashKind::kPowerLoss);
  Open(open);
  EXPECT_EQ(machine_.state().entries.size(), 2u);
}

// What was acknowledged before is there, and the log goes on once there is space.
TEST_F(WalTest, AMemberStartsOnAFullDiskAgainAndAgain) {
  Open();
  sim::DiskOptions options;
  options.capacity_bytes = machine_.disk().used_bytes() + 64 * 1024;
  machine_.disk().SetOptions(options);
  for (int i = 0; i < 100; ++i) {
    machine_.Run([this, i] { AppendEntry(absl::StrCat(i), 1000); });
    machine_.Settle();
  }
  ASSERT_TRUE(machine_.wal()->waits_for_space());
  const size_t answered = answers_.size();
  for (int start = 0; start < 5; ++start) {
    machine_.Crash(start % 2 == 0 ? sim::CrashKind::kPowerLoss : sim::CrashKind::kKill);
    const absl::Status status = machine_.Open();
    if (!status.ok()) {
      // Not one sector is left: said so, with the file's name.
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_NE(status.message().find(kLogDir), absl::string_view::npos) << status;
      continue;
    }
    ASSERT_GE(machine_.state().entries.size(), answered) << "start " << start;
    machine_.Settle();
  }
  machine_.disk().SetOptions(sim::DiskOptions());
  machine_.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine_.Open().ok());
  ASSERT_GE(machine_.state().entries.size(), answered);
}

// Space that comes back before it is needed is used.
TEST_F(WalTest, ADiskThatIsNoLongerFullDoesNoHarm) {
  Open();
  sim::DiskOptions options;
  options.capacity_bytes = machine_.disk().used_bytes();
  machine_.disk().SetOptions(options);
  // Into the segment that is ready already, so that the one after it finds no space.
  for (int i = 0; i < 6; ++i) {
    machine_.Run([this, i] { AppendEntry(absl::StrCat(i), 1000); });
    machine_.Settle();
  }
  machine_.disk().SetOptions(sim::DiskOptions());
  for (int i = 6; i < 60; ++i) {
    machine_.Run([this, i] { AppendEntry(absl::StrCat(i), 1000); });
    machine_.Settle();
  }
  EXPECT_TRUE(machine_.wal()->status().ok()) << machine_.wal()->status();
  EXPECT_EQ(answers_.back(), "59");
}

TEST_F(WalTest, DestroyedWhileWritingSaysNothing) {
  Open();
  machine_.Run([this] { AppendEntry("a"); });
  machine_.Run([this] { AppendEntry("b"); });
  machine_.Restart();
  machine_.Settle();
  EXPECT_TRUE(answers_.empty());
  Open();
  EXPECT_LE(machine_.state().entries.size(), 2u);
}

}  // namespace
}  // namespace quorate::storage
