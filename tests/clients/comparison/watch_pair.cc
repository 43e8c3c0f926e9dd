#include "tests/clients/comparison/watch_pair.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/clients/comparison/step.h"

namespace quorate::differential {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchResponse;

bool InRange(const WatchCreateRequest& request, const std::string& key) {
  const std::string begin = request.key().empty() ? std::string(1, '\0') : request.key();
  if (request.range_end().empty()) return key == begin;
  return key >= begin && (request.range_end() == std::string(1, '\0') || key < request.range_end());
}

bool Filters(const WatchCreateRequest& request, WatchCreateRequest::FilterType filter) {
  return std::find(request.filters().begin(), request.filters().end(), filter) !=
         request.filters().end();
}

// Of a batch, whose border is a matter of time, that of each revision by itself.
std::vector<WatchResponse> ByRevision(const WatchResponse& batch) {
  std::vector<WatchResponse> out;
  for (const mvccpb::Event& event : batch.events()) {
    const int64_t revision = event.kv().mod_revision();
    if (out.empty() || out.back().header().revision() != revision) {
      WatchResponse& next = out.emplace_back(batch);
      next.clear_events();
      next.mutable_header()->set_revision(revision);
    }
    *out.back().add_events() = event;
  }
  return out;
}

const char* Name(Side side) { return side == kReference ? "reference" : "subject"; }

}  // namespace

WatchPair::WatchPair(const WatchCreateRequest& request, int64_t revision, int64_t compacted,
                     const Release& release)
    : request_(request),
      from_(request.start_revision() == 0 ? revision + 1 : request.start_revision()),
      live_(from_ > revision),
      ends_at_once_(!live_ && from_ < compacted),
      forgotten_revision_(release.compaction_forgets_deletion ? compacted : 0) {}

bool WatchPair::Wants(const mvccpb::Event& event) const {
  const int64_t revision = event.kv().mod_revision();
  if (ends_at_once_ || revision < from_ || !InRange(request_, event.kv().key())) return false;
  const bool is_delete = event.type() == mvccpb::Event::DELETE;
  if (is_delete && revision == forgotten_revision_) return false;
  return !Filters(request_, is_delete ? WatchCreateRequest::NODELETE : WatchCreateRequest::NOPUT);
}

void WatchPair::Expect(const mvccpb::Event& event) {
  if (!Wants(event)) return;
  ++expected_;
  if (request_.progress_notify()) expected_revisions_.push_back(event.kv().mod_revision());
}

void WatchPair::OnCompaction(int64_t revision) {
  if (!live_ && !ends_at_once_ && expected_ == 0 && from_ < revision) may_end_ = true;
}

void WatchPair::CheckOrder(Incoming* in, const WatchResponse& response) const {
  for (const mvccpb::Event& event : response.events()) {
    const int64_t revision = event.kv().mod_revision();
    if (revision < in->last_revision) in->broken = "events are out of order";
    if (revision > response.header().revision()) in->broken = "the header is behind its events";
  }
  if (response.events(0).kv().mod_revision() == in->last_revision && !in->in_fragments) {
    in->broken = absl::StrCat("revision ", in->last_revision, " is divided over two responses");
  }
  if (response.header().revision() < in->last_header) in->broken = "headers go backwards";
  if (response.fragment() && !request_.fragment()) in->broken = "fragments without being asked";
}

void WatchPair::Deliver(Side side, const WatchResponse& response) {
  Incoming& in = in_[side];
  if (response.canceled()) {
    WatchResponse masked = response;
    Mask(&masked);
    in.ending = differential::Describe(masked);
    if (may_end_) forgiven_ = true;
    return;
  }
  if (response.events().empty()) {
    ++in.all_notes;
    in.notes.emplace_back(response.header().revision(), in.events);
    if (!request_.progress_notify()) in.broken = "a progress note that nobody asked for";
    return;
  }
  CheckOrder(&in, response);
  WatchResponse kept = response;
  if (forgotten_revision_ > 0) {
    kept.clear_events();
    for (const mvccpb::Event& event : response.events()) {
      if (Wants(event)) *kept.add_events() = event;
    }
  }
  in.last_revision = response.events(response.events_size() - 1).kv().mod_revision();
  in.last_header = response.header().revision();
  if (response.fragment() || in.in_fragments) ++in.fragments;
  in.in_fragments = response.fragment();
  in.events += static_cast<uint64_t>(kept.events_size());
  if (kept.events_size() > 0) in.responses.push_back(std::move(kept));
}

