// Every error on every operation of the disk in a script's life and in recoveries from its crashes,
// and every bit of what it left flipped: nothing acknowledged is missing afterwards, nothing false
// is ever served.
//
// QUORATE_LONG=1: longer scripts, every bit of every file.
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/manifest.h"
#include "tests/crash/script.h"

namespace quorate::storage {
namespace {

bool Long() { return std::getenv("QUORATE_LONG") != nullptr; }

bool Reads(sim::DiskOperation operation) {
  return operation == sim::DiskOperation::kRead || operation == sim::DiskOperation::kList ||
         operation == sim::DiskOperation::kFreeSpace;
}

// What may go wrong with an operation, as io/disk.h names it. A directory that was made here may
// be synced here; recovery takes one that may not for somebody else's.
std::vector<absl::Status> ErrorsOf(sim::DiskOperation operation) {
  const std::string name(sim::DiskOperationName(operation));
  if (Reads(operation)) {
    return {absl::DataLossError(name + " /injected: i/o error"),
            absl::PermissionDeniedError(name + " /injected: permission denied")};
  }
  std::vector<absl::Status> errors = {
      absl::InternalError(name + " /injected: i/o error"),
      absl::ResourceExhaustedError(name + " /injected: no space left on device"),
      absl::FailedPreconditionError(name + " /injected: read-only file system")};
  if (operation != sim::DiskOperation::kSyncDir) {
    errors.push_back(absl::PermissionDeniedError(name + " /injected: permission denied"));
  }
  return errors;
}

// Restarts until the directory opens, at most `starts` times; then judges.
void ExpectAllThere(Machine* machine, const History& history, const std::string& place) {
  const absl::Status status = machine->Open();
  ASSERT_TRUE(status.ok()) << status << " " << place;
  ASSERT_EQ(history.Check(machine->state()), "") << place;
}

class FaultTest : public ::testing::Test {
 protected:
  // Error number `which` on operation `number`, once or from then on. Returns how many errors
  // there are for that operation.
  size_t FailAt(uint64_t seed, uint64_t number, size_t which, bool for_ever, uint64_t length) {
    Script script(seed);
    size_t errors = 1;
    bool failed = false;
    script.machine.disk().SetOperationFault(
        [&](uint64_t operation, sim::DiskOperation kind) -> absl::Status {
          if (operation == number) errors = ErrorsOf(kind).size();
          const bool fails = for_ever ? operation >= number && !Reads(kind) : operation == number;
          if (!fails || which >= ErrorsOf(kind).size()) return absl::OkStatus();
          failed = true;
          return ErrorsOf(kind)[which];
        });
    const bool ran = script.RunTo(length);
    const std::string place = absl::StrCat("seed ", seed, " operation ", number, " error ", which,
                                           for_ever ? " for ever" : "");
    // Whatever stops a member says why.
    if (!ran && !script.status().ok()) {
      EXPECT_TRUE(absl::StrContains(
          absl::string_view(script.status().message().data(), script.status().message().size()),
          "/"))
          << script.status() << " " << place;
      ++stopped_;
    }
    failures_ += failed;
    script.machine.disk().SetOperationFault(nullptr);
    for (const auto kind : {sim::CrashKind::kKill, sim::CrashKind::kPowerLoss}) {
      script.machine.Crash(kind);
      ExpectAllThere(&script.machine, script.history, place);
      if (HasFatalFailure()) break;
      // What was recovered is durable.
      EXPECT_EQ(script.history.Judge(script.machine.state()), "") << place;
    }
    return errors;
  }

  // The same in a recovery from what a crash of the script left, `number` counting from there.
  size_t FailRecoveryAt(const Script& script, uint64_t number, size_t which) {
    Machine machine(number);
    machine.CloneDiskFrom(script.machine, nullptr);
    size_t errors = 1;
    const uint64_t first = machine.disk().operations();
    machine.disk().SetOperationFault(
        [&](uint64_t operation, sim::DiskOperation kind) -> absl::Status {
          if (operation != first + number) return absl::OkStatus();
          errors = ErrorsOf(kind).size();
          ++failures_;
          return ErrorsOf(kind)[which];
        });
    const absl::Status status = machine.Open();
    machine.disk().SetOperationFault(nullptr);
    const std::string place = absl::StrCat("recovery, operation ", number, " error ", which);
    if (!status.ok()) {
      ++stopped_;
      EXPECT_TRUE(absl::StrContains(status.ToString(), "/")) << status << " " << place;
    }
    for (int start = 0; start < 2; ++start) {
      if (start > 0 || !status.ok()) {
        machine.Crash(sim::CrashKind::kPowerLoss);
        const absl::Status again = machine.Open();
        EXPECT_TRUE(again.ok()) << again << " " << place;
        if (!again.ok()) break;
      }
      // An error that passes costs no checkpoint, either.
      EXPECT_EQ(script.history.Check(machine.state()), "") << place;
    }
    return errors;
  }

