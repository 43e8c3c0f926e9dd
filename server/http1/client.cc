#include "server/http1/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http1/client_connection.h"

namespace quorate::http1 {
namespace {

// Gathers a short response.
class WholeHandler final : public ResponseHandler {
 public:
  WholeHandler(size_t max_body_bytes, Client::WholeCallback callback)
      : max_body_bytes_(max_body_bytes), callback_(std::move(callback)) {}

  void OnResponse(const ResponseHead& head) override { response_.head = head; }
  void OnBody(absl::string_view piece) override {
    if (response_.body.size() + piece.size() <= max_body_bytes_) {
      response_.body.append(piece.data(), piece.size());
    } else {
      too_large_ = true;
    }
  }
  void OnEnd() override {
    if (too_large_) {
      return Call(absl::ResourceExhaustedError(
          absl::StrCat("the response is larger than ", max_body_bytes_, " bytes")));
    }
    Call(std::move(response_));
  }
  void OnError(const absl::Status& status) override { Call(status); }

 private:
  // The callback may destroy the exchange and with it this handler.
  void Call(absl::StatusOr<Client::WholeResponse> result) {
    const Client::WholeCallback callback = std::move(callback_);
    callback(std::move(result));
  }

  const size_t max_body_bytes_;
  Client::WholeCallback callback_;
  Client::WholeResponse response_;
  bool too_large_ = false;
};

}  // namespace

ClientExchange::~ClientExchange() {
  if (connection_ != nullptr) connection_->Abandon();
}

void ClientExchange::Write(Bytes data) {
  if (connection_ != nullptr) connection_->WriteBody(std::move(data));
}

void ClientExchange::EndBody() {
  if (connection_ != nullptr) connection_->EndBody();
}

size_t ClientExchange::queued_bytes() const {
  return connection_ != nullptr ? connection_->queued_bytes() : 0;
}

void ClientExchange::PauseReading() {
  if (connection_ != nullptr) connection_->PauseReading();
}

void ClientExchange::ResumeReading() {
  if (connection_ != nullptr) connection_->ResumeReading();
}

Client::Client(io::Loop* loop, io::Network* network, std::string address,
               const ClientOptions& options)
    : loop_(loop),
      network_(network),
      address_(std::move(address)),
      options_(options),
      alive_(std::make_shared<bool>(true)) {}

Client::~Client() {
  *alive_ = false;
  // We may be inside a callback of one of them.
  auto connections = std::make_shared<decltype(connections_)>(std::move(connections_));
  connections_.clear();
  for (const auto& [id, connection] : *connections) connection->Orphan();
  if (!connections->empty()) loop_->Defer([connections] {});
}

std::unique_ptr<ClientExchange> Client::Start(ClientRequest request, ResponseHandler* handler) {
  ClientConnection* connection = nullptr;
  for (const auto& [id, candidate] : connections_) {
    if (candidate->idle()) connection = candidate.get();  // the youngest
  }
  if (connection == nullptr) {
    const uint64_t id = next_connection_id_++;
    connection =
        connections_.emplace(id, std::make_unique<ClientConnection>(this, id)).first->second.get();
  }
  auto exchange = std::make_unique<ClientExchange>(connection);
  connection->Begin(std::move(request), handler, exchange.get());
  return exchange;
}

std::unique_ptr<ClientExchange> Client::Fetch(ClientRequest request, size_t max_body_bytes,
                                              WholeCallback callback) {
  auto handler = std::make_unique<WholeHandler>(max_body_bytes, std::move(callback));
  std::unique_ptr<ClientExchange> exchange = Start(std::move(request), handler.get());
  exchange->owned_handler_ = std::move(handler);
  return exchange;
}

bool Client::MayKeepIdle() const {
  const auto idle = std::count_if(connections_.begin(), connections_.end(),
                                  [](const auto& entry) { return entry.second->idle(); });
  return static_cast<size_t>(idle) <= options_.max_idle_connections;
}

void Client::RemoveLater(uint64_t connection_id) {
  loop_->Defer([this, connection_id, alive = alive_] {
    if (*alive) connections_.erase(connection_id);
  });
}

}  // namespace quorate::http1
