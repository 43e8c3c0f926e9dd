// A call with a stream of answers, perhaps of requests too. Private to this room.
#ifndef QUORATE_SERVER_GATEWAY_STREAM_CALL_H_
#define QUORATE_SERVER_GATEWAY_STREAM_CALL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/gateway/json.h"
#include "server/gateway/routes.h"
#include "server/grpc/channel.h"
#include "server/http1/server.h"

namespace quorate::gateway {

// Lives from its start until its exchange is closed, in the exchange's hands.
class StreamCall final : public std::enable_shared_from_this<StreamCall>,
                         private grpc::ClientStreamHandler {
 public:
  StreamCall(io::Loop* loop, const Route& route, size_t max_document_bytes,
             http1::ExchangePtr exchange);

  // The request's body follows by the exchange's on_body.
  void Start(io::Network* network);

 private:
  // Queued bytes above which the producer pauses, on the way in and on the way out.
  static constexpr size_t kHighWater = 256 * 1024;

  void OnMessage(Bytes message) override;
  void OnFinish(const absl::Status& status) override;
  void OnWritable() override;

  void OnBody(absl::string_view piece, bool last);
  // Sends the documents that have come whole. False once the call has failed.
  bool SendDocuments();
  void Begin();
  void Fail(const absl::Status& status);

  io::Loop* const loop_;
  const Route& route_;
  const http1::ExchangePtr exchange_;
  DocumentSplitter splitter_;
  std::unique_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::ClientStream> stream_;
  bool sent_ = false;  // a request
  bool begun_ = false;
  bool body_paused_ = false;
  bool reading_paused_ = false;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_STREAM_CALL_H_
