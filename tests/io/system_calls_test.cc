// Faults that the simulator's disk cannot have, and those of real files: io::Disk promises whole
// operations or an error, so that a system call which does less than it was asked, or is
// interrupted, is seen by io/uv alone. Here the calls themselves are replaced: each, by a draw of
// the seed, is interrupted (EINTR), moves only some of the bytes, or does all; the file must hold
// what a string would. Or it fails, and the error must have the right name.
#undef _FORTIFY_SOURCE  // the calls are defined here
#include <errno.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/prng.h"
#include "tests/io/world.h"

namespace {

enum Kind {
  kShortWrite,
  kInterruptedWrite,
  kShortRead,
  kInterruptedRead,
  kInterruptedSync,
  kInterruptedTruncate,
  kKinds
};

// 0: every call does all. Disk threads call; one file is used, so one after another.
std::atomic<uint64_t> armed_seed{0};
std::atomic<uint64_t> calls{0};
std::atomic<uint64_t> counts[kKinds];

// errno's of calls that fail, unless 0.
std::atomic<int> write_error{0};
std::atomic<int> read_error{0};
std::atomic<int> sync_error{0};
std::atomic<bool> nothing_written{false};

// What becomes of the next call: 0 to 3, and bits for more.
uint64_t Draw() { return quorate::Mix64(armed_seed.load() ^ calls.fetch_add(1)); }

bool Interrupts(uint64_t draw, Kind kind) {
  if (armed_seed == 0 || draw % 4 != 0) return false;
  ++counts[kind];
  errno = EINTR;
  return true;
}

bool Fails(int error) {
  if (error != 0) errno = error;
  return error != 0;
}

}  // namespace

extern "C" ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  const uint64_t draw = Draw();
  if (Fails(write_error) || Interrupts(draw, kInterruptedWrite)) return -1;
  if (nothing_written) return 0;
  std::vector<iovec> some(pieces, pieces + count);
  if (armed_seed != 0 && draw % 4 != 1 && count > 0) {
    some.resize(1 + (draw >> 8) % some.size());
    const size_t length = some.back().iov_len;
    if (length > 0) some.back().iov_len = 1 + (draw >> 32) % length;
    const bool all = some.size() == static_cast<size_t>(count) && some.back().iov_len == length;
    if (!all) ++counts[kShortWrite];
  }
  return syscall(SYS_pwritev, fd, some.data(), some.size(), offset, 0);
}

extern "C" ssize_t pread(int fd, void* out, size_t size, off_t offset) {
  const uint64_t draw = Draw();
  if (Fails(read_error) || Interrupts(draw, kInterruptedRead)) return -1;
  if (armed_seed != 0 && draw % 4 != 1 && size > 1) {
    const size_t some = 1 + (draw >> 32) % size;
    if (some < size) ++counts[kShortRead];
    size = some;
  }
  return syscall(SYS_pread64, fd, out, size, offset);
}

