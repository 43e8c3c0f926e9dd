#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>
#include <limits>

namespace quorate {

uint32_t Crc32cExtend(uint32_t crc, absl::string_view data) {
  uint32_t state = ~crc;
  while (!data.empty()) {
    const size_t n = std::min<size_t>(data.size(), std::numeric_limits<int>::max());
    // ISA-L reads only, but its signature predates const.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(data.data()));
    state = crc32_iscsi(bytes, static_cast<int>(n), state);
    data.remove_prefix(n);
  }
  return ~state;
}

}  // namespace quorate
