#include "sim/explain/explain.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::sim::explain {

absl::StatusOr<Format> ParseFormat(absl::string_view name) {
  if (name == "html") return Format::kHtml;
  if (name == "text") return Format::kText;
  if (name == "jsonl") return Format::kJsonLines;
  if (name == "shiviz") return Format::kShiViz;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown format '", name, "'; there are: html, text, jsonl, shiviz"));
}

std::string Explain(const Run& run, Format format) {
  switch (format) {
    case Format::kHtml:
      return ToHtml(run);
    case Format::kText:
      return ToText(run);
    case Format::kJsonLines:
      return ToJsonLines(run);
    case Format::kShiViz:
      return ToShiViz(run);
  }
  UNREACHABLE("every format is handled");
}

absl::string_view RuleInWords(Rule rule) {
  switch (rule) {
    case Rule::kElectionSafety:
      return "In one term at most one member may lead.";
    case Rule::kLeaderAppendOnly:
      return "While it leads, a member only adds to its log and never takes anything back.";
    case Rule::kLogMatching:
      return "Two logs that hold an entry of the same index and term are equal up to there.";
    case Rule::kLeaderCompleteness:
      return "Whoever becomes leader holds everything that was committed in earlier terms.";
    case Rule::kStateMachineSafety:
      return "At one index no two members commit, or apply, different entries.";
    case Rule::kCommitDurability:
      return "What is committed is on the disks of a majority, and what a member has "
             "acknowledged comes back from its disk.";
    case Rule::kVoteDurability:
      return "A member votes once in a term, and a crash does not make it forget that.";
    case Rule::kMonotonicity:
      return "Term, commit index and applied index of a member never go back.";
    case Rule::kReadSafety:
      return "A read shows at least what anybody had been shown before it began.";
    case Rule::kLinearizability:
      return "All answers are those of one store that serves one request after another, each at "
             "some moment between its question and its answer.";
    case Rule::kGeneralChecker:
      return "There is an order of all requests that agrees with real time and explains every "
             "answer.";
    case Rule::kSerializableReads:
      return "A serializable read shows a state that was, and one process never goes back.";
    case Rule::kWatch:
      return "A watcher gets every change once, in order, each revision as a whole, and is told "
             "of progress only for what it has been given.";
    case Rule::kLease:
      return "A lease does not end before its time, and nobody is told of one that is not there.";
    case Rule::kAuth:
      return "Nobody is served what it may not have, and nobody is refused what it may.";
    case Rule::kNoLostWrite:
      return "What was acknowledged is in the final state of every member.";
    case Rule::kWorkload:
      return "What an application rests on holds: money is not made, a lock has one holder, "
             "nothing is taken from a queue twice.";
    case Rule::kBounded:
      return "Nothing piles up that nobody waits for.";
    case Rule::kRecovery:
      return "What comes back from the disks after a loss of power is what was there.";
    case Rule::kEqualState:
      return "Members that have applied the same log are in the same state.";
    case Rule::kLiveness:
      return "Once all faults have ended the cluster elects a leader, answers, and agrees, within "
             "a bound.";
    case Rule::kDeterminism:
      return "The same seed gives the same run.";
    case Rule::kOneChange:
      return "A leader begins no change of the configuration before the one before it is applied, "
             "and nobody stands for election who has not applied one that it knows to be "
             "committed.";
    case Rule::kStability:
      return "A leader that all members but one hear is not deposed by that one.";
    case Rule::kRemoved:
      return "Nothing that a member says which was removed changes anything at those who know it.";
    case Rule::kAssertion:
      return "No assertion fails, and no process dies or hangs by itself.";
  }
  UNREACHABLE("every rule has words");
}

}  // namespace quorate::sim::explain
