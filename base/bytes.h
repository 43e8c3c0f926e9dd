// Immutable shared byte slices: an entry is encoded once and then only referred
// to by log, WAL, network and replies.
//
//   Bytes whole = Bytes::Copy("abc");
//   Bytes part = whole.Slice(1, 2);       // no copy; keeps the buffer alive
//   BytesBuilder out(reserve);            // grow, then freeze without a copy
//   Bytes frozen = std::move(out).Finish();
#ifndef QUORATE_BASE_BYTES_H_
#define QUORATE_BASE_BYTES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/check.h"

namespace quorate {

namespace bytes_internal {

// Header of a shared buffer; the bytes follow it.
struct Block {
  std::atomic<uint32_t> references;
  size_t capacity;

  char* data() { return reinterpret_cast<char*>(this + 1); }

  static Block* New(size_t capacity) {
    void* memory = ::operator new(sizeof(Block) + capacity);
    return new (memory) Block{{1}, capacity};
  }
  void Ref() { references.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) ::operator delete(this);
  }
};

}  // namespace bytes_internal

// A slice of an immutable, reference-counted buffer. Copying shares. Safe to
// hand to another thread (the count is atomic).
class Bytes {
 public:
  Bytes() = default;
  static Bytes Copy(absl::string_view data) {
    if (data.empty()) return Bytes();
    bytes_internal::Block* block = bytes_internal::Block::New(data.size());
    std::memcpy(block->data(), data.data(), data.size());
    return Bytes(block, block->data(), data.size());
  }
  // The bytes of a literal or of something that outlives every slice; not counted.
  static Bytes Static(absl::string_view data) { return Bytes(nullptr, data.data(), data.size()); }

  Bytes(const Bytes& other) : block_(other.block_), data_(other.data_), size_(other.size_) {
    if (block_ != nullptr) block_->Ref();
  }
  Bytes(Bytes&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Bytes& operator=(Bytes other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Bytes() {
    if (block_ != nullptr) block_->Unref();
  }

  const char* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  absl::string_view view() const { return absl::string_view(data_, size_); }
  operator absl::string_view() const { return view(); }  // NOLINT: reading is what a slice is for

  // The bytes [offset, offset + size), sharing this buffer.
  Bytes Slice(size_t offset, size_t size) const {
    CHECK(offset <= size_);
    CHECK(size <= size_ - offset);
    if (block_ != nullptr) block_->Ref();
    return Bytes(block_, data_ + offset, size);
  }
  // A slice of this buffer given by a view into it (for parsers).
  Bytes SliceOf(absl::string_view part) const {
    if (part.empty()) return Bytes();
    CHECK(part.data() >= data_);
    return Slice(static_cast<size_t>(part.data() - data_), part.size());
  }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view() == b.view(); }

 private:
  friend class BytesBuilder;
  Bytes(bytes_internal::Block* block, const char* data, size_t size)
      : block_(block), data_(data), size_(size) {}

  // The buffer, no longer counted here, if this is the only slice of it; else null.
  bytes_internal::Block* TakeUnshared() {
    if (block_ == nullptr || block_->references.load(std::memory_order_acquire) != 1) {
      return nullptr;
    }
    return std::exchange(block_, nullptr);
  }

  bytes_internal::Block* block_ = nullptr;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// Builds a buffer that becomes Bytes without another copy.
class BytesBuilder {
 public:
  explicit BytesBuilder(size_t reserve = 256)
      : block_(bytes_internal::Block::New(reserve < 16 ? 16 : reserve)) {}
  // Empty, in the buffer of `recycled` if nobody else refers to it; else as above.
  explicit BytesBuilder(Bytes recycled, size_t reserve = 256) : block_(recycled.TakeUnshared()) {
    if (block_ == nullptr) block_ = bytes_internal::Block::New(reserve < 16 ? 16 : reserve);
  }
  BytesBuilder(const BytesBuilder&) = delete;
  BytesBuilder& operator=(const BytesBuilder&) = delete;
  ~BytesBuilder() {
    if (block_ != nullptr) block_->Unref();
  }

  void Append(absl::string_view data) {
    if (!data.empty()) std::memcpy(Grow(data.size()), data.data(), data.size());
  }
  void Append(char c) { *Grow(1) = c; }
  // Adds `n` uninitialised bytes and returns where to write them; valid until
  // the next growth.
  char* Grow(size_t n) {
    if (n > block_->capacity - size_) Reallocate(n);
    char* at = block_->data() + size_;
    size_ += n;
    return at;
  }
  // Drops everything from `size` on.
  void Truncate(size_t size) {
    CHECK(size <= size_);
    size_ = size;
  }
  size_t size() const { return size_; }
  char* data() { return block_->data(); }
  absl::string_view view() const { return absl::string_view(block_->data(), size_); }

  // The bytes written so far; the builder is empty and unusable afterwards.
  Bytes Finish() && {
    bytes_internal::Block* block = std::exchange(block_, nullptr);
    return Bytes(block, block->data(), size_);
  }

 private:
  void Reallocate(size_t n) {
    size_t capacity = block_->capacity * 2;
    if (capacity < size_ + n) capacity = size_ + n;
    bytes_internal::Block* bigger = bytes_internal::Block::New(capacity);
    std::memcpy(bigger->data(), block_->data(), size_);
    block_->Unref();
    block_ = bigger;
  }

  bytes_internal::Block* block_;
  size_t size_ = 0;
};

}  // namespace quorate

#endif  // QUORATE_BASE_BYTES_H_
