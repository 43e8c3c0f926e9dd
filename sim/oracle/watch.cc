#include "sim/oracle/watch.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

std::string Show(const Change& change) {
  std::string out =
      absl::StrCat(change.deleted ? "delete '" : "put '", absl::CEscape(change.kv.key),
                   "' at revision ", change.kv.mod_revision);
  if (change.prev.has_value()) {
    absl::StrAppend(&out, " over that of revision ", change.prev->mod_revision);
  }
  return out;
}

}  // namespace

WatchOracle::WatchOracle(Judge* judge, const Model* model, std::string name, WatchSpec spec,
                         int64_t start_revision)
    : judge_(judge),
      model_(model),
      name_(std::move(name)),
      spec_(std::move(spec)),
      next_(start_revision) {}

void WatchOracle::Report(VirtualTime when, const std::string& text) {
  judge_->Report(
      Rule::kWatch, when,
      absl::StrCat(name_, " on '", absl::CEscape(spec_.key), "'..'", absl::CEscape(spec_.range_end),
                   "'", spec_.no_put ? " no-put" : "", spec_.no_delete ? " no-delete" : "",
                   spec_.prev_kv ? " prev-kv" : "", ": ", text));
}

std::vector<Change> WatchOracle::ExpectedAt(int64_t revision) const {
  std::vector<Change> changes = model_->ChangesAt(revision, spec_.key, spec_.range_end);
  std::erase_if(changes, [this](const Change& change) {
    return change.deleted ? spec_.no_delete : spec_.no_put;
  });
  return changes;
}

std::vector<Change> WatchOracle::Expected(int64_t from, int64_t to) const {
  std::vector<Change> out;
  for (int64_t revision = from; revision <= to; ++revision) {
    std::vector<Change> changes = ExpectedAt(revision);
    std::move(changes.begin(), changes.end(), std::back_inserter(out));
  }
  return out;
}

bool WatchOracle::AtHead() const {
  for (int64_t revision = next_; revision <= model_->revision(); ++revision) {
    if (!ExpectedAt(revision).empty()) return false;
  }
  return true;
}

// What a change replaced is told if it was asked for, unless it is compacted: the model
// compacts first, some members later.
bool WatchOracle::Fits(const Change& got, const Change& expected) const {
  if (got.deleted != expected.deleted || got.kv != expected.kv) return false;
  if (!spec_.prev_kv) return !got.prev.has_value();
  const bool compacted = expected.kv.mod_revision - 1 < model_->compacted();
  return got.prev == expected.prev || (compacted && !got.prev.has_value());
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
  const auto [a, b] =
      std::mismatch(got.begin(), got.end(), expected.begin(), expected.end(),
                    [this](const Change& g, const Change& e) { return Fits(g, e); });
  if (a != got.end() || b != expected.end()) {
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
