// The administrator of a cluster whose clients must say who they are: makes users, roles and
// permissions, enables authentication, and then changes all of these again and again while
// everything else goes on: roles and permissions granted and revoked, users deleted and made
// anew, passwords changed, now and then no authentication for a while. As root, through the
// API, from a host of its own.
#ifndef QUORATE_SIM_WORKLOAD_ACCESS_H_
#define QUORATE_SIM_WORKLOAD_ACCESS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/prng.h"
#include "io/env.h"
#include "io/loop.h"
#include "sim/cluster.h"
#include "sim/env.h"
#include "sim/model/auth.h"
#include "sim/oracle/auth.h"
#include "sim/workload/port.h"
#include "sim/workload/session.h"

namespace quorate::sim {

class AccessAdministrator {
 public:
  // In whose name the client with this number asks. Every third is root.
  static std::string UserOf(uint32_t client);

  // All borrowed; `groups` as in WorkloadOptions.
  AccessAdministrator(const Context& context, HostId host, const io::Env& env,
                      std::unique_ptr<ClientPort> port, Cluster* cluster, AuthOracle* oracle,
                      size_t groups);
  AccessAdministrator(const AccessAdministrator&) = delete;
  AccessAdministrator& operator=(const AccessAdministrator&) = delete;

  void Start() { PlanNext(); }
  // Asks nothing more.
  void Stop();
  bool idle() const { return !asking_; }
  // Authentication has been enabled once.
  bool set_up() const { return set_up_; }

 private:
  // What must be made, and is asked for until it is; one after another.
  void PlanSetup();
  void Must(AuthChange change) { due_.push_back(std::move(change)); }
  void PlanNext();
  void Next();
  void Ask(AuthChange change);
  void OnReply(const AuthChange& change, LogIndex since, const Reply& reply);
  AuthChange Draw();
  AuthChange DrawPermission(AuthChange::Kind kind);

  const Context context_;
  const HostId host_;
  const std::unique_ptr<ClientPort> port_;
  Cluster* const cluster_;
  AuthOracle* const oracle_;
  const size_t groups_;
  io::Loop* const loop_;
  Session session_;
  Prng prng_;
  std::unique_ptr<io::Timer> timer_;
  std::unique_ptr<io::Timer> timeout_;
  std::deque<AuthChange> due_;
  bool asking_ = false;
  bool stopping_ = false;
  bool set_up_ = false;
  uint64_t asked_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_ACCESS_H_
