// The second half of an opening: what was found becomes durable, and goes on in a new segment.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/opening.h"

namespace quorate::storage {
namespace {

// A member that holds a checkpoint knows what is committed up to there, and its term.
raft::HardState AtLeast(raft::HardState state, const engine::StateImage& image) {
  if (image.term > state.term) state = {image.term, MemberId(0), state.commit};
  state.commit = std::max(state.commit, image.index);
  return state;
}

}  // namespace

// The log goes on in a new segment. Behind the end of the old one there may be what a
// crash left of later sectors; nothing is ever written there, and the new header says
// where the old segment ends.
void Opening::PrepareSegment() {
  const uint64_t least = std::max(options_.first_segment_bytes, LeastSegmentBytes());
  const size_t behind = log_.chain.empty() ? 0 : log_.chain.back() + 1;
  for (size_t i = behind; i < log_.files.size(); ++i) {
    LogFile& file = log_.files[i];
    if (file.header_state == SectorState::kLive) continue;
    if (file.file->size() < least) continue;
    // Prepared before and never begun. A process that was killed may have given it this name
    // without a sync: renamed again at once, it could come back under the name before, too.
    preparer_.AddSpare({file.path, file.file->size()});
    file.file.reset();
    return disk_->SyncDir(paths_.log, Then(&Opening::PrepareFirstSegment));
  }
  PrepareFirstSegment();
}

void Opening::PrepareFirstSegment() {
  PrepareSegmentOf(std::max(options_.first_segment_bytes, LeastSegmentBytes()));
}

// What there is to repeat, and some room.
uint64_t Opening::LeastSegmentBytes() const {
  const uint64_t sectors = log_.last_write.units.size() / kSectorPayloadBytes + 2;
  return (sectors * io::kSectorBytes / kSegmentUnit + 2) * kSegmentUnit;
}

// On a full disk a segment of the least size does: the log waits for space in it.
void Opening::PrepareSegmentOf(uint64_t bytes) {
  const SegmentNumber number = log_.files.empty() ? 1 : log_.files.back().segment + 1;
  preparer_.Prepare(number, bytes, [this, bytes](absl::StatusOr<PreparedSegment> prepared) {
    const uint64_t least = LeastSegmentBytes();
    if (absl::IsResourceExhausted(prepared.status()) && bytes > least) {
      return PrepareSegmentOf(least);
    }
    if (!prepared.ok()) return Fail(prepared.status());
    segment_ = *std::move(prepared);
    RepeatLastWrite();
  });
}

// Each write but the last is known to have been synced: the one after it began only
// then. The sync of the last may have failed, with its pages still reading back though
// the disk does not have them, and a sync now would not tell. So its units are written
// again, and the old segment (or, if it held nothing else, the one before it) is said to
// end before them.
void Opening::RepeatLastWrite() {
  header_ = {.cluster_id = options_.cluster_id,
             .member_id = options_.member_id,
             .prepared_sectors = segment_.sectors};
  if (begin_anew_) {
    BeginAnew();
    return WriteHeader();
  }
  if (!log_.chain.empty()) {
    LogFile& last = log_.files[log_.chain.back()];
    header_.start = log_.last_write.before;
    if (log_.last_write.first_sector > 1) {
      header_.previous = last.segment;
      header_.previous_end = log_.last_write.first_sector;
    } else {
      header_.previous = last.header.previous;
      header_.previous_end = last.header.previous_end;
      last.in_log = false;
      log_.chain.pop_back();
    }
  }
  const Bytes& units = log_.last_write.units;
  if (units.empty()) return WriteHeader();
  BytesBuilder out(units.size() + units.size() / 16 + io::kSectorBytes);
  WriteEncoder encoder;
  encoder.Begin(&out, segment_.segment, 1);
  encoder.AddRaw(units);
  next_sector_ = encoder.Finish();
  segment_.file->WriteAndSync(io::kSectorBytes, {std::move(out).Finish()},
                              Then(&Opening::WriteHeader));
}

// The new segment has none before it: it says itself where the log stands.
void Opening::BeginAnew() {
  for (const size_t i : log_.chain) log_.files[i].in_log = false;
  log_.chain.clear();
  log_.entries.clear();
  LogPosition& position = log_.position;
  position.last_index = checkpoint_.image.index;
  position.last_term = checkpoint_.image.term;
  position.hard_state = AtLeast(position.hard_state, checkpoint_.image);
  header_.start = position;
  log_.base = position.last_index;
  log_.base_term = position.last_term;
}

// Only now: from its header on, the new segment stands for the old write.
void Opening::WriteHeader() {
  BytesBuilder out(io::kSectorBytes);
  EncodeSegmentHeader(segment_.segment, header_, out.Grow(io::kSectorBytes));
  segment_.file->WriteAndSync(0, {std::move(out).Finish()}, Then(&Opening::SyncSegments));
}

// What was read is durable if the log wrote it, but perhaps not if somebody copied the
// directory here.
void Opening::SyncSegments() {
  next_ = 0;
  if (log_.chain.empty()) return SetDamagedAside();
  unsynced_ = log_.chain.size();
  for (const size_t index : log_.chain) {
    log_.files[index].file->Sync(lifetime_.Guard([this](absl::Status status) {
      if (unsynced_ == 0) return;  // one of them has failed
      if (!status.ok()) {
        unsynced_ = 0;
        return Fail(std::move(status));
      }
      if (--unsynced_ == 0) SetDamagedAside();
    }));
  }
}

// Somebody may want to know what became of the disk, or have use for what is in it after all.
void Opening::SetDamagedAside() {
  while (next_ < log_.files.size()) {
    LogFile& file = log_.files[next_++];
    if (file.set_aside.ok()) continue;
    file.file.reset();
    // Failing costs nothing: the next start finds it, and has no use for it, either.
    return disk_->Rename(file.path, file.path + ".damaged",
                         lifetime_.Guard([this](const absl::Status&) { SetDamagedAside(); }));
  }
  next_ = 0;
  SyncDirectories();
}

void Opening::SyncDirectories() {
  if (next_ == sync_directories_.size()) return WriteIdentity();
  const std::string& directory = sync_directories_[next_++];
  disk_->SyncDir(directory, lifetime_.Guard([this](absl::Status status) {
    // One above that may not be read is somebody else's, and was not made here.
    const bool foreign = next_ > kOwnDirectories && absl::IsPermissionDenied(status);
    if (!status.ok() && !foreign) return Fail(std::move(status));
    SyncDirectories();
  }));
}

// A damaged one is replaced only now that all else has been found to be the member's.
void Opening::WriteIdentity() {
  if (!creating_ && meta_damage_.ok()) return RemoveMark();
  if (!creating_) {
    log_.notes.push_back({absl::StrCat(DamageText(meta_damage_), ". The log says whose directory ",
                                       "it is: the file was written anew. The disk may be failing"),
                          paths_.meta, 0, 0});
  }
  meta_.Write(identity(), Then(&Opening::RemoveMark));
}

void Opening::RemoveMark() {
  if (!options_.repair.has_value()) return SortLeftovers();
  disk_->Remove(paths_.recovering, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok()) return Fail(std::move(status));
    disk_->SyncDir(paths_.member, Then(&Opening::SortLeftovers));
  }));
}

