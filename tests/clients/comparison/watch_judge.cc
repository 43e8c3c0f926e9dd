#include "tests/clients/comparison/watch_judge.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace quorate::differential {
namespace {

using etcdserverpb::WatchResponse;

constexpr int64_t kWholeStream = -1;
constexpr int64_t kMinId = std::numeric_limits<int64_t>::min();
constexpr int64_t kMaxId = std::numeric_limits<int64_t>::max();

}  // namespace

void WatchJudge::Observe(const mvccpb::Event& event) {
  mvccpb::Event light;
  light.set_type(event.type());
  light.mutable_kv()->set_key(event.kv().key());
  light.mutable_kv()->set_mod_revision(event.kv().mod_revision());
  for (auto& [id, pair] : pairs_) pair.Expect(light);
  history_.push_back(std::move(light));
}

void WatchJudge::OnResponse(Side side, int stream, const WatchResponse& response) {
  Replies& replies = replies_[side][stream];
  if (response.created()) return replies.by_kind[Kind::kCreated].push_back(response);
  if (response.canceled() && response.compact_revision() == 0) {
    return replies.by_kind[Kind::kCancelled].push_back(response);
  }
  if (response.watch_id() == kWholeStream && response.events().empty() &&
      response.compact_revision() == 0) {
    return replies.by_kind[Kind::kProgress].push_back(response);
  }
  const Id id(stream, response.watch_id());
  const auto pair = pairs_.find(id);
  if (pair != pairs_.end()) {
    pair->second.Deliver(side, response);
  } else {
    early_[side][id].push_back(response);
  }
}

void WatchJudge::OnEnd(Side side, int stream, const absl::Status& status) {
  replies_[side][stream].ended = status;
}

void WatchJudge::OnOpen(int stream) {
  for (auto it = pairs_.begin(); it != pairs_.end();) {
    if (it->first.first != stream) {
      ++it;
      continue;
    }
    gone_.Add(it->second);
    it = pairs_.erase(it);
  }
  for (const Side side : kSides) {
    replies_[side].erase(stream);
    early_[side].erase(early_[side].lower_bound({stream, kMinId}),
                       early_[side].upper_bound({stream, kMaxId}));
  }
}

void WatchJudge::OnCreated(int stream, int64_t watch_id,
                           const etcdserverpb::WatchCreateRequest& request, int64_t revision,
                           int64_t compacted) {
  const Id id(stream, watch_id);
  WatchPair& pair =
      pairs_.insert_or_assign(id, WatchPair(request, revision, compacted, release_)).first->second;
  const auto from = std::partition_point(
      history_.begin(), history_.end(),
      [&](const mvccpb::Event& event) { return event.kv().mod_revision() < pair.from(); });
  for (auto it = from; it != history_.end(); ++it) pair.Expect(*it);
  for (const Side side : kSides) {
    for (const WatchResponse& response : early_[side][id]) pair.Deliver(side, response);
    early_[side].erase(id);
  }
}

void WatchJudge::OnCancelled(int stream, int64_t id) {
  const auto found = pairs_.find({stream, id});
  if (found == pairs_.end()) return;
  gone_.Add(found->second);
  pairs_.erase(found);
}

void WatchJudge::OnCompaction(int64_t revision) {
  for (auto& [id, pair] : pairs_) pair.OnCompaction(revision);
}

std::optional<WatchResponse> WatchJudge::Take(Side side, int stream, Kind kind) {
  if (!Has(side, stream, kind)) return std::nullopt;
  std::deque<WatchResponse>& queue = replies_[side][stream].by_kind[kind];
  WatchResponse response = std::move(queue.front());
  queue.pop_front();
  return response;
}

bool WatchJudge::Has(Side side, int stream, Kind kind) const {
  const auto replies = replies_[side].find(stream);
  if (replies == replies_[side].end()) return false;
  const auto queue = replies->second.by_kind.find(kind);
  return queue != replies->second.by_kind.end() && !queue->second.empty();
}

std::optional<absl::Status> WatchJudge::ended(Side side, int stream) const {
  const auto replies = replies_[side].find(stream);
  return replies == replies_[side].end() ? std::nullopt : replies->second.ended;
}

bool WatchJudge::IsUncertain(int stream) const {
  return std::any_of(pairs_.begin(), pairs_.end(), [stream](const auto& entry) {
    return entry.first.first == stream && entry.second.forgiven();
  });
}

bool WatchJudge::Settled() const {
  return std::all_of(pairs_.begin(), pairs_.end(), [](const auto& entry) {
    return entry.second.Complete(kReference) && entry.second.Complete(kSubject);
  });
}

std::string WatchJudge::Check() {
  for (auto& [id, pair] : pairs_) {
    const std::string wrong = pair.Check();
    if (wrong.empty()) continue;
    return absl::StrCat("stream ", id.first, ", id ", id.second, ", ", pair.Describe(), ": ",
                        wrong);
  }
  for (const Side side : kSides) {
    for (const auto& [id, responses] : early_[side]) {
      if (responses.empty()) continue;
      return absl::StrCat(side == kReference ? "reference" : "subject",
                          ": a response for a watcher that is not there: stream ", id.first, " {",
                          Describe(responses.front()), "}");
    }
  }
  return "";
}

std::string WatchJudge::Missing() const {
  for (const auto& [id, pair] : pairs_) {
    if (pair.Complete(kReference) && pair.Complete(kSubject)) continue;
    return absl::StrCat("stream ", id.first, ", id ", id.second, ", ", pair.Describe(),
                        ": something did not come");
  }
  return "";
}

void WatchJudge::Sums::Add(const WatchPair& pair) {
  events += pair.events();
  fragments += pair.fragments();
  notes += pair.notes();
  if (pair.forgiven()) ++forgiven;
}

WatchJudge::Sums WatchJudge::sums() const {
  Sums sums = gone_;
  for (const auto& [id, pair] : pairs_) sums.Add(pair);
  return sums;
}

}  // namespace quorate::differential
