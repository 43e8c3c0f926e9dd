#include "server/grpc/server.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/grpc/connection.h"

namespace quorate::grpc {
namespace {

// A call's id: the generation of its slot, then the slot's number plus one.
constexpr int kSlotBits = 24;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;
// An answer that is no burden (ServerOptions::max_total_response_bytes).
constexpr size_t kSmallResponseBytes = 64 * limits::kKiB;
// Connections are looked through for readers that stall no more often.
constexpr Duration kStallCheckInterval = Seconds(1);

}  // namespace

Connection::Connection(Server* server, uint64_t id, std::unique_ptr<io::Stream> stream,
                       std::string peer_name)
    : server_(server),
      id_(id),
      peer_name_(std::move(peer_name)),
      session_(std::make_unique<http2::Session>(http2::Side::kServer, server->loop_,
                                                &server->flush_queue_, std::move(stream),
                                                server->options_.http2, this)),
      peer_address_(session_->peer_address()) {}

Connection::~Connection() { http2::Session::Dispose(std::move(session_)); }

void Connection::SetResponseBytes(size_t bytes) {
  response_bytes_ = bytes;
  if (bytes == 0) reader_.Rest();
}

bool Connection::Stalled() {
  if (response_bytes_ == 0) return false;
  return reader_.Stalls(server_->options_.readers, server_->loop_->Now(),
                        static_cast<int64_t>(session_->body_bytes_framed()));
}

http2::Stream* Connection::OnRequest(http2::Session* session) {
  (void)session;
  return server_->AcquireCall(this);
}

void Connection::OnSessionClosed(http2::Session* session, const absl::Status& status) {
  (void)session;
  (void)status;
  server_->Remove(id_);
}

Server::Server(io::Loop* loop, const ServerOptions& options)
    : loop_(loop),
      options_(options),
      flush_queue_(loop),
      deadline_timer_(loop->NewTimer([this] { OnDeadlineTimer(); })),
      alive_(std::make_shared<bool>(true)) {}

Server::~Server() {
  *alive_ = false;
  connections_.clear();
  graveyard_.clear();
  CHECK_EQ(free_slots_.size(), slots_.size());
  for (const Slot& slot : slots_) delete slot.call;
}

Method* Server::AddMethod(absl::string_view path, MethodKind kind) {
  const size_t slash = path.rfind('/');
  CHECK(!path.empty() && path[0] == '/' && slash > 0 && slash != absl::string_view::npos);
  auto method = std::make_unique<Method>();
  method->path = std::string(path);
  method->service = std::string(path.substr(1, slash - 1));
  method->name = std::string(path.substr(slash + 1));
  method->kind = kind;
  Method* const raw = method.get();
  const bool added = methods_.emplace(raw->path, std::move(method)).second;
  CHECK_MSG(added, "method registered twice");
  by_path_[raw->path] = raw;
  return raw;
}

void Server::AddUnary(absl::string_view path, UnaryHandler handler) {
  AddMethod(path, MethodKind::kUnary)->unary = std::move(handler);
}

void Server::AddStreaming(absl::string_view path, MethodKind kind, StreamingHandler handler) {
  CHECK(kind != MethodKind::kUnary);
  AddMethod(path, kind)->streaming = std::move(handler);
}

const Method* Server::FindMethod(absl::string_view path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? nullptr : found->second;
}

bool Server::HasService(absl::string_view service) const {
  for (const auto& [path, method] : methods_) {
    if (method->service == service) return true;
  }
  return false;
}

void Server::Accept(std::unique_ptr<io::Stream> stream, std::string peer_name) {
  if (draining_ || connections_.size() >= options_.max_connections) return;
  ++stats_.connections_accepted;
  const uint64_t id = next_connection_id_++;
  const auto added = connections_.emplace(
      id, std::make_unique<Connection>(this, id, std::move(stream), std::move(peer_name)));
  added.first->second->Start();
}

void Server::Remove(uint64_t connection_id) { connections_.erase(connection_id); }

void Server::Drain() {
  draining_ = true;
  for (const auto& [id, connection] : connections_) connection->Shutdown();
}

Call* Server::AcquireCall(Connection* connection) {
  if (free_slots_.empty()) {
    if (slots_.size() >= std::min<size_t>(options_.max_streams, kSlotMask)) return nullptr;
    auto* const call = new Call();
    call->server_ = this;
    call->slot_ = static_cast<uint32_t>(slots_.size());
    slots_.push_back({call, 0});
    free_slots_.push_back(call->slot_);
  }
  Call* const call = slots_[free_slots_.back()].call;
  free_slots_.pop_back();
  call->connection_ = connection;
  return call;
}

bool Server::TakesResponse(const Connection& connection, size_t size) {
  const bool small = size <= kSmallResponseBytes;
  const bool first = connection.response_bytes() == 0;
  if (!first && !small &&
      connection.response_bytes() + size > options_.max_connection_response_bytes) {
    return false;
  }
  const size_t total = options_.max_total_response_bytes;
  if (response_bytes_ + size <= total || (first && response_bytes_ <= total / 2)) return true;
  CloseStalledReaders();
  return small && response_bytes_ + size <= 2 * total;
}

// Whoever asks for much and reads little must not keep others from their answers for ever.
void Server::CloseStalledReaders() {
  const Instant now = loop_->Now();
  if (now < next_stall_check_) return;
  next_stall_check_ = now + kStallCheckInterval;
  std::vector<uint64_t> stalled;
  for (const auto& [id, connection] : connections_) {
    if (connection->Stalled()) stalled.push_back(id);
  }
  if (stalled.empty()) return;
  // Not from inside a call of one of them.
  loop_->Defer([this, stalled, alive = alive_] {
    if (!*alive) return;
    for (const uint64_t id : stalled) connections_.erase(id);
  });
}

void Server::ReleaseCall(Call* call) {
  call->Clear();
  free_slots_.push_back(call->slot_);
}

void Server::OpenCall(Call* call) {
  Slot& slot = slots_[call->slot_];
  ++slot.generation;
  call->id_ = slot.generation << kSlotBits | (uint64_t{call->slot_} + 1);
  call->open_ = true;
  ++open_calls_;
  ++call->method_->stats.started;
  if (call->deadline_ != Instant::Infinite()) AddDeadline(call);
}

void Server::CloseCall(Call* call) {
  call->open_ = false;
  --open_calls_;
  if (call->deadline_ != Instant::Infinite()) deadlines_.erase({call->deadline_, call->slot_});
}

Call* Server::Find(uint64_t id) {
  const uint64_t slot = (id & kSlotMask) - 1;  // of id 0: beyond any table
  if (slot >= slots_.size()) return nullptr;
  Call* const call = slots_[slot].call;
  return call->open_ && call->id_ == id ? call : nullptr;
}

void Server::AddDeadline(Call* call) {
  deadlines_.insert({call->deadline_, call->slot_});
  const Instant first = deadlines_.begin()->first;
  if (first >= deadline_timer_at_) return;
  deadline_timer_at_ = first;
  deadline_timer_->Set(first);
}

void Server::OnDeadlineTimer() {
  deadline_timer_at_ = Instant::Infinite();
  const Instant now = loop_->Now();
  const std::shared_ptr<bool> alive = alive_;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    slots_[deadlines_.begin()->second].call->Expire();
    if (!*alive) return;
  }
  if (deadlines_.empty() || deadlines_.begin()->first >= deadline_timer_at_) return;
  deadline_timer_at_ = deadlines_.begin()->first;
  deadline_timer_->Set(deadline_timer_at_);
}

void Server::Bury(std::unique_ptr<StreamHandler> handler) {
  if (handler == nullptr) return;
  graveyard_.push_back(std::move(handler));
  if (graveyard_.size() > 1) return;
  loop_->Defer([this, alive = alive_] {
    if (!*alive) return;
    // A handler's destructor may end another call, whose handler waits for its own turn.
    std::vector<std::unique_ptr<StreamHandler>> dead;
    std::swap(dead, graveyard_);
  });
}

}  // namespace quorate::grpc
