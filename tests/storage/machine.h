// A simulated machine with one data directory, for tests of storage.
#ifndef QUORATE_TESTS_STORAGE_MACHINE_H_
#define QUORATE_TESTS_STORAGE_MACHINE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/prng.h"
#include "sim/env.h"
#include "storage/inspect.h"
#include "storage/recovery.h"
#include "storage/wal.h"

namespace quorate::storage {

inline constexpr ClusterId kCluster{0xc1};
inline constexpr MemberId kMember{0xa1};
inline constexpr char kDataDir[] = "/data/m1";
inline constexpr char kLogDir[] = "/data/m1/member/log";
inline constexpr char kMetaFile[] = "/data/m1/member/meta";

inline raft::Entry NewEntry(uint64_t index, uint64_t term, absl::string_view data) {
  return {Term(term), LogIndex(index), raft::EntryType::kNormal, Bytes::Copy(data)};
}

class Machine {
 public:
  explicit Machine(uint64_t seed, sim::DiskOptions disk = {})
      : seed_(seed),
        scheduler_(seed),
        context_{.seed = seed, .scheduler = &scheduler_, .trace = &trace_, .faults = &faults_},
        network_(context_, sim::StreamOptions()),
        host_(context_, &network_, "m1", HostOptionsWith(disk)) {
    env_ = host_.Boot();
  }
  ~Machine() { DropProcess(); }

  // Small segments, so that every test crosses many.
  static OpenOptions DefaultOptions() {
    return {.data_dir = kDataDir,
            .cluster_id = kCluster,
            .member_id = kMember,
            .create = true,
            .segment_bytes = 16 * 1024,
            .first_segment_bytes = 4096,
            .pack_bytes = 4096,
            .max_write_bytes = 8 * 1024};
  }

  // --- One process's life ---

  void StartOpen(const OpenOptions& options = DefaultOptions()) {
    opened_.reset();
    host_.Run([this, options] {
      pending_ = OpenStorage(env_, options, [this](absl::StatusOr<OpenedStorage> opened) {
        opened_ = std::move(opened);
        pending_.reset();
      });
    });
  }
  bool open_finished() const { return opened_.has_value(); }
  // After open_finished.
  absl::Status TakeOpened() {
    if (!opened_->ok()) return opened_->status();
    OpenedStorage opened = **std::move(opened_);
    state_ = std::move(opened.state);
    wal_ = std::move(opened.wal);
    checkpoints_ = std::move(opened.checkpoints);
    lock_ = std::move(opened.lock);
    return absl::OkStatus();
  }
  absl::Status Open(const OpenOptions& options = DefaultOptions()) {
    StartOpen(options);
    while (!open_finished()) CHECK(scheduler_.RunOne());
    return TakeOpened();
  }
  absl::StatusOr<Identity> Peek() {
    std::optional<absl::StatusOr<Identity>> found;
    std::unique_ptr<PendingOpen> peeking;
    host_.Run([&] {
      peeking = PeekIdentity(env_, kDataDir,
                             [&](absl::StatusOr<Identity> identity) { found = identity; });
    });
    while (!found.has_value()) CHECK(scheduler_.RunOne());
    return *found;
  }

  absl::StatusOr<StorageReport> Inspect() {
    std::optional<absl::StatusOr<StorageReport>> found;
    std::unique_ptr<PendingOpen> inspection;
    host_.Run([&] {
      inspection = InspectStorage(env_, kDataDir,
                                  [&](absl::StatusOr<StorageReport> report) { found = report; });
    });
    while (!found.has_value()) CHECK(scheduler_.RunOne());
    return *found;
  }

  // Appends as a turn of the process and waits for the answer.
  absl::Status AppendAndWait(const std::vector<raft::Entry>& entries,
                             std::optional<raft::HardState> hard_state = std::nullopt) {
    std::optional<absl::Status> answer;
    host_.Run([&] {
      wal_->Append(entries, hard_state.has_value() ? &*hard_state : nullptr, true,
                   [&](const absl::Status& status) { answer = status; });
    });
    while (!answer.has_value()) CHECK(scheduler_.RunOne());
    return *answer;
  }
  // Runs `function` as a turn.
  void Run(std::function<void()> function) { host_.Run(std::move(function)); }
  // Lets everything finish that is under way.
  void Settle() { scheduler_.RunUntil(scheduler_.now() + Seconds(60)); }
  bool RunOne() { return scheduler_.RunOne(); }

