// The state of a member at one applied index: what checkpoints hold and snapshots carry.
//
// An image has two parts. In the sections each component of the state machine writes what it has,
// tagged, with its length and a checksum. A component that may have much writes several, one going
// on where the last one ended, so that none takes long. The segments are the revision log:
// records as they stand in memory, shared and never copied. A segment's bytes do not
// change, so taking an image pins them and stops nobody.
//
//   SectionWriter out;
//   membership.Encode(out.Begin(Section::kMembership));
//   ...
//   image.sections = std::move(out).Finish();
//
//   SectionReader in(image.sections);
//   while (in.Next()) { switch (in.tag()) ... in.body() ... }
//   RETURN_IF_ERROR(in.status());
//
// docs/FORMATS.md has the bytes.
#ifndef QUORATE_ENGINE_IMAGE_IMAGE_H_
#define QUORATE_ENGINE_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"

namespace quorate::engine {

// Raised when a member that knows only lower numbers could misread an image. 2: leases and auth
// may have several sections. Images of all lower numbers are read.
inline constexpr uint32_t kImageVersion = 2;

// About how many bytes a section has of a component that may have many.
inline constexpr size_t kSectionPartBytes = 16384;

// Numbers are part of the format: never reused. A component that has nothing to say
// still writes its section; one that is missing means the component's initial state.
enum class Section : uint32_t {
  kEnd = 0,
  kRaft = 1,        // index, term, configuration, chain (engine/replica)
  kStore = 2,       // revision and compact revision (engine/mvcc)
  kMembership = 3,  // members and cluster version (engine/membership)
  kLease = 4,       // leases, without their keys (engine/lease)
  kAuth = 5,        // users, roles and what they may do (engine/auth)
  kAlarm = 6,       // alarms that stand (engine/alarm)
  kSegment = 7,     // records without garbage; only where an image is one piece
};

// A piece of the revision log, closed.
struct LogSegment {
  // Names these bytes within one member's life: equal id and equal size, equal bytes. 0 in
  // an image that is nobody's.
  uint64_t id = 0;
  // Of the record that opened it; the revisions of records count from here.
  Revision first;
  Bytes records;
  // Offsets of records that compactions gave up, ascending, 32 bits each: a tombstone
  // that told may be cleaned away already, while older records of its key are not.
  Bytes garbage;

  friend bool operator==(const LogSegment&, const LogSegment&) = default;
};

// What loading a segment takes that needs nothing but the segment: whoever has a segment early, and
// other threads, can have it done beforehand. Used up by the loading.
class PreparedSegment {
 public:
  virtual ~PreparedSegment() = default;
  // On the thread that will load it, soon: copies what is kept till then. Allocators keep what each
  // thread has allocated apart, so that it would come back to no use.
  virtual void Settle() = 0;
};

struct StateImage {
  // The last applied entry. Also in the sections; here for those who keep images.
  LogIndex index;
  Term term;
  Bytes sections;
  std::vector<LogSegment> segments;  // in revision order, none empty
  // Of each of those, null where nobody did it; or nothing at all.
  std::vector<std::shared_ptr<PreparedSegment>> prepared;

  size_t bytes() const;
};

class SectionWriter {
 public:
  // With room for so many bytes before anything is copied.
  explicit SectionWriter(size_t reserve = 256);
  SectionWriter(const SectionWriter&) = delete;
  SectionWriter& operator=(const SectionWriter&) = delete;

  // Makes room for so many bytes more, while there is not much to be moved.
  void Reserve(size_t bytes);
  // What a section adds to its body.
  static constexpr size_t kHeaderBytes = 16;

  // The body of the section is what is appended to the builder until the next call.
  BytesBuilder* Begin(Section tag);
  Bytes Finish() &&;

 private:
  void Seal();

  BytesBuilder out_;
  size_t begin_ = 0;  // of the open section's header
  bool open_ = false;
};

// Walks sections. What does not fit its checksum, or ends too early, is DataLoss; a
// version that is not ours is FailedPrecondition.
class SectionReader {
 public:
  explicit SectionReader(Bytes sections);

  // False at the end and after an error.
  bool Next();
  Section tag() const { return tag_; }
  absl::string_view body() const { return body_; }
  // The same as a slice that keeps the buffer.
  Bytes body_bytes() const { return bytes_.SliceOf(body_); }
  const absl::Status& status() const { return status_; }

 private:
  bool Fail(absl::Status status);

  Bytes bytes_;
  absl::string_view rest_;
  Section tag_ = Section::kEnd;
  absl::string_view body_;
  absl::Status status_;
};

// The body of one section, read field by field: fixed-width little-endian integers and
// strings with their length. A read past the end gives zeros and makes ok() false.
class FieldReader {
 public:
  explicit FieldReader(absl::string_view body) : rest_(body) {}

  uint64_t U64();
  uint32_t U32();
  bool Bool() { return U32() != 0; }
  absl::string_view String();
  // A count of things that take at least `min_bytes` each: never more than can be there.
  uint64_t Count(size_t min_bytes);
  // Everything was there and everything was read.
  bool complete() const { return ok_ && rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

void PutU64(BytesBuilder* out, uint64_t v);
void PutU32(BytesBuilder* out, uint32_t v);
void PutString(BytesBuilder* out, absl::string_view v);

// An image without garbage in one piece, segments as sections: for comparing and for
// tests. Decoding leaves index and term to whoever understands the sections.
Bytes EncodeImage(const StateImage& image);
absl::StatusOr<StateImage> DecodeImage(const Bytes& bytes);

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_IMAGE_IMAGE_H_
