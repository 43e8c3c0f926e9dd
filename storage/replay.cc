#include "storage/replay.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::storage {
namespace {

size_t PayloadEnd(const ScannedSegment& segment, size_t write) {
  return write + 1 < segment.writes.size() ? segment.writes[write + 1].payload_begin
                                           : segment.payload.size();
}

}  // namespace

absl::Status Replay::AddClosed(const ScannedSegment& segment, SectorIndex* sector) {
  for (size_t i = 0; i < segment.writes.size(); ++i) {
    const size_t begin = segment.writes[i].payload_begin;
    const size_t end = PayloadEnd(segment, i);
    *sector = segment.writes[i].first_sector;
    ASSIGN_OR_RETURN(const size_t whole, AddWrite(segment.payload, begin, end));
    if (whole != end - begin) return absl::DataLossError("a write ends within a unit");
  }
  return absl::OkStatus();
}

absl::StatusOr<Replay::LastWrite> Replay::AddLast(const ScannedSegment& segment,
                                                  SectorIndex* sector) {
  LastWrite last;
  last.before = position_;
  for (size_t i = 0; i < segment.writes.size(); ++i) {
    const size_t begin = segment.writes[i].payload_begin;
    const size_t end = PayloadEnd(segment, i);
    *sector = segment.writes[i].first_sector;
    last.before = position_;
    last.first_sector = *sector;
    ASSIGN_OR_RETURN(const size_t whole, AddWrite(segment.payload, begin, end));
    last.units = segment.payload.Slice(begin, whole);
    last.cut_bytes = end - begin - whole;
    const bool may_be_torn = i + 1 == segment.writes.size() && !segment.complete;
    if (last.cut_bytes > 0 && !may_be_torn) {
      return absl::DataLossError("a write ends within a unit");
    }
  }
  return last;
}

void Replay::Forget(LogIndex index) {
  index = std::min(index, base_ + entries_.size());
  if (index <= base_) return;
  const uint64_t count = index - base_;
  base_ = index;
  base_term_ = entries_[count - 1].term;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(count));
}

absl::StatusOr<size_t> Replay::AddWrite(const Bytes& payload, size_t begin, size_t end) {
  absl::string_view rest = payload.view().substr(begin, end - begin);
  uint32_t chain = position_.chain;
  size_t whole = 0;
  unit_ = {{}, position_.hard_state, position_.last_index, position_.last_term};
  while (!rest.empty()) {
    Record record;
    const ParseResult result = ParseRecord(&rest, &chain, &record);
    if (result == ParseResult::kIncomplete) break;
    if (result == ParseResult::kDamaged) {
      return absl::DataLossError(
          absl::StrCat("the record ", end - begin - rest.size(),
                       " payload bytes into this write does not fit its check"));
    }
    RETURN_IF_ERROR(AddRecord(record, payload));
    if (record.end_of_unit) {
      FinishUnit(chain);
      whole = end - begin - rest.size();
    }
  }
  return whole;
}

absl::Status Replay::AddRecord(const Record& record, const Bytes& payload) {
  if (record.type == RecordType::kHardState) {
    if (!ParseHardState(record.body, &unit_.hard_state)) {
      return absl::DataLossError("a hard state has the wrong length");
    }
    return absl::OkStatus();
  }
  CHECK(record.type == RecordType::kEntry);
  raft::Entry entry;
  if (!ParseEntry(record, payload, &entry)) return absl::DataLossError("an entry is too short");
  if (entry.index == LogIndex(0) || entry.index > unit_.last_index + 1) {
    return absl::DataLossError(
        absl::StrCat("entry ", entry.index.value(), " follows entry ", unit_.last_index.value()));
  }
  unit_.last_index = entry.index;
  unit_.last_term = entry.term;
  unit_.entries.push_back(std::move(entry));
  return absl::OkStatus();
}

void Replay::FinishUnit(uint32_t chain) {
  for (raft::Entry& entry : unit_.entries) {
    // Replaces the tail from its index on.
    if (entry.index <= base_) {
      // With what the cut took, too: the log that is known begins behind this entry.
      base_ = entry.index;
      base_term_ = entry.term;
      entries_.clear();
      continue;
    }
    entries_.resize(entry.index - base_ - 1);
    entries_.push_back(std::move(entry));
  }
  unit_.entries.clear();
  position_ = {chain, unit_.hard_state, unit_.last_index, unit_.last_term};
}

}  // namespace quorate::storage
