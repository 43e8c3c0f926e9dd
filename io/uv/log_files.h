// Log lines on descriptors, one of which may be a file that is rotated.
#ifndef QUORATE_IO_UV_LOG_FILES_H_
#define QUORATE_IO_UV_LOG_FILES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/compute.h"
#include "io/log_rotation.h"
#include "io/log_sink.h"

namespace quorate::io::uv {

// A file that gives its name to a new one when it is full. Full files get the time before the
// extension, "etcd-2026-01-02T15-04-05.000.log", so that names sort by age. A file that is there
// already is continued; one that was taken away is made anew, with its directory, when the time has
// come. What is no regular file (a pipe, /dev/null) is only written to.
class RotatedFile {
 public:
  // `fd` is `path`, open for appending; both are owned from now on. `compute` (not owned) runs
  // what takes long.
  RotatedFile(int fd, std::string path, const LogRotation& rotation, Compute* compute);
  RotatedFile(const RotatedFile&) = delete;
  RotatedFile& operator=(const RotatedFile&) = delete;
  ~RotatedFile();

  // If the file cannot be exchanged it goes on growing.
  void WriteLine(absl::string_view line);

  // Full files are neither compressed nor removed from now on; a compression that has begun is
  // given up, and done again by the next process.
  void StopCleaning();

 private:
  struct Cleaner;

  void Rotate();

  int fd_;
  const std::string path_;
  const LogRotation rotation_;
  bool regular_ = false;
  uint64_t size_;
  const std::shared_ptr<Cleaner> cleaner_;
};

class LogFiles final : public LogSink {
 public:
  // Descriptors are not closed.
  explicit LogFiles(std::vector<int> fds) : fds_(std::move(fds)) {}

  // One destination more.
  void Add(std::unique_ptr<RotatedFile> file) { file_ = std::move(file); }

  void WriteLine(absl::string_view line) override;
  // RotatedFile's.
  void StopCleaning();

 private:
  const std::vector<int> fds_;
  std::unique_ptr<RotatedFile> file_;
};

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_LOG_FILES_H_
