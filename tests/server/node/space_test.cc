// What an hour of overwriting leaves on the disk: one member, everything in proportion to one
// with the defaults and a million keys, on a simulated disk in virtual time.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "api/rpc.pb.h"
#include "base/limits.h"
#include "base/prng.h"
#include "tests/server/node/one_node.h"

namespace quorate::node {
namespace {

// The 16th part of a member with the defaults and a million keys; QUORATE_LONG=1: all of it.
uint64_t Share() { return std::getenv("QUORATE_LONG") != nullptr ? 1 : 16; }
constexpr uint64_t kAllKeys = 1'000'000;
constexpr size_t kKeyBytes = 16;
constexpr size_t kValueBytes = 256;
constexpr uint64_t kPairBytes = kKeyBytes + kValueBytes;
constexpr uint64_t kBatch = 10;
constexpr Duration kBatchInterval = Milliseconds(100);
constexpr Duration kCompactionInterval = Seconds(300);  // as Kubernetes has it
constexpr Duration kHour = Seconds(3600);

class SpaceTest : public OneNode {
 protected:
  SpaceTest() : draws_(11) {
    Boot(1);
    WaitForLeadership();
  }
  ~SpaceTest() override { EXPECT_TRUE(halts_.empty()) << halts_.front(); }

  void Adjust(storage::OpenOptions* options) override {
    options->segment_bytes /= share_;
    options->first_segment_bytes /= share_;
    options->pack_bytes /= share_;
  }

  void Adjust(Options* options) override {
    options->replica.store_segment_bytes /= share_;
    options->replica.checkpoint_bytes /= share_;
    options->replica.checkpoint_entries /= share_;
    options->replica.checkpoint_interval = Seconds(600);
    options->replica.catchup_entries /= share_;
  }

  void Call(RequestKind kind, const std::string& body) {
    ++open_calls_;
    node_->Call(kind, Bytes::Copy(body), Seconds(60), [this](const absl::Status& status, Bytes) {
      EXPECT_TRUE(status.ok()) << status;
      --open_calls_;
    });
  }

  // Values that no file system could make smaller.
  void Put(uint64_t key) {
    etcdserverpb::PutRequest request;
    request.set_key(absl::StrFormat("%016d", key));
    std::string* const value = request.mutable_value();
    while (value->size() < kValueBytes) value->push_back(static_cast<char>(draws_.Below(256)));
    Call(RequestKind::kPut, request.SerializeAsString());
    ++puts_;
  }

  void Compact() {
    etcdserverpb::CompactionRequest request;
    request.set_revision(static_cast<int64_t>(puts_) + 1);  // a fresh store is at 1
    Call(RequestKind::kCompact, request.SerializeAsString());
  }

  // Lets everything asked for be answered, and `wait` pass.
  void Answers(Duration wait) {
    ASSERT_TRUE(world_.RunUntil([this] { return open_calls_ == 0; }));
    world_.RunFor(wait);
  }

  void Load() {
    for (uint64_t key = 0; key < keys_;) {
      host_.Run([&] {
        for (uint64_t i = 0; i < 100 && key < keys_; ++i, ++key) Put(key);
      });
      Answers(Milliseconds(10));
    }
  }

  void OverwriteForAnHour() {
    const Instant begin = env_.loop->Now();
    Instant compact_at = begin + kCompactionInterval;
    while (env_.loop->Now() < begin + kHour) {
      host_.Run([&] {
        for (uint64_t i = 0; i < kBatch; ++i) Put(draws_.Below(keys_));
      });
      Answers(kBatchInterval);
      if (env_.loop->Now() < compact_at) continue;
      host_.Run([this] { Compact(); });
      compact_at = compact_at + kCompactionInterval;
    }
  }

  uint64_t BytesBelow(absl::string_view directory) {
    uint64_t bytes = 0;
    for (const std::string& path : host_.disk().Files()) {
      if (absl::StartsWith(path, directory)) bytes += host_.disk().Peek(path)->size();
    }
    return bytes;
  }

  const uint64_t share_ = Share();
  const uint64_t keys_ = kAllKeys / share_;
  Prng draws_;
  uint64_t open_calls_ = 0;
  uint64_t puts_ = 0;
};

// Bytes for each of `of`.
double Per(uint64_t bytes, uint64_t of) {
  return static_cast<double>(bytes) / static_cast<double>(of);
}

TEST_F(SpaceTest, AnHourOfOverwritingLeavesAtMostHalfAsMuchAgainAsLives) {
  Load();
  const storage::WalStats log_before = node_->wal()->stats();
  const storage::CheckpointStats before = node_->checkpoints()->stats();
  const uint64_t puts_before = puts_;
  OverwriteForAnHour();
  const uint64_t overwrites = puts_ - puts_before;
  EXPECT_GE(overwrites, 300'000u);
  const storage::CheckpointStats after = node_->checkpoints()->stats();
  const uint64_t put = overwrites * kPairBytes;
  const uint64_t logged = node_->wal()->stats().bytes_written - log_before.bytes_written;
  const uint64_t moved = after.bytes_written - before.bytes_written;
  // Their size goes by the number of segments, which is that of a million keys.
  const uint64_t manifests = after.manifest_bytes - before.manifest_bytes;
  const uint64_t busy = BytesBelow("/data/member/");

  // Cleaning comes to its end, and two checkpoints: the one before the newest stays, too.
  for (int i = 0; i < 2; ++i) {
    host_.Run([this] { Put(0); });
    Answers(Seconds(1));
    host_.Run([this] { Compact(); });
    Answers(Seconds(601));
  }
  const uint64_t live = keys_ * kPairBytes;
  const uint64_t checkpoints = BytesBelow("/data/member/checkpoint/");
  const uint64_t log = BytesBelow("/data/member/log/");
  const double of_checkpoints = Per(checkpoints, live);
  const double with_log = of_checkpoints + Per(log, live);
  // The log's size does not depend on the store's.
  const double of_a_gibibyte = of_checkpoints + Per(log * share_, 1024 * limits::kMiB);
  std::printf(
      "%lu keys of %lu + %lu bytes, %.1f MiB, 1/%lu of a million; %lu overwrites in an hour\n",
      keys_, kKeyBytes, kValueBytes, Per(live, limits::kMiB), share_, overwrites);
  std::printf("on disk a live byte: %.2f at the hour's end; then cleaned, checkpoints %.2f\n",
              Per(busy, live), of_checkpoints);
  std::printf("with the log (%.0f MiB with the defaults): %.2f of %.0f MiB live, %.2f of 1 GiB\n",
              Per(log * share_, limits::kMiB), with_log, Per(live * share_, limits::kMiB),
              of_a_gibibyte);
  std::printf("write amplification: %.2f: log %.2f, checkpoints' segments %.2f, manifests %.2f\n",
              Per(logged + moved - manifests + manifests / share_, put), Per(logged, put),
              Per(moved - manifests, put), Per(manifests / share_, put));
  EXPECT_LE(with_log, 1.5);
  EXPECT_LE(of_a_gibibyte, 1.5);
}

}  // namespace
}  // namespace quorate::node
