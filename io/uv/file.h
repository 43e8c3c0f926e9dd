// io::File on a file descriptor and a queue of work.
#ifndef QUORATE_IO_UV_FILE_H_
#define QUORATE_IO_UV_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/disk.h"
#include "io/uv/disk.h"
#include "io/uv/threads.h"

namespace quorate::io::uv {

// What a file's operations share. The loop owns `size` and `dropped`; the threads,
// one operation at a time, own `sync_failed`.
struct FileState {
  Disk* disk = nullptr;
  int fd = -1;
  std::string path;
  uint64_t size = 0;         // as of the last completed operation
  bool dropped = false;      // the io::File is gone: no callbacks any more
  bool sync_failed = false;  // and so does every later sync of this file
  bool uncached_reads = false;
  Pool* dedicated = nullptr;

  FileState() = default;
  FileState(const FileState&) = delete;
  FileState& operator=(const FileState&) = delete;
  ~FileState();
};

class File final : public io::File {
 public:
  File(std::shared_ptr<FileState> state, std::shared_ptr<SerialQueue> queue);
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() override;

  void Read(uint64_t offset, size_t size, ReadCallback callback) override;
  void Write(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) override;
  void Sync(StatusCallback callback) override;
  void WriteAndSync(uint64_t offset, std::vector<Bytes> pieces, StatusCallback callback) override;
  void WriteZeros(uint64_t offset, uint64_t size, StatusCallback callback) override;
  void Truncate(uint64_t size, StatusCallback callback) override;
  uint64_t size() const override { return state_->size; }
  const std::string& path() const override { return state_->path; }

 private:
  const std::shared_ptr<FileState> state_;
  const std::shared_ptr<SerialQueue> queue_;
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_FILE_H_
