// The state machine to an image (engine/image) and back.
//
// An image holds only what the applied entries decided: no watchers, deadlines, stored
// hashes or cleaning progress. A component adds itself in three places of the .cc: a section
// in ImageRun::Step, a case in ImageLoader::Decode, a line in Applier::TakeOver.
#ifndef QUORATE_ENGINE_APPLY_STATE_IMAGE_H_
#define QUORATE_ENGINE_APPLY_STATE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/apply/applier.h"
#include "engine/auth/auth.h"
#include "engine/image/image.h"
#include "engine/mvcc/store_loader.h"
#include "engine/mvcc/work.h"

namespace quorate::apply {

// Takes an image, a bounded piece at a time. Meanwhile nothing may be applied or cleaned.
class ImageRun {
 public:
  // `applier` is borrowed; index and term of `image` are set.
  ImageRun(const Applier& applier, engine::StateImage image);
  ImageRun(const ImageRun&) = delete;
  ImageRun& operator=(const ImageRun&) = delete;

  // For sections of the caller's own, before the first step.
  BytesBuilder* BeginSection(engine::Section tag) { return sections_.Begin(tag); }
  // True once it is complete.
  bool Step(mvcc::Work* work);
  engine::StateImage Take() && { return std::move(image_); }

 private:
  enum class Phase { kSmall, kAuth, kAuthSections, kLeases, kRest, kSegments, kDone };

  bool EncodeAuth(mvcc::Work* work);
  bool EncodeLeases(mvcc::Work* work);

  const Applier& applier_;
  engine::StateImage image_;
  engine::SectionWriter sections_;
  Phase phase_ = Phase::kSmall;
  // How much there is of the auth store is known once it is encoded: before it has its place.
  auth::Auth::ImagePlace auth_place_;
  std::optional<BytesBuilder> auth_section_;  // under way
  std::deque<Bytes> auth_sections_;
  size_t auth_bytes_ = 0;
  LeaseId last_lease_;
  uint64_t next_segment_ = 0;
};

// Brings a fresh applier to the state of an image, a bounded piece at a time.
class ImageLoader {
 public:
  // `applier` is fresh and borrowed.
  ImageLoader(engine::StateImage image, Applier* applier);
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  // Works on about `max_records` records. True when there is no more to do: status()
  // says whether the applier is complete. The store must be there: DataLoss otherwise.
  bool Step(size_t max_records);
  const absl::Status& status() const { return status_; }
  const engine::StateImage& image() const { return image_; }
  // It is of no use any more, done or not: gives memory back in pieces; true once little of it is
  // left.
  bool Release(mvcc::Work* work);

 private:
  bool DecodeSections(size_t* max_records);
  absl::Status Decode(engine::Section tag, absl::string_view body);

  engine::StateImage image_;
  Applier* const applier_;
  engine::SectionReader sections_;
  mvcc::StoreLoader store_;
  bool has_store_ = false;
  bool sections_done_ = false;
  size_t next_segment_ = 0;
  absl::Status status_;
};

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_STATE_IMAGE_H_
