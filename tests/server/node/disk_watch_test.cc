// What a member knows of the space on its disk, and when.
#include "server/node/disk_watch.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/node/one_node.h"

namespace quorate::node {
namespace {

constexpr uint64_t kReserve = 1000;

// Is asked for its space only, and answers when told to.
class AskedDisk final : public io::Disk {
 public:
  void Open(const std::string&, io::OpenOptions, OpenCallback) override { FAIL(); }
  void List(const std::string&, ListCallback) override { FAIL(); }
  void MakeDirs(const std::string&, StatusCallback) override { FAIL(); }
  void Rename(const std::string&, const std::string&, StatusCallback) override { FAIL(); }
  void Remove(const std::string&, StatusCallback) override { FAIL(); }
  void SyncDir(const std::string&, StatusCallback) override { FAIL(); }
  void LockDir(const std::string&, LockCallback) override { FAIL(); }
  void FreeSpace(const std::string&, std::function<void(absl::StatusOr<uint64_t>)> then) override {
    EXPECT_EQ(question_, nullptr);
    question_ = std::move(then);
  }

  void Answer(absl::StatusOr<uint64_t> free) {
    ASSERT_NE(question_, nullptr);
    std::exchange(question_, nullptr)(std::move(free));
  }

 private:
  std::function<void(absl::StatusOr<uint64_t>)> question_;
};

class DiskWatchTest : public OneNode {
 protected:
  void Watch(uint64_t reserve_bytes) {
    Boot(1);
    io::Env env = env_;
    env.disk = &disk_;
    host_.Run([this, env, reserve_bytes] {
      watch_.emplace(env, DiskWatchOptions{"/data", reserve_bytes, Seconds(1)}, node_->wal(),
                     [this](const engine::DiskState& state) { reports_.push_back(state); });
    });
  }

  ~DiskWatchTest() override { watch_.reset(); }

  // What is reported in the two seconds after the answer.
  engine::DiskState StateAfter(absl::StatusOr<uint64_t> free) {
    host_.Run([this, &free] { disk_.Answer(std::move(free)); });
    return LastReport();
  }
  engine::DiskState LastReport() {
    reports_.clear();
    world_.RunFor(Seconds(2));
    EXPECT_FALSE(reports_.empty());
    return reports_.empty() ? engine::DiskState() : reports_.back();
  }

  AskedDisk disk_;
  std::vector<engine::DiskState> reports_;
  std::optional<DiskWatch> watch_;
};

TEST_F(DiskWatchTest, SpaceIsLowThenScarceThenFree) {
  Watch(kReserve);
  engine::DiskState state = StateAfter(kReserve - 1);
  EXPECT_TRUE(state.low_space);
  EXPECT_FALSE(state.scarce);
  state = StateAfter(kReserve * 3 / 2 - 1);
  EXPECT_TRUE(state.low_space) << "half as much on top is waited for";
  state = StateAfter(kReserve * 3 / 2);
  EXPECT_FALSE(state.low_space);
  EXPECT_FALSE(state.scarce);
  state = StateAfter(kReserve);
  EXPECT_FALSE(state.low_space);
  EXPECT_TRUE(state.scarce);
  EXPECT_EQ(watch_->free_bytes(), kReserve);
}

// An alarm from before the start was put out if the disk took a second to answer.
TEST_F(DiskWatchTest, SpaceThatIsNotKnownYetIsScarce) {
  Watch(kReserve);
  for (int i = 0; i < 3; ++i) {
    const engine::DiskState state = LastReport();
    EXPECT_TRUE(state.scarce);
    EXPECT_FALSE(state.low_space) << "writes are not refused for it";
  }
  EXPECT_TRUE(StateAfter(absl::UnavailableError("i/o error")).scarce);
  EXPECT_FALSE(StateAfter(kReserve * 2).scarce);
  EXPECT_FALSE(StateAfter(absl::UnavailableError("i/o error")).scarce) << "as last seen";
}

TEST_F(DiskWatchTest, NothingIsScarceWithoutAReserve) {
  Watch(0);
  EXPECT_FALSE(LastReport().scarce);
  EXPECT_FALSE(LastReport().low_space);
}

}  // namespace
}  // namespace quorate::node
