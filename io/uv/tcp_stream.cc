#include "io/uv/tcp_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "io/uv/error.h"

namespace quorate::io::uv {
namespace {

// Pieces of one system call (IOV_MAX), and bytes of one write request that waits for
// the socket: its buffers cannot be taken back.
constexpr size_t kMaxBuffers = 1024;
constexpr size_t kMaxWaitingBytes = 1024 * 1024;
// Written pieces are let go of in bulk.
constexpr size_t kMaxWrittenPieces = 1024;
// An idle peer is probed after so long: one whose machine is gone does not keep its
// connection for ever.
constexpr unsigned kKeepAliveSeconds = 15;

}  // namespace

std::string FormatAddress(const sockaddr_storage& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    uv_ip6_name(&v6, host, sizeof(host));
    return absl::StrCat("[", host, "]:", ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  uv_ip4_name(&v4, host, sizeof(host));
  return absl::StrCat(host, ":", ntohs(v4.sin_port));
}

void SocketHandle::Init(Loop* loop, SocketKind kind, void* owner) {
  const int result = kind == SocketKind::kTcp ? uv_tcp_init(loop->uv(), &tcp)
                                              : uv_pipe_init(loop->uv(), &pipe, /*ipc=*/0);
  CHECK_EQ(result, 0);
  handle.data = owner;
}

TcpConnection::TcpConnection(Loop* loop, SocketKind kind)
    : loop_(loop),
      kind_(kind),
      flush_([](void* self) { static_cast<TcpConnection*>(self)->Flush(); }, this),
      notify_([](void* self) { static_cast<TcpConnection*>(self)->Notify(); }, this) {
  socket_.Init(loop, kind, this);
  write_request_.data = this;
  shutdown_request_.data = this;
}

void TcpConnection::Connected() {
  if (kind_ == SocketKind::kUnix) {
    peer_address_ = "@";
    return;
  }
  uv_tcp_nodelay(tcp(), 1);
  uv_tcp_keepalive(tcp(), 1, kKeepAliveSeconds);
  sockaddr_storage peer = {};
  int length = sizeof(peer);
  if (uv_tcp_getpeername(tcp(), reinterpret_cast<sockaddr*>(&peer), &length) == 0) {
    peer_address_ = FormatAddress(peer);
  }
}

void TcpConnection::Start(Stream::Handler* handler) {
  CHECK(handler_ == nullptr);
  handler_ = handler;
  StartReading();
}

void TcpConnection::StartReading() {
  if (reading_ || paused_ || ended_ || failed() || handler_ == nullptr) return;
  reading_ = true;
  const int result = uv_read_start(
      stream(),
      [](uv_handle_t* h, size_t, uv_buf_t* buffer) {
        *buffer = static_cast<TcpConnection*>(h->data)->loop_->read_buffer();
      },
      [](uv_stream_t* s, ssize_t size, const uv_buf_t* buffer) {
        static_cast<TcpConnection*>(s->data)->OnRead(size, buffer);
      });
  if (result != 0) Fail("read from", result);
}

void TcpConnection::OnRead(ssize_t size, const uv_buf_t* buffer) {
  if (size == 0) return;  // nothing there after all
  loop_->BeginCallback();
  if (size > 0) {
    handler_->OnData(absl::string_view(buffer->base, static_cast<size_t>(size)));
    return;
  }
  uv_read_stop(stream());
  reading_ = false;
  if (size == UV_EOF) {
    ended_ = true;
    handler_->OnEnd();
    return;
  }
  Fail("read from", static_cast<int>(size));
}

void TcpConnection::PauseReading() {
  paused_ = true;
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(stream());
}

void TcpConnection::ResumeReading() {
  paused_ = false;
  StartReading();
}

void TcpConnection::Write(Bytes data) {
  if (data.empty() || failed() || close_after_flush_) return;
  queued_bytes_ += data.size();
  pieces_.push_back(std::move(data));
  if (queued_bytes_ > Stream::kWriteHighWater) above_high_water_ = true;
  if (!waiting_) loop_->AtTurnEnd(&flush_);
}

void TcpConnection::CloseAfterFlush() {
  close_after_flush_ = true;
  if (!waiting_) loop_->AtTurnEnd(&flush_);
}

// The queued pieces for a system call: up to max_bytes, but at least one piece.
const std::vector<uv_buf_t>& TcpConnection::GatherBuffers(size_t max_bytes) {
  std::vector<uv_buf_t>* const buffers = loop_->write_buffers();
  buffers->clear();
  size_t bytes = 0;
  for (size_t i = first_; i < pieces_.size() && buffers->size() < kMaxBuffers; ++i) {
    if (bytes > 0 && bytes + pieces_[i].size() > max_bytes) break;
    bytes += pieces_[i].size();
    buffers->push_back(uv_buf_init(const_cast<char*>(pieces_[i].data()),
                                   static_cast<unsigned>(pieces_[i].size())));
  }
  return *buffers;
}

void TcpConnection::Flush() {
  while (!waiting_ && !failed() && queued_bytes_ > 0) {
    const std::vector<uv_buf_t>& buffers = GatherBuffers(~size_t{0});
    const int written =
        uv_try_write(stream(), buffers.data(), static_cast<unsigned>(buffers.size()));
    if (written == UV_EAGAIN) {
      WaitForSocket();
    } else if (written < 0) {
      Fail("write to", written);
    } else {
      TakeWritten(static_cast<size_t>(written));
    }
  }
  ShutDownIfFlushed();
}

// Drops the first `bytes` queued bytes: the system has them.
void TcpConnection::TakeWritten(size_t bytes) {
  queued_bytes_ -= bytes;
  while (bytes > 0) {
    Bytes& piece = pieces_[first_];
    if (bytes < piece.size()) {
      piece = piece.Slice(bytes, piece.size() - bytes);
      break;
    }
    bytes -= piece.size();
    piece = Bytes();
    ++first_;
  }
  if (first_ == pieces_.size()) {
    pieces_.clear();
    first_ = 0;
  } else if (first_ >= kMaxWrittenPieces && first_ * 2 >= pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
  if (above_high_water_ && queued_bytes_ <= Stream::kWriteLowWater) {
    // Told as an event of its own, so that a writer that refills the queue each time
    // cannot keep the turn from ending.
    above_high_water_ = false;
    writable_pending_ = true;
    loop_->Post(&notify_);
  }
}

void TcpConnection::WaitForSocket() {
  const std::vector<uv_buf_t>& buffers = GatherBuffers(kMaxWaitingBytes);
  waiting_bytes_ = 0;
  for (const uv_buf_t& buffer : buffers) waiting_bytes_ += buffer.len;
  const int result =
      uv_write(&write_request_, stream(), buffers.data(), static_cast<unsigned>(buffers.size()),
               [](uv_write_t* r, int s) { static_cast<TcpConnection*>(r->data)->OnWritten(s); });
  if (result != 0) return Fail("write to", result);
  waiting_ = true;
}

void TcpConnection::OnWritten(int status) {
  waiting_ = false;
  if (status == UV_ECANCELED) return;  // the handle is closing
  loop_->BeginCallback();
  if (status < 0) return Fail("write to", status);
  TakeWritten(waiting_bytes_);
  Flush();
}

void TcpConnection::ShutDownIfFlushed() {
  if (!close_after_flush_ || shut_down_ || waiting_ || failed() || queued_bytes_ > 0) return;
  shut_down_ = true;
  // An error here (the peer is gone) shows on reading too.
  uv_shutdown(&shutdown_request_, stream(), [](uv_shutdown_t*, int) {});
}

// Tells the handler what it may not hear from inside its own calls.
void TcpConnection::Notify() {
  if (handler_ == nullptr) return;
  if (failed()) {
    if (failure_told_) return;
    failure_told_ = true;
    handler_->OnClose(NetworkError(failed_operation_, peer_address_, failure_));
    return;
  }
  if (!std::exchange(writable_pending_, false)) return;
  if (queued_bytes_ <= Stream::kWriteHighWater) handler_->OnWritable();
}

void TcpConnection::Fail(const char* operation, int uv_error) {
  if (failed()) return;
  failure_ = uv_error;
  failed_operation_ = operation;
  PauseReading();
  loop_->Post(&notify_);
}

void TcpConnection::Release() {
  handler_ = nullptr;
  failure_ = UV_ECANCELED;
  queued_bytes_ = 0;
  // The pieces stay until then: a waiting write request points into them.
  uv_close(&socket_.handle, [](uv_handle_t* h) { delete static_cast<TcpConnection*>(h->data); });
}

}  // namespace quorate::io::uv
