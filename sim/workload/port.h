// How a client's requests reach members, and how answers come back.
//
// Two ways: over gRPC on byte streams, as real clients do; and as messages that call
// the node directly. A port belongs to one client on a host of its own; it carries one
// call and one watch at a time.
#ifndef QUORATE_SIM_WORKLOAD_PORT_H_
#define QUORATE_SIM_WORKLOAD_PORT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "sim/cluster.h"
#include "sim/env.h"
#include "sim/model/auth.h"
#include "sim/model/store.h"

namespace quorate::sim {

struct Reply {
  absl::Status status;
  Bytes body;  // if ok
  // The member certainly did nothing and never will.
  bool unprocessed = false;
};

// What happens on a watch.
class WatchListener {
 public:
  virtual ~WatchListener() = default;
  virtual void OnWatchAnswer(absl::string_view head, absl::string_view events) = 0;
  // The stream is over; open another.
  virtual void OnWatchEnd() = 0;
};

class ClientPort {
 public:
  virtual ~ClientPort() = default;

  // What every call and watch from now on carries; empty = none.
  void SetToken(std::string token) { token_ = std::move(token); }
  // Asks a member for a token. As Call(), whose place it takes; the body is the token.
  virtual void LogIn(size_t member, const std::string& user, Duration timeout,
                     std::function<void(Reply)> done) = 0;
  // A change of users and roles. As Call().
  virtual void ChangeAuth(size_t member, const AuthChange& change, Duration timeout,
                          std::function<void(Reply)> done) = 0;

  // Sends a request to a member. `done` is called at most once, later; a lost message
  // is never answered. A call that is still open is given up.
  virtual void Call(size_t member, const Request& request, Duration timeout,
                    std::function<void(Reply)> done) = 0;
  virtual void GiveUp() = 0;
  // What is asked of this member from now on goes over a connection of its own.
  virtual void Reconnect(size_t member) = 0;

  // Opens a watch stream with its first request. A stream that is still open is closed.
  virtual void OpenWatch(size_t member, Bytes create, WatchListener* listener) = 0;
  virtual void SendWatch(Bytes request) = 0;
  virtual void CloseWatch() = 0;
  // Whether what comes on the watch is read; it is, at first.
  virtual void ReadWatch(bool on) = 0;

 protected:
  const std::string& token() const { return token_; }

 private:
  std::string token_;
};

// `env` is that of the client's host.
std::unique_ptr<ClientPort> NewStreamPort(const io::Env& env);
// Of the answers that members have to keep for their reader, this one reads `slow_percent` slowly.
std::unique_ptr<ClientPort> NewTypedPort(const Context& context, Host* host, Network* network,
                                         Cluster* cluster, uint32_t slow_percent);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_PORT_H_
