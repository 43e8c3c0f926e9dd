// Group commit of the log on real files, beside the bare rate of the same disk.
//
//   bazel run -c opt //bench:wal_bench -- DIRECTORY [SECONDS]
//
// For 1 to 1024 appends in flight, each of one 300-byte entry: appends and write-and-syncs
// a second, and the bare rate: one loop of 4 KiB write-and-syncs over blocks written
// before. Runs of the two alternate.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/check.h"
#include "io/uv/world.h"
#include "storage/recovery.h"

namespace quorate {
namespace {

constexpr size_t kEntryBytes = 300;
constexpr size_t kRawBytes = 4096;
constexpr uint64_t kRawFileBytes = 16 * limits::kMiB;

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class Bench {
 public:
  Bench(std::string directory, double seconds)
      : directory_(std::move(directory)), seconds_(seconds) {}

  int Run() {
    if (!OpenAll()) return 1;
    std::printf("%8s %12s %10s %10s %8s %8s\n", "inflight", "appends/s", "syncs/s", "raw/s",
                "of raw", "p-mean");
    for (const size_t in_flight : {1, 4, 16, 64, 256, 1024}) Row(in_flight);
    return 0;
  }

 private:
  bool OpenAll() {
    bool done = false;
    const auto opening = storage::OpenStorage(
        world_.env(),
        {.data_dir = directory_,
         .cluster_id = ClusterId(1),
         .member_id = MemberId(1),
         .create = true},
        [&](absl::StatusOr<storage::OpenedStorage> opened) {
          done = true;
          if (!opened.ok()) {
            std::fprintf(stderr, "%s\n", std::string(opened.status().message()).c_str());
            return;
          }
          storage_ = *std::move(opened);
        });
    while (!done) world_.RunOnce();
    if (storage_.wal == nullptr) return false;
    next_index_ = storage_.state.last_index() + 1;
    OpenRaw();
    return true;
  }

  void OpenRaw() {
    bool ready = false;
    world_.env().disk->Open(directory_ + "/raw", {.create = true, .dedicated_thread = true},
                            [&](absl::StatusOr<std::unique_ptr<io::File>> file) {
                              CHECK(file.ok());
                              raw_ = *std::move(file);
                              raw_->WriteZeros(0, kRawFileBytes, [](absl::Status) {});
                              raw_->Sync([&](absl::Status status) { ready = status.ok(); });
                            });
    while (!ready) world_.RunOnce();
  }

  void Row(size_t in_flight) {
    const double raw = RawRate();
    const uint64_t writes = storage_.wal->stats().writes;
    const Clock clock;
    appended_ = 0;
    stop_ = false;
    pending_ = 0;
    for (size_t i = 0; i < in_flight; ++i) Append();
    while (clock.seconds() < seconds_) world_.RunOnce();
    const double took = clock.seconds();
    const double rate = static_cast<double>(appended_) / took;
    const double syncs = static_cast<double>(storage_.wal->stats().writes - writes) / took;
    stop_ = true;
    while (pending_ > 0) world_.RunOnce();
    std::printf("%8zu %12.0f %10.0f %10.0f %7.0f%% %6.0fus\n", in_flight, rate, syncs, raw,
                100 * syncs / raw, 1e6 * static_cast<double>(in_flight) / rate);
  }

  void Append() {
    const raft::Entry entry = {Term(1), next_index_, raft::EntryType::kNormal, data_};
    ++next_index_;
    ++pending_;
    storage_.wal->Append({&entry, 1}, nullptr, true, [this](const absl::Status& status) {
      CHECK(status.ok());
      --pending_;
      ++appended_;
      if (!stop_) Append();
    });
  }

  double RawRate() {
    const Clock clock;
    uint64_t count = 0;
    uint64_t offset = 0;
    while (clock.seconds() < seconds_) {
      bool done = false;
      raw_->WriteAndSync(offset, {raw_data_}, [&](absl::Status status) {
        CHECK(status.ok());
        done = true;
      });
      while (!done) world_.RunOnce();
      offset = (offset + kRawBytes) % kRawFileBytes;
      ++count;
    }
    return static_cast<double>(count) / clock.seconds();
  }

  const std::string directory_;
  const double seconds_;
  io::uv::World world_;
  storage::OpenedStorage storage_;
  std::unique_ptr<io::File> raw_;
  const Bytes data_ = Bytes::Copy(std::string(kEntryBytes, 'x'));
  const Bytes raw_data_ = Bytes::Copy(std::string(kRawBytes, 'y'));
  LogIndex next_index_;
  uint64_t appended_ = 0;
  uint64_t pending_ = 0;
  bool stop_ = false;
};

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: wal_bench DIRECTORY [SECONDS]\n");
    return 2;
  }
  quorate::Bench bench(argv[1], argc == 3 ? std::atof(argv[2]) : 2.0);
  return bench.Run();
}
