// What long answers still read of the revision log, and what that costs.
//
// A long answer refers to records where they lie (engine/mvcc/long_reply.h) and keeps their
// segments by this list of pins. As long as the log has a segment too, a pin costs nothing. Once
// cleaning has replaced it, the answers alone hold its bytes: these are counted, and bounded. When
// there are too many, the oldest answers are revoked: their pins go at once, and their readers
// learn that there is no more. So a client that reads slowly costs the more the longer it reads,
// and never more than the bound, whatever is written and compacted meanwhile. What the last answer
// lets go of is given back in pieces (Release), and is memory beyond the bound until then.
#ifndef QUORATE_ENGINE_MVCC_SEGMENT_PINS_H_
#define QUORATE_ENGINE_MVCC_SEGMENT_PINS_H_

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

class SegmentPins {
 public:
  // Bytes of segments that the log no longer has.
  static constexpr uint64_t kMaxDeadBytes = 256 * limits::kMiB;
  // Of an answer are copied: a record may pin a segment a thousand times as large.
  static constexpr uint64_t kCopiedBytes = limits::kMiB;

  // The pins of one answer.
  class Holder {
   public:
    explicit Holder(std::shared_ptr<SegmentPins> pins) : pins_(std::move(pins)) {}
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder();

    // Keeps a segment that the log has, if it is not kept already.
    void Pin(const Bytes& segment);
    // No more of them come.
    void Complete() { seen_ = {}; }
    // Somebody begins to read, who may be too slow: from now on it can be revoked, after those who
    // began before.
    void Begin();
    // Whether the bytes are gone.
    bool revoked() const { return revoked_; }
    // Of memory that this list itself takes.
    size_t list_bytes() const { return pinned_.capacity() * sizeof(const char*); }

   private:
    friend class SegmentPins;
    // True if the log had given up one of them.
    bool Unpin();

    const std::shared_ptr<SegmentPins> pins_;
    std::optional<std::list<Holder*>::iterator> place_;  // once it can be revoked
    bool revoked_ = false;
    std::vector<const char*> pinned_;        // by where the segments' bytes begin
    absl::flat_hash_set<const char*> seen_;  // the same until Complete; lookup only
  };

  SegmentPins() = default;
  SegmentPins(const SegmentPins&) = delete;
  SegmentPins& operator=(const SegmentPins&) = delete;

  // The log gives a segment up.
  void Drop(const Bytes& segment);

  // Whether any answer keeps segments. When it ends nobody is told.
  bool holding() const { return !pinned_.empty(); }
  // Whether there is memory to be given back, and a piece of doing so: true once all of it is.
  bool releasing() const { return !unpinned_.empty(); }
  bool Release(Work* work);

  // Other bounds than those above.
  void SetBounds(uint64_t copied_bytes, uint64_t max_dead_bytes) {
    copied_bytes_ = copied_bytes;
    max_dead_bytes_ = max_dead_bytes;
  }
  uint64_t copied_bytes() const { return copied_bytes_; }
  // Bytes of segments that only answers keep.
  uint64_t dead_bytes() const { return dead_bytes_; }
  // Answers that were cut short.
  uint64_t revoked() const { return revoked_; }
  // Answers whose reading began, and that were whole to the end although the log had given up
  // segments of theirs.
  uint64_t outlived() const { return outlived_; }
  size_t readers() const { return readers_.size(); }

 private:
  struct Pinned {
    Bytes segment;
    uint32_t holders = 0;
    bool dead = false;
  };

  uint64_t copied_bytes_ = kCopiedBytes;
  uint64_t max_dead_bytes_ = kMaxDeadBytes;
  uint64_t dead_bytes_ = 0;
  uint64_t revoked_ = 0;
  uint64_t outlived_ = 0;
  std::vector<Bytes> unpinned_;                      // nobody's any more
  std::list<Holder*> readers_;                       // the oldest first
  absl::flat_hash_map<const char*, Pinned> pinned_;  // lookup only
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_SEGMENT_PINS_H_
