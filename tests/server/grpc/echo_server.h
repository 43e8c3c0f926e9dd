// A gRPC server with a few methods, and clients of it, in memory.
#ifndef QUORATE_TESTS_SERVER_GRPC_ECHO_SERVER_H_
#define QUORATE_TESTS_SERVER_GRPC_ECHO_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/grpc/channel.h"
#include "server/grpc/server.h"
#include "server/http2/session.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::grpc {

// Echoes each message; counts what happens to it.
struct EchoStats {
  int opened = 0;
  int half_closed = 0;
  int cancelled = 0;
  int writable = 0;
  absl::StatusCode cancel_code = absl::StatusCode::kOk;
};

class EchoStream : public StreamHandler {
 public:
  EchoStream(Call* call, EchoStats* stats) : call_(call), stats_(stats) { ++stats_->opened; }
  void OnMessage(Bytes message) override { call_->Send(std::move(message)); }
  void OnHalfClose() override {
    ++stats_->half_closed;
    call_->Finish(absl::OkStatus());
  }
  void OnCancel(const absl::Status& why) override {
    ++stats_->cancelled;
    stats_->cancel_code = why.code();
  }
  void OnWritable() override { ++stats_->writable; }

 private:
  Call* const call_;
  EchoStats* const stats_;
};

// Sends as many messages as its request says, as fast as the client takes them.
class CountStream : public StreamHandler {
 public:
  explicit CountStream(Call* call) : call_(call) {}
  void OnMessage(Bytes message) override {
    left_ = std::stoi(std::string(message.view()));
    Pump();
  }
  void OnHalfClose() override {}
  void OnCancel(const absl::Status&) override {}
  void OnWritable() override { Pump(); }

 private:
  void Pump() {
    while (left_ > 0 && call_->writable()) {
      --left_;
      call_->Send(Bytes::Copy(std::string(10'000, 'x')));
    }
    if (left_ == 0) call_->Finish(absl::OkStatus());
  }
  Call* const call_;
  int left_ = 0;
};

struct EchoServer {
  explicit EchoServer(fakes::MemoryWorld* world, ServerOptions options = ServerOptions())
      : server(world, options) {
    server.AddUnary("/test.Echo/Echo", [](Call* call, Bytes request) {
      call->Finish(absl::OkStatus(), std::move(request));
    });
    server.AddUnary("/test.Echo/Later", [this](Call* call, Bytes) { later.push_back(call->id()); });
    server.AddUnary("/test.Echo/Fail", [](Call* call, Bytes request) {
      call->Finish(absl::FailedPreconditionError(request.view()));
    });
    server.AddUnary("/test.Echo/Token", [](Call* call, Bytes) {
      call->Finish(absl::OkStatus(), Bytes::Copy(call->Metadata("token").value_or("none")));
    });
    server.AddStreaming("/test.Echo/Bidi", MethodKind::kBidiStream,
                        [this](Call* call) { return std::make_unique<EchoStream>(call, &echo); });
    server.AddStreaming("/test.Echo/Count", MethodKind::kServerStream,
                        [](Call* call) { return std::make_unique<CountStream>(call); });
    listener = *world->Listen(
        "server", [this](std::unique_ptr<io::Stream> stream) { server.Accept(std::move(stream)); });
  }

  Server server;
  std::vector<uint64_t> later;
  EchoStats echo;
  std::unique_ptr<io::Listener> listener;
};

// The result of a unary call, once it is there.
struct Answer {
  std::optional<Result> result;
  ResultCallback callback() {
    return [this](Result r) { result = std::move(r); };
  }
  bool ok() const { return result.has_value() && result->status.ok(); }
  absl::string_view message() const { return result->message.view(); }
  std::string status() const {
    return result.has_value() ? absl::StrCat(static_cast<int>(result->status.code()), " ",
                                             result->status.message())
                              : "no answer";
  }
};

// A client's stream whose header fields are chosen by the test.
class RawCall : public http2::Stream {
 public:
  bool OnHeader(absl::string_view name, absl::string_view value) override {
    headers.emplace_back(name, value);
    return true;
  }
  void OnHeadersEnd(bool) override { ++blocks; }
  void OnBody(absl::string_view data) override { body.append(data.data(), data.size()); }
  void OnEnd() override { ended = true; }
  void OnClosed(http2::ErrorCode code) override { closed = code; }

  std::string Get(absl::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return "(none)";
  }

  std::vector<std::pair<std::string, std::string>> headers;
  int blocks = 0;
  std::string body;
  bool ended = false;
  std::optional<http2::ErrorCode> closed;
};

// An HTTP/2 client connection without gRPC on top.
class RawClient : public http2::Session::Owner {
 public:
  explicit RawClient(fakes::MemoryWorld* world, std::unique_ptr<io::Stream> stream)
      : queue_(world),
        session(std::make_unique<http2::Session>(http2::Side::kClient, world, &queue_,
                                                 std::move(stream), http2::Options::Client(),
                                                 static_cast<http2::Session::Owner*>(this))) {
    session->Start();
  }
  http2::Stream* OnRequest(http2::Session*) override { return nullptr; }
  void OnGoAway(http2::Session*, const absl::Status& why) override {
    goaway = std::string(why.message());
  }
  void OnSessionClosed(http2::Session*, const absl::Status&) override { closed = true; }

  // The usual header fields with some replaced or added.
  static std::vector<http2::Header> Headers(std::vector<http2::Header> changes) {
    std::vector<http2::Header> headers = {
        {":method", "POST"},      {":scheme", "http"}, {":path", "/test.Echo/Echo"},
        {":authority", "server"}, {"te", "trailers"},  {"content-type", "application/grpc"},
    };
    for (const http2::Header& change : changes) {
      bool found = false;
      for (http2::Header& header : headers) {
        if (header.name == change.name) {
          header.value = change.value;
          found = true;
        }
      }
      if (!found) headers.push_back(change);
    }
    return headers;
  }

 private:
  http2::FlushQueue queue_;

 public:
  std::unique_ptr<http2::Session> session;
  std::string goaway;
  bool closed = false;
};

}  // namespace quorate::grpc

#endif  // QUORATE_TESTS_SERVER_GRPC_ECHO_SERVER_H_
