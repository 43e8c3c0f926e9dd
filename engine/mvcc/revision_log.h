// The history of the store: an append-only arena of encoded records in revision order.
//
// A record is one mvccpb.KeyValue (key_value.h), or for a tombstone a KeyValue with
// only its key, behind a header of 12 bytes. Records fill segments, which are bounded in
// bytes and in records; a record larger than a segment gets one of its own. Memory comes back
// segment by segment: Rewrite() copies what is still wanted of one into a smaller one.
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
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "engine/image/image.h"
#include "engine/mvcc/record.h"
#include "engine/mvcc/revision.h"
#include "engine/mvcc/segment_pins.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// Where a record lies: segment number and offset in 61 bits, so that an index has three to
// spare. Valid until its segment is rewritten or freed. Numbers of segments are not used again:
// there are enough of them for some 4 PB of records.
class Location {
 public:
  constexpr Location() = default;
  constexpr Location(uint64_t segment, uint32_t offset)
      : packed_(segment << kOffsetBits | offset) {}
  static constexpr Location FromPacked(uint64_t packed) {
    Location l;
    l.packed_ = packed;
    return l;
  }
  constexpr uint64_t packed() const { return packed_; }
  constexpr uint64_t segment() const { return packed_ >> kOffsetBits; }
  constexpr uint32_t offset() const {
    return static_cast<uint32_t>(packed_ & ((uint64_t{1} << kOffsetBits) - 1));
  }

  friend constexpr auto operator<=>(Location, Location) = default;

  // Where a record begins: one that is too large for a segment has one of its own.
  static constexpr int kOffsetBits = 24;

 private:
  uint64_t packed_ = 0;
};
inline constexpr uint64_t kMaxSegments = uint64_t{1} << (61 - Location::kOffsetBits);

struct Record {
  SubRevision revision;
  bool tombstone = false;
  absl::string_view bytes;  // the encoded KeyValue
};

// A place in the log, in revision order. One that stands at the end becomes valid when
// something is appended. Rewriting or freeing segments invalidates cursors: see
// RevisionLog::rewrites().
struct LogCursor {
  uint64_t segment = 0;
  uint32_t offset = 0;
  Location location() const { return Location(segment, offset); }
};

class RevisionLog {
 public:
  // Small enough that rewriting one is a short step, large enough that its own costs
  // (an allocation, an entry here) don't count. With the headers of its buffer and of the
  // allocator it fills whole pages.
  static constexpr size_t kSegmentBytes = 256 * limits::kKiB - 64;
  static constexpr size_t kHeaderBytes = RecordHeader::kBytes;
  // Each record that is moved is looked up in the index: where records are small, it is their
  // number that makes rewriting long.
  static constexpr uint32_t kSegmentRecords = 1024;

  // Segments are of at most 16 MiB.
  explicit RevisionLog(size_t segment_bytes = kSegmentBytes);
  RevisionLog(const RevisionLog&) = delete;
  RevisionLog& operator=(const RevisionLog&) = delete;

  // Adds a record of `size` bytes, which the caller writes at *bytes before anything
  // else happens to the log. Revisions ascend.
  Location Append(SubRevision revision, bool tombstone, size_t size, char** bytes);
  Record Get(Location location) const;
  void Prefetch(Location location) const {
    const char* const at = segments_[location.segment()].buffer.data() + location.offset();
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
  }
  // The buffer of the segment in which a record lies. Who keeps it may go on reading the record
  // (RecordAt), whatever becomes of the segment.
  const Bytes& BufferOf(Location location) const { return segments_[location.segment()].buffer; }
  // Those who go on reading segments that the log gives up; never null.
  const std::shared_ptr<SegmentPins>& pins() const { return pins_; }

  // The first record whose main revision is at least `main`.
  LogCursor Seek(Revision main) const;
  LogCursor Begin() const { return {0, 0}; }
  // Where the next record goes, or before it.
  LogCursor End() const {
    if (segments_.size() == 0) return {0, 0};
    const Segment* const last = segments_.Find(segments_.size() - 1);
    return {segments_.size() - 1, last == nullptr ? 0 : last->used};
  }
  // Whether a record stands there; steps from the end of one segment into the next.
  bool Valid(LogCursor* cursor) const {
    *cursor = Normalized(*cursor);
    const Segment* const segment = segments_.Find(cursor->segment);
    return segment != nullptr && cursor->offset < segment->used;
  }
  void Next(LogCursor* cursor) const;

  // Tells that nobody needs this record any more; its bytes come back with a rewrite.
  // Once for each.
  void MarkGarbage(Location location);
  // The first segment from this one on that may hold something, or segments().
  uint64_t NextSegment(uint64_t segment) const { return segments_.Next(segment); }
  uint64_t segments() const { return segments_.size(); }
  // Of one segment that may hold something: bytes of records, how many of them are garbage,
  // and whether records may still be added to it.
  size_t UsedBytes(uint64_t segment) const { return segments_[segment].used; }
  size_t GarbageBytes(uint64_t segment) const { return segments_[segment].garbage; }
  bool IsOpen(uint64_t segment) const { return segment + 1 == segments_.size() && open_; }

  // Replaces a closed segment by one that holds, in order, only the records that are no
  // garbage; `moved(record, from, to)` is told each new place. A segment that keeps nothing is
  // freed. How many records it held before.
  size_t Rewrite(uint64_t segment,
                 const std::function<void(const Record&, Location, Location)>& moved);

