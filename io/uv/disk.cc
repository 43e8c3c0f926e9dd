#include "io/uv/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "io/uv/error.h"
#include "io/uv/file.h"

namespace quorate::io::uv {
namespace {

constexpr char kLockName[] = "LOCK";

// Closes when it goes out of scope, unless taken.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.Take()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::StatusOr<Descriptor> OpenDescriptor(const std::string& path, int flags, Access access) {
  int fd;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return DiskError("open", path, errno, access);
  return Descriptor(fd);
}

struct Opened {
  Descriptor descriptor;
  uint64_t size;
};

absl::StatusOr<Opened> OpenFile(const std::string& path, const OpenOptions& options) {
  int flags = options.write ? O_RDWR : O_RDONLY;
  if (options.create) flags |= O_CREAT;
  if (options.create && options.exclusive) flags |= O_EXCL;
  absl::StatusOr<Descriptor> descriptor =
      OpenDescriptor(path, flags, options.create ? Access::kWrite : Access::kRead);
  if (!descriptor.ok()) return descriptor.status();
  struct stat info;
  if (fstat(descriptor->get(), &info) != 0) {
    return DiskError("stat", path, errno, Access::kRead);
  }
  if (!S_ISREG(info.st_mode)) return DiskError("open", path, EISDIR, Access::kRead);
  return Opened{*std::move(descriptor), static_cast<uint64_t>(info.st_size)};
}

absl::StatusOr<std::vector<std::string>> ListNames(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return DiskError("list", path, errno, Access::kRead);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error_number = errno;
  closedir(directory);
  if (error_number != 0) return DiskError("list", path, error_number, Access::kRead);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

absl::Status MakeDirectories(const std::string& path) {
  for (size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/') continue;
    const std::string parent = path.substr(0, end);
    if (mkdir(parent.c_str(), 0700) == 0) continue;
    const int error_number = errno;
    struct stat info;
    if (stat(parent.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) continue;
      return DiskError("make directory", parent, ENOTDIR, Access::kWrite);
    }
    return DiskError("make directory", parent, error_number, Access::kWrite);
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  absl::StatusOr<Descriptor> descriptor =
      OpenDescriptor(path, O_RDONLY | O_DIRECTORY, Access::kWrite);
  if (!descriptor.ok()) return descriptor.status();
  int result;
  do {
    result = fsync(descriptor->get());
  } while (result != 0 && errno == EINTR);
  if (result != 0) return DiskError("sync directory", path, errno, Access::kWrite);
  return absl::OkStatus();
}

namespace {

// The kernel frees the lock when the descriptor is closed, by whatever end.
class LockedDirectory final : public DirectoryLock {
 public:
  explicit LockedDirectory(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  const Descriptor descriptor_;
};

// A lock file that may only be read is locked all the same: the kernel asks for no more. (A network
// file system may: then that fails.)
absl::StatusOr<Descriptor> OpenLock(const std::string& path) {
  const std::string lock = absl::StrCat(path, "/", kLockName);
  absl::StatusOr<Descriptor> writable = OpenDescriptor(lock, O_RDWR | O_CREAT, Access::kWrite);
  if (writable.ok()) return writable;
  absl::StatusOr<Descriptor> readable = OpenDescriptor(lock, O_RDONLY, Access::kRead);
  return readable.ok() ? std::move(readable) : std::move(writable);
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) {
  absl::StatusOr<Descriptor> descriptor = OpenLock(path);
  if (!descriptor.ok()) return descriptor.status();
  int result;
  do {
    result = flock(descriptor->get(), LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return std::make_unique<LockedDirectory>(*std::move(descriptor));
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat("lock ", path, ": another process is using this directory"));
  }
  return DiskError("lock", path, errno, Access::kWrite);
}

absl::StatusOr<uint64_t> FreeBytes(const std::string& path) {
  struct statvfs info;
  int result;
  do {
    result = statvfs(path.c_str(), &info);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return DiskError("free space", path, errno, Access::kRead);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

// Runs a function on a thread and gives its result to a callback.
template <typename Result, typename Function>
class ResultWork final : public Work {
 public:
  ResultWork(Function function, std::function<void(Result)> callback)
      : function_(std::move(function)), callback_(std::move(callback)) {}
  void Run() override { result_.emplace(function_()); }
  void Complete() override { callback_(*std::move(result_)); }

 private:
  Function function_;
  const std::function<void(Result)> callback_;
  std::optional<Result> result_;
};

}  // namespace

Disk::Disk(Loop* loop, int threads)
    : loop_(loop), pool_(threads), names_(std::make_shared<SerialQueue>(loop, &pool_)) {}

void Disk::Stop() {
  pool_.Stop();
  for (Pool& thread : dedicated_) thread.Stop();
}

std::shared_ptr<SerialQueue> Disk::NewQueue(Pool* dedicated) {
  return std::make_shared<SerialQueue>(loop_, dedicated != nullptr ? dedicated : &pool_);
}

Pool* Disk::NewDedicatedThread() { return &dedicated_.emplace_back(1); }

void Disk::RetireDedicatedThread(Pool* thread) {
  dedicated_.remove_if([thread](const Pool& pool) { return &pool == thread; });
}

template <typename Result, typename Run>
void Disk::Submit(Run run, std::function<void(Result)> callback) {
  names_->Submit(std::make_unique<ResultWork<Result, Run>>(std::move(run), std::move(callback)));
}

void Disk::Open(const std::string& path, OpenOptions options, OpenCallback callback) {
  Submit<absl::StatusOr<Opened>>(
      [path, options] { return OpenFile(path, options); },
      [this, path, options, callback = std::move(callback)](absl::StatusOr<Opened> opened) {
        if (!opened.ok()) return callback(opened.status());
        auto state = std::make_shared<FileState>();
        state->disk = this;
        state->fd = opened->descriptor.Take();
        state->path = path;
        state->size = opened->size;
        state->uncached_reads = options.uncached_reads;
        if (options.dedicated_thread) state->dedicated = NewDedicatedThread();
        std::shared_ptr<SerialQueue> queue = NewQueue(state->dedicated);
        callback(std::make_unique<File>(std::move(state), std::move(queue)));
      });
}

void Disk::List(const std::string& path, ListCallback callback) {
  Submit<absl::StatusOr<std::vector<std::string>>>([path] { return ListNames(path); },
                                                   std::move(callback));
}

void Disk::MakeDirs(const std::string& path, StatusCallback callback) {
  Submit<absl::Status>([path] { return MakeDirectories(path); }, std::move(callback));
}

void Disk::Rename(const std::string& from, const std::string& to, StatusCallback callback) {
  Submit<absl::Status>(
      [from, to] {
        if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
        return DiskError("rename", absl::StrCat(from, " to ", to), errno, Access::kWrite);
      },
      std::move(callback));
}

void Disk::Remove(const std::string& path, StatusCallback callback) {
  Submit<absl::Status>(
      [path] {
        if (remove(path.c_str()) == 0) return absl::OkStatus();
        return DiskError("remove", path, errno, Access::kWrite);
      },
      std::move(callback));
}

void Disk::SyncDir(const std::string& path, StatusCallback callback) {
  Submit<absl::Status>([path] { return SyncDirectory(path); }, std::move(callback));
}

void Disk::LockDir(const std::string& path, LockCallback callback) {
  Submit<absl::StatusOr<std::unique_ptr<DirectoryLock>>>([path] { return LockDirectory(path); },
                                                         std::move(callback));
}

void Disk::FreeSpace(const std::string& path,
                     std::function<void(absl::StatusOr<uint64_t>)> callback) {
  Submit<absl::StatusOr<uint64_t>>([path] { return FreeBytes(path); }, std::move(callback));
}

}  // namespace quorate::io::uv
