// Answers to RangeRequest: records go straight from the revision log into the reply.
#ifndef QUORATE_ENGINE_MVCC_RANGE_H_
#define QUORATE_ENGINE_MVCC_RANGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/page_counts.h"
#include "engine/mvcc/paged.h"
#include "engine/mvcc/reply.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// Who answers, as ResponseHeader says it. All zero inside a transaction, where headers
// carry only the revision.
struct Identity {
  ClusterId cluster;
  MemberId member;
  Term term;
};

// Appends field 1 of every response: a present header, zeros left out.
void AppendHeader(const Identity& identity, Revision revision, BytesBuilder* out);

// Whether the revision that a range asks for can be had where `view` stands for the
// present: OutOfRange if it is compacted or in the future.
absl::Status CheckRevision(const RangeRequest& request, Revision view, Revision compacted);

// How many keys of a range live at `at`, which is at most the store's revision, or one
// more inside a transaction. O(log n) if no key of the range was born or died since, however often
// they were written, or only in the one revision that is being made; else, in addition, a look at
// each key of those leaves of the index in which keys of the range did, or at each change since if
// these are fewer.
//
// This and RangeRun below work in pieces. Between them the store may grow, but nothing
// that `at` sees may be pruned or moved.
class CountRun {
 public:
  // All borrowed. `pages`, which may be null, is asked for what is known of a larger range.
  CountRun(const Store& store, const KeyRange& range, Revision at,
           const PageCounts* pages = nullptr);
  // True once count() is it.
  bool Step(Work* work);
  uint64_t count() const { return count_; }

 private:
  bool StepChanges(Work* work);
  void Counted(uint64_t count);

  const Store& store_;
  KeyRange range_;
  const Revision at_;
  // The larger range, if what is counted is only what it has before the range.
  std::optional<PageCounts::Noted> larger_;
  bool known_ = false;
  uint64_t count_ = 0;
  // Key by key where that is necessary: the next one, and how many lived before it.
  std::string from_;
  uint64_t lived_ = 0;
  uint64_t keys_spent_ = 0;
  // Beside it the changes since `at_`, as they were at the beginning, once that seems to pay.
  bool sought_ = false;
  LogCursor cursor_;
  LogCursor end_;
  uint64_t undone_ =
      0;  // the count at the beginning, less the births and plus the deaths (mod 2^64)
};

// One RangeRequest at the revision that it asks for, or at `view`.
class RangeRun {
 public:
  // `store` and what the request points at are borrowed; its revision was checked. So is `pages`,
  // which may be null and must be if `view` is not committed.
  RangeRun(const Store& store, Revision view, const RangeRequest& request, const Identity& identity,
           PageCounts* pages = nullptr);
  RangeRun(const RangeRun&) = delete;
  RangeRun& operator=(const RangeRun&) = delete;
  // Appends the RangeResponse to *reply, from piece to piece; true once it is complete. Records
  // are referred to if that reply does.
  bool Step(Work* work, Reply* reply);
  // It goes no further: gives memory back in pieces; true once all of it is gone.
  bool Release(Work* work) { return found_.Release(work) && sort_.Release(work); }

 private:
  enum class Phase { kCount, kInOrder, kGather, kSort, kSorted, kRelease, kDone };

  // A record that passed the filters. Records do not move, so their places stay good.
  struct Found {
    Location record;
    // What is sorted by; of a value its first bytes.
    uint64_t rank = 0;
  };

  Phase First(Reply* reply);
  bool SeemsDeadFrom(bool lives);
  template <typename Visit>
  bool Ascend(Work* work, Visit&& visit);
  template <typename Visit>
  bool Descend(Work* work, Visit&& visit);
  bool EmitInOrder(Work* work, Reply* reply);
  bool Gather(Work* work);
  bool Sort(Work* work);
  bool EmitSorted(Work* work, Reply* reply);
  void Emit(Location record, Work* work, Reply* reply) const;
  void NoteRest();
  void Finish(Reply* reply) const;
  bool Passes(const KeyValue& kv) const;
  uint64_t RankOf(const KeyValue& kv) const;
  bool Before(const Found& a, const Found& b) const;

  const Store& store_;
  const Revision view_;
  const RangeRequest& request_;
  const Identity identity_;
  const Revision at_;
  const uint64_t limit_;
  PageCounts* const pages_;
  Phase phase_ = Phase::kCount;
  CountRun count_;
  bool more_ = false;
  bool resumed_ = false;
  std::string from_;  // where to go on, once resumed_, or behind the last key of a full page
  uint64_t emitted_ = 0;
  int dead_ = 0;  // keys that did not live, in a row

  // Gathering and sorting.
  uint64_t seen_ = 0;
  Paged<Found> found_;
  PagedSort<Found> sort_{&found_};
};

// All at once. OutOfRange if the revision is compacted or in the future; then *out is
// unchanged.
absl::Status Range(const Store& store, Revision view, const RangeRequest& request,
                   const Identity& identity, BytesBuilder* out);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_RANGE_H_
