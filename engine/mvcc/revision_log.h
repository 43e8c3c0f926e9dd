// The history of the store: an append-only arena of encoded records in revision order.
//
// A record is one mvccpb.KeyValue (key_value.h), or for a tombstone a KeyValue with
// only its key, behind a header of 12 bytes. Records fill segments of a fixed size; a
// record larger than a segment gets one of its own. Memory comes back segment by
// segment: Rewrite() copies what is still wanted of one segment into a smaller one.
//
//   Location at = log.Append({rev, 0}, /*tombstone=*/false, size, &bytes);
//   Encode(kv, bytes);
//   Record record = log.Get(at);
//   for (LogCursor c = log.Seek(rev); log.Valid(&c); log.Next(&c)) log.Get(c.location()) ...
#ifndef QUORATE_ENGINE_MVCC_REVISION_LOG_H_
#define QUORATE_ENGINE_MVCC_REVISION_LOG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "engine/image/image.h"
#include "engine/mvcc/revision.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// Where a record lies: segment number and offset in 61 bits, so that an index has three
// to spare. Valid until its segment is rewritten or freed.
class Location {
 public:
  constexpr Location() = default;
  constexpr Location(uint32_t segment, uint32_t offset)
      : packed_(uint64_t{segment} << 32 | offset) {}
  static constexpr Location FromPacked(uint64_t packed) {
    Location l;
    l.packed_ = packed;
    return l;
  }
  constexpr uint64_t packed() const { return packed_; }
  constexpr uint32_t segment() const { return static_cast<uint32_t>(packed_ >> 32); }
  constexpr uint32_t offset() const { return static_cast<uint32_t>(packed_); }

  friend constexpr auto operator<=>(Location, Location) = default;

 private:
  uint64_t packed_ = 0;
};
inline constexpr uint32_t kMaxSegments = uint32_t{1} << 29;

struct Record {
  SubRevision revision;
  bool tombstone = false;
  absl::string_view bytes;  // the encoded KeyValue
};

// A place in the log, in revision order. One that stands at the end becomes valid when
// something is appended. Rewriting or freeing segments invalidates cursors: see
// RevisionLog::rewrites().
struct LogCursor {
  uint32_t segment = 0;
  uint32_t offset = 0;
  Location location() const { return Location(segment, offset); }
};

class RevisionLog {
 public:
  // Small enough that rewriting one is a short step, large enough that its own costs
  // (an allocation, an entry here) don't count. With the headers of its buffer and of the
  // allocator it fills whole pages.
  static constexpr size_t kSegmentBytes = 256 * limits::kKiB - 64;
  static constexpr size_t kHeaderBytes = 12;

  explicit RevisionLog(size_t segment_bytes = kSegmentBytes) : segment_bytes_(segment_bytes) {}
  RevisionLog(const RevisionLog&) = delete;
  RevisionLog& operator=(const RevisionLog&) = delete;

  // Adds a record of `size` bytes, which the caller writes at *bytes before anything
  // else happens to the log. Revisions ascend.
  Location Append(SubRevision revision, bool tombstone, size_t size, char** bytes);
  Record Get(Location location) const;

  // The first record whose main revision is at least `main`.
  LogCursor Seek(Revision main) const;
  LogCursor Begin() const { return {0, 0}; }
  // Where the next record goes, or before it.
  LogCursor End() const {
    if (segments_.empty()) return {0, 0};
    return {static_cast<uint32_t>(segments_.size() - 1), segments_.back().used};
  }
  // Whether a record stands there; steps from the end of one segment into the next.
  bool Valid(LogCursor* cursor) const {
    *cursor = Normalized(*cursor);
    return cursor->segment < segments_.size() && cursor->offset < segments_[cursor->segment].used;
  }
  void Next(LogCursor* cursor) const;

  // Tells that nobody needs this record any more; its bytes come back with a rewrite.
  // Once for each.
  void MarkGarbage(Location location);
  uint32_t segments() const { return static_cast<uint32_t>(segments_.size()); }
  // Of one segment: bytes of records, how many of them are garbage, and whether
  // records may still be added to it.
  size_t UsedBytes(uint32_t segment) const { return segments_[segment].used; }
  size_t GarbageBytes(uint32_t segment) const { return segments_[segment].garbage; }
  bool IsOpen(uint32_t segment) const { return segment + 1 == segments_.size() && open_; }

  // Replaces a closed segment by one that holds, in order, only the records for which
  // `keep(record, location)` is true; `moved(record, from, to)` is told each new place.
  // A segment that keeps nothing is freed.
  void Rewrite(uint32_t segment, const std::function<bool(const Record&, Location)>& keep,
               const std::function<void(const Record&, Location, Location)>& moved);

  // All segments that hold something, as they stand: pinned, not copied. What is appended
  // later goes behind the bytes that a LogSegment shows, and a rewrite makes a new one
  // under a new id.
  std::vector<engine::LogSegment> Share() const;
  // The same in pieces, between which nothing changes: goes on with segment *next, which is
  // 0 at first, and adds to *shared. True once it is done.
  bool ShareSome(uint32_t* next, Work* work, std::vector<engine::LogSegment>* shared) const;
  // A record that an adopted segment brought.
  struct Adopted {
    absl::string_view key;
    Revision main;
    uint32_t offset = 0;
    bool tombstone = false;
    bool leased = false;  // attaches its key to a lease
  };
  // Appends a segment that Share() of some log gave; it is closed at once. The log keeps
  // its id unless that is 0. Refuses one whose records are malformed or do not follow those
  // that are here. *records becomes what it holds, garbage left out.
  absl::Status Adopt(const engine::LogSegment& segment, std::vector<Adopted>* records);

  // Exchanges the contents; each log goes on with segments of its own size.
  void Swap(RevisionLog* other);

  // Counts Rewrite calls; a cursor made at another count must be sought anew.
  uint64_t rewrites() const { return rewrites_; }

  // Bytes of memory held, and bytes in records that are not garbage.
  size_t allocated_bytes() const { return allocated_bytes_; }
  size_t live_bytes() const { return used_bytes_ - garbage_bytes_; }
  size_t garbage_bytes() const { return garbage_bytes_; }
  uint64_t records() const { return records_; }
  // Of the newest record that was ever here; 0 if there was none.
  Revision last_revision() const { return segments_.empty() ? Revision(0) : segments_.back().last; }

 private:
  struct Segment {
    // `capacity` bytes, of which the first `used` never change; nobody else sees the rest.
    Bytes buffer;
    uint64_t id = 0;
    uint32_t used = 0;
    uint32_t capacity = 0;
    uint32_t garbage = 0;  // bytes
    // Offsets of the garbage, in order of arrival or sorted; and the same as shared last,
    // empty if something came since.
    mutable std::vector<uint32_t> dropped;
    mutable Bytes dropped_shared;
    Revision first;  // of the record that opened it; deltas count from here
    Revision last;   // of the newest record ever in it; orders segments for Seek
  };

  static Bytes ShareDropped(const Segment& segment);
  static absl::Status AdoptRecords(Segment* segment, SubRevision last, uint64_t* count,
                                   std::vector<Adopted>* records);
  Segment& OpenFor(Revision main, size_t bytes);
  LogCursor Normalized(LogCursor cursor) const;

  size_t segment_bytes_;
  std::vector<Segment> segments_;
  bool open_ = false;  // whether the last segment may grow
  uint64_t last_id_ = 0;
  size_t allocated_bytes_ = 0;
  size_t used_bytes_ = 0;
  size_t garbage_bytes_ = 0;
  uint64_t records_ = 0;
  uint64_t rewrites_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_REVISION_LOG_H_