  // All segments that hold something, as they stand: pinned, not copied. What is appended
  // later goes behind the bytes that a LogSegment shows, and a rewrite makes a new one
  // under a new id.
  std::vector<engine::LogSegment> Share() const;
  // The same in pieces, between which nothing changes: goes on with segment *next, which is
  // 0 at first, and adds to *shared. True once it is done.
  bool ShareSome(uint64_t* next, Work* work, std::vector<engine::LogSegment>* shared) const;
  // A record that a segment from outside brings.
  struct Adopted {
    absl::string_view key;
    Revision main;
    uint32_t offset = 0;
    bool tombstone = false;
    bool leased = false;  // attaches its key to a lease
  };
  // What there is to know of a segment from outside before it is adopted.
  struct Checked {
    absl::Status status;  // why it cannot be
    Revision first;       // of its first record and of its last one
    Revision last;
    uint64_t count = 0;             // of records, garbage among them
    uint32_t garbage = 0;           // bytes
    std::vector<uint32_t> dropped;  // offsets of the garbage
  };
  // Walks its records: malformed ones are refused. *records becomes what it holds, garbage left
  // out. Looks at nothing but the segment.
  static Checked Check(const engine::LogSegment& segment, std::vector<Adopted>* records);
  // Appends a segment that Share() of some log gave; it is closed at once. The log keeps
  // its id unless that is 0. Refuses one that did not pass the check, or whose records do not
  // follow those that are here.
  absl::Status Adopt(const engine::LogSegment& segment, Checked checked);

  // Gives memory back in pieces; true once all of it is gone. The log
  // is of no use any more.
  bool Release(Work* work);

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
  Revision last_revision() const { return last_revision_; }

 private:
  struct Segment {
    // `capacity` bytes, of which the first `used` never change; nobody else sees the rest.
    Bytes buffer;
    uint64_t id = 0;
    uint32_t used = 0;
    uint32_t capacity = 0;
    uint32_t garbage = 0;  // bytes
    uint32_t records = 0;  // appended to it, while it is open
    // Offsets of the garbage, in order of arrival or sorted; and the same as shared last,
    // empty if something came since.
    mutable std::vector<uint32_t> dropped;
    mutable Bytes dropped_shared;
    Revision first;  // of the record that opened it; deltas count from here
    Revision last;   // of the newest record ever in it; orders segments for Seek
  };

  // Segments by number. Those that were emptied cost nothing, but for 16 bytes for some hundred
  // of them.
  class Table {
   public:
    uint64_t size() const { return size_; }
    Segment& operator[](uint64_t i) { return pages_[i / kPage].page->segments[i % kPage]; }
    const Segment& operator[](uint64_t i) const {
      return pages_[i / kPage].page->segments[i % kPage];
    }
    // Null if there is none (any more).
    const Segment* Find(uint64_t i) const {
      return i < size_ && pages_[i / kPage].page != nullptr ? &(*this)[i] : nullptr;
    }
    Segment& back() { return (*this)[size_ - 1]; }
    const Segment& back() const { return (*this)[size_ - 1]; }
    void Add(Segment segment);
    // A record of this revision was added to the last one.
    void NoteLast(Revision main) { pages_.back().last = main; }
    // The first one from this one on that may hold something, or size().
    uint64_t Next(uint64_t i) const {
      while (i < size_ && pages_[i / kPage].page == nullptr) i = (i / kPage + 1) * kPage;
      return i < size_ ? i : size_;
    }
    // The first one whose newest record may be at `main` or later, or size().
    uint64_t Seek(Revision main) const;
    // The segment holds nothing any more and nothing will be added to it.
    void Drop(uint64_t i);
    friend void swap(Table& a, Table& b) {
      std::swap(a.pages_, b.pages_);
      std::swap(a.size_, b.size_);
    }

   private:
    static constexpr uint64_t kPage = 64;
    struct Page {
      Segment segments[kPage];
      uint64_t dropped = 0;
    };
    struct Slot {
      std::unique_ptr<Page> page;  // null if all of it was dropped
      Revision last;               // of the newest record ever in it
      friend bool operator<(const Slot& slot, Revision main) { return slot.last < main; }
    };

    std::vector<Slot> pages_;
    uint64_t size_ = 0;
  };

  static Bytes ShareDropped(const Segment& segment);
  static absl::Status CheckRecords(const engine::LogSegment& segment, Checked* checked,
                                   std::vector<Adopted>* records);
  Segment& OpenFor(Revision main, size_t bytes);
  void Seal();
  LogCursor Normalized(LogCursor cursor) const;

  size_t segment_bytes_;
  // Of the next segment: as much as its records are likely to need.
  size_t next_capacity_;
  Table segments_;
  bool open_ = false;  // whether the last segment may grow
  Revision last_revision_;
  uint64_t last_id_ = 0;
  size_t allocated_bytes_ = 0;
  size_t used_bytes_ = 0;
  size_t garbage_bytes_ = 0;
  uint64_t records_ = 0;
  uint64_t rewrites_ = 0;
  uint64_t next_release_ = 0;
  std::shared_ptr<SegmentPins> pins_ = std::make_shared<SegmentPins>();
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_REVISION_LOG_H_
