// An encoded message that may grow to any size in bounded steps.
//
// One buffer that doubles would copy all of a long message at once, and so would the
// length in front of a long sub-message. A Reply seals its buffer from time to time and
// begins another; lengths that are known only when their buffer is sealed are noted and
// put in place when the pieces are read. A short message lives in one buffer and is never
// copied. Records of a long one need not be copied here at all: see ReferTo.
//
//   Reply reply;
//   const Reply::Mark op = reply.Begin(3);
//   for (...) { AppendLen(reply.out(), 2, record); reply.Roll(); }
//   reply.End(op);
//   Answer answer = reply.Finish();
#ifndef QUORATE_ENGINE_MVCC_REPLY_H_
#define QUORATE_ENGINE_MVCC_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "engine/mvcc/long_reply.h"
#include "engine/mvcc/segment_pins.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

class Reply {
 public:
  static constexpr size_t kPieceBytes = 224 * limits::kKiB;
  // What a piece has room for: what is appended between two calls of Roll() may go beyond it. So
  // large that the allocator takes it from the system and gives it back there (io/uv/allocator.h).
  static constexpr size_t kPieceRoom = 256 * limits::kKiB - 64;

  explicit Reply(size_t reserve = 512) : out_(std::in_place, reserve) {}
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  // Where to append; good until the next Roll.
  BytesBuilder* out() { return &*out_; }
  // To be called between fields.
  void Roll() {
    if (out_->size() >= kPieceBytes) Seal();
  }
  // Bytes so far, but for lengths that are to grow.
  uint64_t size() const { return sealed_bytes_ + out_->size(); }

  // A place in the message.
  struct Mark {
    size_t piece = 0;
    size_t at = 0;
    uint64_t before = 0;  // bytes of the message
  };
  Mark Here() const { return {pieces(), out_->size(), size()}; }

  // Once the message is as long as these pins say, records that are appended are not copied but
  // referred to. All of them have the same form.
  void ReferTo(std::shared_ptr<SegmentPins> pins) { pins_ = std::move(pins); }
  // Appends a record that lies in `segment` of the log, as RangeResponse.kvs.
  void AppendRecord(absl::string_view record, const Bytes& segment, RecordForm form, Work* work);

  // A sub-message; they nest.
  Mark Begin(uint32_t field);
  void End(const Mark& begin);
  // Puts other bytes in the place of `size` bytes that begin at `mark`, in one piece. Not
  // inside a sub-message.
  void Replace(const Mark& mark, size_t size, absl::string_view bytes);

  // The message. Nothing is appended any more.
  Answer Finish();
  // The same in one buffer, brought together in pieces: true once *bytes is it. Not with ReferTo.
  bool Finish(Work* work, Bytes* bytes);
  // It is given up: gives the pieces back; true once all of them are gone.
  bool Release(Work* work) { return long_ == nullptr || long_->Release(work); }

 private:
  size_t pieces() const { return long_ == nullptr ? 0 : long_->pieces_.size(); }
  void Seal();
  // Nothing is appended any more: the message is long_.
  void Complete();

  std::optional<BytesBuilder> out_;
  // What is sealed, once something is.
  std::shared_ptr<LongReply> long_;
  uint64_t sealed_bytes_ = 0;
  // What patches add to the messages that are open: their bytes count, too.
  uint64_t grown_ = 0;
  std::shared_ptr<SegmentPins> pins_;

  std::optional<BytesBuilder> joined_;
  size_t next_piece_ = 0;
  size_t next_patch_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_REPLY_H_
