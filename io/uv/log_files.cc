#include "io/uv/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quorate::io::uv {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kCompressed = ".gz";
constexpr absl::string_view kPart = ".part";
constexpr size_t kTimeBytes = sizeof("2006-01-02T15-04-05.000") - 1;

// One system call a line, so that lines of several processes do not mix. A line that cannot be
// written is lost: there is nowhere to say so.
void WriteLineTo(int fd, absl::string_view line) {
  char newline = '\n';
  iovec vectors[2] = {{const_cast<char*>(line.data()), line.size()}, {&newline, 1}};
  iovec* first = vectors;
  while (first != vectors + 2) {
    const ssize_t n = writev(fd, first, static_cast<int>(vectors + 2 - first));
    if (n < 0) {
      if (errno == EINTR) continue;
      return;
    }
    size_t left = static_cast<size_t>(n);
    while (first != vectors + 2 && left >= first->iov_len) left -= (first++)->iov_len;
    if (first == vectors + 2) return;
    first->iov_base = static_cast<char*>(first->iov_base) + left;
    first->iov_len -= left;
  }
}

std::string TimeText(timespec time, bool local) {
  tm parts = {};
  if (local) {
    localtime_r(&time.tv_sec, &parts);
  } else {
    gmtime_r(&time.tv_sec, &parts);
  }
  return absl::StrFormat("%04d-%02d-%02dT%02d-%02d-%02d.%03d", parts.tm_year + 1900,
                         parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                         time.tv_nsec / 1'000'000);
}

timespec Now() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

// Compresses into a file of its own, which takes the name only when it is whole. False, and
// nothing changed, if it cannot be or is to stop.
bool Compress(const std::string& path, const std::atomic<bool>& stop) {
  const std::string part = absl::StrCat(path, kCompressed, kPart);
  const std::string whole = absl::StrCat(path, kCompressed);
  struct stat status = {};
  const int from = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  bool good = from >= 0 && fstat(from, &status) == 0;
  const int to =
      !good ? -1
            : open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, status.st_mode & 0777);
  gzFile out = to < 0 ? nullptr : gzdopen(dup(to), "wb");
  good = out != nullptr;
  std::array<char, 64 * 1024> buffer;
  while (good) {
    const ssize_t n = read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    good = n >= 0;
    if (n <= 0) break;
    good = gzwrite(out, buffer.data(), static_cast<unsigned>(n)) == n && !stop;
  }
  if (out != nullptr) good = gzclose(out) == Z_OK && good;
  // The other one is removed next.
  good = good && fsync(to) == 0 && rename(part.c_str(), whole.c_str()) == 0;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  (void)unlink((good ? path : part).c_str());
  return good;
}

}  // namespace

// Full files, on another thread: one run at a time.
struct RotatedFile::Cleaner {
  Cleaner(const std::string& path, const LogRotation& r, Compute* c) : rotation(r), compute(c) {
    const fs::path file(path);
    directory = file.parent_path().empty() ? fs::path(".") : file.parent_path();
    extension = file.extension().string();
    prefix = absl::StrCat(file.stem().string(), "-");
  }

  std::string NameAt(timespec time) const {
    return absl::StrCat(prefix, TimeText(time, rotation.local_time), extension);
  }
  // A name that no full file has had: two may be filled within a millisecond.
  std::string FreePath() const {
    timespec time = Now();
    for (;;) {
      const fs::path path = directory / NameAt(time);
      std::error_code error;
      if (!fs::exists(path, error) && !fs::exists(path.string() + ".gz", error)) return path;
      time.tv_nsec += 1'000'000;
      if (time.tv_nsec >= 1'000'000'000) {
        time.tv_nsec -= 1'000'000'000;
        ++time.tv_sec;
      }
    }
  }

  // Whether that is the name of one of our full files; its time in *time.
  bool IsBackup(absl::string_view name, std::string* time) const {
    absl::ConsumeSuffix(&name, kCompressed);
    if (!absl::ConsumePrefix(&name, prefix) || !absl::ConsumeSuffix(&name, extension)) return false;
    constexpr absl::string_view kShape = "dddd-dd-ddTdd-dd-dd.ddd";
    static_assert(kShape.size() == kTimeBytes);
    if (name.size() != kTimeBytes) return false;
    for (size_t i = 0; i < kTimeBytes; ++i) {
      const bool digit = name[i] >= '0' && name[i] <= '9';
      if (kShape[i] == 'd' ? !digit : name[i] != kShape[i]) return false;
    }
    *time = std::string(name);
    return true;
  }

