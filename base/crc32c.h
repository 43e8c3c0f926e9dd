// CRC-32C (Castagnoli; reflected polynomial 0x82F63B78, initial value and final
// xor 0xFFFFFFFF), computed by ISA-L. Crc32c("123456789") == 0xE3069283.
#ifndef QUORATE_BASE_CRC32C_H_
#define QUORATE_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace quorate {

// The CRC of `data` appended to bytes whose CRC is `crc` (0 for none).
uint32_t Crc32cExtend(uint32_t crc, absl::string_view data);

inline uint32_t Crc32c(absl::string_view data) { return Crc32cExtend(0, data); }

}  // namespace quorate

#endif  // QUORATE_BASE_CRC32C_H_
