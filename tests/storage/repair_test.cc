// A directory that has lost what was acknowledged goes on from the state of another member, wholly
// or not at all.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/storage/machine.h"

namespace quorate::storage {
namespace {

constexpr uint64_t kDamageAt = 512 + 100;  // in the first write of the log's first segment
constexpr Term kTerm{7};

// Of another member: entry 50.
RepairState State() {
  RepairState repair;
  repair.term = kTerm;
  repair.image.index = LogIndex(50);
  repair.image.term = Term(6);
  repair.image.sections = Bytes::Copy("sections");
  repair.image.segments = {{3, Revision(1), Bytes::Copy(std::string(5000, 'a')), {}},
                           {9, Revision(40), Bytes::Copy(std::string(200, 'b')), {}}};
  return repair;
}

OpenOptions Repairing() {
  OpenOptions options = Machine::DefaultOptions();
  options.create = false;
  options.repair = State();
  return options;
}

// Twenty entries of term 3, in which the member has voted for 0xb2.
void MakeLog(Machine* machine) {
  ASSERT_TRUE(machine->Open().ok());
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(machine
                    ->AppendAndWait({NewEntry(i, 3, std::string(1000, 'x'))},
                                    raft::HardState{Term(3), MemberId(0xb2), LogIndex(i - 1)})
                    .ok());
  }
  machine->Settle();
  machine->Restart();
}

void Damage(Machine* machine) {
  ASSERT_TRUE(machine->disk().FlipBit(machine->LogFiles().front(), kDamageAt, 3).ok());
}

bool Marked(Machine* machine) {
  const std::vector<std::string> files = machine->disk().Files();
  return std::any_of(files.begin(), files.end(),
                     [](const std::string& path) { return absl::EndsWith(path, "/recovering"); });
}

// All of the other member's state, and nothing of what was there.
void ExpectRepaired(const RecoveredState& state) {
  ASSERT_TRUE(state.checkpoint.has_value());
  EXPECT_EQ(state.checkpoint->index, LogIndex(50));
  EXPECT_EQ(state.checkpoint->term, Term(6));
  EXPECT_EQ(state.checkpoint->sections, State().image.sections);
  EXPECT_EQ(state.checkpoint->segments, State().image.segments);
  EXPECT_EQ(state.base, LogIndex(50));
  EXPECT_EQ(state.base_term, Term(6));
  EXPECT_TRUE(state.entries.empty());
  // Its vote in this term is gone: it is nobody's that could ask for it.
  EXPECT_EQ(state.hard_state, (raft::HardState{kTerm, kMember, LogIndex(50)}));
}

TEST(StorageRepair, TheStateOfAnotherMemberTakesThePlaceOfADamagedLog) {
  Machine machine(1);
  MakeLog(&machine);
  Damage(&machine);
  ASSERT_TRUE(absl::IsDataLoss(machine.Open()));
  machine.Restart();
  const absl::Status status = machine.Open(Repairing());
  ASSERT_TRUE(status.ok()) << status;
  ExpectRepaired(machine.state());
  EXPECT_FALSE(Marked(&machine));
  ASSERT_TRUE(machine.AppendAndWait({NewEntry(51, 7, "goes on")}).ok());
  machine.Crash(sim::CrashKind::kPowerLoss);
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_EQ(machine.state().checkpoint->index, LogIndex(50));
  EXPECT_EQ(machine.state().last_index(), LogIndex(51));
  EXPECT_EQ(machine.state().hard_state.term, kTerm);
  EXPECT_EQ(machine.state().hard_state.vote, kMember);
}

TEST(StorageRepair, ALogThatIsGoneIsReplacedToo) {
  Machine machine(1);
  MakeLog(&machine);
  for (const std::string& file : machine.LogFiles()) machine.RemoveFile(file);
  ASSERT_TRUE(absl::IsDataLoss(machine.Open()));
  machine.Restart();
  ASSERT_TRUE(machine.Open(Repairing()).ok());
  ExpectRepaired(machine.state());
}

// What the log still tells of terms is not forgotten.
TEST(StorageRepair, ALaterTermStays) {
  Machine machine(1);
  MakeLog(&machine);
  ASSERT_TRUE(machine.Open().ok());
  ASSERT_TRUE(
      machine.AppendAndWait({}, raft::HardState{Term(9), MemberId(0xb2), LogIndex(20)}).ok());
  machine.Restart();
  // The sound log is replaced all the same: whoever asks for it has seen it damaged.
  ASSERT_TRUE(machine.Open(Repairing()).ok());
  EXPECT_EQ(machine.state().hard_state, (raft::HardState{Term(9), kMember, LogIndex(50)}));
}

// Until the mark is there the directory is what it was; from then on it opens in no other way,
// though the damaged bit may read well again; once the mark is gone all of the new state is there.
TEST(StorageRepair, ACrashAtEveryOperationLeavesNothingHalfRepaired) {
  int damaged = 0;
  int marked = 0;
  int repaired = 0;
  for (const auto kind : {sim::CrashKind::kPowerLoss, sim::CrashKind::kKill}) {
    for (uint64_t operation = 1;; ++operation) {
      SCOPED_TRACE(operation);
      Machine machine(operation);
      MakeLog(&machine);
      Damage(&machine);
      uint64_t left = operation;
      bool now = false;
      machine.disk().SetOperationHook([&](uint64_t, sim::DiskOperation) {
        if (--left == 0) now = true;
      });
      machine.StartOpen(Repairing());
      while (!now && !machine.open_finished()) ASSERT_TRUE(machine.RunOne());
      machine.disk().SetOperationHook(nullptr);
      if (!now) break;
      machine.Crash(kind);
      const bool mark = Marked(&machine);
      const absl::Status status = machine.Open();
      if (status.ok()) {
        ExpectRepaired(machine.state());
        EXPECT_FALSE(mark);
        ++repaired;
        continue;
      }
      ASSERT_TRUE(absl::IsDataLoss(status)) << status;
      EXPECT_EQ(mark, absl::StrContains(status.message(), "/recovering")) << status;
      ++(mark ? marked : damaged);
      machine.Restart();
      if (mark) {
        const absl::StatusOr<StorageReport> report = machine.Inspect();
        ASSERT_TRUE(report.ok()) << report.status();
        EXPECT_TRUE(absl::StrContains(report->verdict.message(), "/recovering"));
        EXPECT_FALSE(report->repairable);
      }
      ASSERT_TRUE(machine.Open(Repairing()).ok());
      ExpectRepaired(machine.state());
      EXPECT_FALSE(Marked(&machine));
    }
  }
  EXPECT_GT(damaged, 2);
  EXPECT_GT(marked, 10);
  EXPECT_GT(repaired, 2);
}

TEST(StorageRepair, NoOtherMembersDirectoryIsTouched) {
  Machine machine(1);
  MakeLog(&machine);
  OpenOptions options = Repairing();
  options.member_id = MemberId(0xb2);
  EXPECT_EQ(machine.Open(options).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Marked(&machine));
  machine.Restart();
  ASSERT_TRUE(machine.Open().ok());
  EXPECT_EQ(machine.state().last_index(), LogIndex(20));
}

}  // namespace
}  // namespace quorate::storage
