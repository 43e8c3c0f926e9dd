// How much may be done before the loop must turn to something else.
//
// Whatever can touch more than a bounded number of records does so in pieces, each given
// an allowance of Work. What things cost is counted in records and bytes, never timed, so
// that the pieces are the same wherever they run; a unit is about a quarter of a
// microsecond on a present machine with a million keys.
//
//   Work work(2000);
//   while (!run.Step(&work)) { ... another turn, with another allowance ... }
//
// A piece that is given any allowance at all makes some progress.
#ifndef QUORATE_ENGINE_MVCC_WORK_H_
#define QUORATE_ENGINE_MVCC_WORK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace quorate::mvcc {

class Work {
 public:
  explicit Work(uint64_t units) : left_(units) {}
  static Work Unlimited() { return Work(std::numeric_limits<uint64_t>::max()); }

  bool spent() const { return left_ == 0; }
  uint64_t left() const { return left_; }
  void Spend(uint64_t units) { left_ -= std::min(units, left_); }

  // A record, or an entry of the index, was looked at.
  void SpendLook() { Spend(1); }
  // So many bytes were copied or hashed.
  void SpendBytes(size_t bytes) { Spend(bytes / 1024); }
  // A key was found in the index.
  void SpendFind() { Spend(2); }
  // A record of so many bytes was made, or taken out of the index.
  void SpendChange(size_t bytes) { Spend(4 + bytes / 1024); }

 private:
  uint64_t left_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_WORK_H_
