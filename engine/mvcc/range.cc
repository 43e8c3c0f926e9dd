#include "engine/mvcc/range.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "engine/mvcc/errors.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/wire.h"

namespace quorate::mvcc {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Calls visit(location) for each live key of the range at `at`, ascending, until it
// returns false.
template <typename Visit>
void ForEach(const Store& store, const KeyRange& range, Revision at, Visit&& visit) {
  if (range.single()) {
    const std::optional<Location> location = store.Visible(range.begin, at);
    if (location.has_value()) visit(*location);
    return;
  }
  for (auto c = store.index().LowerBound(range.begin); c.valid() && range.EndsAfter(c.key());
       c.Next()) {
    const std::optional<Location> location = store.Visible(c.entry(), at);
    if (location.has_value() && !visit(*location)) return;
  }
}

// The same from the last key down.
template <typename Visit>
void ForEachDescending(const Store& store, const KeyRange& range, Revision at, Visit&& visit) {
  for (auto c = store.index().LastOf(range); c.valid() && range.Contains(c.key()); c.Prev()) {
    const std::optional<Location> location = store.Visible(c.entry(), at);
    if (location.has_value() && !visit(*location)) return;
  }
}

// Writes the kvs of one response.
class Page {
 public:
  Page(const Store& store, const RangeRequest& request, BytesBuilder* out)
      : store_(store), request_(request), out_(out) {}

  void Add(Location location) {
    const absl::string_view record = store_.log().Get(location).bytes;
    if (!request_.keys_only) return AppendLen(out_, 2, record);
    const absl::string_view head = WithoutValueAndLease(record);
    // Sorting by value has read the whole record: then etcd leaves the lease in.
    const bool lease = request_.sort_target == RangeRequest::kValue;
    const size_t begin = BeginMessage(out_, 2);
    out_->Append(head);
    if (lease) AppendInt64(out_, 6, Decode(record).lease.value());
    EndMessage(out_, begin);
  }

 private:
  const Store& store_;
  const RangeRequest& request_;
  BytesBuilder* out_;
};

struct Found {
  Location location;
  KeyValue kv;
};

bool PassesFilters(const RangeRequest& r, const KeyValue& kv) {
  const Revision none;
  if (r.max_mod_revision != none && kv.mod_revision > r.max_mod_revision) return false;
  if (r.min_mod_revision != none && kv.mod_revision < r.min_mod_revision) return false;
  if (r.max_create_revision != none && kv.create_revision > r.max_create_revision) return false;
  return r.min_create_revision == none || kv.create_revision >= r.min_create_revision;
}

bool Less(int32_t target, const KeyValue& a, const KeyValue& b) {
  switch (target) {
    case RangeRequest::kVersion:
      return a.version < b.version;
    case RangeRequest::kCreate:
      return a.create_revision < b.create_revision;
    case RangeRequest::kMod:
      return a.mod_revision < b.mod_revision;
    case RangeRequest::kValue:
      return a.value < b.value;
    default:
      return a.key < b.key;
  }
}

// Equal ones stay in the order of their keys, ascending or descending.
void Sort(const RangeRequest& request, std::vector<Found>* found) {
  const int32_t target = request.sort_target;
  const bool descending = request.sort_order == RangeRequest::kDescend;
  if (target == RangeRequest::kKey && !descending) return;
  std::stable_sort(found->begin(), found->end(), [=](const Found& a, const Found& b) {
    return descending ? Less(target, b.kv, a.kv) : Less(target, a.kv, b.kv);
  });
}

// The general case: gather, filter, sort, cut. Returns whether the limit cut.
bool AppendSorted(const Store& store, Revision at, const RangeRequest& request, uint64_t limit,
                  BytesBuilder* out) {
  // As in etcd, the limit cuts by key before an unordered sort by another target, so
  // that a page of a large range stays cheap.
  const bool cut_early =
      request.sort_order == RangeRequest::kNone && !request.has_revision_filter();
  const uint64_t gather = cut_early && limit != kNoLimit ? limit + 1 : kNoLimit;
  std::vector<Found> found;
  uint64_t seen = 0;
  ForEach(store, request.range(), at, [&](Location location) {
    const KeyValue kv = Decode(store.log().Get(location).bytes);
    if (PassesFilters(request, kv)) found.push_back({location, kv});
    return ++seen < gather;
  });
  Sort(request, &found);
  Page page(store, request, out);
  for (size_t i = 0; i < found.size() && i < limit; ++i) page.Add(found[i].location);
  return found.size() > limit;
}

// Keys in order, ascending or descending, without filters.
void AppendInKeyOrder(const Store& store, Revision at, const RangeRequest& request, uint64_t limit,
                      BytesBuilder* out) {
  Page page(store, request, out);
  uint64_t added = 0;
  const auto add = [&](Location location) {
    page.Add(location);
    return ++added < limit;
  };
  if (request.sort_order == RangeRequest::kDescend) {
    ForEachDescending(store, request.range(), at, add);
  } else {
    ForEach(store, request.range(), at, add);
  }
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

absl::Status Range(const Store& store, Revision view, const RangeRequest& request,
                   const Identity& identity, BytesBuilder* out) {
  if (request.revision > view) return FutureRevisionError();
  const Revision at = request.revision <= Revision(0) ? view : request.revision;
  if (at < store.compact_revision()) return CompactedError();
  const uint64_t limit = request.limit > 0 ? static_cast<uint64_t>(request.limit) : kNoLimit;
  const uint64_t count = store.CountAt(request.range(), at);
  AppendHeader(identity, view, out);
  bool more = false;
  if (!request.count_only && count > 0) {
    if (request.sort_target != RangeRequest::kKey || request.has_revision_filter()) {
      more = AppendSorted(store, at, request, limit, out);
    } else {
      AppendInKeyOrder(store, at, request, limit, out);
      more = count > limit;
    }
  }
  AppendBool(out, 3, more);
  AppendUint64(out, 4, count);
  return absl::OkStatus();
}

}  // namespace quorate::mvcc
