#include "sim/explore/symmetry.h"

#include <algorithm>
#include <numeric>

namespace quorate::sim::explore {

Symmetry::Symmetry(size_t members, bool reduce) {
  std::array<uint8_t, kMaxMembers + 1> ids = {};
  std::iota(ids.begin(), ids.end(), uint8_t{0});
  const auto first = ids.begin() + 1;
  do {
    renamings_.push_back(ids);
  } while (reduce && std::next_permutation(first, first + static_cast<ptrdiff_t>(members)));
}

}  // namespace quorate::sim::explore
