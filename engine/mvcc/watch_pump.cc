// How events reach watchers: live ones revision by revision, the others in batches from
// where they stand.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/watch.h"

namespace quorate::mvcc {
namespace {

// Records that one Pump looks at on behalf of watchers that catch up.
constexpr size_t kMaxScannedRecords = 16384;

}  // namespace

// Whether a watcher that needs `next` and later has all that synced ones were sent; of
// a revision under way it must not depend on the rest.
bool WatchHub::IsDelivered(Revision next) const {
  return delivering_ ? next > live_ : next >= live_;
}

void WatchHub::Sync(Watcher* watcher) {
  CHECK(!watcher->synced);
  watcher->synced = true;
  watcher->group->synced.emplace(watcher->number, watcher);
  ++watcher->stream->synced;
  --slow_watchers_;
}

// The watcher is in no set: it will catch up from `next` on.
void WatchHub::FallBehind(Watcher* watcher, Revision next) {
  watcher->next = next;
  if (watcher->stream->writable) Enqueue(watcher);
}

void WatchHub::Enqueue(Watcher* watcher) {
  cohorts_[{watcher->next, watcher->group->number}].emplace(watcher->number, watcher);
}

void WatchHub::Dequeue(Watcher* watcher) {
  const auto it = cohorts_.find({watcher->next, watcher->group->number});
  if (it == cohorts_.end()) return;
  it->second.erase(watcher->number);
  if (it->second.empty()) cohorts_.erase(it);
}

bool WatchHub::HasWork() const {
  return delivering_ || live_ <= store_->revision() || !cohorts_.empty() ||
         !progress_asked_.empty();
}

void WatchHub::Pump(size_t max_bytes) {
  size_t budget = max_bytes;
  Distribute(&budget);
  // Those behind get their share even while the live ones use all of the budget.
  budget = std::max(budget, max_bytes / 4);
  size_t records = kMaxScannedRecords;
  while (CatchUpOne(&budget, &records)) {
  }
  AnswerProgress();
}

// ---- live watchers ----

void WatchHub::Distribute(size_t* budget) {
  if (!delivering_ && single_groups_.empty() && range_groups_.empty()) {
    live_ = store_->revision() + 1;
    cursor_rewrites_ = ~uint64_t{0};
    return;
  }
  while (*budget > 0) {
    if (!delivering_) {
      if (live_ > store_->revision()) return;
      PrepareRevision();
    }
    while (delivery_ < deliveries_.size() && *budget > 0) {
      DeliverTo(deliveries_[delivery_], budget);
    }
    if (delivery_ < deliveries_.size()) return;
    delivering_ = false;
    deliveries_.clear();
    ++live_;
  }
}

// What is under way was encoded before the store changed.
void WatchHub::FinishRevision() {
  size_t unlimited = std::numeric_limits<size_t>::max();
  while (delivery_ < deliveries_.size()) DeliverTo(deliveries_[delivery_], &unlimited);
  if (delivering_) ++live_;
  delivering_ = false;
  deliveries_.clear();
}

void WatchHub::Rebase() {
  FinishRevision();
  const Revision behind = live_;
  live_ = store_->revision() + 1;
  cursor_rewrites_ = ~uint64_t{0};
  for (const auto& [token, stream] : streams_) {
    for (const auto& [id, watcher] : stream->watchers) {
      // One that waits for the future goes on waiting.
      if (!watcher->synced || watcher->next >= live_ || behind >= live_) continue;
      watcher->group->synced.erase(watcher->number);
      watcher->synced = false;
      --stream->synced;
      ++slow_watchers_;
      FallBehind(watcher.get(), std::max(watcher->next, behind));
    }
  }
}

// Finds the changes of revision live_ and who is to see them.
void WatchHub::PrepareRevision() {
  const RevisionLog& log = store_->log();
  if (cursor_rewrites_ != log.rewrites()) {
    cursor_ = log.Seek(live_);
    cursor_rewrites_ = log.rewrites();
  }
  std::vector<Record> records;
  for (; log.Valid(&cursor_); log.Next(&cursor_)) {
    const Record record = log.Get(cursor_.location());
    if (record.revision.main > live_) break;
    if (record.revision.main == live_) records.push_back(record);
  }
  CollectEvents(records);
  delivering_ = true;
  delivery_ = 0;
  delivered_watcher_ = 0;
}

void WatchHub::CollectEvents(const std::vector<Record>& records) {
  // Per group the changes that it sees, by their number in the revision.
  absl::btree_map<uint64_t, std::pair<std::shared_ptr<Group>, std::vector<size_t>>> seen;
  const auto see = [&](const std::shared_ptr<Group>& group, size_t i) {
    if (group->synced.empty() || !group->Wants(records[i])) return;
    auto& [shared, changes] = seen[group->number];
    shared = group;
    changes.push_back(i);
  };
  for (size_t i = 0; i < records.size(); ++i) {
    const absl::string_view key = DecodeKey(records[i].bytes);
    GroupKey at;
    at.begin = std::string(key);
    for (auto it = single_groups_.lower_bound(at);
         it != single_groups_.end() && it->first.begin == key; ++it) {
      see(it->second, i);
    }
    for (auto it = range_groups_.begin(); it != range_groups_.end() && it->first.begin <= key;
         ++it) {
      if (it->second->range().EndsAfter(key)) see(it->second, i);
    }
  }
  // Groups that see the same changes the same way share one encoding of them.
  absl::btree_map<std::pair<std::vector<size_t>, bool>, Batch> encoded;
  for (auto& [number, group_changes] : seen) {
    auto& [group, changes] = group_changes;
    Batch& batch = encoded[{changes, group->key.prev_kv}];
    if (batch.ends.empty()) {
      BytesBuilder out;
      for (const size_t i : changes) {
        AppendEvent(*store_, records[i], group->key.prev_kv, &out);
        batch.ends.push_back(out.size());
      }
      batch.events = std::move(out).Finish();
    }
    deliveries_.push_back({group, batch});
  }
}

// Serves the watchers of one group from where it stopped, until the budget is used up.
void WatchHub::DeliverTo(const Delivery& delivery, size_t* budget) {
  Watchers& synced = delivery.group->synced;
  auto it = synced.upper_bound(delivered_watcher_);
  while (it != synced.end()) {
    if (*budget == 0) return;
    Watcher* watcher = it->second;
    delivered_watcher_ = watcher->number;
    if (watcher->next > live_) {
      ++it;
    } else if (watcher->stream->writable) {
      const size_t sent = Send(watcher, live_, delivery.batch);
      *budget -= std::min(sent, *budget);
      ++it;
    } else {
      it = synced.erase(it);
      watcher->synced = false;
      --watcher->stream->synced;
      ++slow_watchers_;
      FallBehind(watcher, live_);
    }
  }
  ++delivery_;
  delivered_watcher_ = 0;
}

// Sends a batch, in fragments if it is large and they are allowed; the bytes sent.
size_t WatchHub::Send(Watcher* watcher, Revision revision, const Batch& batch) {
  const Identity identity = sink_->WatchIdentity();
  if (head_.watch_id != watcher->id || head_.revision != revision || head_term_ != identity.term ||
      head_bytes_.empty()) {
    head_ = WatchHead();
    head_.revision = revision;
    head_.watch_id = watcher->id;
    head_term_ = identity.term;
    head_bytes_ = EncodeWatchHead(identity, head_);
  }
  if (watcher->notify) watcher->idle = false;
  const uint64_t token = watcher->stream->token;
  const size_t size = head_bytes_.size() + batch.events.size();
  if (!watcher->group->key.fragment || size < options_.fragment_bytes || batch.ends.size() < 2) {
    sink_->OnWatchReply(token, head_bytes_, batch.events);
    return size;
  }
  WatchHead fragment_head = head_;
  fragment_head.fragment = true;
  const Bytes fragment_bytes = EncodeWatchHead(identity, fragment_head);
  size_t begin = 0;
  for (const size_t end :
       CutIntoFragments(batch.ends, fragment_bytes.size(), options_.fragment_bytes)) {
    const bool last = end == batch.ends.back();
    sink_->OnWatchReply(token, last ? head_bytes_ : fragment_bytes,
                        batch.events.Slice(begin, end - begin));
    begin = end;
  }
  return size;
}

// ---- watchers that catch up ----

// Takes one cohort a batch further. False when there is none, or the budget is used up.
bool WatchHub::CatchUpOne(size_t* bytes, size_t* records) {
  if (cohorts_.empty() || *bytes == 0 || *records == 0) return false;
  auto it = cohorts_.upper_bound(last_cohort_);
  if (it == cohorts_.end()) it = cohorts_.begin();
  last_cohort_ = it->first;
  const Revision from = it->first.next;
  Watchers cohort = std::move(it->second);
  cohorts_.erase(it);
  if (from < store_->compact_revision()) {
    CancelCompacted(cohort);
    return true;
  }
  Batch batch;
  const std::shared_ptr<Group> group = cohort.begin()->second->group;
  const Revision next = Gather(*group, from, records, &batch);
  for (const auto& [number, watcher] : cohort) {
    if (!batch.ends.empty()) {
      if (*bytes == 0) {  // the rest of the cohort stays where it is
        Enqueue(watcher);
        continue;
      }
      const size_t sent = Send(watcher, store_->revision(), batch);
      *bytes -= std::min(sent, *bytes);
    }
    watcher->next = next;
    if (IsDelivered(next)) {
      Sync(watcher);
    } else {
      Enqueue(watcher);
    }
  }
  return true;
}

void WatchHub::CancelCompacted(const Watchers& cohort) {
  for (const auto& [number, watcher] : cohort) {
    Stream* stream = watcher->stream;
    WatchHead head;
    head.watch_id = watcher->id;
    head.canceled = true;
    head.compact_revision = store_->compact_revision();
    stream->ended.insert(watcher->id);
    Remove(watcher);
    SendControl(stream, head);
  }
}

// Encodes what the group sees from revision `from` on, whole revisions within the
// limits of a batch; the next revision to look at.
Revision WatchHub::Gather(const Group& group, Revision from, size_t* records, Batch* batch) const {
  if (group.range().single()) return GatherKey(group, from, batch);
  const RevisionLog& log = store_->log();
  BytesBuilder out;
  Revision next = from;
  size_t revisions = 0;
  Revision last_seen;
  LogCursor cursor = log.Seek(from);
  for (; log.Valid(&cursor); log.Next(&cursor)) {
    const Record record = log.Get(cursor.location());
    const Revision main = record.revision.main;
    if (main != next) {
      next = main;
      const bool full = revisions >= options_.batch_revisions || out.size() >= options_.batch_bytes;
      if (full || *records == 0) break;
    }
    if (*records > 0) --*records;
    if (!group.Wants(record) || !group.range().Contains(DecodeKey(record.bytes))) continue;
    if (main != last_seen) ++revisions;
    last_seen = main;
    AppendEvent(*store_, record, group.key.prev_kv, &out);
    batch->ends.push_back(out.size());
  }
  if (!log.Valid(&cursor)) next = store_->revision() + 1;
  batch->events = std::move(out).Finish();
  return next;
}

// For a single key the index knows the places.
Revision WatchHub::GatherKey(const Group& group, Revision from, Batch* batch) const {
  const KeyIndex& index = store_->index();
  const KeyIndex::Entry entry = index.Find(group.key.begin);
  const size_t count = index.Count(entry);
  size_t i = 0;
  for (size_t high = count; i < high;) {
    const size_t middle = i + (high - i) / 2;
    if (index.At(entry, middle).main < from) {
      i = middle + 1;
    } else {
      high = middle;
    }
  }
  BytesBuilder out;
  Revision next = store_->revision() + 1;
  size_t revisions = 0;
  Revision last;
  for (; i < count; ++i) {
    const KeyIndex::Version version = index.At(entry, i);
    if (version.main != last) {
      if (revisions >= options_.batch_revisions || out.size() >= options_.batch_bytes) {
        next = version.main;
        break;
      }
      ++revisions;
      last = version.main;
    }
    const Record record = store_->log().Get(version.location);
    if (!group.Wants(record)) continue;
    AppendEvent(*store_, record, group.key.prev_kv, &out);
    batch->ends.push_back(out.size());
  }
  batch->events = std::move(out).Finish();
  return next;
}

// ---- progress on request ----

// Whether the revision that the watcher starts at is there.
bool WatchHub::HasBegun(const Watcher& watcher) const {
  return watcher.start <= store_->revision();
}

bool WatchHub::IsSynced(const Stream& stream) const {
  return !stream.watchers.empty() && stream.synced == stream.watchers.size() &&
         stream.ended.empty() &&
         std::all_of(stream.watchers.begin(), stream.watchers.end(),
                     [this](const auto& entry) { return HasBegun(*entry.second); });
}

// One note for the whole stream, if all of its watchers are synced; else none at all.
void WatchHub::AnswerProgress() {
  if (delivering_ || live_ <= store_->revision()) return;
  for (auto it = progress_asked_.begin(); it != progress_asked_.end();) {
    Stream* stream = streams_.at(*it).get();
    if (stream->writable && IsSynced(*stream)) {
      WatchHead head;
      head.revision = store_->revision();
      head.watch_id = -1;
      SendControl(stream, head);
    }
    it = progress_asked_.erase(it);
  }
}

}  // namespace quorate::mvcc
