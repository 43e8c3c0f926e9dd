#include "engine/alarm/alarms.h"

#include "absl/strings/str_cat.h"
#include "base/prng.h"

namespace quorate::alarm {

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

uint64_t Alarms::Digest(uint64_t digest) const {
  for (const Alarm& alarm : alarms_) {
    digest = Mix64(digest ^ static_cast<uint64_t>(alarm.type));
    digest = Mix64(digest ^ alarm.member.value());
  }
  return digest;
}

}  // namespace quorate::alarm
