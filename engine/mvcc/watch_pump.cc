// How events reach watchers: live ones revision by revision, the others in batches from
// where they stand.
#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/watch.h"

namespace quorate::mvcc {
namespace {

// What sending costs besides its bytes, in bytes.
constexpr size_t kSendCost = 128;
// Watchers of a cohort that are brought further in a piece.
constexpr size_t kServedAtOnce = 1000;
// So many revisions that are not delivered make an overload: they go in batches (as those do that
// etcd's watchers find when 128 responses wait for them), and get that much more of each Pump.
constexpr int64_t kOverload = 128;
constexpr int64_t kLargestShare = 4;

}  // namespace

// Whether a watcher that needs `next` and later has all that synced ones were sent; of
// revisions under way it must not depend on the rest.
bool WatchHub::IsDelivered(Revision next) const {
  return delivering_ ? next > until_ : next >= live_;
}

// Revisions that live watchers have not been sent.
int64_t WatchHub::Backlog() const { return store_->revision() - live_ + 1; }

void WatchHub::Sync(Watcher* watcher) {
  CHECK(!watcher->synced);
  watcher->synced = true;
  watcher->was_live = false;
  const std::shared_ptr<Group>& group = watcher->group;
  if (group->synced.empty() && !group->range().single()) {
    ranges_.Insert(group->range(), group->number, group);
  }
  group->synced.emplace(watcher->number, watcher);
  ++watcher->stream->synced;
  --slow_watchers_;
}

// A watcher has left the group's synced ones.
void WatchHub::LeftSynced(const Group& group) {
  if (group.synced.empty() && !group.range().single()) ranges_.Erase(group.range(), group.number);
}

// The watcher is in no set: it will catch up from `next` on.
void WatchHub::FallBehind(Watcher* watcher, Revision next) {
  watcher->next = next;
  if (watcher->stream->writable) Enqueue(watcher);
}

void WatchHub::Enqueue(Watcher* watcher) {
  const CohortKey key{watcher->next, watcher->group->number};
  (*CohortsOf(*watcher))[key].emplace(watcher->number, watcher);
}

void WatchHub::Dequeue(Watcher* watcher) {
  Cohorts* const cohorts = CohortsOf(*watcher);
  const auto it = cohorts->find({watcher->next, watcher->group->number});
  if (it == cohorts->end()) return;
  it->second.erase(watcher->number);
  if (it->second.empty()) cohorts->erase(it);
}

bool WatchHub::HasWork() const {
  return delivering_ || live_ <= store_->revision() || !cohorts_.empty() || !sweepers_.empty() ||
         !progress_asked_.empty() || !closed_.empty() || !requeueing_.empty() || !noting_.empty();
}

void WatchHub::Pump(size_t max_bytes, Work* work) {
  // Those behind get their share even while the live ones use all that they are allowed, or while
  // very many watchers are gone through.
  const uint64_t half = work->left() / 2 + 1;
  max_bytes *= static_cast<size_t>(std::clamp<int64_t>(Backlog() / kOverload, 1, kLargestShare));
  size_t budget = max_bytes;
  Work live(half);
  Distribute(&live, &budget);
  budget = std::max(budget, max_bytes / 4);
  const uint64_t quarter = half / 2 + 1;
  Work visiting(quarter);
  VisitSome(&visiting);
  Work behind(std::max<uint64_t>(half - (quarter - visiting.left()), 1));
  while (CatchUpOne(&behind, &budget)) {
  }
  VisitSome(&behind);
  work->Spend(2 * half - live.left() - behind.left());
  AnswerProgress();
}

// ---- live watchers ----

void WatchHub::Distribute(Work* work, size_t* budget) {
  if (!delivering_ && single_groups_.empty() && range_groups_.empty()) {
    live_ = store_->revision() + 1;
    cursor_rewrites_ = ~uint64_t{0};
    return;
  }
  while (*budget > 0 && !work->spent()) {
    if (!delivering_) {
      if (live_ > store_->revision()) return;
      const bool overload = Backlog() >= kOverload;
      BeginRevisions(overload ? static_cast<int64_t>(options_.batch_revisions) : 1);
    }
    if (preparation_.under_way && !PrepareRevisions(work)) return;
    for (; !deliveries_.empty(); deliveries_.pop_front()) {
      if (work->spent() || !DeliverTo(deliveries_.front(), budget)) return;
      work->SpendLook();
    }
    delivering_ = false;
    live_ = until_ + 1;
  }
}

// What is under way was encoded before the store changed; or it was not, and is looked for
// in the history that there is now.
void WatchHub::FinishRevisions() {
  gathering_.reset();
  sweep_.reset();
  const bool prepared = !preparation_.under_way;
  if (!prepared) {
    DropPreparation();
    deliveries_.clear();
  }
  size_t unlimited = std::numeric_limits<size_t>::max();
  for (; !deliveries_.empty(); deliveries_.pop_front()) {
    CHECK(DeliverTo(deliveries_.front(), &unlimited));
  }
  if (delivering_ && prepared) live_ = until_ + 1;
  delivering_ = false;
  deliveries_.clear();
}

void WatchHub::Rebase() {
  FinishRevisions();
  const Revision behind = live_;
  live_ = store_->revision() + 1;
  cursor_rewrites_ = ~uint64_t{0};
  for (const auto& [token, stream] : streams_) {
    for (const auto& [id, watcher] : stream->watchers) {
      // One that waits for the future goes on waiting.
      if (!watcher->synced || watcher->next >= live_ || behind >= live_) continue;
      watcher->group->synced.erase(watcher->number);
      LeftSynced(*watcher->group);
      watcher->synced = false;
      --stream->synced;
      ++slow_watchers_;
      FallBehind(watcher.get(), std::max(watcher->next, behind));
    }
  }
}

// Serves the watchers of one group from where it stopped; false if the budget is used up before the
// last.
bool WatchHub::DeliverTo(const Delivery& delivery, size_t* budget) {
  Watchers& synced = delivery.group->synced;
  auto it = synced.upper_bound(delivered_watcher_);
  while (it != synced.end()) {
    if (*budget == 0) return false;
    Watcher* watcher = it->second;
    delivered_watcher_ = watcher->number;
    if (watcher->next > until_) {
      ++it;
    } else if (watcher->stream->writable && watcher->next <= live_) {
      const size_t sent = Send(watcher, delivery.batch->last, *delivery.batch) + kSendCost;
      *budget -= std::min(sent, *budget);
      ++it;
    } else {
      // It takes no bytes, or begins in the midst of the batch.
      it = synced.erase(it);
      LeftSynced(*delivery.group);
      watcher->synced = false;
      watcher->was_live = true;
      --watcher->stream->synced;
      ++slow_watchers_;
      FallBehind(watcher, std::max(watcher->next, live_));
    }
  }
  delivered_watcher_ = 0;
  return true;
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
  events_sent_ += batch.ends.size();
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

// Takes somebody further. False when there is nobody, or what is allowed is used up.
bool WatchHub::CatchUpOne(Work* work, size_t* bytes) {
  if (sweepers_.empty()) sweep_.reset();  // all of them have left
  if (*bytes == 0 || work->spent() || (cohorts_.empty() && sweepers_.empty())) return false;
  const bool sweep = cohorts_.empty() || (sweep_is_next_ && !sweepers_.empty());
  if (!(sweep ? SweepOne(work, bytes) : LookUpOne(work, bytes))) return false;
  sweep_is_next_ = !sweep;
  return true;
}

// Takes the watchers of one key a batch further. False while that is under way.
bool WatchHub::LookUpOne(Work* work, size_t* bytes) {
  // Everybody of the cohort may have left it meanwhile.
  if (gathering_.has_value() && !cohorts_.contains(gathering_->cohort)) gathering_.reset();
  const bool began = !gathering_.has_value();
  auto it = began ? cohorts_.upper_bound(last_cohort_) : cohorts_.find(gathering_->cohort);
  if (it == cohorts_.end()) it = cohorts_.begin();
  const CohortKey key = last_cohort_ = it->first;
  if (key.next < store_->compact_revision()) {
    gathering_.reset();
    CancelCompacted(&cohorts_, key, work);
    return true;
  }
  if (began) {
    // Those whose streams take nothing need no batch.
    Watchers& cohort = it->second;
    while (!cohort.empty() && !cohort.begin()->second->stream->writable) {
      if (work->spent()) return false;
      work->SpendLook();
      cohort.erase(cohort.begin());
    }
    if (cohort.empty()) {
      cohorts_.erase(it);
      return true;
    }
    BeginGathering(key, it->second.begin()->second->group);
    GatherKey(work);
    gathering_->present = store_->revision();
  }
  Gathering& g = *gathering_;
  if (!g.gathered) {
    if (!g.encoding->reply.Finish(work, &g.encoding->batch.events)) return false;
    g.gathered = true;
  }
  SendBatch(&cohorts_, key, g.next, {g.present, g.last_event}, g.encoding->batch, work, bytes);
  // The batch is there for those who could not be served yet.
  if (!cohorts_.contains(key)) gathering_.reset();
  return true;
}

// To a cohort, or as many of it as are allowed, who then stand at `next`. As in etcd, the header
// has the revision of the store of which the batch was gathered, and not of its sending; for who
// was live, and could not be sent what is in it, that of the last event.
void WatchHub::SendBatch(Cohorts* cohorts, const CohortKey& key, Revision next,
                         const Moment& moment, const Batch& batch, Work* work, size_t* bytes) {
  std::vector<Watcher*> served;
  Watchers* const cohort = &cohorts->at(key);
  for (const auto& [number, watcher] : *cohort) {
    if (served.size() == kServedAtOnce) break;
    if (!batch.ends.empty() && watcher->stream->writable) {
      if (*bytes == 0) break;
      const size_t sent =
          Send(watcher, watcher->was_live ? moment.last : moment.present, batch) + kSendCost;
      *bytes -= std::min(sent, *bytes);
    }
    served.push_back(watcher);
  }
  if (served.empty()) return;
  work->Spend(served.size());
  // The rest of the cohort stays where it is.
  if (served.size() == cohort->size()) {
    cohorts->erase(key);
  } else {
    cohort->erase(cohort->begin(), cohort->find(served.back()->number));
    cohort->erase(served.back()->number);
  }
  for (Watcher* const watcher : served) {
    if (!watcher->stream->writable) continue;  // he stays where he is, and is in no cohort
    watcher->next = next;
    if (IsDelivered(next)) {
      Sync(watcher);
    } else {
      Enqueue(watcher);
    }
  }
}

// Tells some of a cohort that what they need is gone.
void WatchHub::CancelCompacted(Cohorts* cohorts, CohortKey key, Work* work) {
  for (auto at = cohorts->find(key); at != cohorts->end() && !work->spent();
       at = cohorts->find(key)) {
    work->SpendFind();
    Watcher* const watcher = at->second.begin()->second;
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

// ---- progress on request ----

// Whether the revision that the watcher starts at is there.
bool WatchHub::HasBegun(const Watcher& watcher) const {
  return watcher.start <= store_->revision();
}

bool WatchHub::IsSynced(const Stream& stream) const {
  return !stream.watchers.empty() && stream.synced == stream.watchers.size() &&
         stream.ended.empty() &&
         (stream.later.empty() || *stream.later.rbegin() <= store_->revision());
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
