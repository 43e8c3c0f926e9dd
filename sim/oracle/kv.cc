#include "sim/oracle/kv.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/wire.h"

namespace quorate::sim {

namespace {

// `results` may be fewer: of an answer that is wrong.
bool AnyChanged(const std::vector<Operation>& operations,
                const std::vector<OperationResult>& results) {
  for (size_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    if (operation.kind == Operation::Kind::kPut) return true;
    if (i >= results.size()) continue;
    const OperationResult& result = results[i];
    if (operation.kind == Operation::Kind::kDelete && result.count > 0) return true;
    if (operation.kind == Operation::Kind::kTxn &&
        AnyChanged(result.succeeded ? operation.success : operation.failure, result.operations)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool Changed(const Request& request, const Result& result) {
  if (request.shape == Request::Shape::kCompact || request.AboutLease()) return false;
  const bool first = request.shape != Request::Shape::kTxn || result.succeeded;
  return AnyChanged(first ? request.success : request.failure, result.operations);
}

void KvOracle::OnCommit(VirtualTime when, const raft::Entry& entry) {
  if (entry.type != raft::EntryType::kNormal || entry.data.empty()) return;
  absl::StatusOr<std::optional<Request>> command = DecodeCommand(entry.data);
  if (!command.ok()) {
    judge_->Report(Rule::kLinearizability, when,
                   absl::StrCat("the committed entry at index ", entry.index.value(),
                                " cannot be decoded: ", command.status().message()));
    return;
  }
  if (command->has_value()) OnCommand(when, entry.index, **std::move(command));
}

void KvOracle::OnCommand(VirtualTime when, LogIndex index, Request request) {
  const int64_t before = model_.revision();
  Result result = model_.Apply(request);
  if (result.revision == before) return;
  steps_.push_back(Step{index, std::move(request), std::move(result), when, std::nullopt});
}

void KvOracle::OnInvoke(History::Id id) {
  CHECK_EQ(id, floors_.size());
  floors_.push_back(shown_);
  const Call& call = history_->call(id);
  const auto shown = process_shown_.find({call.member, call.incarnation});
  process_floors_.push_back(shown == process_shown_.end() ? 0 : shown->second);
}

void KvOracle::OnReturn(History::Id id) {
  const Call& call = history_->call(id);
  if (call.outcome != Outcome::kOk) return;
  const int64_t revision = call.result.revision;
  if (revision > model_.revision()) {
    judge_->Report(Rule::kLinearizability, call.returned,
                   absl::StrCat("an answer shows revision ", revision, ", but only revision ",
                                model_.revision(), " has been committed anywhere"),
                   {Describe(call)});
    return;
  }
  if (call.request.shape == Request::Shape::kCompact) {
    CheckCompaction(call);
  } else if (call.request.AboutLease()) {
    CheckLease(call, id);
  } else if (Changed(call.request, call.result)) {
    CheckOwned(call, id);
  } else {
    CheckSeen(call, id);
  }
  shown_ = std::max(shown_, revision);
  if (call.same_process) {
    int64_t& shown = process_shown_[{call.member, call.incarnation}];
    shown = std::max(shown, revision);
  }
}

void KvOracle::CheckOwned(const Call& call, History::Id id) {
  ++acknowledged_writes_;
  judge_->Checked(Rule::kLinearizability);
  const int64_t revision = call.result.revision;
  if (revision < 2 || At(revision).request != call.request) {
    judge_->Report(
        Rule::kLinearizability, call.returned,
        absl::StrCat(
            "a write was acknowledged at revision ", revision, ", but that revision is ",
            revision < 2 ? std::string("the empty store") : At(revision).request.Fingerprint(),
            " (index ", revision < 2 ? 0 : At(revision).index.value(), ")"),
        {Describe(call)});
    return;
  }
  Step& step = At(revision);
  if (step.owner.has_value()) {
    judge_->Report(Rule::kLinearizability, call.returned,
                   absl::StrCat("two writes were acknowledged with the same revision ", revision),
                   {Describe(history_->call(*step.owner)), Describe(call)});
    return;
  }
  step.owner = id;
  CheckFloor(call, id, true);
  if (step.result != call.result) Mismatch(call, step.result, revision);
}

// An answer that shows the state at a revision without having made it.
void KvOracle::CheckSeen(const Call& call, History::Id id) {
  judge_->Checked(call.request.serializable ? Rule::kSerializableReads : Rule::kLinearizability);
  if (call.request.ReadOnly()) ++checked_reads_;
  const int64_t revision = call.result.revision;
  if (call.request.serializable) {
    CheckSerializable(call);
    judge_->Checked(Rule::kSerializableReads);
    if (call.same_process && revision < process_floors_[id]) {
      judge_->Report(Rule::kSerializableReads, call.returned,
                     absl::StrCat("member ", call.member, " showed revision ", process_floors_[id],
                                  " before this read began, and then revision ", revision),
                     {Describe(call)});
    }
    return;
  }
  CheckFloor(call, id, false);
  const Result expected = model_.ReadAt(call.request, revision);
  if (expected != call.result) Mismatch(call, expected, revision);
}

void KvOracle::CheckSerializable(const Call& call) {
  const Result expected = model_.ReadAt(call.request, call.result.revision);
  if (expected == call.result) return;
  judge_->Report(Rule::kSerializableReads, call.returned,
                 absl::StrCat("a serializable read shows what never was: at revision ",
                              call.result.revision, " the store held ", Describe(expected)),
                 {Describe(call)});
}

// The revision of an answer against what had been shown before its request began.
void KvOracle::CheckFloor(const Call& call, History::Id id, bool strictly) {
  judge_->Checked(Rule::kReadSafety);
  const int64_t floor = floors_[id];
  const int64_t revision = call.result.revision;
  if (strictly ? revision > floor : revision >= floor) return;
  std::vector<std::string> evidence = WhoSaw(floor, call.invoked_at);
  evidence.push_back(Describe(call));
  const bool read = call.request.ReadOnly();
  judge_->Report(
      read ? Rule::kReadSafety : Rule::kLinearizability, call.returned,
      absl::StrCat(read ? "a stale read: revision " : "an answer from the past: revision ",
                   revision, " was answered by member ", call.member, " although revision ", floor,
                   " had been shown to a client before the request began"),
      std::move(evidence));
}

void KvOracle::CheckCompaction(const Call& call) {
  judge_->Checked(Rule::kLinearizability);
  if (call.request.compact_revision <= model_.compacted()) return;
  judge_->Report(
      Rule::kLinearizability, call.returned,
      absl::StrCat("a compaction at revision ", call.request.compact_revision,
                   " was acknowledged, but the log has compacted to ", model_.compacted(), " only"),
      {Describe(call)});
}

// What it says of the lease is LeaseOracle's business. A renewal's answer, and that to a
// question for a lease's time, may name an older revision: that of the member asked.
void KvOracle::CheckLease(const Call& call, History::Id id) {
  const bool logged =
      call.request.shape == Request::Shape::kGrant || call.request.shape == Request::Shape::kRevoke;
  if (logged) CheckFloor(call, id, false);
  if (call.request.shape != Request::Shape::kRevoke) return;
  ++acknowledged_writes_;
  const int64_t revision = call.result.revision;
  // If nothing was attached to the lease the revision is somebody else's.
  if (revision < 2 || revision <= floors_[id]) return;
  Step& step = At(revision);
  if (step.request == call.request && !step.owner.has_value()) step.owner = id;
}

std::vector<std::string> KvOracle::WhoSaw(int64_t revision, uint64_t before) const {
  for (const Call& call : history_->calls()) {
    if (call.outcome == Outcome::kOk && call.returned_at < before &&
        call.result.revision == revision) {
      return {Describe(call)};
    }
  }
  return {};
}

void KvOracle::Mismatch(const Call& call, const Result& expected, int64_t revision) {
  judge_->Report(Rule::kLinearizability, call.returned,
                 absl::StrCat("a wrong answer: at revision ", revision,
                              " a sequential store would have said ", Describe(expected)),
                 {Describe(call)});
}

void KvOracle::Finish(VirtualTime when) {
  // Attempts that may have taken effect without their client's knowledge, by content;
  // within one, in the order in which they began, so that floors rise.
  std::map<std::string, std::vector<History::Id>> unknown;
  for (History::Id id = 0; id < history_->size(); ++id) {
    const Call& call = history_->call(id);
    if (call.outcome != Outcome::kPending && call.outcome != Outcome::kUnknown) continue;
    if (!call.request.ReadOnly()) unknown[call.request.Fingerprint()].push_back(id);
  }
  std::map<std::string, size_t> used;
  for (size_t i = 0; i < steps_.size(); ++i) {
    Step& step = steps_[i];
    const int64_t revision = static_cast<int64_t>(i) + 2;
    judge_->Checked(Rule::kNoLostWrite);
    // Leases end by themselves, too; LeaseOracle knows when they may.
    if (step.owner.has_value() || step.request.shape == Request::Shape::kRevoke) continue;
    const std::string fingerprint = step.request.Fingerprint();
    const std::vector<History::Id>& candidates = unknown[fingerprint];
    size_t& next = used[fingerprint];
    if (next < candidates.size() && floors_[candidates[next]] < revision) {
      step.owner = candidates[next];
      took_effect_.push_back(candidates[next]);
      ++next;
      continue;
    }
    judge_->Report(
        Rule::kLinearizability, when,
        absl::StrCat("revision ", revision, " (index ", step.index.value(), ", committed at ",
                     Describe(step.committed), ") is \"", fingerprint,
                     "\", but every attempt at that request was answered otherwise, refused, or "
                     "explains another revision: it took effect too often or was never asked for"));
    return;
  }
  std::sort(took_effect_.begin(), took_effect_.end());
}

}  // namespace quorate::sim
