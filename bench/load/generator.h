// Closed-loop or paced load on a set of connections, and its figures.
#ifndef QUORATE_BENCH_LOAD_GENERATOR_H_
#define QUORATE_BENCH_LOAD_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/prng.h"
#include "base/time.h"
#include "bench/load/connection.h"
#include "bench/load/histogram.h"
#include "bench/load/requests.h"
#include "io/env.h"

namespace quorate::load {

struct Options {
  std::vector<std::string> endpoints;
  RequestOptions requests_of;
  // Calls in flight: closed loop, each client sends its next when it has its answer.
  uint32_t clients = 1;
  uint32_t connections = 1;
  // Paced: so many calls a second whatever the answers do, at most `clients` in flight;
  // latency counts from the moment a call was due. 0 = closed loop.
  uint64_t rate = 0;
  // The measured part ends after this time or so many calls, whichever is given.
  Duration duration = Seconds(10);
  uint64_t requests = 0;
  Duration warmup = Seconds(1);
  uint64_t seed = 1;
};

struct Report {
  uint64_t operations = 0;        // measured
  uint64_t total_operations = 0;  // with the warm-up
  Duration measured;
  uint64_t prepared = 0;  // calls before the load
  Duration prepared_in;
  Histogram latency_us;
  std::map<std::string, uint64_t> errors;  // by grpc-status, or what else went wrong
  Duration late_max;                       // paced: how late the generator itself was
};

class Generator {
 public:
  Generator(const io::Env& env, const Options& options);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Connects and begins; `done` is called once with OK, or with why nothing could be
  // measured.
  void Run(std::function<void(absl::Status)> done);
  // Called when the measured part begins and ends, to read clocks and counters.
  void set_on_measure(std::function<void(bool begins)> callback) {
    on_measure_ = std::move(callback);
  }
  const Report& report() const { return report_; }

 private:
  enum class Phase : uint8_t { kConnecting, kPreparing, kWarmup, kMeasuring, kDraining, kDone };

  struct Client {
    Connection* connection = nullptr;  // null while its connection is lost
    bool busy = false;
    bool counted = false;  // began in the measured part
    Instant due;
  };
  struct Slot {
    std::unique_ptr<Connection> connection;
    std::vector<uint32_t> clients;
  };

  void Connect(size_t slot);
  void OnReady(Connection* connection);
  void OnResult(const CallResult& result);
  void OnLost(Connection* connection, const absl::Status& status);
  void Begin();
  void Prepare();
  void PrepareOne();
  void OnPrepared(const CallResult& result);
  void SetPhase(Phase phase);
  void OnPhaseTimer();
  void OnTick();
  void Issue(uint32_t client, Instant due);
  void Finish(const absl::Status& status);
  bool sending() const { return phase_ == Phase::kWarmup || phase_ == Phase::kMeasuring; }

  const io::Env env_;
  const Options options_;
  Prng prng_;
  Requests requests_;
  Connection::Callbacks callbacks_;
  Phase phase_ = Phase::kConnecting;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<Connection>> lost_;
  std::vector<Client> clients_;
  size_t ready_ = 0;
  uint64_t in_flight_ = 0;
  uint64_t issued_ = 0;  // in the measured part
  std::unique_ptr<io::Timer> phase_timer_;
  std::unique_ptr<io::Timer> tick_;
  std::unique_ptr<io::Timer> reconnect_;
  std::vector<size_t> to_connect_;
  Instant began_;
  Instant measure_began_;
  uint64_t due_count_ = 0;       // paced: calls due so far
  std::deque<Instant> backlog_;  // paced: due and waiting for a client
  std::vector<uint32_t> free_clients_;
  uint64_t preparing_ = 0;  // the next call before the load
  Report report_;
  std::function<void(absl::Status)> done_;
  std::function<void(bool)> on_measure_;
};

}  // namespace quorate::load

#endif  // QUORATE_BENCH_LOAD_GENERATOR_H_
