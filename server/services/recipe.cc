#include "server/services/recipe.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/messages.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

constexpr int64_t kLeaseSeconds = 60;

}  // namespace

Recipe::Recipe(io::Loop* loop, node::Node* node, engine::Credentials credentials)
    : loop_(loop), node_(node), credentials_(std::move(credentials)) {}

Recipe::~Recipe() { Stop(); }

void Recipe::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (has_pending_) node_->Abandon(pending_);
  watch_.Close();
  keep_alive_timer_.reset();
}

// In etcd these services are clients of the others, and a client's error has a text, but no code
// that they could pass on.
void Recipe::Fail(const absl::Status& status) {
  const std::shared_ptr<Recipe> self = shared_from_this();
  if (stopped_) return;
  Stop();
  OnFailure(absl::UnknownError(status.message()));
}

void Recipe::Call(RequestKind kind, Bytes body, std::function<void(Bytes)> then) {
  if (stopped_) return;
  has_pending_ = true;
  pending_ = node_->Call(
      kind, std::move(body), node_->request_timeout(),
      [weak = weak_from_this(), then = std::move(then)](const absl::Status& status, Bytes reply) {
        const std::shared_ptr<Recipe> self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        self->has_pending_ = false;
        if (!status.ok()) return self->Fail(status);
        then(std::move(reply));
      },
      credentials_);
}

// ---- leases ----

void Recipe::WithLease(int64_t lease, std::function<void(int64_t)> then) {
  if (lease != 0) {
    lease_ = lease;
    KeepAlive();
    return then(lease);
  }
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(kLeaseSeconds);
  Do<etcdserverpb::LeaseGrantResponse>(
      RequestKind::kLeaseGrant, request,
      [this, then = std::move(then)](const etcdserverpb::LeaseGrantResponse& granted) {
        lease_ = granted.id();
        KeepAlive();
        then(lease_);
      });
}

// Renews three times in a lease's life. A lease that is gone shows in the steps themselves.
void Recipe::KeepAlive() {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(lease_);
  node_->Call(
      RequestKind::kLeaseKeepAlive, SerializeMessage(request), node_->request_timeout(),
      [weak = weak_from_this()](const absl::Status& status, const Bytes& reply) {
        const std::shared_ptr<Recipe> self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        etcdserverpb::LeaseKeepAliveResponse renewed;
        int64_t seconds = 3;
        if (status.ok() && ParseMessage(reply, &renewed)) {
          if (renewed.ttl() <= 0) return;
          seconds = renewed.ttl();
        }
        if (self->keep_alive_timer_ == nullptr) {
          self->keep_alive_timer_ =
              self->loop_->NewTimer([recipe = self.get()] { recipe->KeepAlive(); });
        }
        const int64_t millis = std::min<int64_t>(seconds, 3600) * 1000 / 3;
        self->keep_alive_timer_->Set(self->loop_->Now() + Milliseconds(millis));
      },
      credentials_);
}

// ---- the queue ----

std::string Recipe::EndOf(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

std::string Recipe::KeyOf(const std::string& prefix, int64_t lease) {
  return absl::StrCat(prefix, absl::Hex(static_cast<uint64_t>(lease)));
}

void Recipe::Join(const std::string& prefix, int64_t lease, const std::string& value,
                  std::function<void(const Place&)> then) {
  const std::string key = KeyOf(prefix, lease);
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare* const compare = request.add_compare();
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_key(key);
  compare->set_create_revision(0);
  etcdserverpb::PutRequest* const put = request.add_success()->mutable_request_put();
  put->set_key(key);
  put->set_value(value);
  put->set_lease(lease);
  request.add_failure()->mutable_request_range()->set_key(key);
  Do<etcdserverpb::TxnResponse>(
      RequestKind::kTxn, request,
      [key, then = std::move(then)](const etcdserverpb::TxnResponse& response) {
        Place place;
        place.key = key;
        place.header = response.header();
        place.create_revision = response.header().revision();
        if (!response.succeeded() && response.responses_size() == 1 &&
            response.responses(0).response_range().kvs_size() == 1) {
          const mvccpb::KeyValue& kv = response.responses(0).response_range().kvs(0);
          place.existed = true;
          place.create_revision = kv.create_revision();
          place.value = kv.value();
        }
        then(place);
      });
}

void Recipe::WaitForTurn(const std::string& prefix, int64_t revision, std::function<void()> then) {
  etcdserverpb::RangeRequest request;
  request.set_key(prefix);
  request.set_range_end(EndOf(prefix));
  request.set_limit(1);
  request.set_max_create_revision(revision);
  request.set_sort_target(etcdserverpb::RangeRequest::CREATE);
  request.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  request.set_keys_only(true);
  Do<etcdserverpb::RangeResponse>(
      RequestKind::kRange, request,
      [this, prefix, revision, then](const etcdserverpb::RangeResponse& response) {
        if (response.kvs_size() == 0) return then();
        const auto again = [this, prefix, revision, then] { WaitForTurn(prefix, revision, then); };
        Watch(
            response.kvs(0).key(), "", response.header().revision() + 1,
            [again](const etcdserverpb::WatchResponse& events) {
              for (const mvccpb::Event& event : events.events()) {
                if (event.type() != mvccpb::Event::DELETE) continue;
                again();
                return false;
              }
              return true;
            },
            again);
      });
}

void Recipe::DeleteLater(const std::string& key, int64_t create_revision) {
  etcdserverpb::TxnRequest request;
  if (create_revision != 0) {
    etcdserverpb::Compare* const compare = request.add_compare();
    compare->set_target(etcdserverpb::Compare::CREATE);
    compare->set_key(key);
    compare->set_create_revision(create_revision);
  }
  request.add_success()->mutable_request_delete_range()->set_key(key);
  node_->Call(
      RequestKind::kTxn, SerializeMessage(request), node_->request_timeout(),
      [](const absl::Status&, const Bytes&) {}, credentials_);
}

// ---- watching ----

void Recipe::Watch(const std::string& key, const std::string& range_end, int64_t revision,
                   std::function<bool(const etcdserverpb::WatchResponse&)> then,
                   std::function<void()> lost) {
  if (stopped_) return;
  ++watch_number_;
  on_event_ = std::move(then);
  on_lost_ = std::move(lost);
  watch_ = node_->OpenWatch(this, credentials_);
  etcdserverpb::WatchRequest request;
  etcdserverpb::WatchCreateRequest* const create = request.mutable_create_request();
  create->set_key(key);
  create->set_range_end(range_end);
  create->set_start_revision(revision);
  watch_.Request(SerializeMessage(request));
}

void Recipe::OnWatchReply(Bytes head, Bytes events) {
  const std::shared_ptr<Recipe> self = shared_from_this();
  if (stopped_ || !on_event_) return;
  etcdserverpb::WatchResponse response;
  if (!response.ParseFromString(absl::StrCat(head.view(), events.view()))) {
    return Fail(absl::InternalError("an event of the store cannot be read"));
  }
  const uint64_t number = watch_number_;
  if (response.canceled()) {
    on_event_ = nullptr;
    watch_.Close();
    if (response.compact_revision() == 0) {
      return Fail(absl::PermissionDeniedError(response.cancel_reason()));
    }
    const std::function<void()> lost = std::move(on_lost_);
    return lost();
  }
  if (response.events_size() == 0) return;
  const auto on_event = on_event_;  // it may begin another watch
  if (on_event(response) || stopped_ || number != watch_number_) return;
  on_event_ = nullptr;
  watch_.Close();
}

void Recipe::OnWatchEnd(const absl::Status& status) { Fail(status); }

}  // namespace quorate::services
