#include "engine/mvcc/revision_log.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

// Of segments of small records. A page of the allocator or two.
constexpr size_t kLeastCapacity = 8 * limits::kKiB;

// Of giving back a segment, in units of work.
constexpr uint64_t kReleaseCost = 100;

// Not zeroed: written before it is read.
Bytes Allocate(size_t bytes) {
  if (bytes == 0) return Bytes();
  BytesBuilder buffer(bytes);
  buffer.Grow(bytes);
  return std::move(buffer).Finish();
}

// The log alone writes into a buffer, behind what it has shown to anybody.
char* Writable(const Bytes& buffer) { return const_cast<char*>(buffer.data()); }

absl::Status Malformed(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("revision log: ", what));
}

}  // namespace

RevisionLog::RevisionLog(size_t segment_bytes)
    : segment_bytes_(segment_bytes), next_capacity_(segment_bytes) {
  CHECK_LE(segment_bytes, size_t{1} << Location::kOffsetBits);
}

// ---- the table of segments ----

void RevisionLog::Table::Add(Segment segment) {
  if (size_ == pages_.size() * kPage) pages_.push_back({std::make_unique<Page>(), Revision(0)});
  (*this)[size_++] = std::move(segment);
}

uint64_t RevisionLog::Table::Seek(Revision main) const {
  const auto page = std::lower_bound(pages_.begin(), pages_.end(), main);
  uint64_t i = Next(static_cast<uint64_t>(page - pages_.begin()) * kPage);
  while (i < size_ && (*this)[i].last < main) i = Next(i + 1);
  return i;
}

void RevisionLog::Table::Drop(uint64_t i) {
  Slot& slot = pages_[i / kPage];
  if (++slot.page->dropped == kPage) slot.page.reset();
}

// ---- records ----

RevisionLog::Segment& RevisionLog::OpenFor(Revision main, size_t bytes) {
  if (open_) {
    Segment& open = segments_.back();
    const bool fits = bytes <= open.capacity - open.used && open.records < kSegmentRecords;
    if (fits && main - open.first <= int64_t{UINT32_MAX}) return open;
    Seal();
  }
  CHECK_LT(segments_.size(), kMaxSegments);
  Segment segment;
  segment.capacity = static_cast<uint32_t>(std::max(bytes, next_capacity_));
  segment.buffer = Allocate(segment.capacity);
  segment.id = ++last_id_;
  segment.first = main;
  segment.last = main;
  allocated_bytes_ += segment.capacity;
  segments_.Add(std::move(segment));
  open_ = true;
  return segments_.back();
}

// Nothing is appended to the last segment any more. If that is for its many small records, the next
// one has about as many bytes as it will need. This one keeps its own: no record moves when another
// is appended, so views of them stay good while commands and long reads go on.
void RevisionLog::Seal() {
  open_ = false;
  const Segment& segment = segments_.back();
  next_capacity_ = segment_bytes_;
  if (segment.records < kSegmentRecords) return;
  const size_t likely = size_t{segment.used} * 9 / 8;
  next_capacity_ = std::clamp(likely, std::min(kLeastCapacity, segment_bytes_), segment_bytes_);
}

Location RevisionLog::Append(SubRevision revision, bool tombstone, size_t size, char** bytes) {
  CHECK_LT(size, size_t{1} << 31);
  CHECK_LE(revision.sub, int64_t{UINT32_MAX});
  const size_t total = kHeaderBytes + size;
  Segment& segment = OpenFor(revision.main, total);
  CHECK(revision.main >= segment.last);
  const uint32_t offset = segment.used;
  char* at = Writable(segment.buffer) + offset;
  StoreLe32(at, static_cast<uint32_t>(size) << 1 | uint32_t{tombstone});
  StoreLe32(at + 4, static_cast<uint32_t>(revision.sub));
  StoreLe32(at + 8, static_cast<uint32_t>(revision.main - segment.first));
  *bytes = at + kHeaderBytes;
  segment.used += static_cast<uint32_t>(total);
  segment.last = last_revision_ = revision.main;
  segments_.NoteLast(revision.main);
  ++segment.records;
  used_bytes_ += total;
  ++records_;
  return Location(segments_.size() - 1, offset);
}

Record RevisionLog::Get(Location location) const {
  const Segment& segment = segments_[location.segment()];
  CHECK_LT(location.offset(), segment.used);
  const char* at = segment.buffer.data() + location.offset();
  const RecordHeader header = ReadRecordHeader(at);
  Record record;
  record.revision = {segment.first + header.main_delta, int64_t{header.sub}};
  record.tombstone = header.tombstone;
  record.bytes = absl::string_view(at + kHeaderBytes, header.size);
  return record;
}

