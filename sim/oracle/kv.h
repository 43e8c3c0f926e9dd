// Linearizability without search (simulation rules H1, H3, H6, R11): etcd tells the
// revision with every answer, so the order of all changes is known and only has to be
// checked.
//
// The oracle replays every committed command through the Model as soon as anybody has
// committed it, which fixes what each revision is. Then, at the moment an answer
// reaches its client:
//
//   - a write that changed something owns exactly the revision it names: that revision
//     is this very request, nobody else was given it, and the results are the Model's;
//   - any other answer equals what the Model would have said at the revision it names;
//   - that revision is not older than the newest one that anybody had been shown
//     before the request was invoked (serializable reads: not older than what the same
//     process had shown before);
//   - at the end, every revision that no answer claimed belongs to an attempt whose
//     outcome its client does not know, invoked before anybody was shown the revision,
//     and each attempt explains one revision at most. What was refused for good
//     explains nothing.
//
// It is sound because etcd's revisions are promised to follow real time.
#ifndef QUORATE_SIM_ORACLE_KV_H_
#define QUORATE_SIM_ORACLE_KV_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/raft/types.h"
#include "sim/history.h"
#include "sim/model/store.h"
#include "sim/oracle/judge.h"

namespace quorate::sim {

class KvOracle {
 public:
  // `history` is where the attempts are; both are borrowed.
  KvOracle(Judge* judge, const History* history) : judge_(judge), history_(history) {}

  // An entry is committed; in order of index.
  void OnCommit(VirtualTime when, const raft::Entry& entry);
  // The same for a command that is already plain.
  void OnCommand(VirtualTime when, LogIndex index, Request request);

  // An attempt was just added to / ended in the history.
  void OnInvoke(History::Id id);
  void OnReturn(History::Id id);

  // No more will happen. Explains the revisions that nobody was told of.
  void Finish(VirtualTime when);

  const Model& model() const { return model_; }
  uint64_t acknowledged_writes() const { return acknowledged_writes_; }
  uint64_t checked_reads() const { return checked_reads_; }
  // After Finish: attempts with unknown outcome that did take effect, ascending.
  const std::vector<History::Id>& took_effect() const { return took_effect_; }

 private:
  // What one revision is.
  struct Step {
    LogIndex index;
    Request request;
    Result result;
    VirtualTime committed;
    std::optional<History::Id> owner;
  };

  Step& At(int64_t revision) { return steps_[static_cast<size_t>(revision - 2)]; }
  void CheckOwned(const Call& call, History::Id id);
  void CheckSeen(const Call& call, History::Id id);
  void CheckFloor(const Call& call, History::Id id, bool strictly);
  void CheckSerializable(const Call& call);
  void CheckCompaction(const Call& call);
  void CheckLease(const Call& call, History::Id id);
  std::vector<std::string> WhoSaw(int64_t revision, uint64_t before) const;
  void Mismatch(const Call& call, const Result& expected, int64_t revision);

  Judge* const judge_;
  const History* const history_;
  Model model_;
  std::vector<Step> steps_;      // [revision - 2]
  std::vector<int64_t> floors_;  // [attempt]: newest revision shown before it began
  int64_t shown_ = 0;            // newest revision shown to anybody
  // (member, incarnation) -> the same over serializable reads of that process, per
  // attempt: what it had shown when the attempt began.
  std::map<std::pair<uint32_t, uint64_t>, int64_t> process_shown_;
  std::vector<int64_t> process_floors_;
  std::vector<History::Id> took_effect_;
  uint64_t acknowledged_writes_ = 0;
  uint64_t checked_reads_ = 0;
};

// True if a request with this result has changed the store.
bool Changed(const Request& request, const Result& result);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_KV_H_
