// What one process holds of the simulated disk: its files, names and locks.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/disk_impl.h"

namespace quorate::sim {
namespace {

constexpr char kLockName[] = "LOCK";

uint64_t TotalBytes(const std::vector<Bytes>& pieces) {
  uint64_t total = 0;
  for (const Bytes& piece : pieces) total += piece.size();
  return total;
}

bool IsFileSync(DiskOperation operation) {
  return operation == DiskOperation::kSync || operation == DiskOperation::kWriteAndSync;
}

class SimLock final : public io::DirectoryLock {
 public:
  SimLock(std::shared_ptr<Attachment> attachment, std::string path)
      : attachment_(std::move(attachment)), path_(std::move(path)) {}
  SimLock(const SimLock&) = delete;
  SimLock& operator=(const SimLock&) = delete;
  ~SimLock() override { attachment_->locks.erase(path_); }

 private:
  const std::shared_ptr<Attachment> attachment_;
  const std::string path_;
};

}  // namespace

// --- Files ---

SimFile::SimFile(quorate::sim::Disk::Impl* disk, std::shared_ptr<OpenFileState> state)
    : disk_(disk), state_(std::move(state)), loop_(state_->attachment->loop) {
  loop_->AddObject();
  ++disk_->open_files;
}

SimFile::~SimFile() {
  --disk_->open_files;
  state_->dropped = true;
  loop_->RemoveObject();
}

template <typename Effect>
void SimFile::Submit(DiskOperation operation, uint64_t bytes, Effect effect, Tear tear,
                     StatusCallback callback) {
  if (state_->attachment->loop == nullptr) return;  // the process is dead
  DiskWork work{.operation = operation, .bytes = bytes};
  if (tear != nullptr) {
    work.tear = [disk = disk_, file = state_, tear](uint64_t torn) {
      tear(disk, file.get(), torn);
    };
  }
  work.run = [disk = disk_, file = state_, operation, bytes, effect = std::move(effect),
              tear = std::move(tear), callback = std::move(callback)]() mutable -> Task {
    absl::Status status = disk->TakeInjected();
    if (status.ok()) {
      status = effect(disk, file.get());
    } else {
      if (tear != nullptr) tear(disk, file.get(), disk->fault_prng.Below(bytes + 1));
      if (IsFileSync(operation)) disk->FailSync(file.get());
    }
    const uint64_t size = file->node->pages->size();
    return [file, status = std::move(status), size, callback = std::move(callback)]() mutable {
      file->size = size;
      if (!file->dropped) callback(std::move(status));
    };
  };
  disk_->Submit(state_->lane, std::move(work));
}

void SimFile::Read(uint64_t offset, size_t size, ReadCallback callback) {
  if (state_->attachment->loop == nullptr) return;
  disk_->Submit(state_->lane, {DiskOperation::kRead, size,
                               [disk = disk_, file = state_, offset, size,
                                callback = std::move(callback)]() mutable -> Task {
                                 const absl::Status injected = disk->TakeInjected();
                                 absl::StatusOr<Bytes> result =
                                     injected.ok() ? disk->Read(file.get(), offset, size)
                                                   : absl::StatusOr<Bytes>(injected);
                                 return [file, result = std::move(result),
                                         callback = std::move(callback)]() mutable {
                                   if (!file->dropped) callback(std::move(result));
                                 };
                               }});
}

void SimFile::Write(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) {
  const uint64_t bytes = TotalBytes(pieces);
  Submit(
      DiskOperation::kWrite, bytes,
      [offset, pieces](quorate::sim::Disk::Impl* disk, OpenFileState* file) {
        return disk->Write(file, offset, pieces);
      },
      [offset, pieces](quorate::sim::Disk::Impl* disk, OpenFileState* file, uint64_t torn) {
        disk->Tear(file, offset, pieces, torn);
      },
      std::move(callback));
}

void SimFile::Sync(StatusCallback callback) {
  Submit(
      DiskOperation::kSync, 0,
      [](quorate::sim::Disk::Impl* disk, OpenFileState* file) { return disk->Sync(file); }, nullptr,
      std::move(callback));
}

void SimFile::WriteAndSync(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) {
  const uint64_t bytes = TotalBytes(pieces);
  Submit(
      DiskOperation::kWriteAndSync, bytes,
      [offset, pieces](quorate::sim::Disk::Impl* disk, OpenFileState* file) {
        const absl::Status status = disk->Write(file, offset, pieces);
        return status.ok() ? disk->Sync(file) : status;
      },
      [offset, pieces](quorate::sim::Disk::Impl* disk, OpenFileState* file, uint64_t torn) {
        disk->Tear(file, offset, pieces, torn);
      },
      std::move(callback));
}

void SimFile::WriteZeros(uint64_t offset, uint64_t size, StatusCallback callback) {
  Submit(
      DiskOperation::kWriteZeros, size,
      [offset, size](quorate::sim::Disk::Impl* disk, OpenFileState* file) {
        return disk->Zero(file, offset, size);
      },
      nullptr, std::move(callback));
}

void SimFile::Truncate(uint64_t size, StatusCallback callback) {
  Submit(
      DiskOperation::kTruncate, 0,
      [size](quorate::sim::Disk::Impl* disk, OpenFileState* file) {
        return disk->Truncate(file, size);
      },
      nullptr, std::move(callback));
}

// --- Names ---

ProcessDisk::ProcessDisk(quorate::sim::Disk::Impl* disk, std::shared_ptr<Attachment> attachment)
    : disk_(disk), attachment_(std::move(attachment)), names_lane_(disk_->NewLane()) {}

// `run` takes effect on the disk; its result goes to the callback.
template <typename Result, typename Run>
void ProcessDisk::Submit(DiskOperation operation, Run run, std::function<void(Result)> callback) {
  if (attachment_->loop == nullptr) return;  // the process is dead
  disk_->Submit(
      names_lane_,
      {operation, 0,
       [disk = disk_, run = std::move(run), callback = std::move(callback)]() mutable -> Task {
         const absl::Status injected = disk->TakeInjected();
         auto result = std::make_shared<Result>(injected.ok() ? run() : Result(injected));
         return [result = std::move(result), callback = std::move(callback)] {
           callback(std::move(*result));
         };
       }});
}

void ProcessDisk::Open(const std::string& path, io::OpenOptions options, OpenCallback callback) {
  using Found = absl::StatusOr<std::shared_ptr<DiskNode>>;
  Submit<Found>(
      DiskOperation::kOpen,
      [disk = disk_, path, options]() -> Found {
        if (disk->open_files >= disk->max_open_files) {
          disk->context.Inject(Fault::kOpenRefused, disk->host);
          return absl::InternalError(absl::StrCat("open ", path, ": too many open files"));
        }
        return disk->names.OpenFile(path, options.create, options.exclusive);
      },
      [disk = disk_, attachment = attachment_, path, options,
       callback = std::move(callback)](Found found) {
        if (!found.ok()) return callback(found.status());
        auto state = std::make_shared<OpenFileState>();
        state->attachment = attachment;
        state->node = *std::move(found);
        state->lane = disk->NewLane();
        state->path = path;
        state->writable = options.write;
        state->size = state->node->pages->size();
        callback(std::make_unique<SimFile>(disk, std::move(state)));
      });
}

void ProcessDisk::List(const std::string& path, ListCallback callback) {
  using Names = absl::StatusOr<std::vector<std::string>>;
  Submit<Names>(
      DiskOperation::kList,
      [disk = disk_, path]() -> Names {
        const auto directory = disk->names.FindDirectory("list", path);
        if (!directory.ok()) return directory.status();
        std::vector<std::string> names;
        for (const auto& [name, node] : (*directory)->names) names.push_back(name);
        return names;
      },
      std::move(callback));
}

void ProcessDisk::MakeDirs(const std::string& path, StatusCallback callback) {
  Submit<absl::Status>(
      DiskOperation::kMakeDirs, [disk = disk_, path] { return disk->names.MakeDirs(path); },
      std::move(callback));
}

void ProcessDisk::Rename(const std::string& from, const std::string& to, StatusCallback callback) {
  Submit<absl::Status>(
      DiskOperation::kRename, [disk = disk_, from, to] { return disk->names.Rename(from, to); },
      std::move(callback));
}

void ProcessDisk::Remove(const std::string& path, StatusCallback callback) {
  Submit<absl::Status>(
      DiskOperation::kRemove, [disk = disk_, path] { return disk->names.Remove(path); },
      std::move(callback));
}

void ProcessDisk::SyncDir(const std::string& path, StatusCallback callback) {
  Submit<absl::Status>(
      DiskOperation::kSyncDir, [disk = disk_, path] { return disk->names.SyncDir(path); },
      std::move(callback));
}

void ProcessDisk::LockDir(const std::string& path, LockCallback callback) {
  Submit<absl::Status>(
      DiskOperation::kLockDir,
      [disk = disk_, path] {
        const auto directory = disk->names.FindDirectory("lock", path);
        if (!directory.ok()) return directory.status();
        // The lock is on a file of its own, as in the real world.
        return disk->names
            .OpenFile(absl::StrCat(path, "/", kLockName), /*create=*/true, /*exclusive=*/false)
            .status();
      },
      [attachment = attachment_, path, callback = std::move(callback)](absl::Status status) {
        if (!status.ok()) return callback(status);
        if (!attachment->locks.insert(path).second) {
          return callback(absl::FailedPreconditionError(
              absl::StrCat("lock ", path, ": another process is using this directory")));
        }
        callback(std::make_unique<SimLock>(attachment, path));
      });
}

void ProcessDisk::FreeSpace(const std::string& path,
                            std::function<void(absl::StatusOr<uint64_t>)> callback) {
  Submit<absl::StatusOr<uint64_t>>(
      DiskOperation::kFreeSpace,
      [disk = disk_, path]() -> absl::StatusOr<uint64_t> {
        const auto directory = disk->names.FindDirectory("free space", path);
        if (!directory.ok()) return directory.status();
        return disk->free_bytes();
      },
      std::move(callback));
}

}  // namespace quorate::sim
