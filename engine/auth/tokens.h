// Simple tokens: who holds which, on this member, for how long yet.
//
// A token is given out by a committed Authenticate command, so every member that applies
// it knows it; how long it lasts is each member's own: for a while after its last use
// there. Not part of the replicated state: a member that restarts knows none, and its
// clients authenticate again.
#ifndef QUORATE_ENGINE_AUTH_TOKENS_H_
#define QUORATE_ENGINE_AUTH_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "base/time.h"

namespace quorate::auth {

// The text of the token that the command at `index` gives out, "<prefix>.<index>".
std::string SimpleToken(absl::string_view prefix, LogIndex index);
// The index in it; nothing if the text is not of that form.
std::optional<LogIndex> SimpleTokenIndex(absl::string_view token);

// What an applied command does to the tokens.
struct TokenChange {
  enum class Kind : uint8_t { kAssign, kForgetUser, kForgetAll };
  Kind kind = Kind::kForgetAll;
  std::string user;   // of kAssign and kForgetUser
  std::string token;  // of kAssign
};

class Tokens {
 public:
  // Tokens kept at once; above it the one that was used longest ago goes.
  static constexpr size_t kMaxTokens = 200'000;

  explicit Tokens(Duration time_to_live, size_t max_tokens = kMaxTokens)
      : time_to_live_(time_to_live), max_tokens_(max_tokens) {}
  Tokens(const Tokens&) = delete;
  Tokens& operator=(const Tokens&) = delete;

  // O(log users).
  void Apply(const TokenChange& change, Instant now);
  // Who holds the token, which thereby lives on; nothing if it is unknown or expired. The
  // name is valid until the next call.
  std::optional<absl::string_view> Use(absl::string_view token, Instant now);

  // In memory; some of them may be dead.
  size_t size() const { return tokens_.size(); }

 private:
  // Shared by a user's tokens: to forget them all is one write.
  struct Holder {
    std::string user;
    size_t tokens = 0;
    bool forgotten = false;  // and no longer in holders_
  };
  struct Token {
    std::string text;
    std::shared_ptr<Holder> holder;
    Instant expires;
    uint64_t generation = 0;
  };
  using Order = std::list<Token>;

  void Assign(const TokenChange& change, Instant now);
  bool Dead(const Token& token, Instant now) const {
    return token.expires < now || token.generation != generation_;
  }
  void DropDead(Instant now);
  void DropFront();

  const Duration time_to_live_;
  const size_t max_tokens_;
  uint64_t generation_ = 0;  // all tokens of earlier ones are forgotten
  Order order_;              // by last use, and so by generation and by expiry
  absl::flat_hash_map<absl::string_view, Order::iterator> tokens_;  // lookup only
  absl::btree_map<std::string, std::shared_ptr<Holder>> holders_;   // those with tokens
};

}  // namespace quorate::auth

#endif  // QUORATE_ENGINE_AUTH_TOKENS_H_
