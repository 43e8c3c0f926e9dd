// The records of a revision log in the order of their keys, for building an index of them.
//
// The records of each segment are sorted when it comes, while they are at hand, and what an
// index needs of them is copied in that order: a run. The runs are then merged, a record at
// a time, by a tournament of losers (Knuth, The Art of Computer Programming, volume 3,
// section 5.4.1), which reads each of them from front to back and none of the records. Both
// compare eight bytes of the keys at once, behind what all keys begin with, and look at the
// rest only where these are equal.
//
//   KeyRuns runs;
//   for (segment : segments) runs.Add(number, KeyRuns::Sort(records));
//   while (runs.Next(&item)) use(item);
#ifndef QUORATE_ENGINE_MVCC_KEY_RUNS_H_
#define QUORATE_ENGINE_MVCC_KEY_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/mvcc/revision_log.h"

namespace quorate::mvcc {

class KeyRuns {
 public:
  struct Item {
    absl::string_view key;  // until the next one is asked for
    Revision main;
    Location location;
    bool tombstone = false;
    bool leased = false;
  };

  // The records of one segment, sorted.
  struct Run {
    Revision first;     // revisions count from here
    std::string bytes;  // packed records, see the .cc
    size_t last = 0;    // where the last of them begins
  };

  KeyRuns() = default;
  KeyRuns(const KeyRuns&) = delete;
  KeyRuns& operator=(const KeyRuns&) = delete;

  // The records of a segment in the order of the log.
  static Run Sort(const std::vector<RevisionLog::Adopted>& records);
  // Segments ascend.
  void Add(uint64_t segment, Run run);
  // The record with the least key, the oldest of them. False when there is none. Once it was
  // asked for, no segment may be added.
  bool Next(Item* item);
  // Gives memory back in pieces; true once little of it is left. There are no records any more.
  bool Release(Work* work);

 private:
  struct Sorted {
    uint64_t word;  // of the key
    uint32_t at;    // in the segment's records
  };
  struct Source {
    uint64_t segment = 0;
    Run run;
    // Of the head: where it begins and what comes behind it; its key, empty if the run is
    // used up.
    size_t at = 0;
    size_t next = 0;
    absl::string_view key;
    uint64_t word = 0;
  };

  void NoteCommon(absl::string_view key);
  void BeginMerge();
  void Advance(Source* source) const;
  bool Before(uint32_t a, uint32_t b) const;

  std::vector<Source> runs_;
  // What all keys begin with; nothing: there was no key.
  std::optional<std::string> common_;
  // The tournament: the run that won, and at [i] for 0 < i < runs, whose match is between
  // those of 2i and 2i + 1, the run that lost there. Those from `runs` on are the runs.
  bool merging_ = false;
  uint32_t winner_ = 0;
  std::vector<uint32_t> losers_;
  std::optional<uint32_t> used_up_;  // a run that the item taken last was the end of
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_KEY_RUNS_H_
