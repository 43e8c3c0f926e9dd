#include "engine/mvcc/range.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/mvcc/errors.h"

namespace quorate::mvcc {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
// Work on a count goes so far on the one way, then so far on the other; but only so much on the
// first one shows that it is long.
constexpr uint64_t kCountPiece = 128;
constexpr uint64_t kCountKeysAlone = 512;
// Dead keys in a row from which on it pays to look for the end of them.
constexpr int kDeadInARow = 64;
// Records that a merge moves for a unit of work. Values may have to be fetched to be
// compared; what else is sorted by is at hand.
size_t MergesPerUnit(const RangeRequest& request) {
  return request.sort_target == RangeRequest::kValue ? 1 : 4;
}

uint64_t LimitOf(const RangeRequest& request) {
  return request.limit > 0 ? static_cast<uint64_t>(request.limit) : kNoLimit;
}

bool NeedsGathering(const RangeRequest& request) {
  return request.sort_target != RangeRequest::kKey || request.has_revision_filter();
}

// By targets that are none, etcd sorts as by the key.
bool Sorts(const RangeRequest& request) {
  return request.sort_target >= RangeRequest::kVersion &&
         request.sort_target <= RangeRequest::kValue;
}

// So that unsigned ranks order as the numbers do.
uint64_t RankOfNumber(int64_t number) {
  return static_cast<uint64_t>(number) ^ uint64_t { 1 } << 63;
}

}  // namespace

void AppendHeader(const Identity& identity, Revision revision, BytesBuilder* out) {
  const size_t begin = BeginMessage(out, 1);
  AppendUint64(out, 1, identity.cluster.value());
  AppendUint64(out, 2, identity.member.value());
  AppendInt64(out, 3, revision.value());
  AppendUint64(out, 4, identity.term.value());
  EndMessage(out, begin);
}

absl::Status CheckRevision(const RangeRequest& request, Revision view, Revision compacted) {
  if (request.revision > view) return FutureRevisionError();
  const Revision at = request.revision <= Revision(0) ? view : request.revision;
  return at < compacted ? CompactedError() : absl::OkStatus();
}

// ---- counting ----

CountRun::CountRun(const Store& store, const KeyRange& range, Revision at, const PageCounts* pages)
    : store_(store), range_(range), at_(at) {
  if (range.single()) {
    known_ = true;
    count_ = store.Visible(range.begin, at).has_value() ? 1 : 0;
    return;
  }
  if (at >= store.newest()) {
    known_ = true;
    count_ = store.index().CountLive(range);
    return;
  }
  undone_ = store.index().CountLive(range);
  if (pages != nullptr) larger_ = pages->Find(range, at);
  if (larger_.has_value() && larger_->begin == range.begin) {
    known_ = true;
    count_ = larger_->count;
    return;
  }
  if (larger_.has_value()) {
    const KeyRange before{larger_->begin, range.begin, KeyRange::Kind::kHalfOpen};
    const uint64_t live_before = store.index().CountLive(before);
    // What has many more keys now had more then, too, or most likely so.
    if (live_before < undone_) {
      range_ = before;
      undone_ = live_before;
    } else {
      larger_.reset();
    }
  }
  from_ = std::string(range_.begin);
  end_ = store.log().End();
}

void CountRun::Counted(uint64_t count) {
  known_ = true;
  count_ = larger_.has_value() ? larger_->count - count : count;
}

// Two ways lead there; which one is shorter shows in the end.
bool CountRun::Step(Work* work) {
  while (!known_) {
    if (work->spent()) return false;
    Work keys(std::min(work->left(), kCountPiece));
    const uint64_t given = keys.left();
    if (store_.index().CountLiveAt(range_, at_, &from_, &keys, &lived_)) {
      Counted(lived_);
    }
    work->Spend(given - keys.left());
    keys_spent_ += given - keys.left();
    if (known_ || keys_spent_ < kCountKeysAlone || work->spent()) continue;
    Work changes(std::min(work->left(), kCountPiece));
    const uint64_t lent = changes.left();
    if (StepChanges(&changes)) {
      Counted(undone_);
    }
    work->Spend(lent - changes.left());
  }
  return true;
}

// Undoes the births and deaths since then.
bool CountRun::StepChanges(Work* work) {
  const RevisionLog& log = store_.log();
  if (!sought_) {
    sought_ = true;
    work->SpendFind();
    cursor_ = log.Seek(at_ + 1);
  }
  for (; log.Valid(&cursor_) && cursor_.location() < end_.location(); log.Next(&cursor_)) {
    if (work->spent()) return false;
    work->SpendLook();
    const Record record = log.Get(cursor_.location());
    if (!range_.Contains(DecodeKey(record.bytes))) continue;
    if (record.tombstone) {
      ++undone_;
    } else if (Decode(record.bytes).version == 1) {
      --undone_;
    }
  }
  return true;
}

