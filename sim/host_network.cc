// What one process holds of the simulated network: streams, listeners, attempts.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "io/address.h"
#include "sim/network_impl.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kAccept("accept", "from");
constexpr TraceKind kConnected("connected", "to");
constexpr TraceKind kConnectFailed("connect-failed", "to");

}  // namespace

// --- Streams ---

SimStream::SimStream(Network::Impl* network, EndRef end, Loop* loop, std::string peer_address)
    : network_(network), end_(end), loop_(loop), peer_address_(std::move(peer_address)) {
  loop_->AddObject();
  End& state = network_->Find(end_)->ends[end_.side()];
  state.stream = this;
  state.unclaimed = false;
}

SimStream::~SimStream() {
  Connection* connection = network_->Find(end_);
  if (connection != nullptr && connection->ends[end_.side()].stream == this) network_->Close(end_);
  loop_->RemoveObject();
}

void SimStream::Start(Handler* handler) {
  Connection* connection = network_->Find(end_);
  if (connection == nullptr) return;  // the process is dead
  End& end = connection->ends[end_.side()];
  CHECK(end.handler == nullptr);
  end.handler = handler;
  if (end.state == EndState::kClosed) {
    network_->context.scheduler->After(Duration(), [network = network_, end = end_] {
      if (network->Find(end) != nullptr) network->TellFailure(end);
    });
  } else if (!end.paused && !connection->pipes[end_.side() ^ 1].received.empty()) {
    network_->ScheduleRead(end_);
  }
}

void SimStream::Write(Bytes data) {
  Connection* connection = network_->Find(end_);
  if (connection == nullptr || data.empty()) return;
  if (connection->ends[end_.side()].state != EndState::kOpen) return;
  Pipe& pipe = connection->pipes[end_.side()];
  if (pipe.fin_wanted) return;
  pipe.queued_bytes += data.size();
  pipe.queue.push_back(std::move(data));
  if (pipe.queued_bytes > kWriteHighWater) pipe.above_high_water = true;
  network_->DeferFlush(end_);
}

size_t SimStream::write_queue_bytes() const {
  Connection* connection = network_->Find(end_);
  return connection == nullptr ? 0 : connection->pipes[end_.side()].queued_bytes;
}

void SimStream::PauseReading() {
  Connection* connection = network_->Find(end_);
  if (connection != nullptr) connection->ends[end_.side()].paused = true;
}

void SimStream::ResumeReading() {
  Connection* connection = network_->Find(end_);
  if (connection == nullptr) return;
  End& end = connection->ends[end_.side()];
  if (!std::exchange(end.paused, false) || end.handler == nullptr) return;
  if (!connection->pipes[end_.side() ^ 1].received.empty()) network_->ScheduleRead(end_);
}

void SimStream::CloseAfterFlush() {
  Connection* connection = network_->Find(end_);
  if (connection == nullptr || connection->ends[end_.side()].state != EndState::kOpen) return;
  connection->pipes[end_.side()].fin_wanted = true;
  network_->DeferFlush(end_);
}

// --- Listening ---

SimListener::SimListener(Network::Impl* network, HostId host, Loop* loop, uint16_t port,
                         std::string address, io::Network::AcceptCallback accept)
    : network_(network),
      host_(host),
      loop_(loop),
      port_(port),
      address_(std::move(address)),
      accept_(std::make_shared<io::Network::AcceptCallback>(std::move(accept))) {
  loop_->AddObject();
  network_->host(host_).listeners[port_] = this;
}

SimListener::~SimListener() {
  auto& listeners = network_->host(host_).listeners;
  const auto found = listeners.find(port_);
  if (found != listeners.end() && found->second == this) listeners.erase(found);
  loop_->RemoveObject();
}

absl::StatusOr<std::unique_ptr<io::Listener>> HostNetwork::Listen(const std::string& address,
                                                                  AcceptCallback accept) {
  ASSIGN_OR_RETURN(io::HostPort at, io::ParseHostPort(address));
  ASSIGN_OR_RETURN(const HostId host, network_->Resolve(host_, at.host));
  if (host != host_) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen on ", address, ": not an address of this host"));
  }
  if (at.port == 0) {
    at.port = network_->FreePort(host_);
  } else if (network_->host(host_).listeners.contains(at.port)) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen on ", address, ": address already in use"));
  }
  return std::make_unique<SimListener>(network_, host_, loop_, at.port,
                                       absl::StrCat(network_->host(host_).name, ":", at.port),
                                       std::move(accept));
}

// --- Connecting ---

// One Connect on its way: a request, an answer, and the listener's side of it.
struct ConnectState : std::enable_shared_from_this<ConnectState> {
  Network::Impl* network = nullptr;
  HostId from;
  Loop* loop = nullptr;
  std::string address;
  HostId to;
  uint16_t port = 0;
  io::Network::ConnectCallback callback;  // null once told or given up
  VirtualTime begun;
  int tries = 0;

  // After `delay`, on the caller's loop.
  void FinishLater(Duration delay, absl::Status status) {
    network->context.scheduler->After(delay,
                                      [self = shared_from_this(), status = std::move(status)] {
                                        if (self->callback == nullptr) return;
                                        self->loop->Enter(kConnectFailed, self->to.value(), 0,
                                                          [self, status] { self->Tell(status); });
                                      });
  }

  void Tell(absl::StatusOr<std::unique_ptr<io::Stream>> result) {
    if (callback == nullptr) return;
    const io::Network::ConnectCallback told = std::exchange(callback, nullptr);
    told(std::move(result));
  }

  Duration Travel(HostId a, HostId b) {
    Edge& edge = network->edge(a, b);
    return network->Latency(edge.options, &edge.stream_prng);
  }

