// io::Disk on threads: a pool for ordinary files and names, and a thread of its own
// for each file opened with dedicated_thread.
//
// An operation goes loop -> thread -> loop and nowhere else: a WriteAndSync is one
// pwritev and one fdatasync in one hop.
#ifndef QUORATE_IO_UV_DISK_H_
#define QUORATE_IO_UV_DISK_H_

#include <list>
#include <memory>
#include <string>

#include "io/disk.h"
#include "io/uv/loop.h"
#include "io/uv/threads.h"

namespace quorate::io::uv {

// What Disk's MakeDirs and SyncDir do, on the thread that calls.
absl::Status MakeDirectories(const std::string& path);
absl::Status SyncDirectory(const std::string& path);

class Disk final : public io::Disk {
 public:
  Disk(Loop* loop, int threads);
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  ~Disk() override { Stop(); }

  // Runs what was submitted to its end. What is submitted later never runs.
  void Stop();

  void Open(const std::string& path, OpenOptions options, OpenCallback callback) override;
  void List(const std::string& path, ListCallback callback) override;
  void MakeDirs(const std::string& path, StatusCallback callback) override;
  void Rename(const std::string& from, const std::string& to, StatusCallback callback) override;
  void Remove(const std::string& path, StatusCallback callback) override;
  void SyncDir(const std::string& path, StatusCallback callback) override;
  void LockDir(const std::string& path, LockCallback callback) override;
  void FreeSpace(const std::string& path,
                 std::function<void(absl::StatusOr<uint64_t>)> callback) override;

  // For files: where the operations of a file run, and how a dedicated thread ends.
  std::shared_ptr<SerialQueue> NewQueue(Pool* dedicated);
  Pool* NewDedicatedThread();
  void RetireDedicatedThread(Pool* thread);

 private:
  template <typename Result, typename Run>
  void Submit(Run run, std::function<void(Result)> callback);

  Loop* const loop_;
  Pool pool_;
  std::list<Pool> dedicated_;
  // Operations on names take effect in the order of the calls.
  const std::shared_ptr<SerialQueue> names_;
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_DISK_H_