bool WatchPair::Complete(Side side) const {
  if (forgiven_) return true;
  return in_[side].events >= expected_ && (!ends_at_once_ || !in_[side].ending.empty());
}

// A note may not be ahead of the events.
std::string WatchPair::CheckNotes(Side side) {
  Incoming& in = in_[side];
  for (const auto& [revision, events] : in.notes) {
    const auto end =
        std::upper_bound(expected_revisions_.begin(), expected_revisions_.end(), revision);
    const auto due = static_cast<uint64_t>(end - expected_revisions_.begin());
    if (events < due) {
      return absl::StrCat("a progress note at revision ", revision, " after ", events, " of ", due,
                          " events");
    }
  }
  in.notes.clear();
  return "";
}

void WatchPair::DivideBatch(Incoming* in) {
  std::vector<WatchResponse> single = ByRevision(in->responses.front());
  if (single.size() < 2 || in->batches == kBatchesOfLive) return;
  ++in->batches;
  in->responses.pop_front();
  in->responses.insert(in->responses.begin(), single.begin(), single.end());
}

std::string WatchPair::CompareLive() {
  Incoming& a = in_[kReference];
  Incoming& b = in_[kSubject];
  while (!a.responses.empty() && !b.responses.empty()) {
    for (Incoming* const in : {&a, &b}) DivideBatch(in);
    WatchResponse& left = a.responses.front();
    WatchResponse& right = b.responses.front();
    Mask(&left);
    Mask(&right);
    if (left.SerializeAsString() != right.SerializeAsString()) {
      return absl::StrCat("\n  reference: ", differential::Describe(left),
                          "\n  subject:   ", differential::Describe(right));
    }
    compared_ += static_cast<uint64_t>(left.events_size());
    a.responses.pop_front();
    b.responses.pop_front();
  }
  return "";
}

std::string WatchPair::CompareEvents() {
  std::array<std::vector<mvccpb::Event>, 2> events;
  for (const Side side : kSides) {
    for (const WatchResponse& response : in_[side].responses) {
      events[side].insert(events[side].end(), response.events().begin(), response.events().end());
    }
  }
  const size_t common = std::min(events[kReference].size(), events[kSubject].size());
  for (size_t i = 0; i < common; ++i) {
    if (events[kReference][i].SerializeAsString() == events[kSubject][i].SerializeAsString()) {
      continue;
    }
    return absl::StrCat("\n  reference: ", differential::Describe(events[kReference][i]),
                        "\n  subject:   ", differential::Describe(events[kSubject][i]));
  }
  compared_ += common;
  for (const Side side : kSides) {  // what the other has not got yet
    in_[side].responses.clear();
    if (events[side].size() == common) continue;
    WatchResponse rest;
    for (size_t i = common; i < events[side].size(); ++i) *rest.add_events() = events[side][i];
    in_[side].responses.push_back(rest);
  }
  return "";
}

std::string WatchPair::Check() {
  if (forgiven_) return "";
  for (const Side side : kSides) {
    std::string wrong = in_[side].broken;
    if (wrong.empty() && in_[side].events > expected_) wrong = "more events than there were";
    if (wrong.empty()) wrong = CheckNotes(side);
    if (!wrong.empty()) return absl::StrCat(Name(side), ": ", wrong);
  }
  const std::string& a = in_[kReference].ending;
  const std::string& b = in_[kSubject].ending;
  if (ends_at_once_ ? !a.empty() && !b.empty() && a != b : !a.empty() || !b.empty()) {
    return absl::StrCat("ended\n  reference: ", a, "\n  subject:   ", b);
  }
  return live_ ? CompareLive() : CompareEvents();
}

std::string WatchPair::Describe() const {
  return absl::StrCat("watcher {", differential::Describe(request_), "}, events ",
                      in_[kReference].events, " and ", in_[kSubject].events, " of ", expected_);
}

}  // namespace quorate::differential