void Opening::SortLeftovers() {
  for (LogFile& file : log_.files) {
    if (options_.repair.has_value()) {  // where the disk has failed nothing is written again
      file.file.reset();
      surplus_.push_back(file.path);
      continue;
    }
    if (file.in_log || file.file == nullptr) continue;
    const SpareFile spare = {file.path, file.file->size()};
    if (spares_.empty() && WorthRecycling(spare.bytes, options_.segment_bytes)) {
      spares_.push_back(spare);
    } else {
      surplus_.push_back(spare.path);
    }
    file.file.reset();
  }
  // The one before the new segment may be cut, and is then not here.
  if (!log_.chain.empty()) log_.files[log_.chain.back()].end = header_.previous_end;
  next_ = 0;
  TruncateNext();
}

// A segment that ended early, at a restart, keeps no space for what will never come. One
// that is mostly full stays whole, to be recycled.
void Opening::TruncateNext() {
  while (next_ < log_.chain.size()) {
    LogFile& closed = log_.files[log_.chain[next_++]];
    const uint64_t end = uint64_t{closed.end} * io::kSectorBytes;
    if (end >= closed.file->size() / 2) continue;
    // Failing costs only the space.
    closed.file->Truncate(end, [this](const absl::Status&) { TruncateNext(); });
    return;
  }
  RemoveNext();
}

void Opening::RemoveNext() {
  if (surplus_.empty()) return Succeed();
  const std::string path = std::move(surplus_.back());
  surplus_.pop_back();
  disk_->Remove(path, lifetime_.Guard([this](const absl::Status&) { RemoveNext(); }));
}

std::vector<ClosedSegment> Opening::ClosedSegments() const {
  std::vector<ClosedSegment> closed;
  for (size_t i = 0; i < log_.chain.size(); ++i) {
    const LogFile& file = log_.files[log_.chain[i]];
    const bool last = i + 1 == log_.chain.size();
    const SegmentHeader& next = last ? header_ : log_.files[log_.chain[i + 1]].header;
    closed.push_back({{file.path, file.file->size()},
                      next.start.last_index,
                      file.segment,
                      uint64_t{file.end} * io::kSectorBytes});
  }
  return closed;
}

void Opening::Succeed() {
  OpenedStorage opened;
  opened.state.hard_state = log_.position.hard_state;
  std::optional<raft::HardState> unlogged;
  if (checkpoint_.image.index > LogIndex(0)) {
    opened.state.hard_state = AtLeast(opened.state.hard_state, checkpoint_.image);
    if (opened.state.hard_state != log_.position.hard_state) unlogged = opened.state.hard_state;
    opened.state.checkpoint = std::move(checkpoint_.image);
  }
  opened.state.base = log_.base;
  opened.state.base_term = log_.base_term;
  opened.state.entries = std::move(log_.entries);
  opened.state.notes = std::move(log_.notes);
  opened.state.existed = !creating_;
  opened.lock = std::move(lock_);
  opened.wal = MakeWal({.loop = loop_,
                        .disk = disk_,
                        .log_dir = paths_.log,
                        .cluster_id = options_.cluster_id,
                        .member_id = options_.member_id,
                        .segment_bytes = options_.segment_bytes,
                        .max_write_bytes = options_.max_write_bytes,
                        .segment = std::move(segment_),
                        .next_sector = next_sector_,
                        .position = log_.position,
                        .unlogged = unlogged,
                        .spares = std::move(spares_),
                        .closed = ClosedSegments()});
  opened.checkpoints = std::move(checkpoints_);
  Finish(std::move(opened));
}

}  // namespace quorate::storage
