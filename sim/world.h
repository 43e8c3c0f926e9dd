// One seed's world: members, clients, nemesis and oracles in one thread, from the first
// boot to the last check.
//
//   World world(options);
//   SeedReport report = world.Run();
//
// A run has two phases (as in TigerBeetle's simulator). In the safety phase anything
// may break, and what may never happen must not. Then all faults stop, everybody is
// started again, and what should happen must: a leader, answers from every member,
// equal state everywhere, each within so many election timeouts.
#ifndef QUORATE_SIM_WORLD_H_
#define QUORATE_SIM_WORLD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/time.h"
#include "sim/caretaker.h"
#include "sim/cluster.h"
#include "sim/env.h"
#include "sim/fault.h"
#include "sim/faults.h"
#include "sim/history.h"
#include "sim/network.h"
#include "sim/operator.h"
#include "sim/oracle/auth.h"
#include "sim/oracle/judge.h"
#include "sim/oracle/kv.h"
#include "sim/oracle/lease.h"
#include "sim/scheduler.h"
#include "sim/story.h"
#include "sim/swarm.h"
#include "sim/trace.h"
#include "sim/wire.h"
#include "sim/workload/access.h"
#include "sim/workload/administrator.h"
#include "sim/workload/client.h"
#include "sim/workload/watcher.h"

namespace quorate::sim {

// What came of a seed; plain data.
struct SeedReport {
  uint64_t seed = 0;
  std::string options;  // Describe(Options)
  uint64_t members = 0;
  bool streams = false;
  std::array<bool, kFaultClasses> classes = {};  // on in this seed
  uint64_t digest = 0;
  Duration simulated;
  uint64_t events = 0;        // of the scheduler
  uint64_t trace_events = 0;  // lines of the trace
  std::array<uint64_t, kFaultKinds> faults = {};
  std::array<uint64_t, kRules> checks = {};
  uint64_t elections = 0;
  uint64_t checkpoints = 0;
  uint64_t snapshots_installed = 0;
  uint64_t restarts_from_checkpoints = 0;
  uint64_t repairs = 0;  // starts with the state of another member, after damage
  uint64_t log_segments_cut = 0;
  uint64_t requests = 0;
  uint64_t answered = 0;
  uint64_t unknown = 0;
  uint64_t retries = 0;
  // Actions of the nemesis and requests of each client that came up, whether or not the
  // reduction left them out.
  std::array<uint64_t, kFaultClasses> actions = {};
  std::vector<uint64_t> numbered;
  uint64_t acknowledged_writes = 0;
  uint64_t checked_reads = 0;
  uint64_t watch_events = 0;
  uint64_t leases_expired = 0;
  uint64_t auth_changes = 0;   // of users, roles and permissions, in the log
  uint64_t auth_refusals = 0;  // commands without effect, for what their askers may not do
  uint64_t auth_denials = 0;   // of which clients were told
  uint64_t searches_given_up = 0;
  SometimesCounts sometimes = {};
  // From the end of the faults until every member had acknowledged a write, and until
  // all were equal; in election timeouts, times 100.
  uint64_t answered_after = 0;
  uint64_t converged_after = 0;
  // The seed ended at a bound on its events, without a verdict.
  bool bound_reached = false;
  std::vector<Violation> violations;
  // Members that stopped by themselves, and why.
  std::vector<std::string> failures;
};

class World {
 public:
  // With a sink, prints every event of the trace that the digest folds, and nothing else. With
  // a story, tells it.
  explicit World(const Options& options, Trace::LineSink print = nullptr, Story* story = nullptr);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  SeedReport Run();
  // What came of it so far: for whoever has to tell why a run did not come to its end.
  SeedReport Report();

  // After Run(): what clients saw.
  const History& history() const { return history_; }
  // Names of all hosts, by their ids; [0] is the world.
  std::vector<std::string> HostNames() const;

 private:
  void MakeClients();
  Host* NewClientHost(const std::string& name, std::vector<HostId>* ids);
  std::unique_ptr<ClientPort> NewPort(Host* host, const io::Env& env);
  void MakeAdministrators(std::vector<HostId>* ids);
  void OnCommit(VirtualTime when, const raft::Entry& entry);
  // Runs events until `done` or `end`; true if it is done. False at once after a
  // violation or at the bound.
  bool RunUntil(VirtualTime end, const std::function<bool()>& done);
  bool Broken() const { return !judge_.clean() || bound_reached_ || forgotten_; }
  void ExpectLosses();
  void SafetyPhase();
  // world_liveness.cc
  void LivenessPhase();
  void CoreAlone();
  void CutFollowerFromLeader();
  bool HasLeader(const std::vector<size_t>& among);
  bool Converged();
  bool WatchersAtHead() const;
  bool HaveIntroducedThemselves();
  void Expect(Duration bound, const char* what, const std::function<bool()>& done);
  std::string Standing();
  void FinalChecks();
  void CheckEqualState();
  // world_checks.cc
  void CheckNothingPiledUp();
  void CheckRecovery();
  void CheckFinalContents();
  void CheckFinalUsers();
  void SearchSample();

  const Options options_;
  Scheduler scheduler_;
  Trace trace_;
  FaultCounters faults_;
  const Context context_;
  Judge judge_;
  History history_;
  std::unique_ptr<KvOracle> kv_;
  StandingAlarms alarms_;
  std::unique_ptr<LeaseOracle> leases_;
  std::unique_ptr<AuthOracle> auth_;  // null where nobody must say who he is
  std::unique_ptr<Network> network_;
  std::unique_ptr<Cluster> cluster_;
  std::vector<std::unique_ptr<Host>> client_hosts_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::unique_ptr<Administrator> administrator_;  // may be null
  std::unique_ptr<AccessAdministrator> access_;   // may be null
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<Caretaker> caretaker_;
  std::unique_ptr<Nemesis> nemesis_;
  bool bound_reached_ = false;
  // It was noticed that a member had forgotten a promise; what comes of that is nobody's fault.
  bool forgotten_ = false;
  VirtualTime healed_;
  uint64_t searches_given_up_ = 0;
  uint64_t answered_after_ = 0;
  uint64_t converged_after_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORLD_H_
