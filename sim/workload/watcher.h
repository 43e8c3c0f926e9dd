// A client that watches one range for ever, over one stream after another, changing members
// as it goes: each from where the last one stopped, or (a historian) each from a revision of
// its own choice, in the past, just compacted, or in the future, and with filters of its own
// choice. Some want to know what each change replaced.
#ifndef QUORATE_SIM_WORKLOAD_WATCHER_H_
#define QUORATE_SIM_WORKLOAD_WATCHER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/prng.h"
#include "io/loop.h"
#include "sim/cluster.h"
#include "sim/env.h"
#include "sim/fault.h"
#include "sim/oracle/auth.h"
#include "sim/oracle/watch.h"
#include "sim/workload/port.h"
#include "sim/workload/session.h"

namespace quorate::sim {

class Watcher final : private WatchListener {
 public:
  // All borrowed. Watches all of [key, range_end) from the first revision on, if it is not a
  // historian. With an auth oracle, which may be null, in the name of `user`.
  // With a chance of `slow_percent` it does not read for a while, at each tick.
  Watcher(const Context& context, uint32_t number, HostId host, const io::Env& env,
          std::unique_ptr<ClientPort> port, Cluster* cluster, Judge* judge, const Model* model,
          std::string key, std::string range_end, bool historian, AuthOracle* auth,
          const std::string& user, uint32_t slow_percent);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void Start() { Open(); }
  // From now on a historian, too, resumes where it stopped; all of them as root, if names count.
  void Settle();
  // Nothing of the present history is missing.
  bool AtHead() const { return oracle_->AtHead(); }
  // The world has settled.
  void Finish() { oracle_->Finish(context_.now()); }

  uint64_t delivered() const { return delivered_ + oracle_->delivered(); }
  uint64_t streams() const { return streams_; }

 private:
  void OnWatchAnswer(absl::string_view head, absl::string_view events) override;
  void OnWatchEnd() override;
  // Says who it is first, if it must.
  void Open();
  void OpenStream();
  void BeginElsewhere();
  void ChooseFilters();
  void OnTick();

  const Context context_;
  const HostId host_;
  const std::unique_ptr<ClientPort> port_;
  Cluster* const cluster_;
  Judge* const judge_;
  const Model* const model_;
  io::Loop* const loop_;
  AuthOracle* const auth_;                  // may be null, and then so is
  const std::unique_ptr<Session> session_;  // this
  WatchSpec spec_;
  const std::string name_;
  const bool historian_;
  bool wanders_ = true;
  std::unique_ptr<WatchOracle> oracle_;
  Prng prng_;
  Prng filter_prng_;
  std::unique_ptr<io::Timer> tick_;
  const uint32_t slow_percent_;
  std::unique_ptr<io::Timer> resume_;
  AuthOracle::Watch asked_;
  uint64_t asked_incarnation_ = 0;
  size_t asked_member_ = 0;
  bool heard_ = false;  // since the last tick
  uint64_t streams_ = 0;
  uint64_t delivered_ = 0;  // to oracles of earlier streams
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_WATCHER_H_
