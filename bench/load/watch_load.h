// Many watchers, and how fast the events of some writers reach them all.
#ifndef QUORATE_BENCH_LOAD_WATCH_LOAD_H_
#define QUORATE_BENCH_LOAD_WATCH_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "bench/load/connection.h"
#include "bench/load/histogram.h"
#include "io/env.h"

namespace quorate::load {

struct WatchOptions {
  std::vector<std::string> endpoints;
  uint64_t watchers = 1000;
  uint64_t keys = 1;       // watcher N watches key N modulo this
  uint64_t streams = 100;  // that the watchers share
  uint32_t connections = 16;
  uint32_t writers = 1;             // each puts the next key when its last put was answered
  Duration duration = Seconds(10);  // of the puts; the last events may come later
  size_t key_size = 12;
  size_t value_size = 256;  // at least 16: the moment of the put is in it
};

struct WatchReport {
  uint64_t puts = 0;
  uint64_t events = 0;
  uint64_t responses = 0;  // that carried them
  uint64_t bytes = 0;      // of those
  Duration measured;       // from the first put to the last event
  Histogram latency_us;    // from the moment of a put's request to the arrival of its event
  std::map<std::string, uint64_t> errors;
};

// Every event of every put is waited for; what does not come within ten seconds of silence is
// an error.
class WatchLoad {
 public:
  WatchLoad(const io::Env& env, const WatchOptions& options);
  WatchLoad(const WatchLoad&) = delete;
  WatchLoad& operator=(const WatchLoad&) = delete;

  // Calls `done` once.
  void Run(std::function<void(absl::Status)> done);
  // When the first put leaves, and when the last event is there.
  void set_on_measure(std::function<void(bool begins)> callback) {
    on_measure_ = std::move(callback);
  }
  const WatchReport& report() const { return report_; }

 private:
  enum class Phase : uint8_t { kConnecting, kCreating, kWriting, kDraining, kDone };

  void OnReady(Connection* connection);
  void OnMessage(absl::string_view message);
  void OnResult(const CallResult& result);
  void OnTimer();
  void CreateWatchers();
  void BeginWriting();
  void Put(uint32_t writer);
  void FinishIfAllCame();
  void Finish(const absl::Status& status);
  // How many watchers watch key N.
  uint64_t WatchersOf(uint64_t key) const;
  std::string KeyOf(uint64_t number) const;

  const io::Env env_;
  const WatchOptions options_;
  Connection::Callbacks callbacks_;
  // The last one is the writers'.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<io::Timer> timer_;
  Phase phase_ = Phase::kConnecting;
  size_t ready_ = 0;
  uint64_t created_ = 0;
  uint64_t next_put_ = 0;
  uint64_t putting_ = 0;   // not yet answered
  uint64_t expected_ = 0;  // events of the puts so far
  Instant began_;
  Instant last_;
  std::string value_;
  WatchReport report_;
  std::function<void(absl::Status)> done_;
  std::function<void(bool)> on_measure_;
};

}  // namespace quorate::load

#endif  // QUORATE_BENCH_LOAD_WATCH_LOAD_H_
