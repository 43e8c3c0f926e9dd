#include "server/peer/hash_desk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/peer/hash_json.h"
#include "server/peer/headers.h"

namespace quorate::peer {

bool HashDesk::Add(const http1::ExchangePtr& exchange, Bytes question) {
  if (items_.size() > context_->options.max_queued_hashes) return false;
  const uint64_t number = ++last_number_;
  exchange->set_on_close([weak = std::weak_ptr<HashDesk*>(self_), number] {
    if (const std::shared_ptr<HashDesk*> self = weak.lock()) (*self)->OnGone(number);
  });
  items_.push_back({number, exchange, std::move(question)});
  if (items_.size() == 1) Begin();
  return true;
}

void HashDesk::Begin() {
  request_ = context_->sink->OnForwarded(
      engine::RequestKind::kHashKv, items_.front().question, context_->options.hash_timeout,
      [weak = std::weak_ptr<HashDesk*>(self_)](const absl::Status& status, const Bytes& body) {
        if (const std::shared_ptr<HashDesk*> self = weak.lock()) (*self)->OnAnswer(status, body);
      });
}

void HashDesk::OnAnswer(const absl::Status& status, const Bytes& body) {
  const http1::ExchangePtr exchange = std::move(items_.front().exchange);
  items_.pop_front();
  http1::Response response = http1::Response::Text(400, absl::StrCat(status.message(), "\n"));
  if (status.ok()) response = http1::Response::Json(200, HashAnswer(body));
  for (const auto& [name, value] : ResponseFields(context_->self)) {
    response.fields.Add(name, value);
  }
  exchange->Respond(std::move(response));
  if (!items_.empty()) Begin();
}

void HashDesk::OnGone(uint64_t number) {
  const auto item = std::find_if(items_.begin(), items_.end(),
                                 [number](const Item& i) { return i.number == number; });
  if (item == items_.end()) return;
  const bool first = item == items_.begin();
  items_.erase(item);
  if (!first) return;
  context_->sink->Abandon(request_);
  if (!items_.empty()) Begin();
}

}  // namespace quorate::peer
