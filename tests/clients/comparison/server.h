// One of the two servers: unary calls, streams of one request, watch streams.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_SERVER_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "api/rpc.pb.h"
#include "io/env.h"
#include "server/grpc/channel.h"
#include "tests/clients/comparison/compare.h"
#include "tests/clients/comparison/step.h"

namespace quorate::differential {

class Server {
 public:
  using Done = std::function<void(Answer)>;
  // What a watch stream says; `ended` once, at its end, without a response.
  using OnWatch = std::function<void(int stream, const etcdserverpb::WatchResponse&)>;
  using OnWatchEnd = std::function<void(int stream, const absl::Status&)>;

  // Connects to host:port.
  Server(const io::Env& env, const std::string& address);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void set_on_watch(OnWatch on_watch, OnWatchEnd on_end);

  // Sends the step's request; `done` comes once. Not for watch requests. The answer's
  // lease ids are names; tokens and ids of granted leases are remembered.
  void Call(const Step& step, Done done);
  // Closes a watch stream, and opens it anew with the token of `user`.
  void OpenWatch(int stream, const std::string& user);
  void SendWatch(int stream, const etcdserverpb::WatchRequest& request);

  // Not ok once the connection is lost.
  absl::Status connection() const;

 private:
  class WatchStream;
  class OneShot;

  grpc::CallOptions Options(const std::string& user) const;
  void Finish(const Step& step, const absl::Status& status, absl::string_view message,
              const Done& done);

  const std::string address_;
  grpc::Channel channel_;
  OnWatch on_watch_;
  OnWatchEnd on_watch_end_;
  std::map<int, std::unique_ptr<WatchStream>> watches_;
  std::map<const OneShot*, std::unique_ptr<OneShot>> shots_;
  std::map<std::string, std::string> tokens_;  // by user
  LeaseNames leases_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_SERVER_H_
