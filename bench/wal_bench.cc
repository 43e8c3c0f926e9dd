// Group commit of the log on real files, beside the bare rate of the same disk.
//
//   bazel run -c opt //bench:wal_bench -- DIRECTORY [SECONDS [ROUNDS]]
//
// The log, with 1 to 1024 appends in flight, each of one 300-byte entry. Beside it, in the same
// round and through the same interface: bare write-and-syncs over written blocks, one after
// another, of as many bytes as a sync of the log carried ("raw"), and of as many as one would
// have carried with all appends that were in flight ("ideal": that rate times the number of
// appends, which takes appends that cost no time at all). Medians over the rounds.
//
// Then what a synced write costs in each way that a log could be written: into a file that
// grows, into blocks that are allocated and were never written, over written ones (as a
// segment that was zeroed or recycled), and that with O_DIRECT.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/check.h"
#include "bench/cpu_time.h"
#include "io/uv/world.h"
#include "storage/record.h"
#include "storage/recovery.h"

namespace quorate {
namespace {

constexpr size_t kEntryBytes = 300;
constexpr uint64_t kRawFileBytes = 64 * limits::kMiB;
constexpr std::array<size_t, 6> kInFlight = {1, 4, 16, 64, 256, 1024};

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// --- Ways to write ---

enum class Way : uint8_t { kGrowing, kUnwritten, kOverwritten, kDirect };
constexpr std::array<Way, 4> kWays = {Way::kGrowing, Way::kUnwritten, Way::kOverwritten,
                                      Way::kDirect};
constexpr std::array<size_t, 3> kWaySizes = {4 * limits::kKiB, 64 * limits::kKiB, limits::kMiB};

// Write-and-syncs a second; 0 if the file system refuses.
double WayRate(Way way, const std::string& path, size_t bytes, double seconds) {
  unlink(path.c_str());
  const int prepare = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  if (prepare < 0) return 0;
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, std::max(bytes, limits::kMiB)) != 0) return 0;
  std::memset(memory, 'y', std::max(bytes, limits::kMiB));
  if (way == Way::kUnwritten && posix_fallocate(prepare, 0, kRawFileBytes) != 0) return 0;
  if (way == Way::kOverwritten || way == Way::kDirect) {
    for (uint64_t at = 0; at < kRawFileBytes; at += limits::kMiB) {
      if (pwrite(prepare, memory, limits::kMiB, static_cast<off_t>(at)) < 0) return 0;
    }
  }
  fsync(prepare);
  close(prepare);
  const int file = open(path.c_str(), O_WRONLY | (way == Way::kDirect ? O_DIRECT : 0));
  uint64_t count = 0;
  uint64_t offset = 0;
  const Clock clock;
  bool ok = file >= 0;
  // Blocks that were never written are so only once.
  while (ok && clock.seconds() < seconds && (way != Way::kUnwritten || offset < kRawFileBytes)) {
    const uint64_t at = way == Way::kGrowing ? offset : offset % kRawFileBytes;
    ok = pwrite(file, memory, bytes, static_cast<off_t>(at)) == static_cast<ssize_t>(bytes) &&
         fdatasync(file) == 0;
    offset += bytes;
    ++count;
  }
  const double rate = static_cast<double>(count) / clock.seconds();
  if (file >= 0) close(file);
  unlink(path.c_str());
  std::free(memory);
  return ok ? rate : 0;
}

void PrintWays(const std::string& directory, double seconds, int rounds) {
  std::printf("write-and-syncs a second, no log\n%10s %10s %10s %12s %10s\n", "bytes", "growing",
              "unwritten", "overwritten", "O_DIRECT");
  for (const size_t bytes : kWaySizes) {
    std::array<std::vector<double>, kWays.size()> rates;
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < kWays.size(); ++i) {
        rates[i].push_back(WayRate(kWays[i], directory + "/way", bytes, seconds / 2));
      }
    }
    std::printf("%10zu %10.0f %10.0f %12.0f %10.0f\n", bytes, Median(rates[0]), Median(rates[1]),
                Median(rates[2]), Median(rates[3]));
  }
}

// --- The log ---

class Bench {
 public:
  Bench(std::string directory, double seconds)
      : directory_(std::move(directory)), seconds_(seconds) {}

