#include "io/uv/network.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "io/address.h"
#include "io/unix_address.h"
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

// libuv would cut a longer path off.
bool FitsSocketName(absl::string_view path) {
  return !path.empty() && path.size() < sizeof(sockaddr_un::sun_path);
}

absl::Status BadSocketPath(absl::string_view path) {
  return absl::InvalidArgumentError(absl::StrCat("the path of a socket must have 1 to ",
                                                 sizeof(sockaddr_un::sun_path) - 1,
                                                 " characters: \"", path, "\""));
}

// Removes a socket at `path` on which nobody listens any more: whoever did has crashed.
void RemoveLeftOver(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int result = connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  if (result != 0 && errno == ECONNREFUSED) unlink(path.c_str());
  close(probe);
}

// A listening socket; lives until libuv has closed it.
class ListenSocket {
 public:
  ListenSocket(Loop* loop, SocketKind kind, Network::AcceptCallback accept)
      : loop_(loop),
        kind_(kind),
        accept_(std::make_shared<Network::AcceptCallback>(std::move(accept))) {
    socket_.Init(loop, kind, this);
  }
  ListenSocket(const ListenSocket&) = delete;
  ListenSocket& operator=(const ListenSocket&) = delete;

  int Listen(const sockaddr_storage& address, bool reuse_port) {
    int result = reuse_port ? OpenShared(address.ss_family) : 0;
    if (result == 0) result = uv_tcp_bind(&socket_.tcp, AsSockaddr(address), 0);
    if (result != 0) return result;
    // That the port is taken may only show here.
    const int listening = Listen();
    if (listening == 0) address_ = BoundAddress();
    return listening;
  }
  // libuv removes the file when the socket is closed.
  int Listen(const std::string& path) {
    const int result = uv_pipe_bind(&socket_.pipe, path.c_str());
    if (result != 0) return result;
    address_ = absl::StrCat("unix:", path);
    return Listen();
  }
  const std::string& address() const { return address_; }

  void Release() {
    accept_.reset();
    uv_close(&socket_.handle, [](uv_handle_t* h) { delete static_cast<ListenSocket*>(h->data); });
  }

 private:
  ~ListenSocket() = default;

  // libuv sets no such option before it binds.
  int OpenShared(int family) {
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return uv_translate_sys_error(errno);
    const int on = 1;
    int result = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    result = result != 0 ? uv_translate_sys_error(errno) : uv_tcp_open(&socket_.tcp, fd);
    if (result != 0) close(fd);
    return result;
  }

  int Listen() {
    return uv_listen(&socket_.stream, kListenBacklog, [](uv_stream_t* s, int status) {
      static_cast<ListenSocket*>(s->data)->OnPeer(status);
    });
  }

  std::string BoundAddress() {
    sockaddr_storage bound = {};
    int length = sizeof(bound);
    CHECK_EQ(uv_tcp_getsockname(&socket_.tcp, AsSockaddr(&bound), &length), 0);
    return FormatAddress(bound);
  }

  void OnPeer(int status) {
    // Out of descriptors, or the peer is gone again: the next one may fare better.
    if (status != 0) return;
    loop_->BeginCallback();
    auto* connection = new TcpConnection(loop_, kind_);
    if (uv_accept(&socket_.stream, connection->stream()) != 0) {
      return connection->Release();
    }
    connection->Connected();
    const std::shared_ptr<Network::AcceptCallback> accept = accept_;  // it may destroy us
    (*accept)(std::make_unique<TcpStream>(connection));
  }

  Loop* const loop_;
  const SocketKind kind_;
  std::shared_ptr<Network::AcceptCallback> accept_;
  SocketHandle socket_;
  std::string address_;
};

class TcpListener final : public Listener {
 public:
  explicit TcpListener(ListenSocket* socket) : socket_(socket), address_(socket->address()) {}
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
    if (const auto path = UnixPathOf(address_)) return BeginUnix(std::string(*path));
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

  // libuv tells of every outcome by the callback.
  void BeginUnix(const std::string& path) {
    if (!FitsSocketName(path)) return FinishLater(BadSocketPath(path));
    connection_ = new TcpConnection(loop_, SocketKind::kUnix);
    uv_pipe_connect(&connect_, connection_->pipe(), path.c_str(), [](uv_connect_t* r, int status) {
      static_cast<ConnectAttempt*>(r->data)->OnConnect(status);
    });
    busy_ = true;
  }

  void TryNext(int last_error) {
    while (next_ < addresses_.size()) {
      connection_ = new TcpConnection(loop_, SocketKind::kTcp);
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
  const std::optional<absl::string_view> path = UnixPathOf(address);
  ListenSocket* socket = nullptr;
  int result = 0;
  if (path.has_value()) {
    if (!FitsSocketName(*path)) return BadSocketPath(*path);
    const std::string name(*path);
    RemoveLeftOver(name);
    socket = new ListenSocket(loop_, SocketKind::kUnix, std::move(accept));
    result = socket->Listen(name);
  } else {
    ASSIGN_OR_RETURN(const sockaddr_storage at, ResolveNow(loop_, address));
    socket = new ListenSocket(loop_, SocketKind::kTcp, std::move(accept));
    result = socket->Listen(at, reuse_port_);
  }
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
