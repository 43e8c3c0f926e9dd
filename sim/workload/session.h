// Who a client is where clients must say so: it gives its name and password to a member, gets a
// token, and carries it until a member says that it does not know it. Members forget their
// tokens when they restart, and all of them those of a user whose password changes.
#ifndef QUORATE_SIM_WORKLOAD_SESSION_H_
#define QUORATE_SIM_WORKLOAD_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "io/loop.h"
#include "sim/env.h"
#include "sim/fault.h"
#include "sim/workload/port.h"

namespace quorate::sim {

class Session {
 public:
  // All borrowed; `port` and `loop` are the client's.
  Session(const Context& context, HostId host, io::Loop* loop, ClientPort* port, std::string user);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // In whose name the port asks now; "" = in nobody's.
  const std::string& asker() const { return token_of_; }
  // From now on as another one.
  void Become(std::string user);
  // There is no token that would be any good.
  bool must_log_in() const { return must_log_in_; }
  // Asks a member for one, once; `done` comes later, whatever came of it. Nothing else may be
  // asked through the port meanwhile.
  void LogIn(size_t member, std::function<void()> done);
  // A request, or a watch, was refused with this.
  void OnRefused(absl::string_view error);

 private:
  void End(const Reply& reply);

  const Context context_;
  const HostId host_;
  io::Loop* const loop_;
  ClientPort* const port_;
  std::string user_;
  std::string logging_in_as_;
  std::string token_of_;  // whose token the port carries; empty: it carries none
  bool must_log_in_ = false;
  std::function<void()> done_;
  std::unique_ptr<io::Timer> timer_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_SESSION_H_