  void Request() {
    network->context.scheduler->After(Travel(from, to),
                                      [self = shared_from_this()] { self->Arrive(); });
  }

  void Arrive() {
    if (callback == nullptr || !loop->alive()) return;
    HostState& server = network->host(to);
    if (network->blocked(from, to) || network->blocked(to, from) || !server.powered) {
      return Retry();
    }
    const auto listener = server.listeners.find(port);
    if (listener == server.listeners.end()) {
      network->context.Inject(Fault::kConnectRefused, from, to.value());
      return FinishLater(Travel(to, from), absl::UnavailableError(absl::StrCat(
                                               "connect ", address, ": connection refused")));
    }
    Establish(server.loop);
  }

  void Retry() {
    const Duration timeout = network->stream_options.connect_timeout;
    const Duration waited = network->context.now() - begun;
    Duration wait = network->stream_options.retransmit_timeout * (int64_t{1} << tries);
    if (waited + wait >= timeout || tries == 10) {
      network->context.Inject(Fault::kConnectTimeout, from, to.value());
      const Duration left = timeout - waited;
      return FinishLater(left, absl::UnavailableError(
                                   absl::StrCat("connect ", address, ": connection timed out")));
    }
    ++tries;
    network->context.scheduler->After(wait, [self = shared_from_this()] { self->Arrive(); });
  }

  // The request has met a listener: the connection exists, and both processes will
  // hear of it.
  void Establish(Loop* server_loop) {
    const EndRef mine = network->NewConnection(from, loop, to, server_loop);
    const EndRef theirs = Network::Impl::OtherEnd(mine);
    const Duration back = Travel(to, from);
    const Duration forth = Travel(from, to);
    // Nothing arrives before the connection does.
    Connection* connection = network->Find(mine);
    connection->pipes[0].last_arrival = network->context.now() + back + forth;
    connection->pipes[1].last_arrival = network->context.now() + back;
    const std::string local = absl::StrCat(network->host(from).name, ":", network->FreePort(from));
    network->context.scheduler->After(back, [self = shared_from_this(), mine] {
      // Given up meanwhile, or dead: the process's loop may be gone as well.
      if (self->callback == nullptr) return self->network->Close(mine);
      self->loop->Enter(kConnected, self->to.value(), 0, [self, mine] { self->Connected(mine); });
    });
    network->context.scheduler->After(
        back + forth, [network = network, theirs, local, to = to, port = port] {
          Connection* connection = network->Find(theirs);
          if (connection == nullptr || !connection->ends[theirs.side()].unclaimed) return;
          Loop* const loop = connection->ends[theirs.side()].loop;
          const HostId peer = connection->ends[theirs.side() ^ 1].host;
          loop->Enter(kAccept, peer.value(), 0, [network, theirs, loop, local, to, port] {
            Accept(network, theirs, loop, local, to, port);
          });
        });
  }

  void Connected(EndRef mine) {
    if (network->Find(mine) == nullptr) return;
    if (callback == nullptr) return network->Close(mine);  // given up meanwhile
    Tell(std::make_unique<SimStream>(network, mine, loop,
                                     absl::StrCat(network->host(to).name, ":", port)));
  }

  static void Accept(Network::Impl* network, EndRef theirs, Loop* loop, const std::string& peer,
                     HostId host, uint16_t port) {
    if (network->Find(theirs) == nullptr) return;  // both sides are gone already
    auto& listeners = network->host(host).listeners;
    const auto listener = listeners.find(port);
    if (listener == listeners.end()) return network->Close(theirs);
    if (network->Exhausted(host, 0)) {
      network->context.Inject(Fault::kAcceptRefused, host);
      return network->Close(theirs);
    }
    const std::shared_ptr<io::Network::AcceptCallback> accept = listener->second->accept();
    (*accept)(std::make_unique<SimStream>(network, theirs, loop, peer));
  }
};

namespace {

class SimPendingConnect final : public io::PendingConnect {
 public:
  explicit SimPendingConnect(std::shared_ptr<ConnectState> state) : state_(std::move(state)) {
    state_->loop->AddObject();
  }
  SimPendingConnect(const SimPendingConnect&) = delete;
  SimPendingConnect& operator=(const SimPendingConnect&) = delete;
  ~SimPendingConnect() override {
    state_->callback = nullptr;
    state_->loop->RemoveObject();
  }

 private:
  const std::shared_ptr<ConnectState> state_;
};

}  // namespace

std::unique_ptr<io::PendingConnect> HostNetwork::Connect(const std::string& address,
                                                         ConnectCallback callback) {
  auto state = std::make_shared<ConnectState>();
  state->network = network_;
  state->from = host_;
  state->loop = loop_;
  state->address = address;
  state->callback = std::move(callback);
  state->begun = network_->context.now();
  const absl::StatusOr<io::HostPort> at = io::ParseHostPort(address);
  const absl::StatusOr<HostId> to =
      at.ok() ? network_->Resolve(host_, at->host) : absl::StatusOr<HostId>(at.status());
  if (!to.ok()) {
    state->FinishLater(Duration(), to.status());
  } else if (network_->Exhausted(host_, 1)) {
    network_->context.Inject(Fault::kConnectExhausted, host_, to->value());
    state->to = *to;
    state->FinishLater(Duration(), absl::ResourceExhaustedError(
                                       absl::StrCat("connect ", address, ": too many open files")));
  } else {
    state->to = *to;
    state->port = at->port;
    state->Request();
  }
  return std::make_unique<SimPendingConnect>(std::move(state));
}

}  // namespace quorate::sim