  uint64_t failures_ = 0;
  uint64_t stopped_ = 0;
};

TEST_F(FaultTest, EveryErrorOnEveryOperation) {
  const uint64_t operations = Long() ? 1000 : 200;
  for (uint64_t number = 1; number <= operations && !HasFailure(); ++number) {
    size_t errors = 1;
    for (size_t which = 0; which < errors && !HasFailure(); ++which) {
      errors = FailAt(1, number, which, /*for_ever=*/false, operations + 40);
    }
  }
  EXPECT_GT(failures_, 3 * operations);
  EXPECT_GT(stopped_, operations / 2);
}

TEST_F(FaultTest, EveryErrorOnEveryOperationOfARecovery) {
  constexpr uint64_t kOperations = 200;
  uint64_t recoveries = 0;
  for (uint64_t crash = 1; crash <= kOperations && !HasFailure(); crash += Long() ? 1 : 25) {
    Script script(1);
    ASSERT_TRUE(script.RunTo(crash)) << script.status();
    script.machine.Crash(sim::CrashKind::kPowerLoss);
    Machine machine(0);
    machine.CloneDiskFrom(script.machine, nullptr);
    const uint64_t before = machine.disk().operations();
    ASSERT_TRUE(machine.Open().ok());
    const uint64_t operations = machine.disk().operations() - before;
    for (uint64_t number = 1; number <= operations && !HasFailure(); ++number) {
      size_t errors = 1;
      for (size_t which = 0; which < errors && !HasFailure(); ++which) {
        SCOPED_TRACE(absl::StrCat("crash at ", crash));
        errors = FailRecoveryAt(script, number, which);
      }
    }
    ++recoveries;
  }
  EXPECT_GT(failures_, 50 * recoveries);
  EXPECT_GT(stopped_, 30 * recoveries);
}

// A disk that is full, dead or read-only from some moment on.
TEST_F(FaultTest, EveryErrorFromEveryOperationOn) {
  const uint64_t operations = Long() ? 1000 : 200;
  for (uint64_t number = 1; number <= operations && !HasFailure(); ++number) {
    for (size_t which = 0; which < 4 && !HasFailure(); ++which) {
      FailAt(2, number, which, /*for_ever=*/true, operations + 40);
    }
  }
  EXPECT_GT(failures_, operations);
}

// --- Flipped bits ---

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

class FlipTest : public ::testing::Test {
 protected:
  // A member's directory at rest, with two checkpoints and a log behind each.
  void SetUp() override {
    uint64_t length = 150;
    do {
      script_ = std::make_unique<Script>(3);
      ASSERT_TRUE(script_->RunTo(length)) << script_->status();
      script_->Settle();
      script_->machine.Restart();
      length += 20;
    } while (script_->machine.Inspect()->previous_checkpoint == LogIndex(0));
    const absl::Status status = script_->machine.Open();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(script_->history.Judge(script_->machine.state()), "");
    ASSERT_TRUE(script_->machine.state().checkpoint.has_value());
    script_->Settle();
    script_->machine.Restart();
  }
  // What of each file is in use, so that a flipped bit in it must be seen.
  std::vector<std::pair<std::string, std::vector<Range>>> FilesInUse() {
    std::vector<std::pair<std::string, std::vector<Range>>> files;
    Machine& machine = script_->machine;
    files.push_back({kMetaFile, {{0, machine.ReadFile(kMetaFile).size()}}});
    const absl::StatusOr<StorageReport> report = machine.Inspect();
    EXPECT_TRUE(report.ok()) << report.status();
    for (const SegmentReport& segment : report->segments) {
      files.push_back({segment.path, {{0, segment.log_bytes}}});
    }
    const std::string directory = "/data/m1/member/checkpoint/";
    const std::string content = machine.ReadFile(directory + "manifest");
    files.push_back({directory + "manifest", {{0, content.size()}}});
    const absl::StatusOr<Manifest> manifest = DecodeManifest(Bytes::Copy(content), "manifest");
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    for (const PlacedSegment& segment : manifest->segments) {
      files.push_back(
          {directory + PackName(segment.pack), {{segment.offset, segment.offset + segment.bytes}}});
    }
    return files;
  }

  std::unique_ptr<Script> script_;
};

TEST_F(FlipTest, NoFlippedBitIsServed) {
  uint64_t refused = 0;
  uint64_t repaired = 0;
  uint64_t metas = 0;
  const std::string meta = script_->machine.ReadFile(kMetaFile);
  for (const auto& [path, ranges] : FilesInUse()) {
    for (const Range& range : ranges) {
      const uint64_t bits = (range.end - range.begin) * 8;
      const uint64_t step = Long() || bits <= 6000 ? 1 : 1 + bits / 1500;
      for (uint64_t bit = 0; bit < bits; bit += step) {
        Machine machine(bit);
        machine.CloneDiskFrom(script_->machine, nullptr);
        ASSERT_TRUE(machine.disk().FlipBit(path, range.begin + bit / 8, bit % 8).ok());
        const absl::Status status = machine.Open();
        if (!status.ok()) {
          ++refused;
          // The version's bits name a newer format.
          ASSERT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) << status;
          continue;
        }
        // From the checkpoint before, or without what the log held before the newest one, or by
        // what the log says of whose it is; which is said.
        ++(path == kMetaFile ? metas : repaired);
        ASSERT_EQ(machine.ReadFile(kMetaFile), meta) << path << " bit " << bit;
        ASSERT_FALSE(machine.state().notes.empty()) << path << " bit " << bit;
        const std::string& note = machine.state().notes.front().message;
        ASSERT_TRUE(absl::StrContains(path, "/checkpoint/") ||
                    (path == kMetaFile && absl::StrContains(note, path)) ||
                    absl::StrContains(note, "a segment of the log is damaged: " + path))
            << path << " bit " << bit << ": " << note;
        const LogIndex last = script_->machine.state().last_index();
        ASSERT_EQ(machine.state().last_index(), last) << path << " bit " << bit;
        ASSERT_EQ(machine.state().hard_state.term, script_->machine.state().hard_state.term);
      }
    }
  }
  EXPECT_EQ(metas, 8 * meta.size()) << "each is made good";
  EXPECT_GT(refused, 1000u);
  EXPECT_GT(repaired, 1000u);
}

}  // namespace
}  // namespace quorate::storage
