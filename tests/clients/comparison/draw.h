// Draws for the generators: a Prng with the few choices that they make.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_DRAW_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_DRAW_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>

#include "absl/strings/string_view.h"
#include "base/prng.h"

namespace quorate::differential {

inline constexpr int64_t kMinInt64 = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

class Draw {
 public:
  explicit Draw(uint64_t seed) : prng_(seed) {}

  uint64_t Below(uint64_t bound) { return prng_.Below(bound); }
  int64_t Between(int64_t low, int64_t high) { return prng_.Between(low, high); }
  bool Percent(uint64_t percent) { return prng_.Chance(percent, 100); }
  bool OneIn(uint64_t n) { return prng_.Chance(1, n); }

  template <typename T>
  T Of(std::initializer_list<T> choices) {
    return *(choices.begin() + static_cast<ptrdiff_t>(Below(choices.size())));
  }
  // A key of a map or a member of a set; it may not be empty.
  template <typename Container>
  auto Member(const Container& container) {
    auto it = container.begin();
    std::advance(it, static_cast<ptrdiff_t>(Below(container.size())));
    return *it;
  }
  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    uint64_t word = 0;
    for (size_t i = 0; i < size; ++i) {
      if (i % 8 == 0) word = prng_.Next();
      bytes[i] = static_cast<char>(word >> (i % 8 * 8));
    }
    return bytes;
  }

 private:
  Prng prng_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_DRAW_H_
