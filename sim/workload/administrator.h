// An operator who manages users and roles while everything else goes on: through any
// member, whatever happens to it. Authentication stays disabled, so that clients are not
// concerned; the auth store is replicated state like any other.
#ifndef QUORATE_SIM_WORKLOAD_ADMINISTRATOR_H_
#define QUORATE_SIM_WORKLOAD_ADMINISTRATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "base/prng.h"
#include "io/env.h"
#include "io/loop.h"
#include "sim/cluster.h"
#include "sim/env.h"
#include "sim/oracle/judge.h"

namespace quorate::sim {

class Administrator {
 public:
  // All borrowed.
  Administrator(const Context& context, HostId host, const io::Env& env, Cluster* cluster,
                Judge* judge);
  Administrator(const Administrator&) = delete;
  Administrator& operator=(const Administrator&) = delete;

  void Start() { PlanNext(); }
  // Begins nothing any more.
  void Stop() { timer_->Cancel(); }
  // No request is on its way any more.
  bool idle() const { return loop_->Now() >= last_deadline_; }

  // The world has settled: every member must have all users whose adding was
  // acknowledged, and no user that nobody asked for.
  void Check(size_t member, const std::set<std::string>& users);
  // The users that a member has.
  static std::set<std::string> UsersOf(const Bytes& user_list_response);

 private:
  void PlanNext();
  void Next();
  void AddUser(size_t member);
  // One of the other changes; whether it succeeds does not matter.
  void ChangeSomething(size_t member);
  template <typename Request>
  void Ask(size_t member, engine::RequestKind kind, const Request& request,
           const std::string& added_user = "");

  const Context context_;
  const HostId host_;
  Cluster* const cluster_;
  Judge* const judge_;
  io::Loop* const loop_;
  Prng prng_;
  std::unique_ptr<io::Timer> timer_;
  Instant last_deadline_;
  uint64_t last_user_ = 0;
  std::set<std::string> asked_;
  std::set<std::string> acknowledged_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_ADMINISTRATOR_H_
