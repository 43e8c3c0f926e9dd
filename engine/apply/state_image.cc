#include "engine/apply/state_image.h"

#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/mvcc/key_value.h"

namespace quorate::apply {
namespace {

using engine::Section;

// Checking a record of a segment, and sorting it by its key, cost a fraction of indexing it.
constexpr size_t kCheckedBytesPerRecord = 1024;
constexpr size_t kSortedPerRecord = 4;
// So does decoding a lease.
constexpr size_t kLeasesPerRecord = 4;
// Room for the sections of an image but that of the leases; they grow beyond it.
constexpr size_t kSmallSectionsBytes = 8192;

}  // namespace

ImageRun::ImageRun(const Applier& applier, engine::StateImage image)
    : applier_(applier),
      image_(std::move(image)),
      sections_(kSmallSectionsBytes + applier.leases().encoded_bytes()) {}

bool ImageRun::Step(mvcc::Work* work) {
  if (phase_ == Phase::kSmall) {
    mvcc::EncodeStore(applier_.store(), sections_.Begin(Section::kStore));
    applier_.membership().Encode(sections_.Begin(Section::kMembership));
    applier_.auth().Encode(sections_.Begin(Section::kAuth));
    lease_section_ = sections_.Begin(Section::kLease, applier_.leases().encoded_bytes());
    phase_ = Phase::kLeases;
  }
  if (phase_ == Phase::kLeases) {
    const bool done = applier_.leases().EncodeSome(&last_lease_, work, lease_section_);
    sections_.Fold();
    if (!done) return false;
    phase_ = Phase::kRest;
  }
  if (phase_ == Phase::kRest) {
    applier_.alarms().Encode(sections_.Begin(Section::kAlarm));
    image_.sections = std::move(sections_).Finish();
    phase_ = Phase::kSegments;
  }
  if (phase_ == Phase::kSegments) {
    const mvcc::RevisionLog& log = applier_.store().log();
    if (!log.ShareSome(&next_segment_, work, &image_.segments)) return false;
    phase_ = Phase::kDone;
  }
  return true;
}

void Applier::TakeOver(Applier* loaded) {
  store_.Swap(&loaded->store_);
  compactor_.Replace(&loaded->compactor_);
  page_counts_.Clear();
  std::swap(membership_, loaded->membership_);
  std::swap(auth_, loaded->auth_);
  leases_.Swap(&loaded->leases_);
  alarms_ = std::move(loaded->alarms_);
}

ImageLoader::ImageLoader(engine::StateImage image, Applier* applier)
    : image_(std::move(image)), applier_(applier), store_(&applier->store_, &applier->compactor_) {}

bool ImageLoader::Step(size_t max_records) {
  if (!status_.ok()) return true;
  if (!std::exchange(sections_done_, true)) {
    status_ = DecodeSections();
    if (!status_.ok()) return true;
  }
  if (!DecodeLeases(max_records)) return !status_.ok();
  while (next_segment_ < image_.segments.size()) {
    if (max_records == 0) return false;
    const size_t at = next_segment_++;
    const engine::LogSegment& segment = image_.segments[at];
    std::shared_ptr<engine::PreparedSegment> prepared;
    if (at < image_.prepared.size()) prepared = image_.prepared[at];
    size_t records = 0;
    status_ = store_.Add(segment, std::move(prepared), &records);
    if (!status_.ok()) return true;
    const size_t cost =
        segment.records.size() / kCheckedBytesPerRecord + records / kSortedPerRecord + 1;
    max_records -= cost < max_records ? cost : max_records;
  }
  const bool done = store_.Index(max_records);
  status_ = store_.status();
  return done;
}

bool ImageLoader::Release(mvcc::Work* work) {
  for (; !image_.segments.empty(); image_.segments.pop_back()) {
    if (work->spent()) return false;
    work->SpendFind();
  }
  return store_.Release(work);
}

// True once all are there.
bool ImageLoader::DecodeLeases(size_t max_records) {
  if (leases_done_) return true;
  const size_t all = std::numeric_limits<size_t>::max();
  const size_t max = max_records > all / kLeasesPerRecord ? all : max_records * kLeasesPerRecord;
  status_ = applier_->leases_.DecodeSome(max, &leases_done_);
  return status_.ok() && leases_done_;
}

absl::Status ImageLoader::DecodeSections() {
  bool has_store = false;
  engine::SectionReader in(image_.sections);
  while (in.Next()) {
    has_store = has_store || in.tag() == Section::kStore;
    absl::Status status = Decode(in.tag(), in.body());
    if (!status.ok()) return status;
  }
  if (!in.status().ok()) return in.status();
  return has_store ? absl::OkStatus() : absl::DataLossError("state image: it has no store");
}

absl::Status ImageLoader::Decode(Section tag, absl::string_view body) {
  switch (tag) {
    case Section::kRaft:
      return absl::OkStatus();  // the replica's
    case Section::kStore:
      return store_.Begin(body);
    case Section::kMembership:
      return applier_->membership_.Decode(body);
    case Section::kAuth:
      return applier_->auth_.Decode(body);
    case Section::kLease:
      applier_->leases_.BeginDecode(body);
      leases_done_ = false;
      return absl::OkStatus();
    case Section::kAlarm:
      return applier_->alarms_.Decode(body);
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("state image: section ", static_cast<uint32_t>(tag),
                       " is not known to this version; a newer one wrote it"));
  }
}

}  // namespace quorate::apply
