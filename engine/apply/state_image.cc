#include "engine/apply/state_image.h"

#include <algorithm>
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
// So do leases of so many bytes, and so many bytes of users and roles.
constexpr size_t kLeaseBytesPerRecord = 96;
constexpr size_t kOtherBytesPerRecord = 32;
// Of leases so many are encoded for a unit of work.
constexpr size_t kLeaseBytesPerUnit = 192;
// Room for the other sections of an image, where there is more of them it grows.
constexpr size_t kSmallSectionsBytes = 8192;

}  // namespace

ImageRun::ImageRun(const Applier& applier, engine::StateImage image)
    : applier_(applier), image_(std::move(image)), sections_(kSmallSectionsBytes) {}

bool ImageRun::Step(mvcc::Work* work) {
  if (phase_ == Phase::kSmall) {
    mvcc::EncodeStore(applier_.store(), sections_.Begin(Section::kStore));
    applier_.membership().Encode(sections_.Begin(Section::kMembership));
    phase_ = Phase::kAuth;
  }
  if (phase_ == Phase::kAuth || phase_ == Phase::kAuthSections) {
    if (!EncodeAuth(work)) return false;
    phase_ = Phase::kLeases;
  }
  if (phase_ == Phase::kLeases) {
    if (!EncodeLeases(work)) return false;
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

// All of it beside the image first, which then has room for it without being moved.
bool ImageRun::EncodeAuth(mvcc::Work* work) {
  while (phase_ == Phase::kAuth) {
    using Encoded = auth::Auth::Encoded;
    if (!auth_section_.has_value()) auth_section_.emplace(engine::kSectionPartBytes / 8);
    const Encoded encoded = applier_.auth().EncodeSome(&auth_place_, work, &*auth_section_);
    if (encoded == Encoded::kWorkSpent) return false;
    auth_bytes_ += auth_section_->size() + engine::SectionWriter::kHeaderBytes;
    auth_sections_.push_back(std::move(*auth_section_).Finish());
    auth_section_.reset();
    if (encoded == Encoded::kSection) continue;
    sections_.Reserve(auth_bytes_ + applier_.leases().encoded_bytes() + kSmallSectionsBytes);
    phase_ = Phase::kAuthSections;
  }
  for (; !auth_sections_.empty(); auth_sections_.pop_front()) {
    if (work->spent()) return false;
    work->SpendLook();
    work->SpendBytes(auth_sections_.front().size());
    sections_.Begin(Section::kAuth)->Append(auth_sections_.front());
  }
  return true;
}

bool ImageRun::EncodeLeases(mvcc::Work* work) {
  for (bool more = true; more;) {
    if (work->spent()) return false;
    BytesBuilder* const section = sections_.Begin(Section::kLease);
    const size_t begin = section->size();
    more = applier_.leases().EncodeSome(&last_lease_, section);
    work->Spend((section->size() - begin) / kLeaseBytesPerUnit + 1);
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
    : image_(std::move(image)),
      applier_(applier),
      sections_(image_.sections),
      store_(&applier->store_, &applier->compactor_) {}

bool ImageLoader::Step(size_t max_records) {
  if (!DecodeSections(&max_records)) return !status_.ok();
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
bool ImageLoader::DecodeSections(size_t* max_records) {
  while (!sections_done_ && status_.ok()) {
    if (*max_records == 0) return false;
    if (!sections_.Next()) {
      sections_done_ = true;
      status_ = sections_.status();
      if (status_.ok() && !has_store_) {
        status_ = absl::DataLossError("state image: it has no store");
      }
      break;
    }
    has_store_ = has_store_ || sections_.tag() == Section::kStore;
    status_ = Decode(sections_.tag(), sections_.body());
    const size_t per_record =
        sections_.tag() == Section::kLease ? kLeaseBytesPerRecord : kOtherBytesPerRecord;
    *max_records -= std::min(*max_records, sections_.body().size() / per_record + 1);
  }
  return status_.ok();
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
      return applier_->leases_.Decode(body);
    case Section::kAlarm:
      return applier_->alarms_.Decode(body);
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("state image: section ", static_cast<uint32_t>(tag),
                       " is not known to this version; a newer one wrote it"));
  }
}

}  // namespace quorate::apply
