// What an operator is shown of a data directory.
#include "storage/inspect.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

void Fill(Machine* machine) {
  ASSERT_TRUE(machine->Open().ok());
  for (uint64_t i = 1; i <= 40; ++i) {
    const raft::HardState hard_state{Term(2), MemberId(3), LogIndex(i - 1)};
    ASSERT_TRUE(machine->AppendAndWait({NewEntry(i, 2, std::string(900, 'x'))}, hard_state).ok());
  }
  machine->Settle();
  machine->Restart();
}

TEST(InspectTest, AWholeDirectory) {
  Machine machine(1);
  Fill(&machine);
  const absl::StatusOr<StorageReport> report = machine.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->verdict.ok()) << report->verdict;
  EXPECT_EQ(report->identity, (Identity{kCluster, kMember}));
  EXPECT_EQ(report->last_index, LogIndex(40));
  EXPECT_EQ(report->hard_state, (raft::HardState{Term(2), MemberId(3), LogIndex(39)}));
  ASSERT_GE(report->segments.size(), 3u);
  EXPECT_EQ(report->segments.back().role, SegmentRole::kPrepared);
  uint64_t writes = 0;
  for (const SegmentReport& segment : report->segments) writes += segment.writes;
  EXPECT_EQ(writes, 40u);
  EXPECT_NE(DescribeReport(*report).find("last entry 40 of term 2"), std::string::npos);
  ASSERT_TRUE(machine.Open().ok());  // nothing was locked or changed
}

TEST(InspectTest, DamageIsAVerdict) {
  Machine machine(1);
  Fill(&machine);
  const std::string path = machine.LogFiles()[1];
  ASSERT_TRUE(machine.disk().FlipBit(path, 5000, 3).ok());
  const absl::StatusOr<StorageReport> report = machine.Inspect();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->verdict.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(report->verdict.message().find(path), absl::string_view::npos);
  EXPECT_NE(report->verdict.message().find("offset 4608"), absl::string_view::npos);
  EXPECT_GT(report->last_index, LogIndex(0));
  EXPECT_FALSE(report->segments.empty());
  EXPECT_EQ(machine.Open().message(), report->verdict.message());
}

// Nobody knows then whether a server has it.
TEST(InspectTest, ADirectoryWhoseLockCannotBeHadIsNotLookedAt) {
  Machine machine(1);
  Fill(&machine);
  const absl::Status denied = absl::PermissionDeniedError("lock: permission denied");
  machine.disk().SetOperationFault([&](uint64_t, sim::DiskOperation kind) -> absl::Status {
    return kind == sim::DiskOperation::kLockDir ? denied : absl::OkStatus();
  });
  EXPECT_EQ(machine.Inspect().status(), denied);
  machine.disk().SetOperationFault(nullptr);
  EXPECT_TRUE(machine.Inspect().ok());
}

TEST(InspectTest, ADirectoryThatAProcessHoldsIsNotLookedAt) {
  Machine machine(1);
  Fill(&machine);
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_EQ(machine.Inspect().status().code(), absl::StatusCode::kFailedPrecondition);
  machine.Restart();
  EXPECT_TRUE(machine.Inspect().ok());
}

TEST(InspectTest, NothingThere) {
  Machine machine(1);
  EXPECT_EQ(machine.Inspect().status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quorate::storage
