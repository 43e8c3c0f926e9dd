// Integers that don't mix: a term is not an index, and neither is a revision.
//
//   LogIndex next = last + 1;              // index + count = index
//   uint64_t behind = last - match;        // index - index = count
//   Term t = LogIndex(3);                  // does not compile
//
// Construction from a raw number is explicit, and value() gives it back at the
// edges (codecs, printing).
#ifndef QUORATE_BASE_STRONG_INT_H_
#define QUORATE_BASE_STRONG_INT_H_

#include <compare>
#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

namespace quorate {

template <typename Tag, typename Rep>
class StrongInt {
 public:
  using rep = Rep;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;

  friend constexpr StrongInt operator+(StrongInt a, std::integral auto n) {
    return StrongInt(static_cast<Rep>(a.value_ + static_cast<Rep>(n)));
  }
  friend constexpr StrongInt operator-(StrongInt a, std::integral auto n) {
    return StrongInt(static_cast<Rep>(a.value_ - static_cast<Rep>(n)));
  }
  friend constexpr Rep operator-(StrongInt a, StrongInt b) {
    return static_cast<Rep>(a.value_ - b.value_);
  }
  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }
  constexpr StrongInt& operator--() {
    --value_;
    return *this;
  }
  constexpr StrongInt& operator+=(std::integral auto n) {
    value_ = static_cast<Rep>(value_ + static_cast<Rep>(n));
    return *this;
  }

  template <typename H>
  friend H AbslHashValue(H h, StrongInt v) {
    return H::combine(std::move(h), v.value_);
  }

 private:
  Rep value_ = 0;
};

// Raft's election number (Raft paper, section 5.1). 0 = none yet.
using Term = StrongInt<struct TermTag, uint64_t>;
// Position in the replicated log; the first entry has index 1, 0 = none.
using LogIndex = StrongInt<struct LogIndexTag, uint64_t>;
// A member's identity; 0 = nobody.
using MemberId = StrongInt<struct MemberIdTag, uint64_t>;
// Identity of a cluster, hashed from its first members.
using ClusterId = StrongInt<struct ClusterIdTag, uint64_t>;
// The store's revision counter (the `main` part); a fresh store is at 1.
using Revision = StrongInt<struct RevisionTag, int64_t>;
// A lease's identity; 0 = no lease.
using LeaseId = StrongInt<struct LeaseIdTag, int64_t>;

template <typename Tag, typename Rep>
std::string ToString(StrongInt<Tag, Rep> v) {
  return std::to_string(v.value());
}

}  // namespace quorate

#endif  // QUORATE_BASE_STRONG_INT_H_
