#include "storage/wal.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "storage/wal_impl.h"

namespace quorate::storage {
namespace {

// A buffer above this size is not kept: one huge entry must not cost memory for ever.
constexpr size_t kKeptBufferBytes = 2 * limits::kMiB;
// A sync of so much takes hardly longer than one of a single sector: waiting for more, even for
// what the answers to the write before will bring at once, gains nothing.
constexpr size_t kWorthAWriteBytes = 64 * limits::kKiB;
// Unless all answers, and what is appended upon them, take less than half as long as that sync did,
// at about so much for each: then it is better that all that is in flight shares one.
constexpr Duration kAnswerTime = Nanoseconds(400);
constexpr int64_t kAnswersInSync = 2;
// Between attempts to make the next segment on a full disk.
constexpr Duration kSpaceRetryInterval = Seconds(1);

size_t PayloadBytes(std::span<const raft::Entry> entries, bool with_hard_state) {
  size_t bytes = with_hard_state ? kHardStateRecordBytes : 0;
  for (const raft::Entry& entry : entries) bytes += EntryRecordBytes(entry);
  return bytes;
}

SectorIndex SectorsFor(size_t payload) {
  return static_cast<SectorIndex>((payload + kSectorPayloadBytes - 1) / kSectorPayloadBytes);
}

}  // namespace

std::unique_ptr<Wal> MakeWal(WalStart start) {
  return std::unique_ptr<Wal>(new Wal(std::make_unique<Wal::Impl>(std::move(start))));
}

Wal::Wal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Wal::~Wal() = default;

void Wal::Append(std::span<const raft::Entry> entries, const raft::HardState* hard_state,
                 bool must_sync, Callback done) {
  impl_->Append(entries, hard_state, must_sync, std::move(done));
}
void Wal::Cut(LogIndex index) { impl_->Cut(index); }
void Wal::BeginAnew(LogIndex index, Term term) { impl_->BeginAnew(index, term); }
std::vector<ColdSegment> Wal::ColdSegments() const { return impl_->ColdSegments(); }
bool Wal::HoldsCold(SegmentNumber segment) const { return impl_->HoldsCold(segment); }
std::optional<ColdSegment> Wal::OpenSegment() const { return impl_->OpenSegment(); }
std::optional<LogIndex> Wal::LastIndexOf(SegmentNumber segment) const {
  return impl_->LastIndexOf(segment);
}
void Wal::GiveUp(SegmentNumber segment) { impl_->GiveUp(segment); }
const absl::Status& Wal::status() const { return impl_->status(); }
size_t Wal::unsynced_bytes() const { return impl_->unsynced_bytes(); }
Instant Wal::write_in_flight_since() const { return impl_->write_in_flight_since(); }
bool Wal::waits_for_space() const { return impl_->waits_for_space(); }
const WalStats& Wal::stats() const { return impl_->stats(); }
void Wal::SetSyncObserver(std::function<void(Duration)> observer) {
  impl_->SetSyncObserver(std::move(observer));
}

Wal::Impl::Impl(WalStart start)
    : loop_(start.loop),
      disk_(start.disk),
      cluster_id_(start.cluster_id),
      member_id_(start.member_id),
      segment_sectors_(static_cast<SectorIndex>(start.segment_bytes / io::kSectorBytes)),
      max_write_bytes_(start.max_write_bytes),
      preparer_(start.disk, start.log_dir),
      place_{start.segment.segment, start.next_sector, start.segment.sectors, start.position},
      lazy_hard_state_(start.unlogged),
      current_(std::move(start.segment)),
      space_timer_(start.loop->NewTimer([this] {
        if (waits_for_space() && status_.ok()) PrepareNext(next_bytes_);
      })) {
  for (SpareFile& spare : start.spares) preparer_.AddSpare(std::move(spare));
  for (ClosedSegment& closed : start.closed) closed_.push_back(std::move(closed));
  PrepareNext();
}

void Wal::Impl::Append(std::span<const raft::Entry> entries, const raft::HardState* hard_state,
                       bool must_sync, Callback done) {
  ++stats_.units;
  if (!status_.ok()) return AnswerLater(std::move(done), status_);
  const bool needs_write = !entries.empty() || (must_sync && hard_state != nullptr);
  if (!needs_write) {
    if (hard_state != nullptr) {
      const raft::HardState& last =
          lazy_hard_state_.has_value() ? *lazy_hard_state_ : place_.log.hard_state;
      CHECK_EQ(hard_state->term, last.term);
      CHECK_EQ(hard_state->vote, last.vote);
      lazy_hard_state_ = *hard_state;
    }
    if (writes_.empty()) return AnswerLater(std::move(done), absl::OkStatus());
    writes_.back().done.push_back(std::move(done));
    return;
  }
  std::optional<raft::HardState> state = std::exchange(lazy_hard_state_, std::nullopt);
  if (hard_state != nullptr) state = *hard_state;
  const size_t payload = PayloadBytes(entries, state.has_value());
  Write& write = WriteFor(payload);
  write.payload_bytes += payload;
  unsynced_bytes_ += payload;
  EncodeUnit(&write, entries, state);
  write.done.push_back(std::move(done));
  ScheduleStart();
}

// The open write if one more unit of this size has a place in it, else a new one.
Wal::Impl::Write& Wal::Impl::WriteFor(size_t payload) {
  if (FitsOpenWrite(payload)) {
    writes_.back().encoder.Reserve(payload);
    return writes_.back();
  }
  SealOpenWrite();
  // A unit that is too large for any segment gets one of its own, made for it (EnterSegment).
  const bool fits = place_.next_sector + uint64_t{SectorsFor(payload)} <= place_.sectors;
  Write& write = OpenWrite(begin_anew_ || leave_ || !fits);
  write.encoder.Reserve(payload);
  return write;
}

bool Wal::Impl::FitsOpenWrite(size_t payload) const {
  if (writes_.empty() || !writes_.back().encoder.active()) return false;
  const uint64_t sectors = writes_.back().encoder.SectorsWith(payload);
  return place_.next_sector + sectors <= place_.sectors &&
         sectors * io::kSectorBytes <= max_write_bytes_;
}

Wal::Impl::Write& Wal::Impl::OpenWrite(bool in_next_segment) {
  Write& write = writes_.emplace_back();
  write.done = std::move(spare_done_);
  write.out.emplace(std::exchange(spare_buffer_, Bytes()), 16 * limits::kKiB);
  if (in_next_segment) {
    leave_ = false;
    write.begins = SegmentHeader{.cluster_id = cluster_id_,
                                 .member_id = member_id_,
                                 .previous = place_.segment,
                                 .previous_end = place_.next_sector,
                                 .start = place_.log};
    if (std::exchange(begin_anew_, false)) write.begins->previous = write.begins->previous_end = 0;
    write.out->Grow(io::kSectorBytes);
    ++place_.segment;
    place_.next_sector = 1;
    place_.sectors = segment_sectors_;
  }
  write.segment = place_.segment;
  write.first_sector = place_.next_sector;
  write.encoder.Begin(&*write.out, write.segment, write.first_sector);
  return write;
}

void Wal::Impl::SealOpenWrite() {
  if (writes_.empty() || !writes_.back().encoder.active()) return;
  place_.next_sector = writes_.back().encoder.Finish();
}

void Wal::Impl::EncodeUnit(Write* write, std::span<const raft::Entry> entries,
                           const std::optional<raft::HardState>& hard_state) {
  LogPosition& log = place_.log;
  if (hard_state.has_value()) {
    write->encoder.AddHardState(*hard_state, /*end_of_unit=*/entries.empty(), &log.chain);
    log.hard_state = *hard_state;
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    const raft::Entry& entry = entries[i];
    CHECK(entry.index > LogIndex(0));
    CHECK(entry.index <= log.last_index + 1);
    if (i > 0) CHECK_EQ(entry.index, log.last_index + 1);
    write->encoder.AddEntry(entry, /*end_of_unit=*/i + 1 == entries.size(), &log.chain);
    log.last_index = entry.index;
    log.last_term = entry.term;
  }
  stats_.entries += entries.size();
}

void Wal::Impl::AnswerLater(Callback done, absl::Status status) {
  answers_.push_back({std::move(done), std::move(status)});
  if (std::exchange(answers_scheduled_, true)) return;
  loop_->Defer(lifetime_.Guard([this] { RunAnswers(); }));
}

void Wal::Impl::RunAnswers() {
  answers_scheduled_ = false;
  std::vector<Answer> answers = std::exchange(answers_, {});
  for (Answer& answer : answers) answer.done(answer.status);
}

void Wal::Impl::ScheduleStart() {
  if (writing_ || std::exchange(start_scheduled_, true)) return;
  loop_->Defer(lifetime_.Guard([this] {
    start_scheduled_ = false;
    StartWrite();
  }));
}

void Wal::Impl::StartWrite() {
  if (writing_ || writes_.empty()) return;
  Write& write = writes_.front();
  if (oldest_since_ == Instant::Infinite()) oldest_since_ = loop_->Now();
  if (write.segment != current_.segment && !EnterSegment(&write)) return;
  if (write.encoder.active()) SealOpenWrite();
  writing_ = true;
  const SectorIndex first = write.begins.has_value() ? 0 : write.first_sector;
  in_flight_ = std::move(*write.out).Finish();
  current_.file->WriteAndSync(uint64_t{first} * io::kSectorBytes, {in_flight_},
                              [this](absl::Status status) { OnWritten(status); });
}

// Goes on to the file that was prepared for this write. False if it is not ready yet,
// or never will be.
bool Wal::Impl::EnterSegment(Write* write) {
  if (!next_.has_value()) return false;
  if (waits_for_space()) return false;
  if (!next_->ok()) {
    const absl::Status why = next_->status();
    Fail(why);
    return false;
  }
  // No write grows its file: on a disk without space that would fail, and a failed write is final.
  if (write->encoder.active()) SealOpenWrite();
  const uint64_t bytes = write->out->size();
  if (bytes > uint64_t{(*next_)->sectors} * io::kSectorBytes) {
    PrepareNext(bytes);
    return false;
  }
  leaving_ = {current_.file->path(), uint64_t{current_.sectors} * io::kSectorBytes};
  current_ = *std::move(*next_);
  CHECK_EQ(current_.segment, write->segment);
  write->begins->prepared_sectors = current_.sectors;
  EncodeSegmentHeader(write->segment, *write->begins, write->out->data());
  ++stats_.segments;
  PrepareNext();
  return true;
}

void Wal::Impl::OnWritten(const absl::Status& status) {
  writing_ = false;
  if (!status.ok()) return Fail(status);
  const Duration took = loop_->Now() - oldest_since_;
  ++stats_.writes;
  stats_.bytes_written += in_flight_.size();
  unsynced_bytes_ -= writes_.front().payload_bytes;
  if (writes_.front().begins.has_value()) CloseBefore(*writes_.front().begins);
  std::vector<Callback> done = std::move(writes_.front().done);
  writes_.pop_front();
  if (in_flight_.size() <= kKeptBufferBytes) spare_buffer_ = std::move(in_flight_);
  in_flight_ = Bytes();
  oldest_since_ = Instant::Infinite();
  const auto answers = static_cast<int64_t>(done.size());
  const bool answer_first = kAnswerTime * (answers * kAnswersInSync) < took;
  if (!answer_first) StartIfWorthIt();
  if (sync_observer_) sync_observer_(took);
  // Who gets an answer may append at once: that goes along with a write that is yet to start.
  for (Callback& callback : done) {
    callback(absl::OkStatus());
    if (!answer_first) StartIfWorthIt();
  }
  StartWrite();
  done.clear();
  spare_done_ = std::move(done);
}

void Wal::Impl::StartIfWorthIt() {
  if (!writing_ && unsynced_bytes_ >= kWorthAWriteBytes) StartWrite();
}

// The one that begins current_: the segment before it is being left. Null if there is none.
const SegmentHeader* Wal::Impl::HeaderInFlight() const {
  return writing_ && writes_.front().begins.has_value() ? &*writes_.front().begins : nullptr;
}

// The header that follows a segment is durable: from now on that one may be cut.
void Wal::Impl::CloseBefore(const SegmentHeader& next) {
  const bool damaged = damaged_open_ == current_.segment - 1;
  if (damaged) damaged_open_.reset();
  closed_.push_back({std::move(leaving_), next.start.last_index, next.previous,
                     uint64_t{next.previous_end} * io::kSectorBytes, damaged});
  if (next.previous != 0) return;
  for (ClosedSegment& closed : closed_) {  // no longer the log
    closed.last_index = LogIndex(0);
    closed.log_bytes = 0;
  }
}

std::vector<ColdSegment> Wal::Impl::ColdSegments() const {
  std::vector<ColdSegment> cold;
  for (const ClosedSegment& closed : closed_) {
    if (closed.log_bytes == 0) continue;
    cold.push_back({closed.segment, closed.file.path, closed.log_bytes, closed.last_index});
  }
  return cold;
}

// Behind it lies what is in flight, or waits to be written.
std::optional<ColdSegment> Wal::Impl::OpenSegment() const {
  // It may have failed upon its header, and what waited to be written is forgotten.
  if (!status_.ok()) return std::nullopt;
  SectorIndex end = place_.next_sector;
  if (!writes_.empty()) {
    const Write& write = writes_.front();
    if (write.segment == current_.segment) {
      if (write.begins.has_value()) return std::nullopt;
      end = write.first_sector;
    } else if (write.begins->previous != 0) {
      end = write.begins->previous_end;
    } else {
      return std::nullopt;  // soon no longer the log
    }
  }
  return ColdSegment{current_.segment, current_.file->path(), uint64_t{end} * io::kSectorBytes,
                     place_.log.last_index};
}

std::optional<LogIndex> Wal::Impl::LastIndexOf(SegmentNumber segment) const {
  const std::optional<ColdSegment> open = OpenSegment();
  if (open.has_value() && open->segment == segment) return open->last_index;
  const SegmentHeader* header = HeaderInFlight();
  if (header != nullptr && header->previous == segment) return header->start.last_index;
  for (const ClosedSegment& closed : closed_) {
    if (closed.segment == segment && closed.log_bytes > 0) return closed.last_index;
  }
  return std::nullopt;
}

bool Wal::Impl::HoldsCold(SegmentNumber segment) const {
  const SegmentHeader* header = HeaderInFlight();
  if (header != nullptr && header->previous == segment) return true;
  return std::any_of(closed_.begin(), closed_.end(), [segment](const ClosedSegment& closed) {
    return closed.segment == segment && closed.log_bytes > 0;
  });
}

void Wal::Impl::GiveUp(SegmentNumber segment) {
  for (ClosedSegment& closed : closed_) closed.damaged |= closed.segment == segment;
  // One that is being left is closed soon (CloseBefore).
  if (const SegmentHeader* header = HeaderInFlight(); header != nullptr) {
    if (header->previous == segment) damaged_open_ = segment;
  }
  if (segment != current_.segment || damaged_open_ == segment) return;
  damaged_open_ = segment;
  if (begin_anew_ || place_.segment != segment) return;  // it is about to be left
  SealOpenWrite();
  leave_ = true;
  const raft::HardState state = lazy_hard_state_.value_or(place_.log.hard_state);
  Append({}, &state, /*must_sync=*/true, [](const absl::Status&) {});
}

void Wal::Impl::Cut(LogIndex index) {
  const uint64_t segment_bytes = uint64_t{segment_sectors_} * io::kSectorBytes;
  while (!closed_.empty() && closed_.front().last_index <= index) {
    SpareFile file = std::move(closed_.front().file);
    const bool damaged = closed_.front().damaged;
    closed_.pop_front();
    ++stats_.segments_cut;
    if (!damaged && preparer_.spares() == 0 && WorthRecycling(file.bytes, segment_bytes)) {
      preparer_.AddSpare(std::move(file));
    } else {
      removals_.push_back(std::move(file.path));
    }
  }
  if (waits_for_space() && preparer_.spares() > 0 && status_.ok()) PrepareNext(next_bytes_);
  if (!removing_) RemoveNext();
}

// Failing costs only the space: the next start finds the segment and may cut it.
void Wal::Impl::RemoveNext() {
  removing_ = !removals_.empty();
  if (!removing_) return;
  const std::string path = std::move(removals_.back());
  removals_.pop_back();
  disk_->Remove(path, lifetime_.Guard([this](const absl::Status&) { RemoveNext(); }));
}

void Wal::Impl::BeginAnew(LogIndex index, Term term) {
  SealOpenWrite();
  begin_anew_ = true;
  place_.log.last_index = index;
  place_.log.last_term = term;
}

// Of a segment's usual size or of `at_least` bytes, whichever is more.
void Wal::Impl::PrepareNext(uint64_t at_least) {
  next_.reset();
  next_bytes_ = std::max(uint64_t{segment_sectors_} * io::kSectorBytes, at_least);
  preparer_.Prepare(
      current_.segment + 1, next_bytes_,
      [this](absl::StatusOr<PreparedSegment> prepared) { OnPrepared(std::move(prepared)); });
}

void Wal::Impl::OnPrepared(absl::StatusOr<PreparedSegment> prepared) {
  next_ = std::move(prepared);
  if (waits_for_space()) return space_timer_->Set(loop_->Now() + kSpaceRetryInterval);
  StartWrite();
}

void Wal::Impl::Fail(const absl::Status& status) {
  status_ = status;
  oldest_since_ = Instant::Infinite();
  std::deque<Write> writes = std::exchange(writes_, {});
  for (Write& write : writes) {
    for (Callback& done : write.done) AnswerLater(std::move(done), status_);
  }
}

}  // namespace quorate::storage
