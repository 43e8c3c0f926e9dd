#include "engine/mvcc/long_reply.h"

#include "base/check.h"
#include "base/coding.h"
#include "base/wire.h"
#include "engine/mvcc/key_value.h"
#include "engine/mvcc/record.h"

namespace quorate::mvcc {
namespace {

constexpr uint32_t kKvs = 2;      // RangeResponse.kvs
constexpr uint32_t kKvLease = 6;  // KeyValue.lease

// Of giving back the memory of a piece, in units of work.
constexpr uint64_t kPieceCost = 20;

}  // namespace

void AppendRecord(absl::string_view record, RecordForm form, BytesBuilder* out) {
  if (form == RecordForm::kWhole) return AppendLen(out, kKvs, record);
  const size_t begin = BeginMessage(out, kKvs);
  out->Append(WithoutValueAndLease(record));
  if (form == RecordForm::kWithoutValueButLease) {
    AppendInt64(out, kKvLease, Decode(record).lease.value());
  }
  EndMessage(out, begin);
}

size_t AppendedBytes(absl::string_view record, RecordForm form) {
  size_t size = record.size();
  if (form != RecordForm::kWhole) size = WithoutValueAndLease(record).size();
  if (form == RecordForm::kWithoutValueButLease) {
    const auto lease = static_cast<uint64_t>(Decode(record).lease.value());
    if (lease != 0) size += 1 + VarintSize(lease);
  }
  return 1 + VarintSize(size) + size;
}

uint64_t LongReply::held_bytes() const {
  const size_t list = pins_.has_value() ? pins_->list_bytes() : 0;
  return own_bytes_ + records_.size() * sizeof(const char*) + list;
}

Bytes LongReply::Own(size_t piece, size_t* patch) const {
  const Bytes& own = pieces_[piece].own;
  if (*patch == patches_.size() || patches_[*patch].piece != piece) return own;
  BytesBuilder out(own.size() + 64);
  size_t done = 0;
  for (; *patch < patches_.size() && patches_[*patch].piece == piece; ++*patch) {
    const Patch& p = patches_[*patch];
    out.Append(own.view().substr(done, p.at - done));
    out.Append(p.bytes);
    done = p.at + p.size;
  }
  out.Append(own.view().substr(done));
  return std::move(out).Finish();
}

bool LongReply::Release(Work* work) {
  for (; !pieces_.empty(); pieces_.pop_back()) {
    if (work->spent()) return false;
    work->Spend(kPieceCost);
  }
  return records_.Release(work);
}

LongReply::Reader::Reader(std::shared_ptr<LongReply> reply) : reply_(std::move(reply)) {
  if (reply_->pins_.has_value()) reply_->pins_->Begin();
}

std::optional<Bytes> LongReply::Reader::Next() {
  if (reply_->revoked()) return std::nullopt;
  while (piece_ < reply_->pieces_.size()) {
    Bytes bytes;
    if (!std::exchange(own_done_, true)) {
      bytes = reply_->Own(piece_, &patch_);
    } else if (piece_record_ < reply_->pieces_[piece_].records) {
      bytes = Copied();
    } else {
      ++piece_;
      piece_record_ = 0;
      own_done_ = false;
    }
    done_ += bytes.size();
    if (!bytes.empty()) return bytes;
  }
  CHECK_EQ(left(), uint64_t{0});
  return Bytes();
}

// The next records of this piece.
Bytes LongReply::Reader::Copied() {
  const uint64_t end = reply_->pieces_[piece_].records;
  const RecordForm form = reply_->form_;
  uint64_t records = 0;
  size_t size = 0;
  for (; piece_record_ + records < end; ++records) {
    const size_t more = AppendedBytes(RecordAt(reply_->records_[record_ + records]), form);
    if (records > 0 && size + more > kPieceBytes) break;
    size += more;
  }
  BytesBuilder out(size < kPieceBytes / 8 ? size : std::max(size, kPieceBytes));
  for (piece_record_ += records; records > 0; --records) {
    AppendRecord(RecordAt(reply_->records_[record_++]), form, &out);
  }
  return std::move(out).Finish();
}

Bytes Answer::Joined() const {
  if (!is_long()) return bytes_;
  BytesBuilder out(long_->size());
  for (LongReply::Reader reader(long_); reader.left() > 0;) {
    const std::optional<Bytes> piece = reader.Next();
    CHECK(piece.has_value());
    out.Append(*piece);
  }
  return std::move(out).Finish();
}

}  // namespace quorate::mvcc
