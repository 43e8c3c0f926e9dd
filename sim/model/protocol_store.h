// A multi-version store with its leases as one would explain it: a list of all changes, every
// question answered by walking all of it. It has every option, order and hash of etcd's, for tests
// of the engine; what oracles replay millions of requests through is store.h. Requests and
// responses are the generated Protobuf classes, so that nothing is shared with the code under test.
#ifndef QUORATE_SIM_MODEL_PROTOCOL_STORE_H_
#define QUORATE_SIM_MODEL_PROTOCOL_STORE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/kv.pb.h"
#include "api/rpc.pb.h"

namespace quorate::sim {

class ProtocolStore {
 public:
  int64_t revision() const { return revision_; }
  int64_t compact_revision() const { return compacted_; }

  // Each fills *response (headers with only the revision) or returns etcd's error.
  absl::Status Range(const etcdserverpb::RangeRequest& request,
                     etcdserverpb::RangeResponse* response) const;
  absl::Status Put(const etcdserverpb::PutRequest& request, etcdserverpb::PutResponse* response);
  absl::Status DeleteRange(const etcdserverpb::DeleteRangeRequest& request,
                           etcdserverpb::DeleteRangeResponse* response);
  absl::Status Txn(const etcdserverpb::TxnRequest& request, etcdserverpb::TxnResponse* response);
  absl::Status Compact(int64_t revision);
  // A lease with an id of the client's choice; time is the caller's. Revoking one deletes its
  // keys, in one revision.
  absl::Status Grant(int64_t id, int64_t ttl);
  absl::Status Revoke(int64_t id);
  const std::map<int64_t, int64_t>& leases() const { return leases_; }  // id -> TTL
  std::vector<std::string> KeysOf(int64_t lease) const;

  struct Hash {
    uint32_t hash = 0;
    int64_t compact_revision = 0;
    int64_t hash_revision = 0;
  };
  absl::Status HashKv(int64_t revision, Hash* hash) const;

  // One change, as a watcher of everything would see it, in order.
  struct Change {
    int64_t main = 0;
    int64_t sub = 0;
    bool tombstone = false;
    mvccpb::KeyValue kv;  // of a tombstone: the key, and mod_revision for events
  };
  const std::vector<Change>& changes() const { return changes_; }
  // The key's live version at a revision, compacted or not; null if there is none.
  const mvccpb::KeyValue* At(const std::string& key, int64_t revision) const;

 private:
  std::vector<const mvccpb::KeyValue*> LiveIn(const std::string& key, const std::string& end,
                                              int64_t revision) const;
  absl::Status RangeAt(const etcdserverpb::RangeRequest& request, int64_t view,
                       etcdserverpb::RangeResponse* response) const;
  int64_t view() const { return revision_ + (sub_ > 0 ? 1 : 0); }
  void DoPut(const etcdserverpb::PutRequest& request, etcdserverpb::PutResponse* response);
  void DoDelete(const etcdserverpb::DeleteRangeRequest& request,
                etcdserverpb::DeleteRangeResponse* response);
  bool Holds(const etcdserverpb::Compare& compare) const;
  void Decide(const etcdserverpb::TxnRequest& request, std::vector<bool>* path) const;
  absl::Status Check(const etcdserverpb::TxnRequest& request, const std::vector<bool>& path,
                     size_t* step) const;
  void Perform(const etcdserverpb::TxnRequest& request, const std::vector<bool>& path, size_t* step,
               etcdserverpb::TxnResponse* response);
  void Commit();
  uint32_t HashOf(const std::vector<Change>& records, int64_t at, int64_t compacted,
                  bool keep_tombstone_at_end) const;
  bool KeptBy(const Change& change, int64_t at, bool keep_tombstone_at_end) const;

  int64_t revision_ = 1;
  int64_t compacted_ = -1;
  int64_t sub_ = 0;
  std::vector<Change> changes_;   // all that ever happened
  std::vector<Change> physical_;  // what compactions have left
  std::map<int64_t, Hash> stored_;
  std::map<int64_t, int64_t> leases_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_MODEL_PROTOCOL_STORE_H_
