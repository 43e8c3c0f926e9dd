// Replicas in one process with a clock, a network and disks that the test moves by hand.
//
// Time stands still but in Run() and Elect(); messages arrive in order at once; a disk
// unit is durable as soon as it is written unless the disk is held.
#ifndef QUORATE_TESTS_ENGINE_REPLICA_CLUSTER_H_
#define QUORATE_TESTS_ENGINE_REPLICA_CLUSTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/bytes.h"
#include "base/time.h"
#include "engine/replica/inspector.h"
#include "engine/replica/replica.h"

namespace quorate::engine {

class Cluster {
 public:
  explicit Cluster(int size, std::function<void(Config*)> configure = {});

  // Lets everybody work until nothing is left to do at this moment.
  void Settle();
  // Lets each member do one thing, and all messages arrive; false if there was nothing to do.
  bool WorkAll();
  // Lets one member do one thing; false if it has nothing to do.
  bool WorkOnce(int member);
  // Lets its disk finish what was handed to it; false if that is nothing.
  bool WriteOnce(int member);
  // Moves time on by `span`, stopping at every wake-up on the way.
  void Run(Duration span);
  // Runs until some member leads that a majority follows; its id (1 .. size).
  int Elect();
  int leader() const;

  // Sends a request; the answer is in Response() once it is there.
  RequestToken Send(int member, RequestKind kind, const std::string& body,
                    const Credentials& credentials = {});
  const Response* Find(RequestToken token) const;
  // Sends, settles, and gives the answer; fails the test if there is none.
  Response Call(int member, RequestKind kind, const std::string& body,
                const Credentials& credentials = {});
  void Abandon(int member, RequestToken token);

  void OpenWatch(int member, uint64_t stream, const Credentials& credentials = {});
  void Watch(int member, uint64_t stream, const etcdserverpb::WatchRequest& request);
  void SetWritable(int member, uint64_t stream, bool writable);
  // Takes what the stream has received.
  std::vector<etcdserverpb::WatchResponse> TakeWatched(uint64_t stream);

  void Step(int member, decltype(Input::event) event);
  void Crash(int member);    // loses what is not durable
  void Restart(int member);  // from its disk
  void Join(int member);     // a new one, with an empty disk
  void Forget(int member);   // it is gone for good
  void HoldDisk(int member, bool held);
  void Isolate(int member, bool isolated);
  // While held, checkpoints are not finished; then they succeed or fail.
  void HoldCheckpoints(int member, bool held) { nodes_.at(member).checkpoints_held = held; }
  void FailCheckpoints(int member, bool fail) { nodes_.at(member).checkpoints_fail = fail; }

  Replica& operator[](int member) { return *nodes_.at(member).replica; }
  bool alive(int member) const { return nodes_.at(member).replica != nullptr; }
  const Output& last_output(int member) const { return nodes_.at(member).out; }
  Instant now() const { return now_; }
  int size() const { return static_cast<int>(nodes_.size()); }
  // Units written so far, and the entries in the largest.
  uint64_t persists() const { return persists_; }
  size_t largest_unit() const { return largest_unit_; }
  void ResetCounters() { persists_ = 0, largest_unit_ = 0; }

 private:
  struct Node {
    std::unique_ptr<Replica> replica;
    Recovered disk;
    std::deque<Persist> unwritten;
    std::optional<StateImage> checkpoint;  // under way
    bool checkpoints_held = false;
    bool checkpoints_fail = false;
    Output out;
    bool disk_held = false;
    bool isolated = false;
    uint64_t run = 0;
  };

  // A request that `from` passed on, and the answer to it.
  struct Passed {
    int from = 0;
    RequestToken token;
    uint64_t attempt = 0;
  };

  void Start(int member);
  bool Apart(int from, int to) const;
  bool PassOn();
  void Collect(int member);
  void Write(Node* node, const Persist& unit);

  std::function<void(Config*)> configure_;
  Instant now_ = Instant::FromNanos(1'000'000'000);
  std::map<int, Node> nodes_;
  void Keep(Node* node, const StateImage& image);
  void Cut(Node* node, LogIndex index);
  bool Carry();

  std::deque<raft::Message> network_;
  std::deque<std::pair<int, Forward>> forwards_;  // by whom
  std::map<RequestToken, Passed> passed_;         // under the token at the one asked
  std::deque<std::pair<Passed, Response>> passed_answers_;
  std::deque<SnapshotToSend> snapshots_;
  std::map<RequestToken, Response> responses_;
  std::map<uint64_t, std::vector<etcdserverpb::WatchResponse>> watched_;
  uint64_t last_token_ = 0;
  uint64_t persists_ = 0;
  size_t largest_unit_ = 0;
};

// Encoded requests, and decoded answers.
std::string Grant(int64_t id, int64_t ttl);
std::string Revoke(int64_t id);
std::string KeepAlive(int64_t id);
std::string TimeToLive(int64_t id, bool keys = false);
std::string PutWithLease(const std::string& key, const std::string& value, int64_t lease);
std::string Put(const std::string& key, const std::string& value, bool prev_kv = false);
std::string Get(const std::string& key, bool serializable = false);
std::string GetPrefix(const std::string& begin, const std::string& end);
std::string Delete(const std::string& key, const std::string& end = "");

template <typename Proto>
Proto Parsed(const Response& response) {
  Proto proto;
  const Bytes body = response.body;
  proto.ParseFromArray(body.data(), static_cast<int>(body.size()));
  return proto;
}

}  // namespace quorate::engine

#endif  // QUORATE_TESTS_ENGINE_REPLICA_CLUSTER_H_
