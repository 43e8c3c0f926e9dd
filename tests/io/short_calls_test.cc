// The fault that the simulator's disk cannot have: io::Disk promises whole operations or an error,
// so that a system call which does less than it was asked, or is interrupted, is seen by io/uv
// alone. Here the calls themselves are replaced: each, by a draw of the seed, is interrupted
// (EINTR), moves only some of the bytes, or does all; the file must hold what a string would.
#undef _FORTIFY_SOURCE  // the calls are defined here
#include <errno.h>
#include <gtest/gtest.h>
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

#include "base/prng.h"
#include "tests/io/world.h"

namespace {

enum Kind {
  kShortWrite,
  kInterruptedWrite,
  kShortRead,
  kInterruptedRead,
  kInterruptedSync,
  kKinds
};

// 0: every call does all. Disk threads call; one file is used, so one after another.
std::atomic<uint64_t> armed_seed{0};
std::atomic<uint64_t> calls{0};
std::atomic<uint64_t> counts[kKinds];

// What becomes of the next call: 0 to 3, and bits for more.
uint64_t Draw() { return quorate::Mix64(armed_seed.load() ^ calls.fetch_add(1)); }

bool Interrupts(uint64_t draw, Kind kind) {
  if (armed_seed == 0 || draw % 4 != 0) return false;
  ++counts[kind];
  errno = EINTR;
  return true;
}

}  // namespace

extern "C" ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  const uint64_t draw = Draw();
  if (Interrupts(draw, kInterruptedWrite)) return -1;
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
  if (Interrupts(draw, kInterruptedRead)) return -1;
  if (armed_seed != 0 && draw % 4 != 1 && size > 1) {
    const size_t some = 1 + (draw >> 32) % size;
    if (some < size) ++counts[kShortRead];
    size = some;
  }
  return syscall(SYS_pread64, fd, out, size, offset);
}

extern "C" int fdatasync(int fd) {
  if (Interrupts(Draw(), kInterruptedSync)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace quorate::testing {
namespace {

class ShortCallsTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  ShortCallsTest() : world_(NewUvWorld()), prng_(GetParam()) {
    file_ = *Await<absl::StatusOr<std::unique_ptr<io::File>>>([this](auto done) {
      world_->server().disk->Open(world_->directory() + "/file",
                                  {.create = true, .dedicated_thread = true}, done);
    });
    calls = 0;
    for (auto& count : counts) count = 0;
    armed_seed = GetParam();
  }
  ~ShortCallsTest() override {
    armed_seed = 0;
    file_.reset();
  }

  template <typename Result, typename Start>
  Result Await(Start start) {
    std::optional<Result> result;
    world_->InServer([&] { start([&](Result r) { result.emplace(std::move(r)); }); });
    EXPECT_TRUE(world_->RunUntil([&] { return result.has_value(); }));
    return *std::move(result);
  }

  void Change() {
    const uint64_t offset = prng_.Below(content_.size() + 1);
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
    const auto read =
        Await<absl::StatusOr<Bytes>>([&](auto done) { file_->Read(offset, size, done); });
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->view() == content_.substr(offset, size)) << "at " << offset;
  }

 private:
  void Put(uint64_t offset, const std::string& bytes) {
    content_.resize(std::max<size_t>(content_.size(), offset + bytes.size()));
    content_.replace(offset, bytes.size(), bytes);
  }

  const std::unique_ptr<IoWorld> world_;
  Prng prng_;
  std::unique_ptr<io::File> file_;
  std::string content_;
};

TEST_P(ShortCallsTest, AFileHoldsWhatWasWrittenHoweverLittleEachCallDoes) {
  for (int step = 0; step < 60; ++step) {
    Change();
    Compare();
  }
  for (int kind = 0; kind < kKinds; ++kind) EXPECT_GT(counts[kind], 0U) << "kind " << kind;
}

INSTANTIATE_TEST_SUITE_P(Seeds, ShortCallsTest, ::testing::Range<uint64_t>(1, 7));

}  // namespace
}  // namespace quorate::testing
