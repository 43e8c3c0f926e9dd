// Whose a data directory is.
#ifndef QUORATE_STORAGE_IDENTITY_H_
#define QUORATE_STORAGE_IDENTITY_H_

#include "base/strong_int.h"

namespace quorate::storage {

struct Identity {
  ClusterId cluster_id;
  MemberId member_id;

  friend bool operator==(const Identity&, const Identity&) = default;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_IDENTITY_H_
