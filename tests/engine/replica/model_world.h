// A cluster of three and the models of one store and of its users, given the same commands one
// after another: every answer, every event and every hash is compared.
//
// One of the members does not take part in the majority that answers: it is crashed, cut off and
// restarted at will, and comes to the same state by other ways (log, checkpoint, a leader's state).
#ifndef QUORATE_TESTS_ENGINE_REPLICA_MODEL_WORLD_H_
#define QUORATE_TESTS_ENGINE_REPLICA_MODEL_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "api/rpc.pb.h"
#include "base/prng.h"
#include "sim/model/auth.h"
#include "sim/model/protocol_store.h"
#include "tests/engine/mvcc/draw_requests.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {

class ModelWorld {
 public:
  ModelWorld();

  // One command, drawn from the seed and from what is there.
  void Do(uint64_t seed);
  // Once all is quiet: every revision, all members, before and after a restart of all.
  void CompareEverything();
  // What was wrong first, with what was done before; empty if nothing was.
  const std::string& difference() const { return difference_; }

 private:
  // Of watchers that allow it, responses of two events or three are split.
  static constexpr size_t kFragmentBytes = 150;

  struct Watcher {
    std::string key;
    std::string end;
    int64_t start = 0;  // the first revision whose events it is to see
    bool no_put = false;
    bool no_delete = false;
    bool prev_kv = false;
    bool fragment = false;
    // Of a response that came in part: its revision, and 0 once the last part is there.
    int64_t in_fragments = 0;
    // It began in the past, or its stream took nothing when there was a compaction: it may be told
    // that what it needs is gone.
    bool may_be_ended = false;
    size_t looked = 0;       // at the model's changes
    int64_t delivered = 0;   // the revision of the last event
    bool cancelled = false;  // by its client
    bool ended = false;
  };
  struct Stream {
    int member = 0;
    bool writable = true;
    std::map<int64_t, Watcher> watchers;
    std::optional<Watcher> asked_for;  // the next "created" is about it
  };

  void Fail(const std::string& what);
  template <typename T, typename U>
  void ExpectEqual(const std::string& what, const T& got, const U& expected) {
    if (got != expected) Fail(absl::StrCat(what, ": ", got, ", expected ", expected));
  }

  // Sends it to one who answers.
  Response Call(RequestKind kind, const google::protobuf::Message& request,
                const std::string& asker = "root");
  // Lets the cluster and the model do it in somebody's name, and compares the answers.
  template <typename Request, typename R>
  void DoAs(const std::string& asker, RequestKind kind, const Request& request,
            absl::Status (sim::ProtocolStore::*perform)(const Request&, R*));
  // Compares an answer with what the model says.
  template <typename R>
  void Expect(const std::string& what, const Response& response, const absl::Status& status,
              R expected);

  void DoKv(mvcc_model::Requests* draw);
  void DoTxn(mvcc_model::Requests* draw);
  void DoCompact(mvcc_model::Requests* draw);
  void CompareHash(int member, int64_t revision);

  void DoLease(mvcc_model::Requests* draw);
  void Renewed(int64_t lease);
  void CompareLeases();
  void LetTimePass(Prng* prng);
  void NoteExpired();

  // model_auth.cc
  static Credentials As(const std::string& user);
  // In whose name a request is made: mostly of one who may do all.
  std::string Asker(Prng* prng) const;
  void DoAuth(mvcc_model::Requests* draw);
  void PermitMuch(const std::string& role, mvcc_model::Requests* draw);
  void ChangeAuth(const sim::AuthChange& change, const std::string& asker);
  // Why the asker may not make the request; empty if he may.
  std::string Refusal(const std::string& asker, bool write, const std::string& key,
                      const std::string& range_end) const;
  std::string Refusal(const std::string& asker, const etcdserverpb::RangeRequest& r) const;
  std::string Refusal(const std::string& asker, const etcdserverpb::PutRequest& r) const;
  std::string Refusal(const std::string& asker, const etcdserverpb::DeleteRangeRequest& r) const;
  std::string Refusal(const std::string& asker, const etcdserverpb::TxnRequest& r) const;
  void CompareAuth(int member);

  // model_watch.cc
  void DoWatch(mvcc_model::Requests* draw);
  void CreateWatch(Stream* stream, uint64_t number, mvcc_model::Requests* draw);
  void Drain();
  void OnWatchResponse(Stream* stream, const etcdserverpb::WatchResponse& response);
  void OnEvents(Watcher* watcher, const etcdserverpb::WatchResponse& response);
  void CheckFragment(Watcher* watcher, const etcdserverpb::WatchResponse& response);
  bool Sees(const Watcher& watcher, const sim::ProtocolStore::Change& change) const;
  // The next change that the watcher is to see; null if there is none. `may_see`: or that it may
  // see, since it is up to the member when it forgets it.
  const sim::ProtocolStore::Change* NextFor(Watcher* watcher, bool may_see = false) const;
  void ExpectAllSeen();

  void Disturb(Prng* prng);
  std::vector<int64_t> SomeRevisions(int64_t from) const;

  Cluster cluster_;
  int leader_ = 0;
  int steady_ = 0;     // the follower that is there all the time
  int disturbed_ = 0;  // the other one
  bool isolated_ = false;
  sim::ProtocolStore model_;
  sim::AuthModel auth_;
  std::map<uint64_t, Stream> streams_;
  struct LeaseTime {
    int64_t ttl = 0;
    Instant deadline;
  };
  std::map<int64_t, LeaseTime> leases_;
  // By the revision asked for, the present one and the compact one.
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::pair<absl::Status, sim::ProtocolStore::Hash>>
      hashes_;
  std::string doing_;
  std::deque<std::string> story_;
  std::string difference_;
};

}  // namespace quorate::engine

#endif  // QUORATE_TESTS_ENGINE_REPLICA_MODEL_WORLD_H_
