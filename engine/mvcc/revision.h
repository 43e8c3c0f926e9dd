// Where in the store's history a record stands.
//
// Every write transaction has one main revision (quorate::Revision), one more than the
// last; its changes are numbered 0, 1, ... by `sub` in execution order.
#ifndef QUORATE_ENGINE_MVCC_REVISION_H_
#define QUORATE_ENGINE_MVCC_REVISION_H_

#include <compare>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/coding.h"
#include "base/strong_int.h"

namespace quorate::mvcc {

// A fresh store stands at revision 1: the first change makes revision 2.
inline constexpr Revision kFirstRevision{1};
// The compact revision of a store that was never compacted.
inline constexpr Revision kNeverCompacted{-1};

struct SubRevision {
  Revision main;
  int64_t sub = 0;

  friend constexpr auto operator<=>(const SubRevision&, const SubRevision&) = default;
};

// etcd's key of a record in its backend: main and sub as
// big-endian 64 bits with '_' between, and a trailing 't' for a tombstone.
class RevisionKey {
 public:
  RevisionKey(SubRevision revision, bool tombstone) : size_(tombstone ? 18 : 17) {
    StoreBe64(bytes_, static_cast<uint64_t>(revision.main.value()));
    bytes_[8] = '_';
    StoreBe64(bytes_ + 9, static_cast<uint64_t>(revision.sub));
    bytes_[17] = 't';
  }
  absl::string_view view() const { return absl::string_view(bytes_, size_); }

 private:
  char bytes_[18];
  size_t size_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_REVISION_H_
