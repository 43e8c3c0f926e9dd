#include "engine/mvcc/revision_log.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::mvcc {
namespace {

// Header: size << 1 | tombstone, sub, main - segment.first; 32 bits each.
struct Header {
  uint32_t size;
  bool tombstone;
  uint32_t sub;
  uint32_t main_delta;
};

Header ReadHeader(const char* at) {
  const uint32_t word = LoadLe32(at);
  return {word >> 1, (word & 1) != 0, LoadLe32(at + 4), LoadLe32(at + 8)};
}

std::unique_ptr<char[]> Allocate(size_t bytes) {
  return std::unique_ptr<char[]>(new char[bytes]);  // not zeroed: written before it is read
}

}  // namespace

RevisionLog::Segment& RevisionLog::OpenFor(Revision main, size_t bytes) {
  if (!segments_.empty()) {
    Segment& open = segments_.back();
    if (bytes <= open.capacity - open.used && main - open.first <= int64_t{UINT32_MAX}) {
      return open;
    }
  }
  CHECK_LT(segments_.size(), size_t{kMaxSegments});
  Segment segment;
  segment.capacity = static_cast<uint32_t>(std::max(bytes, segment_bytes_));
  segment.data = Allocate(segment.capacity);
  segment.first = main;
  segment.last = main;
  allocated_bytes_ += segment.capacity;
  segments_.push_back(std::move(segment));
  return segments_.back();
}

Location RevisionLog::Append(SubRevision revision, bool tombstone, size_t size, char** bytes) {
  CHECK_LT(size, size_t{1} << 31);
  CHECK_LE(revision.sub, int64_t{UINT32_MAX});
  const size_t total = kHeaderBytes + size;
  Segment& segment = OpenFor(revision.main, total);
  CHECK(revision.main >= segment.last);
  const uint32_t offset = segment.used;
  char* at = segment.data.get() + offset;
  StoreLe32(at, static_cast<uint32_t>(size) << 1 | uint32_t{tombstone});
  StoreLe32(at + 4, static_cast<uint32_t>(revision.sub));
  StoreLe32(at + 8, static_cast<uint32_t>(revision.main - segment.first));
  *bytes = at + kHeaderBytes;
  segment.used += static_cast<uint32_t>(total);
  segment.last = revision.main;
  used_bytes_ += total;
  ++records_;
  return Location(static_cast<uint32_t>(segments_.size() - 1), offset);
}

Record RevisionLog::Get(Location location) const {
  const Segment& segment = segments_[location.segment()];
  CHECK_LT(location.offset(), segment.used);
  const char* at = segment.data.get() + location.offset();
  const Header header = ReadHeader(at);
  Record record;
  record.revision = {segment.first + header.main_delta, int64_t{header.sub}};
  record.tombstone = header.tombstone;
  record.bytes = absl::string_view(at + kHeaderBytes, header.size);
  return record;
}

LogCursor RevisionLog::Normalized(LogCursor cursor) const {
  while (cursor.segment + 1 < segments_.size() && cursor.offset >= segments_[cursor.segment].used) {
    cursor = {cursor.segment + 1, 0};
  }
  return cursor;
}

LogCursor RevisionLog::Seek(Revision main) const {
  const auto it = std::lower_bound(segments_.begin(), segments_.end(), main,
                                   [](const Segment& s, Revision m) { return s.last < m; });
  if (it == segments_.end()) {
    if (segments_.empty()) return {0, 0};
    return {static_cast<uint32_t>(segments_.size() - 1), segments_.back().used};
  }
  LogCursor cursor{static_cast<uint32_t>(it - segments_.begin()), 0};
  while (Valid(&cursor) && Get(cursor.location()).revision.main < main) Next(&cursor);
  return cursor;
}

void RevisionLog::Next(LogCursor* cursor) const {
  const Segment& segment = segments_[cursor->segment];
  const Header header = ReadHeader(segment.data.get() + cursor->offset);
  cursor->offset += static_cast<uint32_t>(kHeaderBytes) + header.size;
}

void RevisionLog::MarkGarbage(Location location) {
  const size_t total = kHeaderBytes + Get(location).bytes.size();
  segments_[location.segment()].garbage += static_cast<uint32_t>(total);
  garbage_bytes_ += total;
}

void RevisionLog::Rewrite(uint32_t index, const std::function<bool(const Record&, Location)>& keep,
                          const std::function<void(const Record&, Location, Location)>& moved) {
  CHECK(!IsOpen(index));
  ++rewrites_;
  Segment old = std::move(segments_[index]);
  Segment& fresh = segments_[index];
  fresh = Segment{};
  fresh.first = old.first;
  fresh.last = old.last;
  const uint32_t wanted = old.used - old.garbage;
  if (wanted > 0) fresh.data = Allocate(wanted);
  fresh.capacity = wanted;
  for (uint32_t offset = 0; offset < old.used;) {
    const char* at = old.data.get() + offset;
    const Header header = ReadHeader(at);
    const uint32_t total = static_cast<uint32_t>(kHeaderBytes) + header.size;
    const Record record{{old.first + header.main_delta, int64_t{header.sub}},
                        header.tombstone,
                        absl::string_view(at + kHeaderBytes, header.size)};
    const Location from(index, offset);
    if (keep(record, from)) {
      CHECK_LE(total, fresh.capacity - fresh.used);
      std::memcpy(fresh.data.get() + fresh.used, at, total);
      moved(record, from, Location(index, fresh.used));
      fresh.used += total;
    } else {
      --records_;
    }
    offset += total;
  }
  CHECK_EQ(fresh.used, wanted);
  allocated_bytes_ -= old.capacity - fresh.capacity;
  used_bytes_ -= old.used - fresh.used;
  garbage_bytes_ -= old.garbage;
}

}  // namespace quorate::mvcc