  void Crash(sim::CrashKind kind) {
    host_.Crash(kind);
    DropProcess();
    env_ = host_.Boot();
  }
  void Restart() {
    DropProcess();
    host_.Exit();
    env_ = host_.Boot();
  }

  // Starts anew with a copy of the other machine's disk.
  void CopyDiskFrom(const Machine& other) {
    DropProcess();
    host_.Exit();
    host_.disk().CopyFrom(other.host_.disk());
    env_ = host_.Boot();
  }

  // Starts anew with the other machine's disk, unsynced writes and all. Of what is not
  // durable a power loss leaves what `choice` wants; without one nothing is lost.
  void CloneDiskFrom(const Machine& other, const sim::Disk::CrashChoice& choice) {
    DropProcess();
    host_.Exit();
    host_.disk().CloneFrom(other.host_.disk());
    if (choice != nullptr) {
      host_.disk().SetCrashChoice(choice);
      host_.disk().LosePower();
      host_.disk().SetCrashChoice(nullptr);
    }
    env_ = host_.Boot();
  }

  // --- The disk, from outside ---

  // Does something to the disk with a process of its own.
  void WriteFile(const std::string& path, const std::string& content) {
    bool done = false;
    std::unique_ptr<io::File> file;
    host_.Run([&] {
      env_.disk->MakeDirs(path.substr(0, path.rfind('/')), [&](absl::Status made) {
        CHECK(made.ok());
        env_.disk->Open(path, {.create = true}, [&](absl::StatusOr<std::unique_ptr<io::File>> f) {
          CHECK(f.ok());
          file = *std::move(f);
          file->Truncate(0, [&](absl::Status) {
            file->WriteAndSync(0, {Bytes::Copy(content)}, [&](absl::Status status) {
              CHECK(status.ok());
              done = true;
            });
          });
        });
      });
    });
    while (!done) CHECK(scheduler_.RunOne());
  }
  void RemoveFile(const std::string& path) {
    bool done = false;
    host_.Run([&] {
      env_.disk->Remove(path, [&](absl::Status status) {
        CHECK(status.ok());
        done = true;
      });
    });
    while (!done) CHECK(scheduler_.RunOne());
  }
  std::string ReadFile(const std::string& path) const { return host_.disk().Peek(path).value(); }
  std::vector<std::string> CheckpointFiles() const {
    std::vector<std::string> files;
    for (const std::string& path : host_.disk().Files()) {
      if (path.find("/checkpoint/") != std::string::npos) files.push_back(path);
    }
    return files;
  }
  // Log segments' paths, ascending.
  std::vector<std::string> LogFiles() const {
    std::vector<std::string> files;
    for (const std::string& path : host_.disk().Files()) {
      if (path.rfind(std::string(kLogDir) + "/", 0) == 0) files.push_back(path);
    }
    return files;
  }

  sim::Disk& disk() { return host_.disk(); }
  const sim::Disk& disk() const { return host_.disk(); }
  const io::Env& env() const { return env_; }
  Wal* wal() { return wal_.get(); }
  Checkpoints* checkpoints() { return checkpoints_.get(); }
  const RecoveredState& state() const { return state_; }
  const sim::FaultCounters& faults() const { return faults_; }
  uint64_t seed() const { return seed_; }

 private:
  static sim::HostOptions HostOptionsWith(const sim::DiskOptions& disk) {
    sim::HostOptions options;
    options.disk = disk;
    return options;
  }
  void DropProcess() {
    pending_.reset();
    opened_.reset();
    wal_.reset();
    checkpoints_.reset();
    lock_.reset();
  }

  const uint64_t seed_;
  sim::Scheduler scheduler_;
  sim::Trace trace_;
  sim::FaultCounters faults_;
  const sim::Context context_;
  sim::Network network_;
  sim::Host host_;
  io::Env env_;

  std::unique_ptr<PendingOpen> pending_;
  std::optional<absl::StatusOr<OpenedStorage>> opened_;
  RecoveredState state_;
  std::unique_ptr<Wal> wal_;
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<io::DirectoryLock> lock_;
};

}  // namespace quorate::storage

#endif  // QUORATE_TESTS_STORAGE_MACHINE_H_
