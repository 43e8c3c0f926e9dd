// What watchers are to be sent: the changes of new revisions for the live ones, and batches of
// history for those that catch up; found and encoded in pieces, since a revision may have
// any number of changes.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/watch.h"

namespace quorate::mvcc {
namespace {

// Groups that see nothing of a change, for a unit of work.
constexpr uint64_t kPassedPerUnit = 8;

}  // namespace

void WatchHub::Append(const Record& record, bool prev_kv, Work* work, Encoding* encoding) const {
  const uint64_t before = encoding->reply.size();
  AppendEvent(*store_, record, prev_kv, encoding->reply.out());
  work->SpendBytes(encoding->reply.size() - before);
  if (prev_kv) work->SpendFind();
  encoding->reply.Roll();
  encoding->batch.ends.push_back(encoding->reply.size());
}

// ---- revisions for the live ones ----

void WatchHub::BeginRevisions(int64_t most) {
  delivering_ = true;
  delivered_watcher_ = 0;
  until_ = live_;
  most_ = std::min(store_->revision(), live_ + (most - 1));
  preparation_.under_way = true;
}

// Finds the changes and who is to see them; true once that is done.
bool WatchHub::PrepareRevisions(Work* work) {
  if (!preparation_.collected) {
    if (!CollectChanges(work)) return false;
    preparation_.collected = true;
  }
  if (!EncodeDeliveries(work) || !ReleasePreparation(work)) return false;
  DropPreparation();
  return true;
}

// What is large of it goes in pieces.
bool WatchHub::ReleasePreparation(Work* work) {
  Preparation& p = preparation_;
  return p.changes.Release(work) && p.nodes.Release(work) && p.way.Release(work);
}

void WatchHub::DropPreparation() {
  Preparation& p = preparation_;
  p.under_way = p.collected = p.begun_anew = p.seeing = false;
  p.bytes = 0;
  p.steps.clear();
  p.asked.reset();
  p.changes.clear();
  p.nodes.clear();
  p.seen.clear();
  p.encoded.clear();
  p.way.clear();
  p.walked = 0;
  p.encoding.reset();
}

// What was found was moved. A compactor that cleans one segment after another would have it
// begun anew each time, so it must stand still once that has happened.
void WatchHub::BeginPreparationAnew() {
  DropPreparation();
  until_ = live_;
  preparation_.under_way = preparation_.begun_anew = true;
}

bool WatchHub::CollectChanges(Work* work) {
  const RevisionLog& log = store_->log();
  Preparation& p = preparation_;
  if (cursor_rewrites_ != log.rewrites()) {
    cursor_ = log.Seek(live_);
    cursor_rewrites_ = log.rewrites();
    if (!p.changes.empty()) BeginPreparationAnew();
  }
  if (p.nodes.empty()) p.nodes.push_back({});
  p.rewrites = log.rewrites();
  for (; log.Valid(&cursor_); log.Next(&cursor_)) {
    if (work->spent()) return false;
    work->SpendLook();
    const Record record = log.Get(cursor_.location());
    const Revision main = record.revision.main;
    if (main > until_ && (main > most_ || p.bytes >= options_.batch_bytes)) break;
    if (main < live_) continue;
    if (!p.seeing) {
      until_ = main;
      p.bytes += record.bytes.size();
      p.changes.push_back(cursor_.location());
      BeginSeeing(record);
    }
    if (!SeeSome(record, work)) return false;
    p.seeing = false;
  }
  return true;
}

// Notes that the group sees the last change, if it does.
bool WatchHub::See(const std::shared_ptr<Group>& group, const Record& record) {
  Preparation& p = preparation_;
  if (group->synced.empty() || !group->Wants(record)) return false;
  auto& [shared, node] = p.seen[group->number];
  shared = group;
  const auto [step, fresh] = p.steps.emplace(node, static_cast<uint32_t>(p.nodes.size()));
  if (fresh) p.nodes.push_back({node, static_cast<uint32_t>(p.changes.size() - 1)});
  node = step->second;
  return true;
}

// Those of the key itself, of which there are few.
void WatchHub::BeginSeeing(const Record& record) {
  Preparation& p = preparation_;
  p.seeing = true;
  p.steps.clear();
  p.asked.reset();
  if (single_groups_.empty()) return;
  const absl::string_view key = DecodeKey(record.bytes);
  GroupKey at;
  at.begin = std::string(key);
  for (auto it = single_groups_.lower_bound(at);
       it != single_groups_.end() && it->first.begin == key; ++it) {
    See(it->second, record);
  }
}

// Those of ranges, from the one behind p.asked on. False if the work was spent before the last.
bool WatchHub::SeeSome(const Record& record, Work* work) {
  Preparation& p = preparation_;
  const auto visit = [&](const KeyRange& range, uint64_t number, const auto& group) {
    if (work->spent()) return false;
    if (See(group, record)) {
      work->SpendFind();
    } else if (++p.passed % kPassedPerUnit == 0) {
      work->Spend(1);
    }
    // Kept only where the next visit may have to wait.
    if (work->spent()) p.asked.emplace(std::string(range.begin), number);
    return true;
  };
  return ranges_.StabSome(DecodeKey(record.bytes), p.asked, visit);
}

bool WatchHub::EncodeDeliveries(Work* work) {
  Preparation& p = preparation_;
  // A group that has left is not served any more; one that is there is served in order.
  while (!p.seen.empty()) {
    if (work->spent()) return false;
    const auto& [group, node] = p.seen.begin()->second;
    const bool prev_kv = group->key.prev_kv;
    if (!p.encoded.contains({node, prev_kv}) && !EncodeWay(node, prev_kv, work)) return false;
    deliveries_.push_back({group, p.encoded.at({node, prev_kv})});
    p.seen.erase(p.seen.begin());
    work->SpendLook();
  }
  return true;
}

// Encodes the changes on the way from the root to `node`.
bool WatchHub::EncodeWay(uint32_t node, bool prev_kv, Work* work) {
  Preparation& p = preparation_;
  const RevisionLog& log = store_->log();
  if (p.rewrites != log.rewrites()) {  // places are no longer those that were noted
    BeginPreparationAnew();
    deliveries_.clear();
    cursor_rewrites_ = ~uint64_t{0};
    return false;
  }
  if (p.encoding == nullptr) {
    if (p.walked == 0) p.walked = node;
    for (; p.walked != 0; p.walked = p.nodes[p.walked].parent) {
      if (p.way.size() % 16 == 15) {
        if (work->spent()) return false;
        work->SpendLook();
      }
      p.way.push_back(p.nodes[p.walked].change);
    }
    p.encoding = std::make_unique<Encoding>();
  }
  for (; !p.way.empty(); p.way.pop_back()) {
    if (work->spent()) return false;
    work->SpendLook();
    const Record record = log.Get(p.changes[p.way.back()]);
    p.encoding->batch.last = record.revision.main;
    Append(record, prev_kv, work, p.encoding.get());
  }
  Batch& batch = p.encoding->batch;
  if (!p.encoding->reply.Finish(work, &batch.events)) return false;
  p.encoded.emplace(std::pair(node, prev_kv), std::make_shared<Batch>(std::move(batch)));
  p.encoding.reset();
  return true;
}

// ---- batches for those behind, of keys that are looked up ----

void WatchHub::BeginGathering(const CohortKey& key, const std::shared_ptr<Group>& group) {
  Gathering& g = gathering_.emplace();
  g.cohort = key;
  g.group = group;
  g.next = key.next;
  g.encoding = std::make_unique<Encoding>();
}

bool WatchHub::IsFull(const Gathering& g) const {
  return g.revisions >= options_.batch_revisions ||
         g.encoding->reply.size() >= options_.batch_bytes;
}

// For a single key the index knows the places. What is encoded is whole revisions within the limits
// of a batch; then gathering_->next is the next revision to look at.
void WatchHub::GatherKey(Work* work) {
  const KeyIndex& index = store_->index();
  Gathering& g = *gathering_;
  const KeyIndex::Entry entry = index.Find(g.group->key.begin);
  const size_t count = index.Count(entry);
  size_t i = 0;
  for (size_t high = count; i < high;) {
    const size_t middle = i + (high - i) / 2;
    if (index.At(entry, middle).main < g.next) {
      i = middle + 1;
    } else {
      high = middle;
    }
  }
  for (; i < count; ++i) {
    const KeyIndex::Version version = index.At(entry, i);
    if (version.main > store_->revision()) break;  // not committed yet
    if (version.main != g.last_seen) {
      g.next = version.main;
      if (IsFull(g) || (work->spent() && g.revisions > 0)) return;
      ++g.revisions;
      g.last_seen = version.main;
    }
    work->SpendLook();
    const Record record = store_->log().Get(version.location);
    if (!g.group->Wants(record)) continue;
    g.last_event = version.main;
    Append(record, g.group->key.prev_kv, work, g.encoding.get());
  }
  g.next = store_->revision() + 1;
}

}  // namespace quorate::mvcc