extern "C" int fdatasync(int fd) {
  if (Fails(sync_error) || Interrupts(Draw(), kInterruptedSync)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

extern "C" int fsync(int fd) {
  if (Fails(sync_error) || Interrupts(Draw(), kInterruptedSync)) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int ftruncate(int fd, off_t size) noexcept {
  if (Interrupts(Draw(), kInterruptedTruncate)) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, fd, size));
}

namespace quorate::testing {
namespace {

class SystemCallsTest : public ::testing::Test {
 protected:
  SystemCallsTest() : world_(NewUvWorld()) { Open(); }
  ~SystemCallsTest() override {
    armed_seed = 0;
    write_error = read_error = sync_error = 0;
    nothing_written = false;
    file_.reset();
  }

  void Open() {
    file_.reset();
    file_ = *Await<absl::StatusOr<std::unique_ptr<io::File>>>([this](auto done) {
      disk()->Open(path(), {.create = true, .dedicated_thread = true}, done);
    });
  }
  io::Disk* disk() { return world_->server().disk; }
  std::string path() const { return world_->directory() + "/file"; }

  template <typename Result, typename Start>
  Result Await(Start start) {
    std::optional<Result> result;
    world_->InServer([&] { start([&](Result r) { result.emplace(std::move(r)); }); });
    EXPECT_TRUE(world_->RunUntil([&] { return result.has_value(); }));
    return *std::move(result);
  }
  absl::Status WriteAndSync(uint64_t offset, const std::string& bytes) {
    return Await<absl::Status>(
        [&](auto done) { file_->WriteAndSync(offset, {Bytes::Copy(bytes)}, done); });
  }
  absl::StatusOr<Bytes> Read(uint64_t offset, size_t size) {
    return Await<absl::StatusOr<Bytes>>([&](auto done) { file_->Read(offset, size, done); });
  }

  const std::unique_ptr<IoWorld> world_;
  std::unique_ptr<io::File> file_;
};

class ShortCallsTest : public SystemCallsTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  ShortCallsTest() : prng_(GetParam()) {
    calls = 0;
    for (auto& count : counts) count = 0;
    armed_seed = GetParam();
  }

  void Change() {
    const uint64_t offset = prng_.Below(content_.size() + 1);
    if (prng_.Chance(1, 5)) {
      content_.resize(offset);
      EXPECT_TRUE(Await<absl::Status>([&](auto done) { file_->Truncate(offset, done); }).ok());
      EXPECT_TRUE(
          Await<absl::Status>([&](auto done) { disk()->SyncDir(world_->directory(), done); }).ok());
      return;
    }
    if (prng_.Chance(1, 6)) {
      const uint64_t size = prng_.Below(3'000'000);
      Put(offset, std::string(size, '\0'));
      EXPECT_TRUE(
          Await<absl::Status>([&](auto done) { file_->WriteZeros(offset, size, done); }).ok());
      return;
    }
    std::string all;
    std::vector<Bytes> pieces;
    for (uint64_t left = prng_.Below(40); left > 0; --left) {
      const size_t size = prng_.Below(5'000);
      const std::string piece(size, static_cast<char>('a' + prng_.Below(26)));
      all += piece;
      pieces.push_back(Bytes::Copy(piece));
    }
    Put(offset, all);
    const bool sync = prng_.Chance(1, 2);
    EXPECT_TRUE(Await<absl::Status>([&](auto done) {
                  if (sync) return file_->WriteAndSync(offset, pieces, done);
                  file_->Write(offset, pieces, done);
                }).ok());
  }

  void Compare() {
    const uint64_t offset = prng_.Below(content_.size() + 1);
    const size_t size = prng_.Below(200'000);
    const absl::StatusOr<Bytes> read = Read(offset, size);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->view() == content_.substr(offset, size)) << "at " << offset;
  }

 private:
  void Put(uint64_t offset, const std::string& bytes) {
    content_.resize(std::max<size_t>(content_.size(), offset + bytes.size()));
    content_.replace(offset, bytes.size(), bytes);
  }

  Prng prng_;
  std::string content_;
};

TEST_P(ShortCallsTest, AFileHoldsWhatWasWrittenHoweverLittleEachCallDoes) {
  for (int step = 0; step < 100; ++step) {
    Change();
    Compare();
  }
  for (int kind = 0; kind < kKinds; ++kind) EXPECT_GT(counts[kind], 0U) << "kind " << kind;
}

INSTANTIATE_TEST_SUITE_P(Seeds, ShortCallsTest, ::testing::Range<uint64_t>(1, 7));

// A later sync of the same file may say OK though the pages are gone.
TEST_F(SystemCallsTest, AFailedSyncOfAFileIsNeverFollowedByOneThatSucceeds) {
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    Open();
    sync_error = error;
    const absl::Status failed = WriteAndSync(0, "x");
    sync_error = 0;
    EXPECT_EQ(failed.code(),
              error == EIO ? absl::StatusCode::kInternal : absl::StatusCode::kResourceExhausted)
        << failed;
    if (error == EDQUOT) {
      EXPECT_TRUE(absl::StrContains(failed.ToString(), "quota")) << failed;
    }
    EXPECT_FALSE(Await<absl::Status>([&](auto done) { file_->Sync(done); }).ok());
    EXPECT_FALSE(WriteAndSync(0, "y").ok());
  }
}

TEST_F(SystemCallsTest, ErrorsAreNamed) {
  ASSERT_TRUE(WriteAndSync(0, "x").ok());
  write_error = EIO;
  EXPECT_EQ(WriteAndSync(0, "y").code(), absl::StatusCode::kInternal);
  write_error = ENOSPC;
  const absl::Status full = WriteAndSync(0, "y");
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(full.ToString(), path())) << full;
  write_error = 0;
  read_error = EIO;
  EXPECT_EQ(Read(0, 1).status().code(), absl::StatusCode::kDataLoss);
  read_error = 0;
  nothing_written = true;
  EXPECT_EQ(WriteAndSync(0, "y").code(), absl::StatusCode::kInternal);
}

// The system's limit on the size of files first cuts a write short, then refuses it; it would kill
// whoever does not expect that.
TEST_F(SystemCallsTest, ALimitOnTheSizeOfFilesIsAFullDisk) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit = {4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const absl::Status status = WriteAndSync(0, std::string(10000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(file_->size(), 4096u);
}

}  // namespace
}  // namespace quorate::testing
