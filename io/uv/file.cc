#include "io/uv/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "io/uv/error.h"

namespace quorate::io::uv {
namespace {

constexpr size_t kMaxPieces = std::min<size_t>(IOV_MAX, 1024);
constexpr size_t kZeroBytes = 1024 * 1024;
constexpr std::array<char, kZeroBytes> kZeros = {};

absl::StatusOr<uint64_t> CurrentSize(const FileState& file) {
  struct stat info;
  if (fstat(file.fd, &info) != 0) return DiskError("stat", file.path, errno, Access::kRead);
  return static_cast<uint64_t>(info.st_size);
}

// Writes all of `vectors` from `offset` on, however often the system stops short.
// Uses up `vectors`.
absl::Status WriteVectors(const FileState& file, uint64_t offset, std::vector<iovec>* vectors) {
  size_t first = 0;
  while (first < vectors->size()) {
    const int count = static_cast<int>(std::min(kMaxPieces, vectors->size() - first));
    const ssize_t written =
        pwritev(file.fd, vectors->data() + first, count, static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return DiskError("write", file.path, errno, Access::kWrite);
    }
    // Nothing, and no error: asking for ever would not help.
    if (written == 0) return DiskError("write", file.path, EIO, Access::kWrite);
    offset += static_cast<uint64_t>(written);
    size_t left = static_cast<size_t>(written);
    while (first < vectors->size() && left >= (*vectors)[first].iov_len) {
      left -= (*vectors)[first].iov_len;
      ++first;
    }
    if (left > 0) {
      iovec& partial = (*vectors)[first];
      partial.iov_base = static_cast<char*>(partial.iov_base) + left;
      partial.iov_len -= left;
    }
  }
  return absl::OkStatus();
}

absl::Status WritePieces(const FileState& file, uint64_t offset, const std::vector<Bytes>& pieces) {
  std::vector<iovec> vectors;
  vectors.reserve(pieces.size());
  for (const Bytes& piece : pieces) {
    if (!piece.empty()) vectors.push_back({const_cast<char*>(piece.data()), piece.size()});
  }
  return WriteVectors(file, offset, &vectors);
}

absl::Status WriteZeroBytes(const FileState& file, uint64_t offset, uint64_t size) {
  while (size > 0) {
    const size_t step = static_cast<size_t>(std::min<uint64_t>(size, kZeroBytes));
    std::vector<iovec> vectors = {{const_cast<char*>(kZeros.data()), step}};
    RETURN_IF_ERROR(WriteVectors(file, offset, &vectors));
    offset += step;
    size -= step;
  }
  return absl::OkStatus();
}

// After one failed sync the pages that it should have written may be clean and lost,
// and the next fdatasync would say OK: no later one counts.
absl::Status SyncOnce(FileState* file) {
  if (file->sync_failed) {
    return absl::InternalError(
        absl::StrCat("sync ", file->path, ": an earlier sync of this file failed"));
  }
  int result;
  do {
    result = fdatasync(file->fd);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return absl::OkStatus();
  file->sync_failed = true;
  return DiskError("sync", file->path, errno, Access::kWrite);
}

// Before a read that is to tell what the disk holds, and after it, since nobody else is going to
// read that soon. A refusal leaves what the system remembers: the read is then worth less, and
// no less right.
class DroppedCache {
 public:
  DroppedCache(const FileState& file, uint64_t offset, size_t size)
      : file_(file), offset_(static_cast<off_t>(offset)), size_(static_cast<off_t>(size)) {
    Drop();
  }
  DroppedCache(const DroppedCache&) = delete;
  DroppedCache& operator=(const DroppedCache&) = delete;
  ~DroppedCache() { Drop(); }

 private:
  void Drop() const {
    if (file_.uncached_reads) posix_fadvise(file_.fd, offset_, size_, POSIX_FADV_DONTNEED);
  }
  const FileState& file_;
  const off_t offset_;
  const off_t size_;
};

absl::StatusOr<Bytes> ReadBytes(const FileState& file, uint64_t offset, size_t size) {
  ASSIGN_OR_RETURN(const uint64_t file_size, CurrentSize(file));
  if (offset >= file_size) return Bytes();
  size = static_cast<size_t>(std::min<uint64_t>(size, file_size - offset));
  const DroppedCache dropped(file, offset, size);
  BytesBuilder out(size);
  char* const at = out.Grow(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(file.fd, at + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return DiskError("read", file.path, errno, Access::kRead);
    }
    if (n == 0) break;  // somebody truncated it
    done += static_cast<size_t>(n);
  }
  out.Truncate(done);
  return std::move(out).Finish();
}

// An operation that ends in a status and may change the file's size.
class StatusWork : public Work {
 public:
  StatusWork(std::shared_ptr<FileState> file, File::StatusCallback callback)
      : file_(std::move(file)), callback_(std::move(callback)) {}

  void Run() final {
    status_ = RunOn(file_.get());
    const absl::StatusOr<uint64_t> size = CurrentSize(*file_);
    if (size.ok()) {
      size_ = *size;
    } else if (status_.ok()) {
      status_ = size.status();
    }
  }
  void Complete() final {
    file_->size = size_;
    if (!file_->dropped) callback_(std::move(status_));
  }

 protected:
  virtual absl::Status RunOn(FileState* file) = 0;

 private:
  const std::shared_ptr<FileState> file_;
  const File::StatusCallback callback_;
  absl::Status status_;
  uint64_t size_ = 0;
};

template <typename Operation>
class StatusOperation final : public StatusWork {
 public:
  StatusOperation(std::shared_ptr<FileState> file, File::StatusCallback callback,
                  Operation operation)
      : StatusWork(std::move(file), std::move(callback)), operation_(std::move(operation)) {}

 private:
  absl::Status RunOn(FileState* file) override { return operation_(file); }
  Operation operation_;
};

template <typename Operation>
std::unique_ptr<Work> NewStatusWork(std::shared_ptr<FileState> file, File::StatusCallback callback,
                                    Operation operation) {
  return std::make_unique<StatusOperation<Operation>>(std::move(file), std::move(callback),
                                                      std::move(operation));
}

class ReadWork final : public Work {
 public:
  ReadWork(std::shared_ptr<FileState> file, uint64_t offset, size_t size,
           File::ReadCallback callback)
      : file_(std::move(file)), offset_(offset), size_(size), callback_(std::move(callback)) {}

  void Run() override { result_ = ReadBytes(*file_, offset_, size_); }
  void Complete() override {
    if (!file_->dropped) callback_(std::move(result_));
  }

 private:
  const std::shared_ptr<FileState> file_;
  const uint64_t offset_;
  const size_t size_;
  const File::ReadCallback callback_;
  absl::StatusOr<Bytes> result_;
};

class CloseWork final : public Work {
 public:
  explicit CloseWork(std::shared_ptr<FileState> file) : file_(std::move(file)) {}

  void Run() override {
    close(file_->fd);
    file_->fd = -1;
  }
  void Complete() override {
    if (file_->dedicated != nullptr) file_->disk->RetireDedicatedThread(file_->dedicated);
  }

 private:
  const std::shared_ptr<FileState> file_;
};

}  // namespace

FileState::~FileState() {
  if (fd >= 0) close(fd);
}

File::File(std::shared_ptr<FileState> state, std::shared_ptr<SerialQueue> queue)
    : state_(std::move(state)), queue_(std::move(queue)) {}

File::~File() {
  state_->dropped = true;
  queue_->Submit(std::make_unique<CloseWork>(state_));
}

void File::Read(uint64_t offset, size_t size, ReadCallback callback) {
  queue_->Submit(std::make_unique<ReadWork>(state_, offset, size, std::move(callback)));
}

void File::Write(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) {
  queue_->Submit(NewStatusWork(state_, std::move(callback),
                               [offset, pieces = std::move(pieces)](FileState* file) {
                                 return WritePieces(*file, offset, pieces);
                               }));
}

void File::Sync(StatusCallback callback) {
  queue_->Submit(
      NewStatusWork(state_, std::move(callback), [](FileState* file) { return SyncOnce(file); }));
}

void File::WriteAndSync(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) {
  queue_->Submit(NewStatusWork(state_, std::move(callback),
                               [offset, pieces = std::move(pieces)](FileState* file) {
                                 const absl::Status status = WritePieces(*file, offset, pieces);
                                 return status.ok() ? SyncOnce(file) : status;
                               }));
}

void File::WriteZeros(uint64_t offset, uint64_t size, StatusCallback callback) {
  queue_->Submit(NewStatusWork(state_, std::move(callback), [offset, size](FileState* file) {
    return WriteZeroBytes(*file, offset, size);
  }));
}

void File::Truncate(uint64_t size, StatusCallback callback) {
  queue_->Submit(NewStatusWork(state_, std::move(callback), [size](FileState* file) {
    int result;
    do {
      result = ftruncate(file->fd, static_cast<off_t>(size));
    } while (result != 0 && errno == EINTR);
    if (result == 0) return absl::OkStatus();
    return DiskError("truncate", file->path, errno, Access::kWrite);
  }));
}

}  // namespace quorate::io::uv
