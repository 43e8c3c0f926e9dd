#include "engine/raft/conf_change.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/raft/codec.h"

namespace quorate::raft {

namespace {

using Ids = std::vector<MemberId>;

bool Has(const Ids& ids, MemberId id) { return std::binary_search(ids.begin(), ids.end(), id); }

void Add(Ids* ids, MemberId id) {
  const auto at = std::lower_bound(ids->begin(), ids->end(), id);
  if (at == ids->end() || *at != id) ids->insert(at, id);
}

void Remove(Ids* ids, MemberId id) {
  const auto at = std::lower_bound(ids->begin(), ids->end(), id);
  if (at != ids->end() && *at == id) ids->erase(at);
}

Ids Union(const Ids& a, const Ids& b) {
  Ids all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

size_t CountDifferences(const Ids& a, const Ids& b) {
  Ids differing;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(),
                                std::back_inserter(differing));
  return differing.size();
}

// A configuration while changes are applied to it one by one.
class Editor {
 public:
  explicit Editor(ConfState config) : changed_{std::move(config), {}} {
    tracked_ = MembersOf(changed_.config);
  }

  ConfState& config() { return changed_.config; }

  absl::Status Apply(absl::Span<const ConfChangeSingle> changes) {
    for (const ConfChangeSingle& change : changes) {
      // An application that refuses a committed change sets its member to 0.
      if (change.node_id == MemberId(0)) continue;
      switch (change.type) {
        case ConfChangeType::kAddNode:
          MakeVoter(change.node_id);
          break;
        case ConfChangeType::kAddLearnerNode:
          MakeLearner(change.node_id);
          break;
        case ConfChangeType::kRemoveNode:
          RemoveMember(change.node_id);
          break;
        case ConfChangeType::kUpdateNode:
          break;
        default:
          return absl::InvalidArgumentError(
              absl::StrCat("unexpected conf type ", static_cast<int>(change.type)));
      }
    }
    if (config().voters.empty()) return absl::FailedPreconditionError("removed all voters");
    return absl::OkStatus();
  }

  ChangedConfig Take() { return std::move(changed_); }

 private:
  void Track(MemberId id) {
    if (Has(tracked_, id)) return;
    Add(&tracked_, id);
    Add(&changed_.fresh, id);
  }

  void MakeVoter(MemberId id) {
    Track(id);
    Remove(&config().learners, id);
    Remove(&config().learners_next, id);
    Add(&config().voters, id);
  }

  void MakeLearner(MemberId id) {
    if (Has(config().learners, id)) return;
    Track(id);
    Remove(&config().voters, id);
    // A voter of the outgoing half stays one until the joint phase ends.
    if (Has(config().voters_outgoing, id)) {
      Add(&config().learners_next, id);
    } else {
      Add(&config().learners, id);
    }
  }

  void RemoveMember(MemberId id) {
    if (!Has(tracked_, id)) return;
    Remove(&config().voters, id);
    Remove(&config().learners, id);
    Remove(&config().learners_next, id);
    if (Has(config().voters_outgoing, id)) return;  // still needed for its vote
    Remove(&tracked_, id);
    Remove(&changed_.fresh, id);
  }

