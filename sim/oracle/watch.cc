#include "sim/oracle/watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

std::string Show(const Change& change) {
  return absl::StrCat(change.deleted ? "delete '" : "put '", absl::CEscape(change.kv.key),
                      "' at revision ", change.kv.mod_revision);
}

}  // namespace

WatchOracle::WatchOracle(Judge* judge, const Model* model, std::string name, std::string key,
                         std::string range_end, int64_t start_revision)
    : judge_(judge),
      model_(model),
      name_(std::move(name)),
      key_(std::move(key)),
      range_end_(std::move(range_end)),
      next_(start_revision) {}

void WatchOracle::Report(VirtualTime when, const std::string& text) {
  judge_->Report(Rule::kWatch, when,
                 absl::StrCat(name_, " on '", absl::CEscape(key_), "'..'",
                              absl::CEscape(range_end_), "': ", text));
}

std::vector<Change> WatchOracle::Expected(int64_t from, int64_t to) const {
  std::vector<Change> out;
  for (int64_t revision = from; revision <= to; ++revision) {
    for (const Change& change : model_->ChangesAt(revision)) {
      if (InRange(change.kv.key, key_, range_end_)) out.push_back(change);
    }
  }
  return out;
}

void WatchOracle::OnAnswer(VirtualTime when, const WatchAnswer& answer) {
  judge_->Checked(Rule::kWatch);
  if (answer.canceled) {
    // The history from next_ on is compacted: what is left begins there.
    if (answer.compact_revision > 0) {
      if (answer.compact_revision > model_->compacted() || answer.compact_revision < next_) {
        Report(when, absl::StrCat("was cancelled with compacted revision ", answer.compact_revision,
                                  " while it wants revision ", next_,
                                  " and the log has compacted to ", model_->compacted()));
      }
      next_ = std::max(next_, answer.compact_revision);
    }
    return;
  }
  if (answer.created) return;
  if (answer.revision > model_->revision()) {
    Report(when, absl::StrCat("was told of revision ", answer.revision, ", but only ",
                              model_->revision(), " has been committed"));
    return;
  }
  pending_.insert(pending_.end(), answer.changes.begin(), answer.changes.end());
  if (answer.fragment) return;
  const std::vector<Change> got = std::exchange(pending_, {});
  const int64_t last = got.empty() ? answer.revision : got.back().kv.mod_revision;
  if (last > model_->revision()) {
    Report(when, absl::StrCat("got ", Show(got.back()), ", but only revision ", model_->revision(),
                              " has been committed"));
    return;
  }
  const std::vector<Change> expected = Expected(next_, last);
  if (got != expected) {
    const auto [a, b] = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
    Report(when,
           absl::StrCat("of revisions ", next_, " to ", last, " it was due ",
                        b == expected.end() ? std::string("nothing more") : Show(*b), " but got ",
                        a == got.end() ? absl::StrCat("nothing more (", got.size(), " of ",
                                                      expected.size(), " events)")
                                       : Show(*a)));
    return;
  }
  delivered_ += got.size();
  next_ = std::max(next_, last + 1);
}

void WatchOracle::Finish(VirtualTime when) {
  judge_->Checked(Rule::kWatch);
  const std::vector<Change> missing = Expected(next_, model_->revision());
  if (missing.empty()) return;
  Report(when, absl::StrCat("never got ", missing.size(), " events, the first of them ",
                            Show(missing.front())));
}

}  // namespace quorate::sim
