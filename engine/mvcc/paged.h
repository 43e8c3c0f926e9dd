// A list that may get any length in bounded steps, and a sort of it that can stop anywhere.
//
// A std::vector copies all that it has when it grows, and gives everything back at once; a
// Paged grows by a page, and Release() gives its pages back in pieces.
//
//   Paged<Found> list;
//   list.push_back(found);
//   PagedSort<Found> sort(&list);
//   while (!sort.Step(&work, 4, less)) { ... another turn ... }
//   while (!list.Release(&work)) { ... another turn ... }
//
// A short list costs what a std::vector would.
#ifndef QUORATE_ENGINE_MVCC_PAGED_H_
#define QUORATE_ENGINE_MVCC_PAGED_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// Of elements that can be default-constructed and copied.
template <typename T>
class Paged {
 public:
  // A power of two, so that an element is found by shifts. Pages are so large that the allocator
  // takes them from the system and gives them back there.
  static constexpr size_t kPerPage = std::bit_ceil(256 * limits::kKiB / sizeof(T));

  Paged() = default;
  Paged(Paged&& other) noexcept { *this = std::move(other); }
  Paged& operator=(Paged&& other) noexcept {
    pages_ = std::exchange(other.pages_, {});
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return pages_[i / kPerPage][i % kPerPage]; }
  const T& operator[](size_t i) const { return pages_[i / kPerPage][i % kPerPage]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == capacity_) Grow();
    (*this)[size_++] = std::move(value);
  }
  void pop_back() { --size_; }
  // Keeps the pages.
  void clear() { size_ = 0; }

  // Empties it and gives all pages but the first back; true once they are gone.
  bool Release(Work* work) {
    size_ = 0;
    for (; pages_.size() > 1; pages_.pop_back(), capacity_ -= kPerPage) {
      if (work->spent()) return false;
      work->Spend(kReleaseCost);
    }
    return true;
  }

 private:
  // Of giving a page back, in units of work.
  static constexpr uint64_t kReleaseCost = 50;
  static constexpr size_t kLeast = 8;

  // The first page begins small and doubles.
  void Grow() {
    if (capacity_ >= kPerPage) {
      pages_.push_back(std::make_unique_for_overwrite<T[]>(kPerPage));
      capacity_ += kPerPage;
      return;
    }
    const size_t capacity = std::clamp(capacity_ * 2, kLeast, kPerPage);
    auto page = std::make_unique_for_overwrite<T[]>(capacity);
    if (capacity_ == 0) pages_.emplace_back();
    std::move(pages_[0].get(), pages_[0].get() + size_, page.get());
    pages_[0] = std::move(page);
    capacity_ = capacity;
  }

  std::vector<std::unique_ptr<T[]>> pages_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// A stable merge sort: sorted runs are merged in pairs until one is left.
template <typename T>
class PagedSort {
 public:
  // `list` is borrowed.
  explicit PagedSort(Paged<T>* list) : list_(list) {}

  // True once the list is sorted. `merges_per_unit` elements are moved for a unit of work.
  template <typename Less>
  bool Step(Work* work, size_t merges_per_unit, Less&& less) {
    if (width_ == 0 && !SortRuns(work, merges_per_unit, less)) return false;
    for (; width_ < list_->size(); width_ *= 2) {
      if (!MergePass(work, merges_per_unit, less)) return false;
    }
    return true;
  }
  // Gives back what it needed beside the list.
  bool Release(Work* work) { return merged_.Release(work); }

 private:
  // Runs of so many are sorted at once, before merging. They don't cross pages.
  static constexpr size_t kRun = 32;
  static_assert(Paged<T>::kPerPage % kRun == 0);

  template <typename Less>
  bool SortRuns(Work* work, size_t merges_per_unit, Less&& less) {
    for (; runs_sorted_ < list_->size(); runs_sorted_ += kRun) {
      if (work->spent()) return false;
      work->Spend(kRun * 2 / merges_per_unit);
      T* const begin = &(*list_)[runs_sorted_];
      std::stable_sort(begin, begin + std::min(kRun, list_->size() - runs_sorted_), less);
    }
    width_ = kRun;
    return true;
  }

  template <typename Less>
  bool MergePass(Work* work, size_t merges_per_unit, Less&& less) {
    Paged<T>& list = *list_;
    while (pair_ < list.size()) {
      const size_t middle = std::min(pair_ + width_, list.size());
      const size_t end = std::min(middle + width_, list.size());
      if (left_ == 0 && right_ == 0) {
        left_ = pair_;
        right_ = middle;
      }
      while (left_ < middle || right_ < end) {
        if (merged_.size() % merges_per_unit == 0) {
          if (work->spent()) return false;
          work->Spend(1);
        }
        const bool second = left_ == middle || (right_ < end && less(list[right_], list[left_]));
        merged_.push_back(list[second ? right_++ : left_++]);
      }
      pair_ = end;
      left_ = right_ = 0;
    }
    std::swap(list, merged_);
    merged_.clear();
    pair_ = 0;
    return true;
  }

  Paged<T>* const list_;
  Paged<T> merged_;
  size_t runs_sorted_ = 0;
  size_t width_ = 0;
  size_t pair_ = 0;  // where the pair begins
  size_t left_ = 0;
  size_t right_ = 0;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_PAGED_H_
