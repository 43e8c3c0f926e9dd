// Sends one generated request after another to both servers and compares everything.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_RUNNER_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_RUNNER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "base/time.h"
#include "io/uv/world.h"
#include "tests/clients/comparison/compare.h"
#include "tests/clients/comparison/generator.h"
#include "tests/clients/comparison/report.h"
#include "tests/clients/comparison/server.h"
#include "tests/clients/comparison/watch_judge.h"

namespace quorate::differential {

struct RunOptions {
  std::string reference;  // host:port
  std::string subject;
  Release release;
  std::set<Type> types;
  uint64_t seed = 1;
  uint64_t requests = 1000;
  // Requests between two comparisons of HashKV.
  uint64_t hash_every = 100;
  // Print every request.
  bool verbose = false;
};

class Runner {
 public:
  explicit Runner(RunOptions options);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner();

  // Internal if there is a difference: the message tells all about it. Unavailable if a
  // server cannot be reached at the start.
  absl::Status Run();
  const RunReport& report() const { return report_; }

 private:
  absl::Status Connect();
  absl::Status RunStep(const Step& step);
  absl::Status RunCall(const Step& step);
  absl::Status RunWatch(const Step& step);
  absl::Status Create(const Step& step);
  absl::Status Cancel(const Step& step);
  absl::Status Progress(const Step& step);
  absl::Status AwaitExpiry(int64_t lease);
  absl::Status CompareHash(int64_t revision);
  absl::Status Settle();
  void OpenWatch(int stream, const std::string& user);
  void SendWatch(const Step& step);

  // Both servers' answers to a call; Internal if one does not answer at all.
  absl::Status Ask(const Step& step, std::array<Answer, 2>* answers);
  absl::Status Compare(const Step& step, std::array<Answer, 2>* answers);
  // The answers to a watch request, of those that have answered.
  std::array<Answer, 2> TakeWatch(const Step& step, WatchJudge::Kind kind);
  absl::Status Conclude(const Step& step, std::array<Answer, 2> answers);
  absl::Status AwaitHistory(int64_t revision);

  // Runs the loop until the condition holds; false if the time is over first.
  bool Wait(Duration limit, const std::function<bool()>& condition);
  absl::Status CheckConnections() const;

  const RunOptions options_;
  io::uv::World world_;
  Generator generator_;
  WatchJudge judge_;
  std::array<std::unique_ptr<Server>, 2> servers_;
  std::set<int> open_streams_;
  int64_t observed_revision_ = 1;
  RunReport report_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_RUNNER_H_