LogCursor RevisionLog::Normalized(LogCursor cursor) const {
  while (cursor.segment + 1 < segments_.size()) {
    const Segment* const segment = segments_.Find(cursor.segment);
    if (segment != nullptr && cursor.offset < segment->used) break;
    const uint64_t next = segments_.Next(cursor.segment + 1);
    if (next == segments_.size()) return End();
    cursor = {next, 0};
  }
  return cursor;
}

LogCursor RevisionLog::Seek(Revision main) const {
  LogCursor cursor{segments_.Seek(main), 0};
  if (cursor.segment == segments_.size()) return End();
  while (Valid(&cursor) && Get(cursor.location()).revision.main < main) Next(&cursor);
  return cursor;
}

void RevisionLog::Next(LogCursor* cursor) const {
  const Segment& segment = segments_[cursor->segment];
  const RecordHeader header = ReadRecordHeader(segment.buffer.data() + cursor->offset);
  cursor->offset += static_cast<uint32_t>(kHeaderBytes) + header.size;
}

void RevisionLog::MarkGarbage(Location location) {
  const size_t total = kHeaderBytes + Get(location).bytes.size();
  Segment& segment = segments_[location.segment()];
  segment.garbage += static_cast<uint32_t>(total);
  segment.dropped.push_back(location.offset());
  garbage_bytes_ += total;
}

size_t RevisionLog::Rewrite(uint64_t index,
                            const std::function<void(const Record&, Location, Location)>& moved) {
  CHECK(!IsOpen(index));
  ++rewrites_;
  Segment old = std::move(segments_[index]);
  Segment& fresh = segments_[index];
  fresh = Segment{};
  fresh.first = old.first;
  fresh.last = old.last;
  const uint32_t wanted = old.used - old.garbage;
  fresh.buffer = Allocate(wanted);
  fresh.id = ++last_id_;
  fresh.capacity = wanted;
  std::sort(old.dropped.begin(), old.dropped.end());
  size_t records = 0;
  size_t dropped = 0;
  for (uint32_t offset = 0; offset < old.used; ++records) {
    const char* at = old.buffer.data() + offset;
    const RecordHeader header = ReadRecordHeader(at);
    const uint32_t total = static_cast<uint32_t>(kHeaderBytes) + header.size;
    if (dropped < old.dropped.size() && old.dropped[dropped] == offset) {
      ++dropped;
    } else {
      CHECK_LE(total, fresh.capacity - fresh.used);
      std::memcpy(Writable(fresh.buffer) + fresh.used, at, total);
      const Record record{{old.first + header.main_delta, int64_t{header.sub}},
                          header.tombstone,
                          absl::string_view(at + kHeaderBytes, header.size)};
      moved(record, Location(index, offset), Location(index, fresh.used));
      fresh.used += total;
    }
    offset += total;
  }
  CHECK_EQ(dropped, old.dropped.size());
  CHECK_EQ(fresh.used, wanted);
  records_ -= dropped;
  allocated_bytes_ -= old.capacity - fresh.capacity;
  used_bytes_ -= old.used - fresh.used;
  garbage_bytes_ -= old.garbage;
  if (wanted == 0) segments_.Drop(index);
  pins_->Drop(old.buffer);
  return records;
}

bool RevisionLog::Release(Work* work) {
  open_ = false;
  for (uint64_t& i = next_release_; (i = segments_.Next(i)) < segments_.size(); ++i) {
    if (work->spent()) return false;
    work->Spend(kReleaseCost);
    pins_->Drop(segments_[i].buffer);
    segments_[i] = Segment();
  }
  return true;
}

void RevisionLog::Swap(RevisionLog* other) {
  swap(segments_, other->segments_);
  std::swap(open_, other->open_);
  std::swap(last_revision_, other->last_revision_);
  std::swap(last_id_, other->last_id_);
  std::swap(allocated_bytes_, other->allocated_bytes_);
  std::swap(used_bytes_, other->used_bytes_);
  std::swap(garbage_bytes_, other->garbage_bytes_);
  std::swap(records_, other->records_);
  // Answers go on reading what was here, and pins know segments by where they lie: whichever log
  // gives one up must tell these, and they stay with the log that goes on.
  other->pins_ = pins_;
  // No cursor made before is good for what is here now.
  rewrites_ = other->rewrites_ = std::max(rewrites_, other->rewrites_) + 1;
}

std::vector<engine::LogSegment> RevisionLog::Share() const {
  std::vector<engine::LogSegment> shared;
  uint64_t next = 0;
  Work work = Work::Unlimited();
  CHECK(ShareSome(&next, &work, &shared));
  return shared;
}

