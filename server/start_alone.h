// --force-new-cluster: the majority of a cluster is lost for good, and one member goes on alone
// with what it has. Entries at the end of its log take the other members away, so that whoever
// replays the log finds the same; the cluster keeps its id. The others must never be started again
// with their old data: they would not know that they are gone.
//
// etcd drops entries that the member did not know to be committed. They are kept here, since the
// lost members may have acknowledged them.
#ifndef QUORATE_SERVER_START_ALONE_H_
#define QUORATE_SERVER_START_ALONE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "engine/raft/types.h"
#include "engine/replica/replica.h"

namespace quorate::server {

struct AloneStart {
  std::vector<MemberId> removed;  // in ascending order; none: it is alone already
  // To be appended behind what was recovered.
  std::vector<raft::Entry> entries;
  // Of a term of its own, with all of the log committed.
  raft::HardState hard_state;
};

// FailedPrecondition if `self` is no voter of the recovered configuration; DataLoss if that cannot
// be read.
absl::StatusOr<AloneStart> StartAlone(const engine::Recovered& recovered, MemberId self);

}  // namespace quorate::server

#endif  // QUORATE_SERVER_START_ALONE_H_
