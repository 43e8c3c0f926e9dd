#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

namespace quorate {
namespace {

uint32_t ByLibrary(uint32_t state, const char* data, size_t size) {
  // ISA-L reads only, but its signature predates const.
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(data));
  return crc32_iscsi(bytes, static_cast<int>(size), state);
}

#if defined(__x86_64__)
// ISA-L folds whole blocks of 128 bytes, from the second on; with what is left over it takes longer
// than the processor's own instruction does.
constexpr size_t kBlock = 128;

__attribute__((target("sse4.2"))) uint32_t ByInstruction(uint32_t state, const char* data,
                                                         size_t size) {
  uint64_t crc = state;
  for (; size >= 8; size -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  auto rest = static_cast<uint32_t>(crc);
  for (; size > 0; --size, ++data) {
    rest = __builtin_ia32_crc32qi(rest, static_cast<unsigned char>(*data));
  }
  return rest;
}

uint32_t Extend(uint32_t state, const char* data, size_t size) {
  if (!__builtin_cpu_supports("sse4.2")) return ByLibrary(state, data, size);
  const size_t whole = size < 2 * kBlock ? 0 : size - size % kBlock;
  if (whole > 0) state = ByLibrary(state, data, whole);
  return ByInstruction(state, data + whole, size - whole);
}
#else
uint32_t Extend(uint32_t state, const char* data, size_t size) {
  return ByLibrary(state, data, size);
}
#endif

}  // namespace

uint32_t Crc32cExtend(uint32_t crc, absl::string_view data) {
  constexpr size_t kMost = size_t{1} << 30;  // whole blocks
  static_assert(kMost < std::numeric_limits<int>::max());
  uint32_t state = ~crc;
  while (!data.empty()) {
    const size_t n = std::min(data.size(), kMost);
    state = Extend(state, data.data(), n);
    data.remove_prefix(n);
  }
  return ~state;
}

}  // namespace quorate
