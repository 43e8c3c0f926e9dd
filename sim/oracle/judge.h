// Where oracles report: which rule was checked how often, and what broke it.
#ifndef QUORATE_SIM_ORACLE_JUDGE_H_
#define QUORATE_SIM_ORACLE_JUDGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/scheduler.h"

namespace quorate::sim {

// The rules that a run is judged by. Raft's are those of the paper's figure 3 and of
// its section 5; KV's are etcd's published guarantees.
enum class Rule : uint8_t {
  kElectionSafety,      // at most one leader in a term
  kLeaderAppendOnly,    // a leader never removes from its log
  kLogMatching,         // equal (index, term): equal logs up to there
  kLeaderCompleteness,  // a leader has everything committed in earlier terms
  kStateMachineSafety,  // nobody commits or applies anything else at an index
  kCommitDurability,    // what is committed is on a quorum, what was acknowledged survives
  kVoteDurability,      // one vote a term, also over crashes
  kMonotonicity,        // terms, commit and applied index never go back
  kReadSafety,          // a read shows all that was acknowledged before it began
  kLinearizability,     // answers equal a sequential store in an order that real time allows
  kGeneralChecker,      // the same by search, ignoring revisions, on samples
  kSerializableReads,   // a state that was, never going back on one process
  kWatch,               // ordered, complete, unique, atomic, resumable
  kLease,               // no lease ends before its time, none is told of that is not there
  kAuth,                // nobody gets what it may not have, or is refused what it may
  kNoLostWrite,         // every acknowledged write is in the final state
  kWorkload,            // what a workload promises of itself: sums, locks, queues, lists
  kBounded,             // nothing piles up: no queue keeps what nobody waits for
  kRecovery,            // what comes back from the disks is what was there
  kEqualState,          // members that converged are equal
  kLiveness,            // once faults stop: a leader, answers, convergence
  kDeterminism,         // the same seed again gives the same trace
  kOneChange,           // a leader begins no change of the configuration before the last is applied
  kStability,           // a leader that a quorum hears is not deposed
  kRemoved,             // nothing that a removed member says changes anything
  kAssertion,           // no assertion fails, no process dies or hangs
};
inline constexpr size_t kRules = static_cast<size_t>(Rule::kAssertion) + 1;

// "R1 election safety"; stable, used in reports.
absl::string_view RuleName(Rule rule);

struct Violation {
  Rule rule = Rule::kElectionSafety;
  VirtualTime when;
  // What is wrong, in words.
  std::string text;
  // The events that prove it, in order.
  std::vector<std::string> evidence;
};

class Judge {
 public:
  Judge() = default;
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  // Called at the first violation, once.
  void OnFirst(std::function<void()> callback) { on_first_ = std::move(callback); }

  // Violations of this rule do not count: the world breaks on purpose what it rests on.
  void Ignore(Rule rule) { ignored_[static_cast<size_t>(rule)] = true; }

  // The same, and it is hoped for: each is told to `on_expected`.
  void Expect(Rule rule) { expected_[static_cast<size_t>(rule)] = true; }
  void OnExpected(std::function<void(Rule)> callback) { on_expected_ = std::move(callback); }

  void Checked(Rule rule, uint64_t times = 1) { checks_[static_cast<size_t>(rule)] += times; }
  void Report(Rule rule, VirtualTime when, std::string text,
              std::vector<std::string> evidence = {});

  uint64_t checks(Rule rule) const { return checks_[static_cast<size_t>(rule)]; }
  // Violations in the order in which they were found; a first few of them.
  const std::vector<Violation>& violations() const { return violations_; }
  bool clean() const { return violations_.empty(); }

 private:
  static constexpr size_t kViolationsKept = 8;

  std::array<uint64_t, kRules> checks_ = {};
  std::array<bool, kRules> ignored_ = {};
  std::array<bool, kRules> expected_ = {};
  std::vector<Violation> violations_;
  std::function<void()> on_first_;
  std::function<void(Rule)> on_expected_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_JUDGE_H_
