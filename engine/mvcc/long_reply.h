// An encoded message of any size that is handed out piece by piece.
//
// What a Reply (engine/mvcc/reply.h) has gathered: bytes of its own, and records that it only
// refers to, eight bytes each. The size is known from the beginning; a record is copied when its
// piece is asked for. Meanwhile writes, compactions and cleaning go on as if nobody read: the
// answer stays what it was when it was made, unless it is revoked (engine/mvcc/segment_pins.h).
//
//   Answer answer = ...;
//   if (answer.is_long()) {
//     LongReply::Reader reader(answer.long_reply());
//     while (reader.left() > 0) Send(*reader.Next());
//   }
#ifndef QUORATE_ENGINE_MVCC_LONG_REPLY_H_
#define QUORATE_ENGINE_MVCC_LONG_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "engine/mvcc/paged.h"
#include "engine/mvcc/segment_pins.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// What of a record a reply has.
enum class RecordForm : uint8_t { kWhole, kWithoutValue, kWithoutValueButLease };

// Appends a record as field 2, RangeResponse.kvs.
void AppendRecord(absl::string_view record, RecordForm form, BytesBuilder* out);
// How many bytes that adds.
size_t AppendedBytes(absl::string_view record, RecordForm form);

class LongReply {
 public:
  // Of records that are copied into one piece, at most, unless one alone has more. Room of that
  // size the allocator takes from the system and gives back there (io/uv/allocator.h), and of that
  // room only what is written to is in memory.
  static constexpr size_t kPieceBytes = 256 * limits::kKiB - 64;

  LongReply() = default;
  LongReply(const LongReply&) = delete;
  LongReply& operator=(const LongReply&) = delete;

  uint64_t size() const { return size_; }
  // Whether it refers to records: else all of it is in memory of its own.
  bool refers() const { return !records_.empty(); }
  // What it takes in memory besides the store's own.
  uint64_t held_bytes() const;
  bool revoked() const { return pins_.has_value() && pins_->revoked(); }

  // Goes over it once, from the beginning. Only what is being read can be revoked.
  class Reader {
   public:
    explicit Reader(std::shared_ptr<LongReply> reply);
    // Of the whole, and still to come.
    uint64_t size() const { return reply_->size_; }
    uint64_t left() const { return reply_->size_ - done_; }
    uint64_t held_bytes() const { return reply_->held_bytes(); }
    // The next ones, at least one while some are left; none if the reply was revoked.
    std::optional<Bytes> Next();

   private:
    Bytes Copied();

    std::shared_ptr<LongReply> reply_;
    uint64_t done_ = 0;
    size_t piece_ = 0;
    bool own_done_ = false;      // of that piece, what comes before the records
    uint64_t piece_record_ = 0;  // the next one of it
    size_t record_ = 0;          // the same of all records
    size_t patch_ = 0;
  };

 private:
  friend class Reply;

  // Bytes, and then so many records.
  struct Piece {
    Bytes own;
    uint64_t records = 0;
  };
  // `bytes` come in the place of `size` bytes at `at` of a piece's own.
  struct Patch {
    size_t piece = 0;
    size_t at = 0;
    size_t size = 0;
    std::string bytes;
  };

  // A piece's own bytes. `patch` is the first of its patches, and becomes the first behind them.
  Bytes Own(size_t piece, size_t* patch) const;
  // Gives memory back in pieces.
  bool Release(Work* work);

  uint64_t size_ = 0;
  uint64_t own_bytes_ = 0;
  std::vector<Piece> pieces_;
  std::vector<Patch> patches_;  // in order
  RecordForm form_ = RecordForm::kWhole;
  Paged<const char*> records_;  // where they begin, in segments that pins_ keeps
  std::optional<SegmentPins::Holder> pins_;
};

// An encoded message: in one buffer, or long.
class Answer {
 public:
  Answer() = default;
  Answer(Bytes bytes) : bytes_(std::move(bytes)) {}  // NOLINT: most answers are just that
  explicit Answer(std::shared_ptr<LongReply> reply) : long_(std::move(reply)) {}

  bool is_long() const { return long_ != nullptr; }
  const std::shared_ptr<LongReply>& long_reply() const { return long_; }
  uint64_t size() const { return is_long() ? long_->size() : bytes_.size(); }

  // In one buffer, which a long one is copied into. Not after somebody else began to read it.
  Bytes Joined() const;
  operator Bytes() const { return Joined(); }  // NOLINT: for those whose answers are short

 private:
  Bytes bytes_;
  std::shared_ptr<LongReply> long_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_LONG_REPLY_H_
