// The alarms that members have raised and nobody has put out, as the committed entries
// decide it. While any member's alarm stands, commands are
// refused when they are applied, by every member alike:
//
//   NOSPACE   whatever adds to the store: puts, transactions that put in either branch,
//             grants of leases. Deletions and compactions, which make room, go on.
//   CORRUPT   all changes of keys and leases, and compactions.
//
// Reads are answered all the same, as etcd does.
#ifndef QUORATE_ENGINE_ALARM_ALARMS_H_
#define QUORATE_ENGINE_ALARM_ALARMS_H_

#include <compare>
#include <cstdint>
#include <string>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"

namespace quorate::alarm {

// etcdserverpb.AlarmType; others may be raised too, and do nothing.
inline constexpr int32_t kNone = 0;
inline constexpr int32_t kNoSpace = 1;
inline constexpr int32_t kCorrupt = 2;

// "NOSPACE"; the number, for a type without a name.
std::string TypeName(int32_t type);

inline absl::Status NoSpaceError() {
  return absl::ResourceExhaustedError("etcdserver: mvcc: database space exceeded");
}
inline absl::Status CorruptError() { return absl::DataLossError("etcdserver: corrupt cluster"); }

struct Alarm {
  int32_t type = kNone;
  MemberId member;

  friend auto operator<=>(const Alarm&, const Alarm&) = default;
};

class Alarms {
 public:
  // Of type kNone nothing is kept. Each says whether something changed.
  bool Activate(const Alarm& alarm);
  bool Deactivate(const Alarm& alarm) { return alarms_.erase(alarm) > 0; }

  // Whether any member's alarm of this type stands.
  bool IsActive(int32_t type) const;
  bool IsActive(const Alarm& alarm) const { return alarms_.contains(alarm); }
  // By type and member.
  const absl::btree_set<Alarm>& all() const { return alarms_; }

  // What a command gets that changes keys or leases, or compacts; `adds`: it may add to
  // the store.
  absl::Status Check(bool adds) const;

  // All of them as bytes, equal for equal alarms, and back (of a fresh object). Decode:
  // DataLoss if the bytes are not what Encode gives.
  void Encode(BytesBuilder* out) const;
  absl::Status Decode(absl::string_view section);

  uint64_t Digest(uint64_t digest) const;

 private:
  absl::btree_set<Alarm> alarms_;
};

}  // namespace quorate::alarm

#endif  // QUORATE_ENGINE_ALARM_ALARMS_H_
