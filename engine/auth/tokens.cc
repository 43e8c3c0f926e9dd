#include "engine/auth/tokens.h"

#include <cstdint>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace quorate::auth {
namespace {

// More than a call can add, so that what is dead goes in the end.
constexpr int kDropsPerCall = 16;

}  // namespace

std::string SimpleToken(absl::string_view prefix, LogIndex index) {
  return absl::StrCat(prefix, ".", index.value());
}

std::optional<LogIndex> SimpleTokenIndex(absl::string_view token) {
  const size_t dot = token.find('.');
  if (dot == absl::string_view::npos) return std::nullopt;
  const absl::string_view digits = token.substr(dot + 1);
  uint64_t index = 0;
  // Only digits: the number parser would take signs and spaces too.
  if (digits.empty() || !absl::ascii_isdigit(digits.front()) ||
      !absl::ascii_isdigit(digits.back()) || !absl::SimpleAtoi(digits, &index)) {
    return std::nullopt;
  }
  return LogIndex(index);
}

void Tokens::Apply(const TokenChange& change, Instant now) {
  switch (change.kind) {
    case TokenChange::Kind::kAssign:
      return Assign(change, now);
    case TokenChange::Kind::kForgetUser: {
      const auto at = holders_.find(change.user);
      if (at == holders_.end()) return;
      at->second->forgotten = true;
      holders_.erase(at);
      return;
    }
    case TokenChange::Kind::kForgetAll:
      ++generation_;
      return;
  }
}

void Tokens::Assign(const TokenChange& change, Instant now) {
  DropDead(now);
  if (tokens_.contains(change.token)) return;
  if (tokens_.size() >= max_tokens_) DropFront();
  std::shared_ptr<Holder>& holder = holders_[change.user];
  if (holder == nullptr) holder = std::make_shared<Holder>(Holder{change.user});
  ++holder->tokens;
  order_.push_back({change.token, holder, now + time_to_live_, generation_});
  tokens_.emplace(order_.back().text, std::prev(order_.end()));
}

std::optional<absl::string_view> Tokens::Use(absl::string_view token, Instant now) {
  DropDead(now);
  const auto at = tokens_.find(token);
  if (at == tokens_.end()) return std::nullopt;
  const Order::iterator used = at->second;
  if (used->holder->forgotten || Dead(*used, now)) return std::nullopt;
  used->expires = now + time_to_live_;
  order_.splice(order_.end(), order_, used);
  return used->holder->user;
}

void Tokens::DropDead(Instant now) {
  for (int i = 0; i < kDropsPerCall && !order_.empty() && Dead(order_.front(), now); ++i) {
    DropFront();
  }
}

void Tokens::DropFront() {
  Token& token = order_.front();
  if (--token.holder->tokens == 0 && !token.holder->forgotten) holders_.erase(token.holder->user);
  tokens_.erase(token.text);
  order_.pop_front();
}

}  // namespace quorate::auth
