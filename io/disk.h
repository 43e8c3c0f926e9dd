// Files with honest durability.
//
// What survives a crash: a file's bytes, once a Sync (or WriteAndSync) that began
// after they were written has completed with OK; a created, renamed or removed
// name, once SyncDir of its directory has completed with OK. Anything else may be
// there, be missing, or be torn at 512-byte sectors.
//
// A failed sync is final (the pages may be lost though they still read back): the
// caller must not take a later OK of the same file as covering them.
//
// All calls are asynchronous: the callback comes later, on the loop, once. The
// operations of one File take effect in the order of the calls.
//
// Errors: NotFound, AlreadyExists, ResourceExhausted (no space), DataLoss (an
// unreadable sector or name: EIO, or what the file system finds damaged of its own, on
// reading or on opening what is there), Internal (EIO on writing or syncing),
// PermissionDenied, FailedPrecondition (read-only file system; a lock that
// somebody holds), each naming the path.
#ifndef QUORATE_IO_DISK_H_
#define QUORATE_IO_DISK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"

namespace quorate::io {

// Torn writes happen at multiples of this many bytes.
inline constexpr size_t kSectorBytes = 512;

// An open file. Destroying it closes it after operations in flight are done;
// their callbacks do not come any more.
class File {
 public:
  using StatusCallback = std::function<void(absl::Status)>;
  using ReadCallback = std::function<void(absl::StatusOr<Bytes>)>;

  virtual ~File() = default;

  // Up to `size` bytes from `offset`; fewer only at the end of the file.
  virtual void Read(uint64_t offset, size_t size, ReadCallback callback) = 0;

  // Writes the pieces one after another from `offset` on. The file grows as needed.
  virtual void Write(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) = 0;

  // Makes all earlier writes of this file durable (data and size).
  virtual void Sync(StatusCallback callback) = 0;

  // Write, then Sync, with one completion: the log's commit path.
  virtual void WriteAndSync(uint64_t offset, std::vector<Bytes> pieces,
                            StatusCallback callback) = 0;

  // Fills [offset, offset + size) with zeros that are really on the disk, so that
  // later writes there neither allocate nor change the size. For preallocation.
  virtual void WriteZeros(uint64_t offset, uint64_t size, StatusCallback callback) = 0;

  virtual void Truncate(uint64_t size, StatusCallback callback) = 0;

  // Size as of the last completed operation.
  virtual uint64_t size() const = 0;
  virtual const std::string& path() const = 0;
};

// Holds a directory against other processes until destroyed.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

struct OpenOptions {
  bool create = false;     // create if missing
  bool exclusive = false;  // with create: AlreadyExists if it is there
  bool write = true;
  // The log's own file: its operations run on a thread shared with nothing else.
  bool dedicated_thread = false;
  // Reads are to tell what the disk holds, not what the system remembers of it. As far as
  // the system follows: what is not yet synced, or in use elsewhere, it may still remember.
  bool uncached_reads = false;
};

class Disk {
 public:
  using StatusCallback = File::StatusCallback;
  using OpenCallback = std::function<void(absl::StatusOr<std::unique_ptr<File>>)>;
  using ListCallback = std::function<void(absl::StatusOr<std::vector<std::string>>)>;
  using LockCallback = std::function<void(absl::StatusOr<std::unique_ptr<DirectoryLock>>)>;

  virtual ~Disk() = default;

  virtual void Open(const std::string& path, OpenOptions options, OpenCallback callback) = 0;
  // Names in a directory, sorted, without "." and "..".
  virtual void List(const std::string& path, ListCallback callback) = 0;
  // Creates a directory and its missing parents (0700). OK if it is there.
  virtual void MakeDirs(const std::string& path, StatusCallback callback) = 0;
  // Atomic replacement of `to`.
  virtual void Rename(const std::string& from, const std::string& to, StatusCallback callback) = 0;
  virtual void Remove(const std::string& path, StatusCallback callback) = 0;
  // Makes the directory's names durable.
  virtual void SyncDir(const std::string& path, StatusCallback callback) = 0;
  // FailedPrecondition if another process (or member) holds it.
  virtual void LockDir(const std::string& path, LockCallback callback) = 0;
  // Bytes that may still be written below `path`.
  virtual void FreeSpace(const std::string& path,
                         std::function<void(absl::StatusOr<uint64_t>)> callback) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_DISK_H_
