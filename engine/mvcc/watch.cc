#include "engine/mvcc/watch.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "api/malformed.h"
#include "base/check.h"
#include "base/prng.h"

namespace quorate::mvcc {
namespace {

// Watchers of a stream that goes, in a piece, each for so many units of work.
constexpr size_t kRemovedAtOnce = 64;
constexpr uint64_t kRemoveCost = 20;
// Of a stream's watchers so many are looked at in a piece at most, each for so many units of work.
constexpr size_t kVisitedAtOnce = 256;
constexpr uint64_t kVisitCost = 2;
constexpr int64_t kFirstId = std::numeric_limits<int64_t>::min();
constexpr int64_t kNoWatch = -1;
constexpr absl::string_view kDuplicateId = "mvcc: duplicate watch ID provided on the WatchStream";
constexpr absl::string_view kEmptyRange = "mvcc: watcher range is empty";
constexpr absl::string_view kCompacted = "etcdserver: mvcc: required revision has been compacted";

}  // namespace

WatchHub::WatchHub(const Store* store, const WatchOptions& options, WatchSink* sink)
    : store_(store), options_(options), sink_(sink), live_(store->revision() + 1) {}

WatchHub::~WatchHub() = default;

void WatchHub::Open(uint64_t token) {
  auto stream = std::make_unique<Stream>();
  stream->token = token;
  streams_.emplace(token, std::move(stream));
}

void WatchHub::Close(uint64_t token) {
  const auto it = streams_.find(token);
  if (it == streams_.end()) return;
  std::unique_ptr<Stream> stream = std::move(it->second);
  streams_.erase(it);
  SetNextNote(stream.get(), Instant());
  progress_asked_.erase(token);
  stream->control.clear();
  stream->closed = true;
  stream->writable = false;
  if (!RemoveSome(stream.get(), kRemovedAtOnce)) closed_.push_back(std::move(stream));
}

// True once it has no watchers.
bool WatchHub::RemoveSome(Stream* stream, size_t max) {
  for (; max > 0 && !stream->watchers.empty(); --max) {
    Remove(stream->watchers.begin()->second.get());
  }
  return stream->watchers.empty();
}

void WatchHub::RemoveClosed(Work* work) {
  while (!closed_.empty() && !work->spent()) {
    const auto max = static_cast<size_t>(work->left() / kRemoveCost + 1);
    const size_t some = std::min(max, kRemovedAtOnce);
    work->Spend(kRemoveCost * some);
    if (RemoveSome(closed_.front().get(), some)) closed_.pop_front();
  }
}

void WatchHub::SetWritable(uint64_t token, bool writable) {
  const auto it = streams_.find(token);
  if (it == streams_.end() || it->second->writable == writable) return;
  Stream* stream = it->second.get();
  stream->writable = writable;
  if (!writable) {
    // If they are many each leaves his cohort when he is to be served.
    if (stream->watchers.size() > kVisitedAtOnce) return;
    for (const auto& [id, watcher] : stream->watchers) {
      if (!watcher->synced) Dequeue(watcher.get());
    }
    return;
  }
  FlushControl(stream);
  stream->requeue_until = stream->requeue_from;
  stream->requeue_wrapped = false;
  size_t max = kVisitedAtOnce;
  if (RequeueSome(stream, &max) || stream->requeueing) return;
  stream->requeueing = true;
  requeueing_.push_back(token);
}

// Puts watchers that are behind where those of a writable stream are; true once that is done for
// all of them, or has to wait until the stream is writable again. Each walk goes on where the last
// one stopped, and once around: the first watchers of a stream that stops again and again must not
// be the only ones that are served.
bool WatchHub::RequeueSome(Stream* stream, size_t* max) {
  if (!stream->writable) stream->requeue_until.reset();
  auto it = stream->watchers.lower_bound(stream->requeue_from);
  const auto end = stream->watchers.end();
  while (stream->requeue_until.has_value()) {
    if (it == end && !stream->requeue_wrapped) {
      stream->requeue_wrapped = true;
      it = stream->watchers.begin();
    }
    if (it == end || (stream->requeue_wrapped && it->first >= *stream->requeue_until)) {
      stream->requeue_until.reset();
      break;
    }
    if (*max == 0) break;
    --*max;
    if (!it->second->synced) Enqueue(it->second.get());
    ++it;
  }
  stream->requeue_from = it == end ? kFirstId : it->first;
  return !stream->requeue_until.has_value();
}

// Sends notes to those who have been idle; true once all were asked.
bool WatchHub::NoteSome(Stream* stream, size_t* max) {
  if (!stream->note_from.has_value()) return true;
  auto it = stream->watchers.lower_bound(*stream->note_from);
  for (; stream->writable && *max > 0 && it != stream->watchers.end(); ++it, --*max) {
    Watcher* const watcher = it->second.get();
    if (!watcher->notify) continue;
    if (watcher->idle && watcher->synced && HasBegun(*watcher)) {
      WatchHead head;
      head.revision = live_ - 1;
      head.watch_id = it->first;
      SendControl(stream, head);
    }
    watcher->idle = true;
  }
  const bool done = !stream->writable || it == stream->watchers.end();
  if (done) {
    stream->note_from.reset();
  } else {
    stream->note_from = it->first;
  }
  return done;
}

// What SetWritable, Tick and Close have left, a piece of each. Streams take turns: a walk that is
// begun anew all the time keeps nobody else waiting.
void WatchHub::VisitSome(Work* work) {
  const uint64_t kinds =
      uint64_t{!requeueing_.empty()} + uint64_t{!noting_.empty()} + uint64_t{!closed_.empty()};
  if (kinds == 0 || work->spent()) return;
  const uint64_t share = work->left() / kinds + 1;
  const size_t most = std::min(static_cast<size_t>(share / kVisitCost + 1), kVisitedAtOnce);
  const auto visit = [&](std::deque<uint64_t>* waiting, auto some) {
    if (waiting->empty()) return;
    const uint64_t token = waiting->front();
    waiting->pop_front();
    size_t left = most;
    const auto it = streams_.find(token);
    if (it != streams_.end() && !some(it->second.get(), &left)) waiting->push_back(token);
    work->Spend(1 + kVisitCost * (most - left));
  };
  visit(&requeueing_, [this](Stream* stream, size_t* left) {
    stream->requeueing = !RequeueSome(stream, left);
    return !stream->requeueing;
  });
  visit(&noting_, [this](Stream* stream, size_t* left) { return NoteSome(stream, left); });
  Work removing(share);
  RemoveClosed(&removing);
  work->Spend(share - removing.left());
}

void WatchHub::Request(uint64_t token, const Bytes& body, Instant now) {
  const auto it = streams_.find(token);
  if (it == streams_.end()) return;
  Stream* stream = it->second.get();
  if (stream->control.size() >= kMaxControlBacklog) {
    sink_->OnWatchEnd(token, absl::ResourceExhaustedError("etcdserver: too many requests"));
    return Close(token);
  }
  WatchRequest request;
  const absl::Status status = Decode(body, &request);
  if (!status.ok()) {
    sink_->OnWatchEnd(token, MalformedMessageError());
    return Close(token);
  }
  if (const auto* create = std::get_if<WatchCreateRequest>(&request)) {
    OnCreate(stream, *create, now);
  } else if (const auto* cancel = std::get_if<WatchCancelRequest>(&request)) {
    OnCancel(stream, *cancel);
  } else if (std::holds_alternative<WatchProgressRequest>(request)) {
    progress_asked_.insert(token);
  }
}

void WatchHub::Refuse(uint64_t token, absl::string_view reason) {
  const auto it = streams_.find(token);
  if (it != streams_.end()) Refuse(it->second.get(), reason);
}

void WatchHub::Refuse(Stream* stream, absl::string_view reason) {
  WatchHead head;
  head.revision = store_->revision();
  head.watch_id = kNoWatch;
  head.created = true;
  head.canceled = true;
  head.cancel_reason = reason;
  SendControl(stream, head);
}

void WatchHub::OnCreate(Stream* stream, const WatchCreateRequest& request, Instant now) {
  const absl::string_view key = request.key.empty() ? absl::string_view("\0", 1) : request.key;
  const KeyRange range = KeyRange::FromRequest(key, request.range_end);
  if (request.start_revision < Revision(0)) return Refuse(stream, kCompacted);
  const std::string refusal = sink_->WatchRefusal(stream->token, range);
  if (!refusal.empty()) return Refuse(stream, refusal);
  if (range.kind == KeyRange::Kind::kHalfOpen && range.end <= range.begin) {
    return Refuse(stream, kEmptyRange);
  }
  int64_t id = request.watch_id;
  if (id == 0) {
    while (IsTaken(*stream, stream->next_id)) ++stream->next_id;
    id = stream->next_id++;
  } else if (IsTaken(*stream, id)) {
    return Refuse(stream, kDuplicateId);
  }
  Watcher* watcher = AddWatcher(stream, id, request, range, now);
  WatchHead head;
  head.revision = store_->revision();
  head.watch_id = id;
  head.created = true;
  SendControl(stream, head);
  const Revision present = store_->revision() + 1;
  const Revision start = request.start_revision == Revision(0) ? present : request.start_revision;
  if (start >= present) {
    watcher->next = start;
    Sync(watcher);
  } else {
    FallBehind(watcher, start);
  }
}

bool WatchHub::IsTaken(const Stream& stream, int64_t id) const {
  return stream.watchers.contains(id) || stream.ended.contains(id);
}

WatchHub::Watcher* WatchHub::AddWatcher(Stream* stream, int64_t id,
                                        const WatchCreateRequest& request, const KeyRange& range,
                                        Instant now) {
  auto watcher = std::make_unique<Watcher>();
  watcher->stream = stream;
  watcher->group = GroupFor(request, range);
  watcher->id = id;
  watcher->number = ++last_watcher_;
  watcher->start = request.start_revision;
  if (!HasBegun(*watcher)) stream->later.insert(watcher->start);
  watcher->notify = request.progress_notify;
  if (watcher->notify && stream->notified++ == 0) {
    const Duration interval = options_.progress_interval;
    const uint64_t tenth = static_cast<uint64_t>(interval.nanos() / 10) + 1;
    const uint64_t draw =
        NamedDraw(options_.seed, HashName("watch"), HashName("jitter"), stream->token);
    const auto jitter = static_cast<int64_t>(draw % tenth);
    SetNextNote(stream, now + interval + Nanoseconds(jitter));
  }
  ++watcher->group->watchers;
  ++watchers_;
  ++slow_watchers_;  // until it is synced
  return stream->watchers.emplace(id, std::move(watcher)).first->second.get();
}

std::shared_ptr<WatchHub::Group> WatchHub::GroupFor(const WatchCreateRequest& request,
                                                    const KeyRange& range) {
  GroupKey key;
  key.begin = std::string(range.begin);
  key.end = std::string(range.end);
  key.kind = range.kind;
  key.no_put = request.no_put;
  key.no_delete = request.no_delete;
  key.prev_kv = request.prev_kv;
  key.fragment = request.fragment;
  Groups& groups = range.single() ? single_groups_ : range_groups_;
  std::shared_ptr<Group>& group = groups[key];
  if (group == nullptr) {
    group = std::make_shared<Group>();
    group->key = std::move(key);
    group->number = ++last_group_;
  }
  return group;
}

void WatchHub::OnCancel(Stream* stream, const WatchCancelRequest& request) {
  const auto it = stream->watchers.find(request.watch_id);
  if (it != stream->watchers.end()) {
    Remove(it->second.get());
  } else if (stream->ended.erase(request.watch_id) == 0) {
    return;
  }
  WatchHead head;
  head.revision = store_->revision();
  head.watch_id = request.watch_id;
  head.canceled = true;
  SendControl(stream, head);
}

void WatchHub::Remove(Watcher* watcher) {
  Stream* stream = watcher->stream;
  Group* group = watcher->group.get();
  if (watcher->synced) {
    group->synced.erase(watcher->number);
    LeftSynced(*group);
    --stream->synced;
  } else {
    Dequeue(watcher);
    --slow_watchers_;
  }
  const auto later = stream->later.find(watcher->start);
  if (later != stream->later.end()) stream->later.erase(later);
  if (watcher->notify && --stream->notified == 0) SetNextNote(stream, Instant());
  --watchers_;
  if (--group->watchers == 0) {
    const bool single = group->range().single();
    (single ? single_groups_ : range_groups_).erase(GroupKey(group->key));
  }
  stream->watchers.erase(int64_t{watcher->id});
}

void WatchHub::SendControl(Stream* stream, const WatchHead& head) {
  if (stream->closed) return;
  stream->control.push_back(EncodeWatchHead(sink_->WatchIdentity(), head));
  if (stream->writable) FlushControl(stream);
}

void WatchHub::FlushControl(Stream* stream) {
  for (Bytes& head : stream->control) {
    sink_->OnWatchReply(stream->token, std::move(head), Bytes());
  }
  stream->control.clear();
}

// Instant() = none.
void WatchHub::SetNextNote(Stream* stream, Instant next) {
  if (stream->next_note != Instant()) notes_.erase({stream->next_note, stream->token});
  stream->next_note = next;
  if (next != Instant()) notes_.insert({next, stream->token});
}

Instant WatchHub::next_tick() const {
  return notes_.empty() ? Instant::Infinite() : notes_.begin()->first;
}

void WatchHub::Tick(Instant now) {
  while (!notes_.empty() && notes_.begin()->first <= now) {
    Stream* stream = streams_.at(notes_.begin()->second).get();
    const Duration late = now - stream->next_note;
    SetNextNote(stream, stream->next_note + late + options_.progress_interval);
    if (!stream->writable) continue;
    const bool waits = stream->note_from.has_value();
    stream->note_from = kFirstId;
    size_t max = kVisitedAtOnce;
    if (!NoteSome(stream, &max) && !waits) noting_.push_back(stream->token);
  }
}

}  // namespace quorate::mvcc
