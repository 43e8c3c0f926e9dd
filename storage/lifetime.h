// Lets callbacks of operations that cannot be cancelled (opening, renaming, deferred
// calls) be dropped once the object that waits for them is gone.
//
//   disk->SyncDir(dir, lifetime_.Guard([this](absl::Status status) { ... }));
#ifndef QUORATE_STORAGE_LIFETIME_H_
#define QUORATE_STORAGE_LIFETIME_H_

#include <memory>
#include <utility>

namespace quorate::storage {

// The last member of its object, so that it ends first.
class Lifetime {
 public:
  Lifetime() : token_(std::make_shared<Token>()) {}
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  // Calls `callback` only while this lives. The callback may end it.
  template <typename F>
  auto Guard(F callback) const {
    return [alive = std::weak_ptr<Token>(token_),
            callback = std::move(callback)](auto&&... arguments) mutable {
      if (!alive.expired()) callback(std::forward<decltype(arguments)>(arguments)...);
    };
  }

 private:
  struct Token {};
  std::shared_ptr<Token> token_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_LIFETIME_H_
