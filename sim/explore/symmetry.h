// The renamings of members under which raft cannot tell two clusters apart.
#ifndef QUORATE_SIM_EXPLORE_SYMMETRY_H_
#define QUORATE_SIM_EXPLORE_SYMMETRY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/strong_int.h"
#include "sim/explore/bounds.h"

namespace quorate::sim::explore {

class Symmetry {
 public:
  // Members are 1 .. `members`. All renamings of them, or, unless `reduce`, only the one
  // that changes nothing; that one always comes first.
  Symmetry(size_t members, bool reduce);

  size_t size() const { return renamings_.size(); }
  // Ids that are no member's (nobody, the local storage) stay.
  MemberId Rename(size_t renaming, MemberId id) const {
    return id.value() > kMaxMembers ? id : MemberId(renamings_[renaming][id.value()]);
  }

 private:
  std::vector<std::array<uint8_t, kMaxMembers + 1>> renamings_;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_SYMMETRY_H_