// ---- ranges ----

RangeRun::RangeRun(const Store& store, Revision view, const RangeRequest& request,
                   const Identity& identity, PageCounts* pages)
    : store_(store),
      view_(view),
      request_(request),
      identity_(identity),
      at_(request.revision <= Revision(0) ? view : request.revision),
      limit_(LimitOf(request)),
      pages_(pages),
      count_(store, request.range(), at_, pages) {}

bool RangeRun::Step(Work* work, Reply* reply) {
  while (phase_ != Phase::kDone) {
    switch (phase_) {
      case Phase::kCount:
        if (!count_.Step(work)) return false;
        phase_ = First(reply);
        break;
      case Phase::kInOrder:
        if (!EmitInOrder(work, reply)) return false;
        more_ = count_.count() > limit_;
        NoteRest();
        phase_ = Phase::kDone;
        break;
      case Phase::kGather:
        if (!Gather(work)) return false;
        more_ = found_.size() > limit_;
        phase_ = Sorts(request_) ? Phase::kSort : Phase::kSorted;
        break;
      case Phase::kSort:
        if (!Sort(work)) return false;
        phase_ = Phase::kSorted;
        break;
      case Phase::kSorted:
        if (!EmitSorted(work, reply)) return false;
        phase_ = Phase::kRelease;
        break;
      case Phase::kRelease:
        if (!Release(work)) return false;
        phase_ = Phase::kDone;
        break;
      case Phase::kDone:
        break;
    }
  }
  Finish(reply);
  return true;
}

RangeRun::Phase RangeRun::First(Reply* reply) {
  AppendHeader(identity_, view_, reply->out());
  if (request_.count_only || count_.count() == 0) return Phase::kDone;
  return NeedsGathering(request_) ? Phase::kGather : Phase::kInOrder;
}

// For the next page.
void RangeRun::NoteRest() {
  if (pages_ == nullptr || !more_ || request_.sort_order == RangeRequest::kDescend) return;
  KeyRange rest = request_.range();
  rest.begin = from_;
  pages_->Note(rest, at_, count_.count() - emitted_);
}

void RangeRun::Finish(Reply* reply) const {
  AppendBool(reply->out(), 3, more_);
  AppendUint64(reply->out(), 4, count_.count());
}

// After each key: whether there were so many dead ones in a row that the tree may know an end.
bool RangeRun::SeemsDeadFrom(bool lives) {
  dead_ = lives ? 0 : dead_ + 1;
  if (dead_ < kDeadInARow) return false;
  dead_ = 0;
  return true;
}

// Calls visit(location) for each live key, ascending, until it returns false. False if the
// work was spent before.
template <typename Visit>
bool RangeRun::Ascend(Work* work, Visit&& visit) {
  const KeyRange range = request_.range();
  if (range.single()) {
    const std::optional<Location> location = store_.Visible(range.begin, at_);
    if (location.has_value()) visit(*location);
    return true;
  }
  auto c = store_.index().LowerBound(resumed_ ? absl::string_view(from_) : range.begin);
  while (c.valid() && range.EndsAfter(c.key())) {
    if (work->spent()) {
      resumed_ = true;
      from_ = std::string(c.key());
      return false;
    }
    work->SpendLook();
    const std::optional<Location> location = store_.Visible(c.entry(), at_);
    if (location.has_value() && !visit(*location)) return true;
    c.Next();
    if (SeemsDeadFrom(location.has_value())) store_.index().SkipDead(at_, work, &c);
  }
  return true;
}

// The same from the last key down.
template <typename Visit>
bool RangeRun::Descend(Work* work, Visit&& visit) {
  const KeyRange range = request_.range();
  KeyRange rest = range;
  if (resumed_) rest = {range.begin, from_, KeyRange::Kind::kHalfOpen};
  auto c = store_.index().LastOf(rest);
  while (c.valid() && range.Contains(c.key())) {
    if (work->spent()) {
      resumed_ = true;
      from_ = std::string(c.key());
      from_.push_back('\0');  // the first key behind it
      return false;
    }
    work->SpendLook();
    const std::optional<Location> location = store_.Visible(c.entry(), at_);
    if (location.has_value() && !visit(*location)) return true;
    c.Prev();
    if (SeemsDeadFrom(location.has_value())) store_.index().SkipDeadBackwards(at_, work, &c);
  }
  return true;
}

