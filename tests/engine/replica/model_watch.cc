// Watchers, and what they are to be told.
#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "sim/model/rules.h"
#include "tests/engine/replica/model_world.h"

namespace quorate::engine {

using mvcc_model::Requests;

void ModelWorld::CreateWatch(Stream* stream, uint64_t number, Requests* draw) {
  Prng& prng = draw->prng();
  Watcher watcher;
  watcher.key = draw->Key();
  watcher.end = draw->RangeEnd();
  if (watcher.end != std::string(1, '\0') && watcher.end <= watcher.key) watcher.end.clear();
  etcdserverpb::WatchRequest request;
  auto* const create = request.mutable_create_request();
  create->set_key(watcher.key);
  create->set_range_end(watcher.end);
  if (prng.Chance(1, 2)) create->set_start_revision(prng.Between(1, model_.revision() + 4));
  if (prng.Chance(1, 6)) create->set_watch_id(prng.Between(50, 60));
  if (prng.Chance(1, 5)) create->add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  if (prng.Chance(1, 5)) create->add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  for (const int filter : create->filters()) {
    (filter == etcdserverpb::WatchCreateRequest::NOPUT ? watcher.no_put : watcher.no_delete) = true;
  }
  create->set_prev_kv(prng.Chance(1, 2));
  create->set_fragment(prng.Chance(1, 2));
  create->set_progress_notify(prng.Chance(1, 4));
  watcher.prev_kv = create->prev_kv();
  watcher.fragment = create->fragment();
  watcher.start = create->start_revision() == 0 ? model_.revision() + 1 : create->start_revision();
  watcher.may_be_ended = watcher.start < model_.compact_revision();
  absl::StrAppend(&doing_, "stream ", number, ": {", request.ShortDebugString(), "}\n");
  if (stream->watchers.contains(create->watch_id()) && create->watch_id() != 0) return;
  stream->asked_for = watcher;
  cluster_.Watch(stream->member, number, request);
  cluster_.Settle();
}

void ModelWorld::DoWatch(Requests* draw) {
  Prng& prng = draw->prng();
  const uint64_t number = 2 + prng.Below(2);
  Stream& stream = streams_[number];
  const uint64_t choice = prng.Below(8);
  if (choice < 4 && stream.writable) return CreateWatch(&stream, number, draw);
  if (choice < 6) {
    stream.writable = !stream.writable;
    absl::StrAppend(&doing_, "stream ", number, stream.writable ? " goes on\n" : " stops\n");
    cluster_.SetWritable(stream.member, number, stream.writable);
    return cluster_.Settle();
  }
  etcdserverpb::WatchRequest request;
  if (choice == 6 || stream.watchers.empty()) {
    request.mutable_progress_request();
  } else {
    const auto chosen = std::next(stream.watchers.begin(),
                                  static_cast<ptrdiff_t>(prng.Below(stream.watchers.size())));
    request.mutable_cancel_request()->set_watch_id(chosen->first);
    chosen->second.cancelled = true;
  }
  absl::StrAppend(&doing_, "stream ", number, ": {", request.ShortDebugString(), "}\n");
  cluster_.Watch(stream.member, number, request);
  cluster_.Settle();
}

bool ModelWorld::Sees(const Watcher& watcher, const sim::ProtocolStore::Change& change) const {
  if (change.main < watcher.start) return false;
  if (change.tombstone ? watcher.no_delete : watcher.no_put) return false;
  return sim::InRange(change.kv.key(), watcher.key, watcher.end);
}

const sim::ProtocolStore::Change* ModelWorld::NextFor(Watcher* watcher, bool may_see) const {
  const auto& changes = model_.changes();
  for (; watcher->looked < changes.size(); ++watcher->looked) {
    const auto& change = changes[watcher->looked];
    if (!Sees(*watcher, change)) continue;
    if (may_see || change.main != model_.compact_revision()) return &change;
    // Of a key that was deleted and put in one revision a compaction at it keeps the last word;
    // how soon the first one is gone is a matter of cleaning.
    const bool replaced =
        std::any_of(changes.begin() + static_cast<ptrdiff_t>(watcher->looked) + 1, changes.end(),
                    [&](const auto& later) {
                      return later.main == change.main && later.kv.key() == change.kv.key();
                    });
    if (!replaced) return &change;
  }
  return nullptr;
}

void ModelWorld::OnEvents(Watcher* watcher, const etcdserverpb::WatchResponse& response) {
  for (const mvccpb::Event& event : response.events()) {
    const auto* change = NextFor(watcher, /*may_see=*/true);
    if (change != nullptr && (change->main != event.kv().mod_revision() ||
                              change->tombstone != (event.type() == mvccpb::Event::DELETE))) {
      change = NextFor(watcher);
    }
    if (change == nullptr) return Fail("an event too many: " + event.ShortDebugString());
    ++watcher->looked;
    mvccpb::Event expected;
    *expected.mutable_kv() = change->kv;
    if (change->tombstone) {
      expected.set_type(mvccpb::Event::DELETE);
      expected.mutable_kv()->set_mod_revision(change->main);
    }
    // A key that is made anew has no predecessor, even if the same revision deleted one.
    const bool creates = !change->tombstone && change->kv.create_revision() == change->main;
    if (watcher->prev_kv && !creates && change->main - 1 >= model_.compact_revision()) {
      const mvccpb::KeyValue* const before = model_.At(change->kv.key(), change->main - 1);
      if (before != nullptr) *expected.mutable_prev_kv() = *before;
    }
    ExpectEqual("event", event.ShortDebugString(), expected.ShortDebugString());
    // A revision comes whole, or as fragments of one response.
    if (change->main == watcher->delivered && &event == &response.events(0) &&
        watcher->in_fragments == 0) {
      Fail("a revision is divided");
    }
    if (change->main > response.header().revision()) Fail("an event from the future");
  }
  if (response.events_size() > 0) {
    watcher->delivered = response.events(response.events_size() - 1).kv().mod_revision();
  }
  CheckFragment(watcher, response);
}

// A response is split if it would be too large, and not otherwise; and no part of it is.
void ModelWorld::CheckFragment(Watcher* watcher, const etcdserverpb::WatchResponse& response) {
  const int64_t revision = response.header().revision();
  if (watcher->in_fragments != 0) ExpectEqual("of a fragment", revision, watcher->in_fragments);
  if (response.fragment() && !watcher->fragment) Fail("a fragment that nobody allowed");
  if (response.fragment() && response.events_size() == 0) Fail("an empty fragment");
  if (watcher->fragment && response.events_size() > 1 &&
      response.ByteSizeLong() >= kFragmentBytes) {
    Fail(absl::StrCat("not split: ", response.ShortDebugString()));
  }
  watcher->in_fragments = response.fragment() ? revision : 0;
}

void ModelWorld::OnWatchResponse(Stream* stream, const etcdserverpb::WatchResponse& response) {
  if (response.created()) {
    if (!stream->asked_for.has_value()) return Fail("a watcher that nobody wanted");
    if (response.canceled()) return Fail("no watcher: " + response.ShortDebugString());
    stream->watchers[response.watch_id()] = *stream->asked_for;
    stream->asked_for.reset();
    return;
  }
  if (response.watch_id() == -1) {  // a progress note for all
    for (auto& [id, watcher] : stream->watchers) {
      const auto* const next = NextFor(&watcher);
      if (next != nullptr && !watcher.ended && next->main <= response.header().revision()) {
        Fail("a progress note ahead of an event");
      }
    }
    return;
  }
  const auto found = stream->watchers.find(response.watch_id());
  if (found == stream->watchers.end()) return Fail("nobody's: " + response.ShortDebugString());
  Watcher& watcher = found->second;
  if (!response.canceled()) return OnEvents(&watcher, response);
  if (response.compact_revision() != 0) {
    if (!watcher.may_be_ended) Fail("a watcher ended that was not behind");
    ExpectEqual("compact revision", response.compact_revision(), model_.compact_revision());
    watcher.ended = true;
    return;
  }
  if (!watcher.cancelled) Fail("cancelled: " + response.ShortDebugString());
  stream->watchers.erase(found);
}

void ModelWorld::Drain() {
  cluster_.Settle();
  for (auto& [number, stream] : streams_) {
    for (const auto& response : cluster_.TakeWatched(number)) OnWatchResponse(&stream, response);
  }
}

void ModelWorld::ExpectAllSeen() {
  for (auto& [number, stream] : streams_) {
    if (!stream.writable) continue;
    for (auto& [id, watcher] : stream.watchers) {
      if (watcher.in_fragments != 0 && !watcher.ended) Fail("the last fragment is missing");
      const auto* const next = NextFor(&watcher);
      if (next == nullptr || watcher.ended) continue;
      Fail(absl::StrCat("watcher ", id, " of stream ", number, " has not seen ", next->kv.key(),
                        " at ", next->main));
    }
  }
}

}  // namespace quorate::engine
