#include "engine/alarm/alarms.h"

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "engine/image/image.h"

namespace quorate::alarm {
namespace {

constexpr size_t kEncodedAlarmBytes = 12;

}  // namespace

std::string TypeName(int32_t type) {
  switch (type) {
    case kNone:
      return "NONE";
    case kNoSpace:
      return "NOSPACE";
    case kCorrupt:
      return "CORRUPT";
    default:
      return absl::StrCat(type);
  }
}

bool Alarms::Activate(const Alarm& alarm) {
  return alarm.type != kNone && alarms_.insert(alarm).second;
}

bool Alarms::IsActive(int32_t type) const {
  const auto at = alarms_.lower_bound(Alarm{type, MemberId()});
  return at != alarms_.end() && at->type == type;
}

absl::Status Alarms::Check(bool adds) const {
  if (alarms_.empty()) return absl::OkStatus();
  if (IsActive(kCorrupt)) return CorruptError();
  return adds && IsActive(kNoSpace) ? NoSpaceError() : absl::OkStatus();
}

void Alarms::Encode(BytesBuilder* out) const {
  engine::PutU64(out, alarms_.size());
  for (const Alarm& alarm : alarms_) {
    engine::PutU32(out, static_cast<uint32_t>(alarm.type));
    engine::PutU64(out, alarm.member.value());
  }
}

absl::Status Alarms::Decode(absl::string_view section) {
  engine::FieldReader in(section);
  for (uint64_t n = in.Count(kEncodedAlarmBytes); n > 0; --n) {
    const auto type = static_cast<int32_t>(in.U32());
    const MemberId member(in.U64());
    if (!Activate({type, member})) return absl::DataLossError("alarms: one is there twice");
  }
  return in.complete() ? absl::OkStatus() : absl::DataLossError("alarms: malformed");
}

uint64_t Alarms::Digest(uint64_t digest) const {
  for (const Alarm& alarm : alarms_) {
    digest = Mix64(digest ^ static_cast<uint64_t>(alarm.type));
    digest = Mix64(digest ^ alarm.member.value());
  }
  return digest;
}

}  // namespace quorate::alarm
