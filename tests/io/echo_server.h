// A server that sends back what it gets, written against the io interfaces alone:
// the same code runs on real sockets and in the simulator. It stops reading from a
// client that does not take its answers.
#ifndef QUORATE_TESTS_IO_ECHO_SERVER_H_
#define QUORATE_TESTS_IO_ECHO_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "io/env.h"

namespace quorate::testing {

class EchoServer {
 public:
  explicit EchoServer(const io::Env& env) : env_(env) {}

  absl::Status Listen(const std::string& address) {
    absl::StatusOr<std::unique_ptr<io::Listener>> listener = env_.network->Listen(
        address, [this](std::unique_ptr<io::Stream> stream) { Accept(std::move(stream)); });
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    return absl::OkStatus();
  }

  const std::string& address() const { return listener_->address(); }
  size_t connections() const { return connections_.size(); }
  uint64_t accepted() const { return next_id_; }
  uint64_t bytes_echoed() const { return bytes_echoed_; }

 private:
  class Connection final : public io::Stream::Handler {
   public:
    Connection(EchoServer* server, uint64_t id, std::unique_ptr<io::Stream> stream)
        : server_(server), id_(id), stream_(std::move(stream)) {
      stream_->Start(this);
    }

    void OnData(absl::string_view data) override {
      server_->bytes_echoed_ += data.size();
      stream_->Write(Bytes::Copy(data));
      if (stream_->write_queue_bytes() > io::Stream::kWriteHighWater) stream_->PauseReading();
    }
    void OnWritable() override { stream_->ResumeReading(); }
    // The client has said everything; it still gets the rest of its echo.
    void OnEnd() override { stream_->CloseAfterFlush(); }
    void OnClose(const absl::Status&) override { server_->connections_.erase(id_); }

   private:
    EchoServer* const server_;
    const uint64_t id_;
    const std::unique_ptr<io::Stream> stream_;
  };

  void Accept(std::unique_ptr<io::Stream> stream) {
    const uint64_t id = next_id_++;
    connections_.emplace(id, std::make_unique<Connection>(this, id, std::move(stream)));
  }

  const io::Env env_;
  std::unique_ptr<io::Listener> listener_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_id_ = 0;
  uint64_t bytes_echoed_ = 0;
};

}  // namespace quorate::testing

#endif  // QUORATE_TESTS_IO_ECHO_SERVER_H_
