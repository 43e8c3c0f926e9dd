// A set of digests in little memory: open addressing in many small tables, so that
// growing never needs room for the whole set twice.
#ifndef QUORATE_SIM_EXPLORE_VISITED_H_
#define QUORATE_SIM_EXPLORE_VISITED_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/explore/digest.h"

namespace quorate::sim::explore {

class Visited {
 public:
  // Whether it is new.
  bool Insert(Digest digest);
  // It will soon be inserted: the wait for memory can begin.
  void Prefetch(const Digest& digest) const {
    const std::vector<Digest>& slots = tables_[digest.high % kTables].slots;
    if (!slots.empty()) __builtin_prefetch(&slots[digest.low & (slots.size() - 1)]);
  }
  uint64_t size() const { return size_; }
  size_t MemoryBytes() const { return slots_ * sizeof(Digest); }

 private:
  static constexpr size_t kTables = 256;
  struct Table {
    std::vector<Digest> slots;  // a power of two of them; {0, 0} is free
    size_t used = 0;
  };

  static Digest* Find(Table* table, const Digest& digest);
  void Grow(Table* table);

  std::array<Table, kTables> tables_;
  uint64_t size_ = 0;
  size_t slots_ = 0;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_VISITED_H_
