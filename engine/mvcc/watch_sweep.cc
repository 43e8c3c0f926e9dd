// The sweep: one pass over the log for all watchers of ranges who are behind (for a single key the
// index knows the places). When a member comes back, and all of its clients with it, each with a
// range of its own, the history is read once and not once for each.
//
// A sweep begins where a cohort stands, takes along whoever stands there or is passed on the way,
// and asks a tree of their ranges who sees a record. When enough is encoded for one of them or for
// all together it ends before a revision, everybody is sent what he saw, and all of them stand
// there: from then on they go together. The next sweep begins with the first cohort from there on,
// and from the bottom again once the present is reached, so that nobody is overtaken for ever.
// Every other sweep begins with those who are nearest to the present, who need not wait for the
// rest.
//
// Until then everybody keeps the position from which he started: who leaves meanwhile has missed
// nothing.
#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/watch.h"

namespace quorate::mvcc {
namespace {

// After so many records a sweep ends for the sake of others, whatever it has seen; unless it has
// more members, each of whom costs something when it ends.
constexpr size_t kMaxScannedRecords = 16384;
// Members who are served of one record, and what is encoded of a revision in all, in batches:
// beyond it others wait for the next sweep.
constexpr size_t kMaxSeers = 1000;
constexpr size_t kMaxBatches = 4;

}  // namespace

// Takes watchers of ranges a batch further. False while that is under way.
bool WatchHub::SweepOne(Work* work, size_t* bytes) {
  if (sweep_.has_value() && sweep_->from < store_->compact_revision()) sweep_.reset();
  if (!sweep_.has_value()) {
    if (sweepers_.begin()->first.next < store_->compact_revision()) {
      CancelCompacted(&sweepers_, sweepers_.begin()->first, work);
      return true;
    }
    BeginSweep();
  }
  if (!sweep_->scanned) {
    if (!Scan(work)) return false;
    sweep_->present = store_->revision();
  }
  if (!DeliverSweep(work, bytes)) return false;
  if (!sweep_->from_top) swept_ = sweep_->left_some ? sweep_->from : sweep_->next;
  sweep_.reset();
  return true;
}

void WatchHub::BeginSweep() {
  Sweep& s = sweep_.emplace();
  s.from_top = std::exchange(top_is_next_, !top_is_next_);
  auto first = sweepers_.lower_bound({swept_, 0});
  if (first == sweepers_.end()) first = sweepers_.begin();
  if (s.from_top) first = std::prev(sweepers_.end());
  s.from = s.next = first->first.next;
  s.joined = {s.from, 0};
}

// Takes along all who stand where the sweep is, or between there and where it was; true once that
// is done. Of them nothing was passed.
bool WatchHub::Join(Revision main, Work* work) {
  Sweep& s = *sweep_;
  for (auto it = sweepers_.upper_bound(s.joined); it != sweepers_.end() && it->first.next <= main;
       ++it) {
    if (work->spent()) return false;
    work->SpendFind();
    s.joined = it->first;  // more may come behind it, but not before
    Sweep::Member& member = s.members.emplace_back();
    member.cohort = it->first;
    member.group = it->second.begin()->second->group;
    member.number = s.members.size();
    s.ranges.Insert(member.group->range(), member.number, &member);
  }
  s.joined = {main, std::numeric_limits<uint64_t>::max()};
  return true;
}

bool WatchHub::EndsBefore(Revision main) const {
  const Sweep& s = *sweep_;
  return main > s.from && (s.full || s.bytes >= options_.batch_bytes ||
                           s.looked >= std::max(kMaxScannedRecords, s.members.size()));
}

// Finds and encodes what the members see; true once that is done.
bool WatchHub::Scan(Work* work) {
  const RevisionLog& log = store_->log();
  Sweep& s = *sweep_;
  if (s.rewrites != log.rewrites()) {
    s.cursor = log.Seek(s.next);
    s.rewrites = log.rewrites();
  }
  for (; log.Valid(&s.cursor); log.Next(&s.cursor)) {
    const Record record = log.Get(s.cursor.location());
    const Revision main = record.revision.main;
    if (main > store_->revision()) break;                         // not committed yet
    if (main == s.next && record.revision.sub < s.sub) continue;  // it was seen
    if (main != s.next) {
      s.next = main;
      s.sub = 0;
    }
    if (s.sub == 0) {
      if (EndsBefore(main)) {
        s.scanned = true;
        return true;
      }
      if (!Join(main, work)) return false;
    }
    if (work->spent()) return false;
    work->SpendLook();
    ++s.looked;
    s.sub = record.revision.sub + 1;
    SeeInSweep(record, work);
  }
  s.next = store_->revision() + 1;
  s.sub = 0;
  if (!Join(store_->revision(), work)) return false;
  s.scanned = true;
  return true;
}

// Where very many see one revision, or very much of it, the rest of them is left where it stood;
// whoever saw something first never is.
void WatchHub::SeeInSweep(const Record& record, Work* work) {
  Sweep& s = *sweep_;
  size_t seers = 0;
  s.ranges.Stab(DecodeKey(record.bytes), [&](Sweep::Member* member) {
    if (member->left || !member->group->Wants(record)) return;
    work->SpendLook();
    if (s.first == nullptr) s.first = member;
    const bool too_many = ++seers > kMaxSeers || s.bytes >= kMaxBatches * options_.batch_bytes;
    if (too_many && member != s.first) {
      member->left = s.left_some = true;
      if (member->encoding != nullptr) s.bytes -= member->encoding->reply.size();
      member->encoding.reset();
      return;
    }
    if (member->encoding == nullptr) member->encoding = std::make_unique<Encoding>();
    if (member->last_seen != record.revision.main) ++member->revisions;
    member->last_seen = record.revision.main;
    const uint64_t before = member->encoding->reply.size();
    Append(record, member->group->key.prev_kv, work, member->encoding.get());
    s.bytes += member->encoding->reply.size() - before;
    if (member->revisions >= options_.batch_revisions) s.full = true;
  });
}

// Sends everybody what he saw; true once all of them stand at sweep_->next.
bool WatchHub::DeliverSweep(Work* work, size_t* bytes) {
  Sweep& s = *sweep_;
  const Batch nothing;
  for (; !s.members.empty(); s.members.pop_front()) {
    Sweep::Member& member = s.members.front();
    const Batch* batch = &nothing;
    if (member.encoding != nullptr) {
      Encoding& encoding = *member.encoding;
      if (encoding.batch.events.empty() && !encoding.reply.Finish(work, &encoding.batch.events)) {
        return false;
      }
      batch = &encoding.batch;
    }
    // Not all at once if they are many; or nobody, if all of them have left.
    while (!member.left && sweepers_.contains(member.cohort)) {
      if (*bytes == 0 || work->spent()) return false;
      SendBatch(&sweepers_, member.cohort, s.next, {s.present, member.last_seen}, *batch, work,
                bytes);
    }
    work->SpendFind();
    s.ranges.Erase(member.group->range(), member.number);
  }
  return true;
}

}  // namespace quorate::mvcc