  // Whether that is what a compression left that did not come to its end.
  bool IsPart(absl::string_view name) const {
    std::string time;
    return absl::ConsumeSuffix(&name, kPart) && absl::EndsWith(name, kCompressed) &&
           IsBackup(name, &time);
  }

  void Clean() const {
    std::vector<std::pair<std::string, fs::path>> full;  // the newest first
    std::error_code error;
    for (fs::directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
      const std::string name = at->path().filename().string();
      std::string time;
      if (IsBackup(name, &time)) {
        full.emplace_back(std::move(time), at->path());
      } else if (IsPart(name)) {
        (void)unlink(at->path().c_str());
      }
    }
    std::sort(full.begin(), full.end(), std::greater<>());
    timespec oldest = Now();
    oldest.tv_sec -= static_cast<time_t>(rotation.max_age_days * 24 * 3600);
    const std::string too_old = TimeText(oldest, rotation.local_time);
    for (size_t i = 0; i < full.size() && !stop; ++i) {
      const auto& [time, path] = full[i];
      if ((rotation.max_backups > 0 && i >= rotation.max_backups) ||
          (rotation.max_age_days > 0 && time < too_old)) {
        fs::remove(path, error);
      } else if (rotation.compress && !absl::EndsWith(path.string(), kCompressed)) {
        (void)Compress(path.string(), stop);  // tried again next time
      }
    }
  }

  static void Start(const std::shared_ptr<Cleaner>& self) {
    if (std::exchange(self->running, true)) {
      self->again = true;
      return;
    }
    self->again = false;
    self->compute->Run([self] { self->Clean(); },
                       [self] {
                         self->running = false;
                         if (self->again) Start(self);
                       });
  }

  const LogRotation rotation;
  Compute* const compute;
  fs::path directory;
  std::string prefix;
  std::string extension;
  bool running = false;
  bool again = false;
  std::atomic<bool> stop = false;  // for the other thread
};

RotatedFile::RotatedFile(int fd, std::string path, const LogRotation& rotation, Compute* compute)
    : fd_(fd),
      path_(std::move(path)),
      rotation_(rotation),
      size_(0),
      cleaner_(std::make_shared<Cleaner>(path_, rotation, compute)) {
  struct stat status = {};
  if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) return;
  regular_ = true;
  size_ = static_cast<uint64_t>(status.st_size);
  Cleaner::Start(cleaner_);
}

RotatedFile::~RotatedFile() {
  StopCleaning();
  close(fd_);
}

void RotatedFile::StopCleaning() { cleaner_->stop = true; }

void RotatedFile::WriteLine(absl::string_view line) {
  const uint64_t bytes = line.size() + 1;
  if (regular_ && size_ > 0 && size_ + bytes > rotation_.max_bytes) Rotate();
  WriteLineTo(fd_, line);
  size_ += bytes;
}

void RotatedFile::Rotate() {
  // Not tried for every line if it fails.
  size_ = 0;
  struct stat status = {};
  if (fstat(fd_, &status) != 0) return;
  const std::string full = cleaner_->FreePath();
  const bool renamed = rename(path_.c_str(), full.c_str()) == 0;
  // It may have been removed, or moved away with its directory.
  if (!renamed && errno != ENOENT) return;
  std::error_code error;
  if (!renamed) fs::create_directories(cleaner_->directory, error);
  const int fresh = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fresh < 0) {
    if (renamed) (void)rename(full.c_str(), path_.c_str());
    return;
  }
  (void)fchmod(fresh, status.st_mode & 07777);
  // Only root gives files away: else it stays ours.
  (void)!fchown(fresh, status.st_uid, status.st_gid);
  close(std::exchange(fd_, fresh));
  Cleaner::Start(cleaner_);
}

void LogFiles::WriteLine(absl::string_view line) {
  for (const int fd : fds_) WriteLineTo(fd, line);
  if (file_ != nullptr) file_->WriteLine(line);
}

void LogFiles::StopCleaning() {
  if (file_ != nullptr) file_->StopCleaning();
}

}  // namespace quorate::io::uv
