// A move-only `void()` callable with room for 48 bytes of captures: what an event
// does. Small captures cost no allocation, which std::function's 16 bytes rarely
// allow.
#ifndef QUORATE_SIM_TASK_H_
#define QUORATE_SIM_TASK_H_

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace quorate::sim {

class Task {
 public:
  static constexpr size_t kInlineBytes = 48;

  Task() = default;
  Task(std::nullptr_t) {}  // NOLINT: an empty task, as for std::function

  template <typename F>
  requires(!std::is_same_v<std::decay_t<F>, Task> && std::is_invocable_v<std::decay_t<F>&>)
      Task(F&& function) {  // NOLINT: any callable is a task
    using Function = std::decay_t<F>;
    if constexpr (kFitsInline<Function>) {
      new (storage_) Function(std::forward<F>(function));
      operations_ = &kInlineOperations<Function>;
    } else {
      new (storage_) Function*(new Function(std::forward<F>(function)));
      operations_ = &kHeapOperations<Function>;
    }
  }

  Task(Task&& other) noexcept : operations_(std::exchange(other.operations_, nullptr)) {
    if (operations_ != nullptr) operations_->relocate(other.storage_, storage_);
  }
  Task& operator=(Task&& other) noexcept {
    if (this == &other) return *this;
    Reset();
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->relocate(other.storage_, storage_);
    return *this;
  }
  ~Task() { Reset(); }

  explicit operator bool() const { return operations_ != nullptr; }

  void operator()() {
    CHECK(operations_ != nullptr);
    operations_->invoke(storage_);
  }

  // Drops the callable.
  void Reset() {
    if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(storage_);
  }

 private:
  struct Operations {
    void (*invoke)(void* storage);
    void (*relocate)(void* from, void* to);
    void (*destroy)(void* storage);
  };

  template <typename F>
  static constexpr bool kFitsInline =
      sizeof(F) <= kInlineBytes &&
      alignof(F) <= alignof(void*) && std::is_nothrow_move_constructible_v<F>;

  template <typename F>
  static constexpr Operations kInlineOperations = {
      [](void* storage) { (*static_cast<F*>(storage))(); },
      [](void* from, void* to) {
        new (to) F(std::move(*static_cast<F*>(from)));
        static_cast<F*>(from)->~F();
      },
      [](void* storage) { static_cast<F*>(storage)->~F(); },
  };
  template <typename F>
  static constexpr Operations kHeapOperations = {
      [](void* storage) { (**static_cast<F**>(storage))(); },
      [](void* from, void* to) { new (to) F*(*static_cast<F**>(from)); },
      [](void* storage) { delete *static_cast<F**>(storage); },
  };

  const Operations* operations_ = nullptr;
  alignas(void*) unsigned char storage_[kInlineBytes];
};

static_assert(sizeof(Task) == 56);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_TASK_H_