  ChangedConfig changed_;
  Ids tracked_;
};

std::string DescribeIds(const Ids& ids) {
  std::string text = "(";
  for (const MemberId id : ids) {
    absl::StrAppend(&text, text.size() > 1 ? " " : "", absl::Hex(id.value()));
  }
  return text + ")";
}

}  // namespace

absl::StatusOr<ChangedConfig> ChangeSimple(const ConfState& config,
                                           absl::Span<const ConfChangeSingle> changes) {
  if (IsJoint(config)) {
    return absl::FailedPreconditionError("can't apply simple config change in joint config");
  }
  Editor editor(config);
  RETURN_IF_ERROR(editor.Apply(changes));
  if (CountDifferences(config.voters, editor.config().voters) > 1) {
    return absl::FailedPreconditionError(
        "more than one voter changed without entering joint config");
  }
  return editor.Take();
}

absl::StatusOr<ChangedConfig> EnterJoint(const ConfState& config, bool auto_leave,
                                         absl::Span<const ConfChangeSingle> changes) {
  if (IsJoint(config)) return absl::FailedPreconditionError("config is already joint");
  if (config.voters.empty()) {
    return absl::FailedPreconditionError("can't make a zero-voter config joint");
  }
  Editor editor(config);
  editor.config().voters_outgoing = config.voters;
  RETURN_IF_ERROR(editor.Apply(changes));
  editor.config().auto_leave = auto_leave;
  return editor.Take();
}

absl::StatusOr<ChangedConfig> LeaveJoint(const ConfState& config) {
  if (!IsJoint(config)) return absl::FailedPreconditionError("can't leave a non-joint config");
  ConfState left;
  left.voters = config.voters;
  left.learners = Union(config.learners, config.learners_next);
  return ChangedConfig{std::move(left), {}};
}

bool IsLeaveJoint(const ConfChangeV2& change) {
  return change.transition == ConfChangeTransition::kAuto && change.changes.empty();
}

bool IsEnterJoint(const ConfChangeV2& change) {
  return change.transition != ConfChangeTransition::kAuto || change.changes.size() > 1;
}

absl::StatusOr<ChangedConfig> ApplyChange(const ConfState& config, const ConfChangeV2& change) {
  if (IsLeaveJoint(change)) return LeaveJoint(config);
  if (!IsEnterJoint(change)) return ChangeSimple(config, change.changes);
  const bool auto_leave = change.transition != ConfChangeTransition::kJointExplicit;
  return EnterJoint(config, auto_leave, change.changes);
}

ConfChangeV2 ToV2(const ConfChange& change) {
  ConfChangeV2 v2;
  v2.changes.push_back({change.type, change.node_id});
  v2.context = change.context;
  return v2;
}

absl::StatusOr<ConfChangeV2> DecodeChange(const Entry& entry) {
  if (entry.type == EntryType::kConfChangeV2) return DecodeConfChangeV2(entry.data);
  CHECK(entry.type == EntryType::kConfChange);
  ASSIGN_OR_RETURN(const ConfChange change, DecodeConfChange(entry.data));
  return ToV2(change);
}

absl::Status ValidateConfig(const ConfState& config) {
  const auto invalid = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("configuration: ", what));
  };
  for (const Ids* ids :
       {&config.voters, &config.voters_outgoing, &config.learners, &config.learners_next}) {
    if (!ids->empty() && ids->front() == MemberId(0)) return invalid("member 0");
    if (std::adjacent_find(ids->begin(), ids->end(), std::greater_equal<>()) != ids->end()) {
      return invalid("a list is not sorted and unique");
    }
  }
  if (config.voters.empty() && config != ConfState()) return invalid("no voters");
  for (const MemberId id : config.learners) {
    if (IsVoter(config, id)) {
      return invalid(absl::StrCat("member ", ToString(id), " is voter and learner"));
    }
  }
  for (const MemberId id : config.learners_next) {
    if (!Has(config.voters_outgoing, id) || Has(config.voters, id)) {
      return invalid(absl::StrCat("member ", ToString(id),
                                  " is to become a learner and is not an outgoing voter"));
    }
  }
  if (config.auto_leave && !IsJoint(config)) return invalid("auto-leave of what is not joint");
  return absl::OkStatus();
}

std::vector<MemberId> MembersOf(const ConfState& config) {
  return Union(Union(config.voters, config.voters_outgoing),
               Union(config.learners, config.learners_next));
}

bool IsJoint(const ConfState& config) { return !config.voters_outgoing.empty(); }

bool IsVoter(const ConfState& config, MemberId id) {
  return Has(config.voters, id) || Has(config.voters_outgoing, id);
}

bool IsLearner(const ConfState& config, MemberId id) { return Has(config.learners, id); }

std::string Describe(const ConfState& config) {
  std::string text = absl::StrCat("voters=", DescribeIds(config.voters));
  if (IsJoint(config)) absl::StrAppend(&text, "&&", DescribeIds(config.voters_outgoing));
  if (!config.learners.empty()) {
    absl::StrAppend(&text, " learners=", DescribeIds(config.learners));
  }
  if (!config.learners_next.empty()) {
    absl::StrAppend(&text, " learners_next=", DescribeIds(config.learners_next));
  }
  if (config.auto_leave) absl::StrAppend(&text, " autoleave");
  return text;
}

}  // namespace quorate::raft
