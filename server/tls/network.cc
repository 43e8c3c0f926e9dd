#include "server/tls/network.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "io/unix_address.h"
#include "server/tls/stream.h"

namespace quorate::tls {

// TCP, then the files, then the handshake. The callback may destroy it.
class Network::Connecting final : public io::PendingConnect {
 public:
  Connecting(Network* network, const std::string& address, ConnectCallback callback)
      : network_(network),
        address_(address),
        callback_(std::move(callback)),
        self_(std::make_shared<Connecting*>(this)) {
    connecting_ = network->below_->Connect(
        address, [this](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
          OnConnected(std::move(stream));
        });
  }

 private:
  void OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
    if (!stream.ok()) return Done(std::move(stream));
    raw_ = *std::move(stream);
    network_->source_->Get(
        [weak = std::weak_ptr<Connecting*>(self_)](const Source::ContextOr& context) {
          Connecting* self = nullptr;
          if (const std::shared_ptr<Connecting*> strong = weak.lock()) self = *strong;
          if (self != nullptr) self->OnContext(context);
        });
  }

  void OnContext(const Source::ContextOr& context) {
    if (!context.ok()) return Done(context.status());
    const absl::StatusOr<std::string> name = io::ServerNameOf(address_);
    if (!name.ok()) return Done(name.status());
    stream_ = std::make_unique<TlsStream>(
        network_->loop_, network_->queue_, std::move(raw_),
        std::make_shared<Session>(*context, *name, network_->loop_->WallNow()),
        [this](const absl::Status& status) { OnHandshake(status); });
    stream_->Handshake();
  }

  void OnHandshake(const absl::Status& status) {
    if (status.ok()) return Done(std::unique_ptr<io::Stream>(std::move(stream_)));
    Done(absl::UnavailableError(
        absl::StrCat("TLS handshake with ", address_, " failed: ", status.message())));
  }

  void Done(absl::StatusOr<std::unique_ptr<io::Stream>> result) {
    const ConnectCallback callback = std::move(callback_);
    callback(std::move(result));
  }

  Network* const network_;
  const std::string address_;
  ConnectCallback callback_;
  std::unique_ptr<io::PendingConnect> connecting_;
  std::unique_ptr<io::Stream> raw_;
  std::unique_ptr<TlsStream> stream_;
  std::shared_ptr<Connecting*> self_;
};

absl::StatusOr<std::unique_ptr<io::Listener>> Network::Listen(const std::string& address,
                                                              AcceptCallback accept) {
  (void)accept;
  return absl::UnimplementedError(absl::StrCat("no TLS port at ", address, " from here"));
}

std::unique_ptr<io::PendingConnect> Network::Connect(const std::string& address,
                                                     ConnectCallback callback) {
  return std::make_unique<Connecting>(this, address, std::move(callback));
}

}  // namespace quorate::tls
