#include "sim/explore/visited.h"

#include <algorithm>
#include <utility>

namespace quorate::sim::explore {

namespace {
constexpr size_t kFirstSlots = 64;
}  // namespace

Digest* Visited::Find(Table* table, const Digest& digest) {
  const size_t mask = table->slots.size() - 1;
  size_t at = digest.low & mask;
  while (table->slots[at] != Digest() && table->slots[at] != digest) at = (at + 1) & mask;
  return &table->slots[at];
}

void Visited::Grow(Table* table) {
  const std::vector<Digest> old = std::move(table->slots);
  table->slots.assign(std::max(kFirstSlots, old.size() * 2), Digest());
  slots_ += table->slots.size() - old.size();
  for (const Digest& digest : old) {
    if (digest != Digest()) *Find(table, digest) = digest;
  }
}

bool Visited::Insert(Digest digest) {
  if (digest == Digest()) digest.low = 1;  // the free slot's value
  Table& table = tables_[digest.high % kTables];
  // At most three quarters full: probes stay short.
  if (table.used * 4 >= table.slots.size() * 3) Grow(&table);
  Digest* const slot = Find(&table, digest);
  if (*slot == digest) return false;
  *slot = digest;
  ++table.used;
  ++size_;
  return true;
}

}  // namespace quorate::sim::explore
