// io::Stream on a socket: of TCP, or in the file system.
#ifndef QUORATE_IO_UV_TCP_STREAM_H_
#define QUORATE_IO_UV_TCP_STREAM_H_

#include <uv.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "io/network.h"
#include "io/uv/loop.h"

namespace quorate::io::uv {

enum class SocketKind { kTcp, kUnix };

// libuv's handle of a socket of either kind.
union SocketHandle {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;

  void Init(Loop* loop, SocketKind kind, void* owner);
};

// A socket. It lives until libuv has closed its handle, which is a while after its
// owner (a TcpStream, a connection attempt) let go of it.
//
// Writes gather until the end of the turn and leave with one system call as long as
// the socket takes them. Only when it is full libuv waits for it, with one write
// request at a time.
class TcpConnection {
 public:
  TcpConnection(Loop* loop, SocketKind kind);
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;

  uv_tcp_t* tcp() { return &socket_.tcp; }
  uv_pipe_t* pipe() { return &socket_.pipe; }
  uv_stream_t* stream() { return &socket_.stream; }
  // Once connected or accepted: switches Nagle's algorithm off, learns the peer's address.
  void Connected();
  const std::string& peer_address() const { return peer_address_; }

  void Start(Stream::Handler* handler);
  void Write(Bytes data);
  size_t queued_bytes() const { return queued_bytes_; }
  void PauseReading();
  void ResumeReading();
  void CloseAfterFlush();

  // The owner is gone: no callbacks any more; drops what is queued and closes.
  void Release();

 private:
  ~TcpConnection() = default;

  void StartReading();
  void OnRead(ssize_t size, const uv_buf_t* buffer);
  void Flush();
  void TakeWritten(size_t bytes);
  const std::vector<uv_buf_t>& GatherBuffers(size_t max_bytes);
  void WaitForSocket();
  void OnWritten(int status);
  void ShutDownIfFlushed();
  void Notify();
  void Fail(const char* operation, int uv_error);
  bool failed() const { return failure_ != 0; }

  Loop* const loop_;
  const SocketKind kind_;
  SocketHandle socket_;
  uv_write_t write_request_;
  uv_shutdown_t shutdown_request_;
  TurnHook flush_;
  TurnHook notify_;
  std::string peer_address_;
  Stream::Handler* handler_ = nullptr;

  // Queued pieces; those before first_ are written.
  std::vector<Bytes> pieces_;
  size_t first_ = 0;
  size_t queued_bytes_ = 0;
  size_t waiting_bytes_ = 0;  // of write_request_

  bool reading_ = false;
  bool paused_ = false;
  bool ended_ = false;    // the peer ended its side
  bool waiting_ = false;  // write_request_ is with libuv
  bool above_high_water_ = false;
  bool writable_pending_ = false;
  bool close_after_flush_ = false;
  bool shut_down_ = false;
  int failure_ = 0;  // libuv's error that ended the stream
  const char* failed_operation_ = "";
  bool failure_told_ = false;
};

// What the owner holds.
class TcpStream final : public Stream {
 public:
  explicit TcpStream(TcpConnection* connection) : connection_(connection) {}
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;
  ~TcpStream() override { connection_->Release(); }

  void Start(Handler* handler) override { connection_->Start(handler); }
  void Write(Bytes data) override { connection_->Write(std::move(data)); }
  size_t write_queue_bytes() const override { return connection_->queued_bytes(); }
  void PauseReading() override { connection_->PauseReading(); }
  void ResumeReading() override { connection_->ResumeReading(); }
  void CloseAfterFlush() override { connection_->CloseAfterFlush(); }
  const std::string& peer_address() const override { return connection_->peer_address(); }

 private:
  TcpConnection* const connection_;
};

// "10.0.0.1:2380", "[::1]:2380".
std::string FormatAddress(const sockaddr_storage& address);

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_TCP_STREAM_H_
