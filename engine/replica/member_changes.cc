#include "engine/replica/member_changes.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::engine {

void MemberChanges::Add(MemberChange change) {
  const uint64_t id = change.change.id;
  CHECK(changes_.empty() || changes_.rbegin()->first < id);
  changes_.emplace(id, std::move(change));
}

MemberChange* MemberChanges::FirstUnproposed() {
  for (auto& [id, change] : changes_) {
    if (change.proposed == Term()) return &change;
  }
  return nullptr;
}

bool MemberChanges::HasUnproposed() const {
  return std::any_of(changes_.begin(), changes_.end(),
                     [](const auto& c) { return c.second.proposed == Term(); });
}

std::optional<MemberChange> MemberChanges::Take(uint64_t id) {
  const auto at = changes_.find(id);
  if (at == changes_.end()) return std::nullopt;
  MemberChange change = std::move(at->second);
  changes_.erase(at);
  return change;
}

std::vector<RequestToken> MemberChanges::TakeOvertaken(Term term) {
  std::vector<RequestToken> overtaken;
  for (auto at = changes_.begin(); at != changes_.end();) {
    if (at->second.proposed == Term() || at->second.proposed >= term) {
      ++at;
      continue;
    }
    overtaken.push_back(at->second.token);
    at = changes_.erase(at);
  }
  return overtaken;
}

Promotion& MemberChanges::AddPromotion(RequestToken token, Bytes body) {
  Promotion& promotion = promotions_[token];
  promotion.body = std::move(body);
  return promotion;
}

Promotion* MemberChanges::FindPromotion(RequestToken token) {
  const auto at = promotions_.find(token);
  return at == promotions_.end() ? nullptr : &at->second;
}

std::vector<RequestToken> MemberChanges::PromotionsToDispatch(Instant now) const {
  std::vector<RequestToken> out;
  for (const auto& [token, promotion] : promotions_) {
    if (!promotion.forwarded && promotion.retry_at <= now) out.push_back(token);
  }
  return out;
}

Instant MemberChanges::next_promotion() const {
  Instant next = Instant::Infinite();
  for (const auto& [token, promotion] : promotions_) next = std::min(next, promotion.retry_at);
  return next;
}

bool MemberChanges::Abandon(RequestToken token) {
  if (promotions_.erase(token) > 0) return true;
  for (auto at = changes_.begin(); at != changes_.end(); ++at) {
    if (at->second.token != token) continue;
    changes_.erase(at);
    return true;
  }
  return false;
}

}  // namespace quorate::engine
