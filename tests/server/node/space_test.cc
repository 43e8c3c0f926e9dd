// What an hour of overwriting leaves on the disk: one member, everything in proportion to one
// with the defaults and a million keys, on a simulated disk in virtual time.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/prng.h"
#include "server/node/node.h"
#include "sim/env.h"
#include "storage/checkpoints.h"
#include "storage/recovery.h"
#include "storage/wal.h"
#include "tests/server/support/test_world.h"

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

class NoPeers final : public PeerTransport {
 public:
  void SendSnapshot(raft::Message, engine::StateImage) override {}
  void Send(absl::Span<raft::Message>) override {}
  void Forward(MemberId, engine::RequestKind, const Bytes&, ForwardCallback) override {}
  std::string PeerVersion(MemberId) const override { return ""; }
};

class SpaceTest : public ::testing::Test {
 protected:
  SpaceTest() : world_(7), host_(world_.context(), &world_.network(), "m1", {}), draws_(11) {
    env_ = host_.Boot();
    host_.Run([this] {
      storage::OpenOptions options;
      options.data_dir = "/data";
      options.cluster_id = ClusterId(77);
      options.member_id = MemberId(1);
      options.create = true;
      options.segment_bytes /= share_;
      options.first_segment_bytes /= share_;
      options.pack_bytes /= share_;
      opening_ = storage::OpenStorage(env_, options,
                                      [this](absl::StatusOr<storage::OpenedStorage> opened) {
                                        CHECK(opened.ok());
                                        OnOpened(*std::move(opened));
                                      });
    });
    CHECK(world_.RunUntil(
        [this] { return node_ != nullptr && node_->status().role == engine::Role::kLeader; }));
  }
  ~SpaceTest() override {
    host_.Crash(sim::CrashKind::kKill);
    node_.reset();
    lock_.reset();
  }

  void OnOpened(storage::OpenedStorage opened) {
    lock_ = std::move(opened.lock);
    wal_ = std::move(opened.wal);
    checkpoints_ = std::move(opened.checkpoints);
    recovered_ = engine::Replica::Bootstrap({{MemberId(1), "m1", {"http://m1:1"}}});
    wal_->Append(recovered_.entries, &recovered_.hard_state, true, [this](const absl::Status& s) {
      CHECK(s.ok());
      env_.loop->Defer([this] { MakeNode(); });
    });
  }

  void MakeNode() {
    Options options;
    options.replica.cluster_id = ClusterId(77);
    options.replica.member_id = MemberId(1);
    options.replica.server_version = "3.7.1";
    options.replica.store_segment_bytes /= share_;
    options.replica.checkpoint_bytes /= share_;
    options.replica.checkpoint_entries /= share_;
    options.replica.checkpoint_interval = Seconds(600);
    options.replica.catchup_entries /= share_;
    options.on_halt = [](const absl::Status& why) { FAIL() << why; };
    node_ = std::make_unique<Node>(env_, options, std::move(recovered_), std::move(wal_),
                                   std::move(checkpoints_), &transport_);
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
  TestWorld world_;
  sim::Host host_;
  io::Env env_;
  Prng draws_;
  std::unique_ptr<storage::PendingOpen> opening_;
  std::unique_ptr<io::DirectoryLock> lock_;
  std::unique_ptr<storage::Wal> wal_;
  std::unique_ptr<storage::Checkpoints> checkpoints_;
  engine::Recovered recovered_;
  NoPeers transport_;
  std::unique_ptr<Node> node_;
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
