#include "io/uv/network.h"

#include <uv.h>

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "io/address.h"
#include "io/uv/error.h"
#include "io/uv/tcp_stream.h"

namespace quorate::io::uv {
namespace {

// Connections that wait to be accepted; the kernel bounds it by net.core.somaxconn.
constexpr int kListenBacklog = 1024;

sockaddr* AsSockaddr(sockaddr_storage* address) { return reinterpret_cast<sockaddr*>(address); }
const sockaddr* AsSockaddr(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

bool ParseIp(const HostPort& at, sockaddr_storage* address) {
  return uv_ip4_addr(at.host.c_str(), at.port, reinterpret_cast<sockaddr_in*>(address)) == 0 ||
         uv_ip6_addr(at.host.c_str(), at.port, reinterpret_cast<sockaddr_in6*>(address)) == 0;
}

// The resolver's answers, in its order.
std::vector<sockaddr_storage> ToAddresses(const addrinfo* list) {
  std::vector<sockaddr_storage> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    sockaddr_storage& address = addresses.emplace_back();
    std::memcpy(&address, info->ai_addr, info->ai_addrlen);
  }
  return addresses;
}

addrinfo TcpHints() {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  return hints;
}

absl::StatusOr<sockaddr_storage> ResolveNow(Loop* loop, const std::string& text) {
  ASSIGN_OR_RETURN(HostPort at, ParseHostPort(text));
  if (at.host.empty()) at.host = "0.0.0.0";
  sockaddr_storage address = {};
  if (ParseIp(at, &address)) return address;
  const addrinfo hints = TcpHints();
  uv_getaddrinfo_t request;
  const int result = uv_getaddrinfo(loop->uv(), &request, nullptr, at.host.c_str(),
                                    std::to_string(at.port).c_str(), &hints);
  if (result != 0) return NetworkError("look up", at.host, result);
  const std::vector<sockaddr_storage> addresses = ToAddresses(request.addrinfo);
  uv_freeaddrinfo(request.addrinfo);
  if (addresses.empty()) return NetworkError("look up", at.host, UV_EAI_NONAME);
  return addresses.front();
}

// A listening socket; lives until libuv has closed it.
class ListenSocket {
 public:
  ListenSocket(Loop* loop, Network::AcceptCallback accept)
      : loop_(loop), accept_(std::make_shared<Network::AcceptCallback>(std::move(accept))) {
    CHECK_EQ(uv_tcp_init(loop->uv(), &tcp_), 0);
    tcp_.data = this;
  }
  ListenSocket(const ListenSocket&) = delete;
  ListenSocket& operator=(const ListenSocket&) = delete;

  int Listen(const sockaddr_storage& address) {
    const int result = uv_tcp_bind(&tcp_, AsSockaddr(address), 0);
    if (result != 0) return result;
    return uv_listen(
        reinterpret_cast<uv_stream_t*>(&tcp_), kListenBacklog,
        [](uv_stream_t* s, int status) { static_cast<ListenSocket*>(s->data)->OnPeer(status); });
  }

  std::string BoundAddress() {
    sockaddr_storage bound = {};
    int length = sizeof(bound);
    CHECK_EQ(uv_tcp_getsockname(&tcp_, AsSockaddr(&bound), &length), 0);
    return FormatAddress(bound);
  }

  void Release() {
    accept_.reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp_),
             [](uv_handle_t* h) { delete static_cast<ListenSocket*>(h->data); });
  }

 private:
  ~ListenSocket() = default;

  void OnPeer(int status) {
    // Out of descriptors, or the peer is gone again: the next one may fare better.
    if (status != 0) return;
    loop_->BeginCallback();
    auto* connection = new TcpConnection(loop_);
    if (uv_accept(reinterpret_cast<uv_stream_t*>(&tcp_), connection->stream()) != 0) {
      return connection->Release();
    }
    connection->Connected();
    const std::shared_ptr<Network::AcceptCallback> accept = accept_;  // it may destroy us
    (*accept)(std::make_unique<TcpStream>(connection));
  }

  Loop* const loop_;
  std::shared_ptr<Network::AcceptCallback> accept_;
  uv_tcp_t tcp_;
};

class TcpListener final : public Listener {
 public:
  explicit TcpListener(ListenSocket* socket) : socket_(socket), address_(socket->BoundAddress()) {}
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;
  ~TcpListener() override { socket_->Release(); }

  const std::string& address() const override { return address_; }

 private:
  ListenSocket* const socket_;
  const std::string address_;
};

// One Connect: looks the name up, then tries each address. Lives until it has an
// outcome, or, if given up before, until libuv lets go of its request.
class ConnectAttempt {
 public:
  ConnectAttempt(Loop* loop, std::string address, Network::ConnectCallback callback)
      : loop_(loop),
        address_(std::move(address)),
        callback_(std::move(callback)),
        finish_([](void* self) { static_cast<ConnectAttempt*>(self)->Finish(); }, this) {
    lookup_.data = this;
    connect_.data = this;
  }
  ConnectAttempt(const ConnectAttempt&) = delete;
  ConnectAttempt& operator=(const ConnectAttempt&) = delete;

