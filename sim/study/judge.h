// What studies watch in a cluster: commits and the gaps between them, changes of leader,
// and Raft's safety rules, which some studies break on purpose.
#ifndef QUORATE_SIM_STUDY_JUDGE_H_
#define QUORATE_SIM_STUDY_JUDGE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "sim/study/cluster.h"

namespace quorate::sim::study {

class Judge : public Observer {
 public:
  void OnState(const raft::Raft& member, Instant at) override;
  void OnCommitted(MemberId member, const raft::Entry& entry, Instant at) override;

  // Counts from now on; `now` begins the first gap.
  void Start(Instant now);
  // Distinct entries with a payload that somebody committed since Start().
  int64_t commits() const { return commits_; }
  // Leaders that came up since Start().
  int64_t leader_changes() const { return leader_changes_; }
  // The longest time between two of those commits, or from the start or to the end.
  Duration LongestGap(Instant end) const { return std::max(longest_, end - last_commit_); }

  // Configuration changes that were committed.
  int64_t configurations() const { return configurations_; }

  // Raft paper, figure 3: at most one leader a term; one entry at an index.
  bool two_leaders_in_a_term() const { return two_leaders_; }
  bool conflicting_commits() const { return conflict_; }

 private:
  std::map<uint64_t, uint64_t> leader_of_;                       // by term
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> committed_;  // by index: term, first bytes
  bool two_leaders_ = false;
  bool conflict_ = false;
  int64_t commits_ = 0;
  int64_t leader_changes_ = 0;
  int64_t configurations_ = 0;
  Instant last_commit_;
  Duration longest_;
};

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_JUDGE_H_