  int Run(int rounds) {
    if (!OpenAll()) return 1;
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < kInFlight.size(); ++i) Measure(kInFlight[i], &rows_[i]);
    }
    std::printf("the log: medians of %d rounds\n%8s %11s %9s %9s %9s %7s %11s %8s %8s %8s\n",
                rounds, "inflight", "appends/s", "syncs/s", "KiB/sync", "raw/s", "of raw", "ideal",
                "of it", "mean us", "cpu ns");
    for (size_t i = 0; i < kInFlight.size(); ++i) Print(kInFlight[i], rows_[i]);
    return 0;
  }

 private:
  struct Row {
    std::vector<double> appends;
    std::vector<double> syncs;
    std::vector<double> bytes;  // per sync
    std::vector<double> raw;
    std::vector<double> ideal;  // appends a second
    std::vector<double> cpu;    // ns of the loop's thread for each append
    std::vector<double> of_raw;
    std::vector<double> of_ideal;
  };

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
    acknowledged_ = storage_.state.last_index();
    next_index_ = acknowledged_ + 1;
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

  void Measure(size_t in_flight, Row* row) {
    const storage::WalStats before = storage_.wal->stats();
    const Clock clock;
    appended_ = 0;
    stop_ = false;
    pending_ = 0;
    const int64_t cpu = CpuNanos();
    for (size_t i = 0; i < in_flight; ++i) Append();
    while (clock.seconds() < seconds_) {
      world_.RunOnce();
      CutBehindCheckpoint();
    }
    const double took = clock.seconds();
    row->cpu.push_back(static_cast<double>(CpuNanos() - cpu) / static_cast<double>(appended_));
    const double appends = static_cast<double>(appended_) / took;
    const storage::WalStats after = storage_.wal->stats();
    const double writes = static_cast<double>(after.writes - before.writes);
    const double bytes = static_cast<double>(after.bytes_written - before.bytes_written) / writes;
    stop_ = true;
    while (pending_ > 0) world_.RunOnce();
    CutBehindCheckpoint();
    const double raw = RawRate(WholeSectors(bytes));
    const double all = static_cast<double>(in_flight);
    const double per_append =
        static_cast<double>(storage::kRecordHeaderBytes + storage::kEntryHeadBytes + kEntryBytes) *
        io::kSectorBytes / storage::kSectorPayloadBytes;
    const double ideal = all * RawRate(WholeSectors(all * per_append));
    row->appends.push_back(appends);
    row->syncs.push_back(writes / took);
    row->bytes.push_back(bytes);
    row->raw.push_back(raw);
    row->ideal.push_back(ideal);
    row->of_raw.push_back(writes / took / raw);
    row->of_ideal.push_back(appends / ideal);
  }

  // Segments that are full become new ones, as they do once a checkpoint holds what is in them.
  void CutBehindCheckpoint() {
    if (std::exchange(segments_, storage_.wal->stats().segments) == segments_) return;
    storage_.wal->Cut(acknowledged_);
  }

  static size_t WholeSectors(double bytes) {
    return (static_cast<size_t>(bytes) + io::kSectorBytes - 1) / io::kSectorBytes *
           io::kSectorBytes;
  }

  static void Print(size_t in_flight, const Row& row) {
    const double appends = Median(row.appends);
    std::printf("%8zu %11.0f %9.0f %9.1f %9.0f %6.0f%% %11.0f %7.0f%% %8.0f %8.0f\n", in_flight,
                appends, Median(row.syncs), Median(row.bytes) / 1024, Median(row.raw),
                100 * Median(row.of_raw), Median(row.ideal), 100 * Median(row.of_ideal),
                1e6 * static_cast<double>(in_flight) / appends, Median(row.cpu));
  }

  void Append() {
    const raft::Entry entry = {Term(1), next_index_, raft::EntryType::kNormal, data_};
    ++next_index_;
    ++pending_;
    storage_.wal->Append({&entry, 1}, nullptr, true, [this](const absl::Status& status) {
      CHECK(status.ok());
      ++acknowledged_;
      --pending_;
      ++appended_;
      if (!stop_) Append();
    });
  }

  double RawRate(size_t bytes) {
    const Bytes data = Bytes::Copy(std::string(bytes, 'y'));
    uint64_t count = 0;
    uint64_t offset = 0;
    const Clock clock;
    while (clock.seconds() < seconds_ / 2) {
      bool done = false;
      raw_->WriteAndSync(offset, {data}, [&](absl::Status status) {
        CHECK(status.ok());
        done = true;
      });
      while (!done) world_.RunOnce();
      offset += bytes;
      if (offset + bytes > kRawFileBytes) offset = 0;
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
  std::array<Row, kInFlight.size()> rows_;
  LogIndex next_index_;
  LogIndex acknowledged_;
  uint64_t segments_ = 0;  // as of the last look
  uint64_t appended_ = 0;
  uint64_t pending_ = 0;
  bool stop_ = false;
};

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: wal_bench DIRECTORY [SECONDS [ROUNDS]]\n");
    return 2;
  }
  const double seconds = argc >= 3 ? std::atof(argv[2]) : 1.0;
  const int rounds = argc == 4 ? std::max(1, std::atoi(argv[3])) : 5;
  quorate::Bench bench(argv[1], seconds);
  const int status = bench.Run(rounds);
  if (status == 0) quorate::PrintWays(argv[1], seconds, rounds);
  return status;
}