  void Begin() {
    absl::StatusOr<HostPort> at = ParseHostPort(address_);
    if (!at.ok()) return FinishLater(at.status());
    if (at->host.empty()) at->host = "127.0.0.1";
    sockaddr_storage address = {};
    if (ParseIp(*at, &address)) {
      addresses_.push_back(address);
      return TryNext(0);
    }
    const addrinfo hints = TcpHints();
    const int result = uv_getaddrinfo(
        loop_->uv(), &lookup_,
        [](uv_getaddrinfo_t* r, int status, addrinfo* list) {
          static_cast<ConnectAttempt*>(r->data)->OnLookup(status, list);
        },
        at->host.c_str(), std::to_string(at->port).c_str(), &hints);
    if (result != 0) return FinishLater(NetworkError("look up", at->host, result));
    busy_ = true;
  }

  // The caller lost interest.
  void GiveUp() {
    callback_ = nullptr;
    if (connection_ != nullptr) {
      // Its request comes back as cancelled, after which we go.
      std::exchange(connection_, nullptr)->Release();
    } else if (busy_) {
      uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_));
    }
    owned_ = false;
    if (!busy_) delete this;
  }

 private:
  ~ConnectAttempt() = default;

  void OnLookup(int status, addrinfo* list) {
    busy_ = false;
    loop_->BeginCallback();
    addresses_ = ToAddresses(list);
    uv_freeaddrinfo(list);
    if (!owned_) {
      delete this;
    } else if (status != 0) {
      FinishLater(NetworkError("look up", address_, status));
    } else {
      TryNext(UV_EAI_NONAME);
    }
  }

  void TryNext(int last_error) {
    while (next_ < addresses_.size()) {
      connection_ = new TcpConnection(loop_);
      last_error = uv_tcp_connect(&connect_, connection_->tcp(), AsSockaddr(addresses_[next_++]),
                                  [](uv_connect_t* r, int status) {
                                    static_cast<ConnectAttempt*>(r->data)->OnConnect(status);
                                  });
      if (last_error == 0) {
        busy_ = true;
        return;
      }
      std::exchange(connection_, nullptr)->Release();
    }
    FinishLater(NetworkError("connect", address_, last_error));
  }

  void OnConnect(int status) {
    busy_ = false;
    loop_->BeginCallback();
    if (!owned_) {
      delete this;
    } else if (status != 0) {
      std::exchange(connection_, nullptr)->Release();
      TryNext(status);
    } else {
      connection_->Connected();
      Tell(std::make_unique<TcpStream>(std::exchange(connection_, nullptr)));
    }
  }

  void FinishLater(absl::Status status) {
    failure_ = std::move(status);
    loop_->Post(&finish_);
  }
  void Finish() { Tell(failure_); }

  void Tell(absl::StatusOr<std::unique_ptr<Stream>> result) {
    // The callback may destroy the PendingConnect, and that us.
    const Network::ConnectCallback callback = std::exchange(callback_, nullptr);
    callback(std::move(result));
  }

  Loop* const loop_;
  const std::string address_;
  Network::ConnectCallback callback_;
  TurnHook finish_;
  absl::Status failure_;
  uv_getaddrinfo_t lookup_;
  uv_connect_t connect_;
  std::vector<sockaddr_storage> addresses_;
  size_t next_ = 0;
  TcpConnection* connection_ = nullptr;
  bool busy_ = false;  // libuv has lookup_ or connect_
  bool owned_ = true;
};

class TcpPendingConnect final : public PendingConnect {
 public:
  explicit TcpPendingConnect(ConnectAttempt* attempt) : attempt_(attempt) {}
  TcpPendingConnect(const TcpPendingConnect&) = delete;
  TcpPendingConnect& operator=(const TcpPendingConnect&) = delete;
  ~TcpPendingConnect() override { attempt_->GiveUp(); }

 private:
  ConnectAttempt* const attempt_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Network::Listen(const std::string& address,
                                                          AcceptCallback accept) {
  ASSIGN_OR_RETURN(const sockaddr_storage at, ResolveNow(loop_, address));
  auto* socket = new ListenSocket(loop_, std::move(accept));
  const int result = socket->Listen(at);
  if (result != 0) {
    socket->Release();
    return NetworkError("listen on", address, result);
  }
  return std::make_unique<TcpListener>(socket);
}

std::unique_ptr<PendingConnect> Network::Connect(const std::string& address,
                                                 ConnectCallback callback) {
  auto* attempt = new ConnectAttempt(loop_, address, std::move(callback));
  attempt->Begin();
  return std::make_unique<TcpPendingConnect>(attempt);
}

}  // namespace quorate::io::uv
