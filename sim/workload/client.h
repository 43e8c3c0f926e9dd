// One client: asks one request after another, waits for each answer or its time-out,
// repeats some of those whose outcome it cannot know, changes members when one does not
// answer. Everything goes into the history and before the oracle at once.
#ifndef QUORATE_SIM_WORKLOAD_CLIENT_H_
#define QUORATE_SIM_WORKLOAD_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "io/loop.h"
#include "sim/cluster.h"
#include "sim/env.h"
#include "sim/fault.h"
#include "sim/history.h"
#include "sim/oracle/auth.h"
#include "sim/oracle/kv.h"
#include "sim/oracle/lease.h"
#include "sim/swarm.h"
#include "sim/workload/generator.h"
#include "sim/workload/port.h"
#include "sim/workload/session.h"
#include "sim/workload/workload.h"

namespace quorate::sim {

class Client {
 public:
  // All borrowed; `env` is that of the client's host. Requests come from the generator and,
  // some, from `workloads`; those that the reduction leaves out are not asked. With an auth
  // oracle, which may be null, it asks in the name of `user`. With a second port, some requests go
  // to another member as well if the first does not answer at once.
  Client(const Context& context, uint32_t number, HostId host, const io::Env& env,
         std::unique_ptr<ClientPort> port, std::unique_ptr<ClientPort> second_port,
         Cluster* cluster, const Options& options, std::vector<Workload*> workloads, Judge* judge,
         History* history, KvOracle* oracle, LeaseOracle* leases, AuthOracle* auth,
         const std::string& user);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Start();
  // Asks nothing more; an open request is still waited for.
  void Stop() { stopping_ = true; }
  bool idle() const { return stopping_ && !open_.has_value() && !hedge_.has_value(); }

  // From now on also writes through every member, until each has acknowledged a write
  // that began after this call; as root, if names count.
  void BeginProbe();
  // Members that have not yet.
  const std::set<size_t>& unproven() const { return unproven_; }

  // Requests that came up, those left out among them; repetitions not.
  uint64_t numbered() const { return number_of_request_; }
  uint64_t answered() const { return answered_; }
  uint64_t unknown() const { return unknown_; }
  uint64_t retries() const { return retries_; }

 private:
  void Next();
  void AskFresh();
  // How an attempt ended.
  struct Ending {
    Outcome outcome = Outcome::kUnknown;
    Result result;
    std::string error;
  };

  void Ask(Request request);
  History::Id Begin(Request request, size_t member);
  void OnReply(const Reply& reply);
  Ending EndingOf(History::Id id, const Reply& reply);
  // hedging.cc.
  void PlanHedge();
  void OnHedgeTimer();
  void OnHedgeReply(const Reply& reply);
  void OnTimeout();
  void DistrustConnection();
  void End(Ending ending);
  const sim::Call& Settle(History::Id id, Ending ending);
  void PlanNext();

  const Context context_;
  const uint32_t number_;
  const HostId host_;
  const std::unique_ptr<ClientPort> port_;
  const std::unique_ptr<ClientPort> second_port_;  // may be null
  Cluster* const cluster_;
  const WorkloadOptions options_;
  const Reduction reduction_;
  const bool garbled_;  // it cannot believe what it is told
  const std::vector<Workload*> workloads_;
  Judge* const judge_;
  History* const history_;
  KvOracle* const oracle_;
  LeaseOracle* const leases_;
  io::Loop* const loop_;
  AuthOracle* const auth_;                  // may be null, and then so is
  const std::unique_ptr<Session> session_;  // this
  std::unique_ptr<io::Timer> next_timer_;
  std::unique_ptr<io::Timer> timeout_timer_;
  std::unique_ptr<io::Timer> hedge_timer_;
  Generator generator_;
  Prng prng_;

  uint64_t number_of_request_ = 0;
  Workload* workload_ = nullptr;  // whose request is open or repeated; null: the generator's
  bool stopping_ = false;
  size_t member_ = 1;
  std::optional<History::Id> open_;
  std::optional<Request> retry_;
  // The attempt at another member, and the one that it is a second one of.
  std::optional<History::Id> hedge_;
  History::Id hedged_ = 0;
  bool answered_elsewhere_ = false;
  bool probing_ = false;  // the open request is a probe
  std::set<size_t> unproven_;
  uint64_t answered_ = 0;
  uint64_t unknown_ = 0;
  uint64_t retries_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_CLIENT_H_