void RangeRun::Emit(Location record, Work* work, Reply* reply) const {
  RecordForm form = RecordForm::kWhole;
  if (request_.keys_only) {
    // Sorting by value has read the whole record: then etcd leaves the lease in.
    form = request_.sort_target == RangeRequest::kValue ? RecordForm::kWithoutValueButLease
                                                        : RecordForm::kWithoutValue;
  }
  const RevisionLog& log = store_.log();
  reply->AppendRecord(log.Get(record).bytes, log.BufferOf(record), form, work);
}

// Keys in order, ascending or descending, without filters.
bool RangeRun::EmitInOrder(Work* work, Reply* reply) {
  const auto add = [&](Location location) {
    Emit(location, work, reply);
    if (++emitted_ < limit_) return true;
    from_ = std::string(DecodeKey(store_.log().Get(location).bytes));
    from_.push_back('\0');
    return false;
  };
  return request_.sort_order == RangeRequest::kDescend ? Descend(work, add) : Ascend(work, add);
}

bool RangeRun::Passes(const KeyValue& kv) const {
  const RangeRequest& r = request_;
  const Revision none;
  if (r.max_mod_revision != none && kv.mod_revision > r.max_mod_revision) return false;
  if (r.min_mod_revision != none && kv.mod_revision < r.min_mod_revision) return false;
  if (r.max_create_revision != none && kv.create_revision > r.max_create_revision) return false;
  return r.min_create_revision == none || kv.create_revision >= r.min_create_revision;
}

uint64_t RangeRun::RankOf(const KeyValue& kv) const {
  switch (request_.sort_target) {
    case RangeRequest::kVersion:
      return RankOfNumber(kv.version);
    case RangeRequest::kCreate:
      return RankOfNumber(kv.create_revision.value());
    case RangeRequest::kMod:
      return RankOfNumber(kv.mod_revision.value());
    case RangeRequest::kValue: {
      char first[8] = {};
      std::copy_n(kv.value.data(), std::min<size_t>(kv.value.size(), 8), first);
      return LoadBe64(first);
    }
    default:
      return 0;
  }
}

bool RangeRun::Before(const Found& a, const Found& b) const {
  if (a.rank != b.rank) return a.rank < b.rank;
  return request_.sort_target == RangeRequest::kValue &&
         Decode(store_.log().Get(a.record).bytes).value <
             Decode(store_.log().Get(b.record).bytes).value;
}

// The general case: gather and filter; then sort and cut.
bool RangeRun::Gather(Work* work) {
  // As in etcd, the limit cuts by key before an unordered sort by another target, so
  // that a page of a large range stays cheap.
  const bool cut_early =
      request_.sort_order == RangeRequest::kNone && !request_.has_revision_filter();
  const uint64_t gather = cut_early && limit_ != kNoLimit ? limit_ + 1 : kNoLimit;
  return Ascend(work, [&](Location location) {
    const KeyValue kv = Decode(store_.log().Get(location).bytes);
    if (Passes(kv)) found_.push_back({location, RankOf(kv)});
    return ++seen_ < gather;
  });
}

// Equal ones stay in the order of their keys, ascending or descending.
bool RangeRun::Sort(Work* work) {
  const bool descending = request_.sort_order == RangeRequest::kDescend;
  return sort_.Step(work, MergesPerUnit(request_),
                    [this, descending](const auto& a, const auto& b) {
                      return descending ? Before(b, a) : Before(a, b);
                    });
}

bool RangeRun::EmitSorted(Work* work, Reply* reply) {
  const uint64_t end = std::min<uint64_t>(found_.size(), limit_);
  const bool backwards = !Sorts(request_) && request_.sort_order == RangeRequest::kDescend;
  for (; emitted_ < end; ++emitted_) {
    if (work->spent()) return false;
    work->SpendLook();
    Emit(found_[backwards ? found_.size() - 1 - emitted_ : emitted_].record, work, reply);
  }
  return true;
}

absl::Status Range(const Store& store, Revision view, const RangeRequest& request,
                   const Identity& identity, BytesBuilder* out) {
  RETURN_IF_ERROR(CheckRevision(request, view, store.compact_revision()));
  Work work = Work::Unlimited();
  Reply reply;
  RangeRun run(store, view, request, identity);
  CHECK(run.Step(&work, &reply));
  out->Append(reply.Finish().Joined());
  return absl::OkStatus();
}

}  // namespace quorate::mvcc
