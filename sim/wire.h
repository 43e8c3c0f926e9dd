// Between the model's plain requests and etcd's messages: what clients send, what
// members answer, what stands in the replicated log.
#ifndef QUORATE_SIM_WIRE_H_
#define QUORATE_SIM_WIRE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/replica/input.h"
#include "sim/model/store.h"

namespace quorate::sim {

// Which of etcd's requests it is.
engine::RequestKind KindOf(const Request& request);
// "/etcdserverpb.KV/Put".
absl::string_view MethodOf(const Request& request);
// The encoded etcdserverpb message.
Bytes EncodeRequest(const Request& request);

// What a member answered. DataLoss if the bytes are no response to such a request.
struct Answer {
  Result result;
  uint64_t member_id = 0;
  uint64_t raft_term = 0;
};
absl::StatusOr<Answer> DecodeResponse(const Request& request, absl::string_view bytes);

// The client request in the data of a normal raft entry (a leader revokes leases by the
// same command); nullopt for commands that no client of the simulator sends (member
// attributes, cluster version, checkpoints of leases). DataLoss if it cannot be decoded.
absl::StatusOr<std::optional<Request>> DecodeCommand(absl::string_view data);

// Which members' alarms stand, from the committed commands in their order. While any NOSPACE
// does, what may add to the store is refused and has no effect; while any CORRUPT does, every
// change of keys and leases, and every compaction.
class StandingAlarms {
 public:
  // Takes the next command; true if it is refused.
  bool Refuses(absl::string_view data);

 private:
  absl::btree_set<uint64_t> no_space_;
  absl::btree_set<uint64_t> corrupt_;
};

// What a watcher wants to be told.
struct WatchSpec {
  std::string key;
  std::string range_end;
  bool no_put = false;
  bool no_delete = false;
  bool prev_kv = false;
};
// A WatchCreateRequest; `notify`: with progress reports when idle.
Bytes EncodeWatchCreate(const WatchSpec& spec, int64_t start_revision, bool notify);
Bytes EncodeWatchProgress();

struct WatchAnswer {
  int64_t revision = 0;
  bool created = false;
  bool canceled = false;
  bool fragment = false;
  int64_t compact_revision = 0;
  std::string cancel_reason;
  std::vector<Change> changes;
};
absl::StatusOr<WatchAnswer> DecodeWatchResponse(absl::string_view head, absl::string_view events);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WIRE_H_
