// What a simulated disk is made of inside: lanes of operations over names and pages.
#ifndef QUORATE_SIM_DISK_IMPL_H_
#define QUORATE_SIM_DISK_IMPL_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "sim/disk.h"
#include "sim/disk_names.h"

namespace quorate::sim {

// The process that uses the disk now, or used it once.
struct Attachment {
  Loop* loop = nullptr;  // null once it is gone
  absl::btree_set<std::string> locks;
};

// An operation that waits or runs. `run` takes its effect on the disk and returns what
// tells the process.
struct DiskWork {
  DiskOperation operation;
  uint64_t bytes = 0;  // moved
  std::function<Task()> run = nullptr;
  // The part of its effect that a crash leaves: the first `bytes` written, nothing synced.
  // Null: all or nothing.
  std::function<void(uint64_t bytes)> tear = nullptr;
  uint64_t number = 0;  // once begun
};

// Operations that run one after another.
struct Lane {
  std::deque<DiskWork> queue;  // the head is running
  EventId done;
  VirtualTime due;
};

struct OpenFileState {
  std::shared_ptr<Attachment> attachment;
  std::shared_ptr<DiskNode> node;
  std::shared_ptr<Lane> lane;
  std::string path;
  bool writable = false;
  uint64_t size = 0;     // as of the last completed operation
  bool dropped = false;  // the io::File is gone
  bool sync_failed = false;
};

struct Disk::Impl {
  Impl(const Context& c, HostId h, const DiskOptions& o);

  void Submit(const std::shared_ptr<Lane>& lane, DiskWork work);
  void Begin(const std::shared_ptr<Lane>& lane);
  void Finish(const std::shared_ptr<Lane>& lane);
  Duration DrawLatency(const DiskWork& work);
  std::shared_ptr<Lane> NewLane();

  // The effects, with the faults that may befall them.
  absl::StatusOr<Bytes> Read(OpenFileState* file, uint64_t offset, size_t size);
  absl::Status Write(OpenFileState* file, uint64_t offset, const std::vector<Bytes>& pieces);
  absl::Status Zero(OpenFileState* file, uint64_t offset, uint64_t size);
  absl::Status Truncate(OpenFileState* file, uint64_t size);
  absl::Status Sync(OpenFileState* file);
  void FailSync(OpenFileState* file);
  void StorePieces(OpenFileState* file, uint64_t offset, const std::vector<Bytes>& pieces,
                   uint64_t limit);
  absl::Status CheckWritable(const OpenFileState& file, const char* operation) const;
  uint64_t free_bytes() const {
    return options.capacity_bytes > used ? options.capacity_bytes - used : 0;
  }
  bool Chance(uint32_t ppm) { return ppm > 0 && fault_prng.Chance(ppm, 1'000'000); }
  void Cut(DiskWork* work);
  void LosePower();
  // What SetOperationFault wants of the operation that takes effect now.
  absl::Status TakeInjected() { return std::exchange(injected, absl::OkStatus()); }
  void Tear(OpenFileState* file, uint64_t offset, const std::vector<Bytes>& pieces, uint64_t bytes);

  const Context context;
  const HostId host;
  DiskOptions options;
  Prng latency_prng;
  Prng fault_prng;
  Prng crash_prng;
  uint64_t used = 0;  // before `names`, whose files count down as they go
  NameTree names{&used};
  std::shared_ptr<Attachment> attachment;
  std::vector<std::shared_ptr<Lane>> lanes;
  uint32_t slowdown_percent = 100;
  VirtualTime stalled_until;
  uint32_t failing_syncs = 0;
  size_t open_files = 0;
  size_t max_open_files = ~size_t{0};
  uint64_t operations = 0;
  OperationHook hook;
  OperationFault fault;
  CrashChoice choice;
  absl::Status injected;
};

class ProcessDisk final : public io::Disk {
 public:
  ProcessDisk(quorate::sim::Disk::Impl* disk, std::shared_ptr<Attachment> attachment);

  void Open(const std::string& path, io::OpenOptions options, OpenCallback callback) override;
  void List(const std::string& path, ListCallback callback) override;
  void MakeDirs(const std::string& path, StatusCallback callback) override;
  void Rename(const std::string& from, const std::string& to, StatusCallback callback) override;
  void Remove(const std::string& path, StatusCallback callback) override;
  void SyncDir(const std::string& path, StatusCallback callback) override;
  void LockDir(const std::string& path, LockCallback callback) override;
  void FreeSpace(const std::string& path,
                 std::function<void(absl::StatusOr<uint64_t>)> callback) override;

 private:
  template <typename Result, typename Run>
  void Submit(DiskOperation operation, Run run, std::function<void(Result)> callback);

  quorate::sim::Disk::Impl* const disk_;
  const std::shared_ptr<Attachment> attachment_;
  const std::shared_ptr<Lane> names_lane_;
};

class SimFile final : public io::File {
 public:
  SimFile(quorate::sim::Disk::Impl* disk, std::shared_ptr<OpenFileState> state);
  SimFile(const SimFile&) = delete;
  SimFile& operator=(const SimFile&) = delete;
  ~SimFile() override;

  void Read(uint64_t offset, size_t size, ReadCallback callback) override;
  void Write(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) override;
  void Sync(StatusCallback callback) override;
  void WriteAndSync(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) override;
  void WriteZeros(uint64_t offset, uint64_t size, StatusCallback callback) override;
  void Truncate(uint64_t size, StatusCallback callback) override;
  uint64_t size() const override { return state_->size; }
  const std::string& path() const override { return state_->path; }

 private:
  // As DiskWork::tear.
  using Tear = std::function<void(quorate::sim::Disk::Impl*, OpenFileState*, uint64_t bytes)>;
  template <typename Effect>
  void Submit(DiskOperation operation, uint64_t bytes, Effect effect, Tear tear,
              StatusCallback callback);

  quorate::sim::Disk::Impl* const disk_;
  const std::shared_ptr<OpenFileState> state_;
  Loop* const loop_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DISK_IMPL_H_
