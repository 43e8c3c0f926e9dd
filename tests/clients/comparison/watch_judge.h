// Keeps what both servers send on watch streams and compares it with each other and with
// the history, which is what the reference sends to a watcher of everything.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_JUDGE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_JUDGE_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "api/rpc.pb.h"
#include "tests/clients/comparison/compare.h"
#include "tests/clients/comparison/watch_pair.h"

namespace quorate::differential {

class WatchJudge {
 public:
  explicit WatchJudge(const Release& release) : release_(release) {}

  // An event of the history.
  void Observe(const mvccpb::Event& event);
  // What a server sent.
  void OnResponse(Side side, int stream, const etcdserverpb::WatchResponse& response);
  void OnEnd(Side side, int stream, const absl::Status& status);

  // The stream was opened anew: its watchers are gone.
  void OnOpen(int stream);
  // Both servers have created a watcher.
  void OnCreated(int stream, int64_t id, const etcdserverpb::WatchCreateRequest& request,
                 int64_t revision, int64_t compacted);
  // Both have cancelled it on request.
  void OnCancelled(int stream, int64_t id);
  // A compaction at `revision` is about to happen.
  void OnCompaction(int64_t revision);

  // Answers to requests on a stream, in their order; nullopt if there is none.
  enum class Kind { kCreated, kCancelled, kProgress };
  std::optional<etcdserverpb::WatchResponse> Take(Side side, int stream, Kind kind);
  bool Has(Side side, int stream, Kind kind) const;
  // How the stream ended, if it did.
  std::optional<absl::Status> ended(Side side, int stream) const;

  // Whether the servers may differ in whether the stream is behind.
  bool IsUncertain(int stream) const;
  // Whether every watcher has been sent what it must.
  bool Settled() const;
  // Compares what has come; what is different, or empty. Call it when settled, or to
  // learn what is missing.
  std::string Check();
  std::string Missing() const;

  struct Sums {
    uint64_t events = 0;     // compared
    uint64_t fragments = 0;  // that the reference sent
    uint64_t notes = 0;
    uint64_t forgiven = 0;  // watchers that a compaction overtook

    void Add(const WatchPair& pair);
  };
  Sums sums() const;

 private:
  using Id = std::pair<int, int64_t>;  // stream, watch id
  struct Replies {
    std::map<Kind, std::deque<etcdserverpb::WatchResponse>> by_kind;
    std::optional<absl::Status> ended;
  };

  const Release release_;
  std::vector<mvccpb::Event> history_;  // without values
  std::map<Id, WatchPair> pairs_;
  // For ids that are not known yet: events may be here before both have answered.
  std::array<std::map<Id, std::vector<etcdserverpb::WatchResponse>>, 2> early_;
  std::array<std::map<int, Replies>, 2> replies_;
  Sums gone_;  // of watchers that are gone
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_JUDGE_H_
