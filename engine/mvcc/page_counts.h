// Counts that the pages of long lists leave for the pages behind them.
//
// Whoever lists a large range page by page asks for the rest of the range each time, at the
// revision of the first page, and is told how many keys are left. That number is the one before
// less the page's keys, whatever was born and died since: a page notes it for those behind it, so
// that only the first page of a list pays for a count in the past (CountRun, range.h). A client
// that asks several members in turn comes back some pages later: then what lies between is counted.
//
// A count is a fact about history: no change makes it wrong. Which ones are still known decides
// nothing but what an answer costs.
#ifndef QUORATE_ENGINE_MVCC_PAGE_COUNTS_H_
#define QUORATE_ENGINE_MVCC_PAGE_COUNTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "base/strong_int.h"
#include "engine/mvcc/key_range.h"

namespace quorate::mvcc {

class PageCounts {
 public:
  // Of so many pages, the newest; none of a range with a longer begin or end, in bytes.
  static constexpr size_t kMaxCounts = 1024;
  static constexpr size_t kMaxKeyBytes = 1024;

  PageCounts() = default;
  PageCounts(const PageCounts&) = delete;
  PageCounts& operator=(const PageCounts&) = delete;

  // The count of a range with the same end that begins at `begin`.
  struct Noted {
    std::string begin;
    uint64_t count = 0;
  };

  // How many keys of the range, which is not a single key, live at `at`, a committed revision.
  void Note(const KeyRange& range, Revision at, uint64_t count);
  // The count of this range, or of the least larger one with the same end that was noted lately.
  std::optional<Noted> Find(const KeyRange& range, Revision at) const;
  // The history was replaced.
  void Clear();

 private:
  // By revision, end and beginning, as NameOf() puts them together.
  using Counts = std::map<std::string, uint64_t>;

  static std::string NameOf(const KeyRange& range, Revision at);

  Counts counts_;
  std::deque<Counts::iterator> oldest_first_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_PAGE_COUNTS_H_
