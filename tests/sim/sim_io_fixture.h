// A small simulated world for tests of the simulated io: hosts made by the test.
#ifndef QUORATE_TESTS_SIM_SIM_IO_FIXTURE_H_
#define QUORATE_TESTS_SIM_SIM_IO_FIXTURE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sim/env.h"

namespace quorate::testing {

class SimWorld {
 public:
  explicit SimWorld(uint64_t seed, const sim::StreamOptions& streams = {})
      : scheduler_(seed),
        context_{.seed = seed, .scheduler = &scheduler_, .trace = &trace_, .faults = &faults_},
        network_(context_, streams) {}

  const sim::Context& context() const { return context_; }
  sim::Scheduler& scheduler() { return scheduler_; }
  sim::Trace& trace() { return trace_; }
  sim::Network& network() { return network_; }
  uint64_t count(sim::Fault fault) const { return faults_.count(fault); }

  void RunFor(Duration time) { scheduler_.RunUntil(scheduler_.now() + time); }
  bool RunUntil(const std::function<bool()>& condition, Duration limit = Seconds(60)) {
    const sim::VirtualTime end = scheduler_.now() + limit;
    while (!condition()) {
      if (scheduler_.next_time() > end) return false;
      scheduler_.RunOne();
    }
    return true;
  }

 private:
  sim::Scheduler scheduler_;
  sim::Trace trace_;
  sim::FaultCounters faults_;
  const sim::Context context_;
  sim::Network network_;
};

// One host with a running process and short forms for its disk.
class DiskHost {
 public:
  DiskHost(SimWorld* world, const sim::HostOptions& options = {}, const std::string& name = "m1")
      : world_(world), host(world->context(), &world->network(), name, options) {
    env = host.Boot();
  }
  ~DiskHost() { files_.clear(); }

  template <typename Result, typename Start>
  Result Await(Start start) {
    std::optional<Result> result;
    host.Run([&] { start([&](Result r) { result.emplace(std::move(r)); }); });
    CHECK(world_->RunUntil([&] { return result.has_value(); }));
    return *std::move(result);
  }

  io::File* Open(const std::string& path) {
    auto file = Await<absl::StatusOr<std::unique_ptr<io::File>>>(
        [&](auto done) { env.disk->Open(path, {.create = true}, done); });
    CHECK_MSG(file.ok(), file.status().ToString());
    return files_.emplace_back(*std::move(file)).get();
  }
  absl::Status Write(io::File* file, uint64_t offset, const std::string& text) {
    return Await<absl::Status>([&](auto done) { file->Write(offset, {Bytes::Copy(text)}, done); });
  }
  absl::Status Sync(io::File* file) {
    return Await<absl::Status>([&](auto done) { file->Sync(done); });
  }
  absl::Status MakeDirs(const std::string& path) {
    return Await<absl::Status>([&](auto done) { env.disk->MakeDirs(path, done); });
  }
  absl::Status SyncDir(const std::string& path) {
    return Await<absl::Status>([&](auto done) { env.disk->SyncDir(path, done); });
  }
  absl::Status Rename(const std::string& from, const std::string& to) {
    return Await<absl::Status>([&](auto done) { env.disk->Rename(from, to, done); });
  }
  // A directory and a file in it whose names are durable.
  io::File* DurableFile(const std::string& path) {
    io::File* file = Open(path);
    CHECK(SyncDir("/").ok());
    return file;
  }
  void CrashAndBoot(sim::CrashKind kind) {
    host.Crash(kind);
    files_.clear();
    env = host.Boot();
  }
  void Forget() { files_.clear(); }

 private:
  SimWorld* const world_;
  std::vector<std::unique_ptr<io::File>> files_;

 public:
  sim::Host host;
  io::Env env;
};

}  // namespace quorate::testing

#endif  // QUORATE_TESTS_SIM_SIM_IO_FIXTURE_H_
