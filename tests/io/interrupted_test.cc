// Real files on a system that stops short and is interrupted again and again, and one that fails:
// the system's calls are taken over here.
#undef _FORTIFY_SOURCE  // its calls are other ones
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "io/uv/world.h"

namespace {

// What the calls of this process meet from now on.
struct Calls {
  std::atomic<bool> disturbed = false;  // stop short, and are interrupted each other time
  std::atomic<int> write_error = 0;     // errno's, unless 0
  std::atomic<int> sync_error = 0;
  std::atomic<int> read_error = 0;
  std::atomic<bool> nothing_written = false;
  std::atomic<int> interruptions = 0;
  std::atomic<int> short_calls = 0;
};
Calls calls;

bool Interrupted() {
  if (!calls.disturbed || calls.interruptions++ % 2 != 0) return false;
  errno = EINTR;
  return true;
}

bool Fails(int error) {
  if (error != 0) errno = error;
  return error != 0;
}

ssize_t Read(int fd, void* buffer, size_t size, off_t offset) {
  if (Fails(calls.read_error) || Interrupted()) return -1;
  if (calls.disturbed && size > 1) {
    ++calls.short_calls;
    size = std::min<size_t>(size - 1, 1000);
  }
  return syscall(SYS_pread64, fd, buffer, size, offset);
}

}  // namespace

extern "C" {

ssize_t pread(int fd, void* buffer, size_t size, off_t offset) {
  return Read(fd, buffer, size, offset);
}
ssize_t __pread_chk(int fd, void* buffer, size_t size, off_t offset, size_t) {
  return Read(fd, buffer, size, offset);
}

ssize_t pwritev(int fd, const iovec* vectors, int count, off_t offset) {
  if (Fails(calls.write_error) || Interrupted()) return -1;
  if (calls.nothing_written) return 0;
  if (!calls.disturbed) return syscall(SYS_pwritev, fd, vectors, count, offset, 0);
  ++calls.short_calls;
  size_t size = vectors[0].iov_len;
  if (size > 1) size = std::min<size_t>(size - 1, 1000);
  return syscall(SYS_pwrite64, fd, vectors[0].iov_base, size, offset);
}

int fdatasync(int fd) {
  if (Fails(calls.sync_error) || Interrupted()) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

int fsync(int fd) {
  if (Fails(calls.sync_error) || Interrupted()) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

int ftruncate(int fd, off_t size) noexcept {
  if (Interrupted()) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, fd, size));
}

}  // extern "C"

namespace quorate::testing {
namespace {

class InterruptedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/interrupted-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/file";
    disk_ = world_.env().disk;
  }
  void TearDown() override {
    calls.disturbed = calls.nothing_written = false;
    calls.write_error = calls.sync_error = calls.read_error = 0;
    file_.reset();
  }

  template <typename Result>
  Result Wait(const std::function<void(std::function<void(Result)>)>& call) {
    std::optional<Result> result;
    call([&](Result got) { result = std::move(got); });
    while (!result.has_value()) world_.RunOnce();
    return *std::move(result);
  }
  void Open() {
    std::optional<absl::Status> status;
    disk_->Open(path_, {.create = true}, [&](absl::StatusOr<std::unique_ptr<io::File>> file) {
      status = file.status();
      if (file.ok()) file_ = *std::move(file);
    });
    while (!status.has_value()) world_.RunOnce();
    ASSERT_TRUE(status->ok()) << *status;
  }
  absl::Status WriteAndSync(uint64_t offset, std::vector<Bytes> pieces) {
    return Wait<absl::Status>([&](std::function<void(absl::Status)> done) {
      file_->WriteAndSync(offset, std::move(pieces), std::move(done));
    });
  }
  absl::Status Sync() {
    return Wait<absl::Status>(
        [&](std::function<void(absl::Status)> done) { file_->Sync(std::move(done)); });
  }
  absl::StatusOr<Bytes> Read(uint64_t offset, size_t size) {
    return Wait<absl::StatusOr<Bytes>>([&](std::function<void(absl::StatusOr<Bytes>)> done) {
      file_->Read(offset, size, std::move(done));
    });
  }