bool RevisionLog::ShareSome(uint64_t* next, Work* work,
                            std::vector<engine::LogSegment>* shared) const {
  for (; (*next = segments_.Next(*next)) < segments_.size(); ++*next) {
    if (work->spent()) return false;
    work->SpendLook();
    const Segment& segment = segments_[*next];
    if (segment.used == 0) continue;
    // What was dropped since it was last shared is sorted.
    if (segment.dropped_shared.size() != segment.dropped.size() * 4) {
      work->Spend(segment.dropped.size() / 4);
    }
    shared->push_back(
        {segment.id, segment.first, segment.buffer.Slice(0, segment.used), ShareDropped(segment)});
  }
  return true;
}

Bytes RevisionLog::ShareDropped(const Segment& segment) {
  if (segment.dropped_shared.size() == segment.dropped.size() * 4) return segment.dropped_shared;
  std::sort(segment.dropped.begin(), segment.dropped.end());
  BytesBuilder out(segment.dropped.size() * 4);
  for (const uint32_t offset : segment.dropped) engine::PutU32(&out, offset);
  return segment.dropped_shared = std::move(out).Finish();
}

RevisionLog::Checked RevisionLog::Check(const engine::LogSegment& shared,
                                        std::vector<Adopted>* records) {
  records->clear();
  Checked checked;
  checked.status = CheckRecords(shared, &checked, records);
  return checked;
}

absl::Status RevisionLog::Adopt(const engine::LogSegment& shared, Checked checked) {
  RETURN_IF_ERROR(checked.status);
  if (segments_.size() == kMaxSegments) return Malformed("more segments than there can be");
  // A revision may go on in the next segment; where the last one ended in it is not kept.
  if (checked.first < last_revision_) return Malformed("revisions do not ascend");
  Segment segment;
  segment.buffer = shared.records;
  segment.id = shared.id != 0 ? shared.id : last_id_ + 1;
  segment.used = segment.capacity = static_cast<uint32_t>(shared.records.size());
  segment.garbage = checked.garbage;
  segment.first = shared.first;
  segment.last = checked.last;
  segment.dropped = std::move(checked.dropped);
  segment.dropped_shared = shared.garbage;
  last_id_ = std::max(last_id_, segment.id);
  open_ = false;
  allocated_bytes_ += segment.capacity;
  used_bytes_ += segment.used;
  garbage_bytes_ += segment.garbage;
  records_ += checked.count;
  last_revision_ = checked.last;
  segments_.Add(std::move(segment));
  segments_.NoteLast(last_revision_);
  return absl::OkStatus();
}

// Walks the records from outside: each of them may be read afterwards without a doubt.
absl::Status RevisionLog::CheckRecords(const engine::LogSegment& segment, Checked* checked,
                                       std::vector<Adopted>* records) {
  const absl::string_view bytes = segment.records;
  if (bytes.empty() || bytes.size() > UINT32_MAX) {
    return Malformed("a segment of an impossible size");
  }
  if (segment.first < Revision(0)) return Malformed("a negative revision");
  std::vector<uint32_t>& dropped = checked->dropped;
  for (size_t at = 0; at + 4 <= segment.garbage.size(); at += 4) {
    dropped.push_back(LoadLe32(segment.garbage.data() + at));
  }
  if (dropped.size() * 4 != segment.garbage.size()) return Malformed("odd garbage");
  size_t garbage = 0;  // of `dropped`, how many were met
  SubRevision last;
  KeyValue kv;
  for (size_t offset = 0; offset < bytes.size(); ++checked->count) {
    if (bytes.size() - offset < kHeaderBytes) return Malformed("a record ends too early");
    if (offset >> Location::kOffsetBits != 0) return Malformed("a segment of an impossible size");
    const size_t at = offset;
    const RecordHeader header = ReadRecordHeader(bytes.data() + offset);
    offset += kHeaderBytes;
    if (header.size > bytes.size() - offset) return Malformed("a record ends too early");
    if (!TryDecode(bytes.substr(offset, header.size), header.tombstone, &kv)) {
      return Malformed("a record is not a canonical KeyValue");
    }
    offset += header.size;
    const SubRevision revision{segment.first + header.main_delta, int64_t{header.sub}};
    if (checked->count == 0) {
      checked->first = revision.main;
    } else if (revision <= last) {
      return Malformed("revisions do not ascend");
    }
    last = revision;
    if (garbage == dropped.size() || dropped[garbage] != at) {
      records->push_back({kv.key, revision.main, static_cast<uint32_t>(at), header.tombstone,
                          kv.lease != LeaseId()});
      continue;
    }
    ++garbage;
    checked->garbage += static_cast<uint32_t>(kHeaderBytes + header.size);
  }
  if (garbage != dropped.size()) return Malformed("garbage that is no record");
  checked->last = last.main;
  return absl::OkStatus();
}

}  // namespace quorate::mvcc