  io::uv::World world_;
  io::Disk* disk_ = nullptr;
  std::string directory_;
  std::string path_;
  std::unique_ptr<io::File> file_;
};

TEST_F(InterruptedTest, WhatStopsShortOrIsInterruptedIsDoneToItsEnd) {
  Open();
  std::vector<Bytes> pieces;
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(static_cast<size_t>(1 + i * 317), static_cast<char>('a' + i % 26));
    expected += piece;
    pieces.push_back(Bytes::Copy(piece));
  }
  calls.disturbed = true;
  ASSERT_TRUE(WriteAndSync(5, pieces).ok());
  const absl::StatusOr<Bytes> read = Read(0, expected.size() + 100);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->view() == std::string(5, '\0') + expected);
  const absl::Status zeros = Wait<absl::Status>([&](std::function<void(absl::Status)> done) {
    file_->WriteZeros(100, 5000, std::move(done));
  });
  ASSERT_TRUE(zeros.ok()) << zeros;
  const absl::Status cut = Wait<absl::Status>(
      [&](std::function<void(absl::Status)> done) { file_->Truncate(6000, std::move(done)); });
  ASSERT_TRUE(cut.ok()) << cut;
  const absl::Status named = Wait<absl::Status>(
      [&](std::function<void(absl::Status)> done) { disk_->SyncDir(directory_, std::move(done)); });
  ASSERT_TRUE(named.ok()) << named;
  const absl::StatusOr<Bytes> again = Read(0, 10000);
  ASSERT_TRUE(again.ok()) << again.status();
  expected = (std::string(5, '\0') + expected).substr(0, 6000);
  expected.replace(100, 5000, std::string(5000, '\0'));
  EXPECT_TRUE(again->view() == expected);
  EXPECT_GT(calls.interruptions, 100);
  EXPECT_GT(calls.short_calls, 100);
}

// A later sync of the same file may say OK though the pages are gone.
TEST_F(InterruptedTest, AFailedSyncOfAFileIsNeverFollowedByOneThatSucceeds) {
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    Open();
    calls.sync_error = error;
    const absl::Status failed = WriteAndSync(0, {Bytes::Copy("x")});
    calls.sync_error = 0;
    EXPECT_EQ(failed.code(),
              error == EIO ? absl::StatusCode::kInternal : absl::StatusCode::kResourceExhausted)
        << failed;
    EXPECT_FALSE(Sync().ok());
    EXPECT_FALSE(WriteAndSync(0, {Bytes::Copy("y")}).ok());
    file_.reset();
  }
}

TEST_F(InterruptedTest, ErrorsAreNamed) {
  Open();
  ASSERT_TRUE(WriteAndSync(0, {Bytes::Copy("x")}).ok());
  calls.write_error = EIO;
  EXPECT_EQ(WriteAndSync(0, {Bytes::Copy("y")}).code(), absl::StatusCode::kInternal);
  calls.write_error = ENOSPC;
  const absl::Status full = WriteAndSync(0, {Bytes::Copy("y")});
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(full.ToString(), path_)) << full;
  calls.write_error = 0;
  calls.read_error = EIO;
  EXPECT_EQ(Read(0, 1).status().code(), absl::StatusCode::kDataLoss);
  calls.read_error = 0;
  calls.nothing_written = true;
  EXPECT_EQ(WriteAndSync(0, {Bytes::Copy("y")}).code(), absl::StatusCode::kInternal);
}

// The system's limit on the size of files first cuts a write short, then refuses it; it would kill
// whoever does not expect that.
TEST_F(InterruptedTest, ALimitOnTheSizeOfFilesIsAFullDisk) {
  Open();
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit = {4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::Status status = WriteAndSync(0, {Bytes::Copy(std::string(10000, 'x'))});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(file_->size(), 4096u);
}

}  // namespace
}  // namespace quorate::testing
