// One request and one answer. Private to this room.
#ifndef QUORATE_SERVER_GATEWAY_UNARY_CALL_H_
#define QUORATE_SERVER_GATEWAY_UNARY_CALL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/gateway/json_writer.h"
#include "server/gateway/routes.h"
#include "server/grpc/channel.h"
#include "server/http1/server.h"

namespace quorate::gateway {

// Metadata and time-out that the header fields of a request stand for. InvalidArgument for
// a malformed Grpc-Timeout.
absl::StatusOr<grpc::CallOptions> CallOptionsOf(const http1::Request& request);

// The answer to a request that did not succeed.
http1::Response ErrorResponse(const absl::Status& status, std::string json);

// Header fields of a successful answer.
http1::Fields AnswerFields();

// Turns the answer into JSON as it comes: a large one is never here in whole, neither as a message
// nor as JSON. It stays with the gRPC server, which counts it, and comes as the client reads.
//
// Lives from its start until its exchange is closed, in the exchange's hands.
class UnaryCall final : public std::enable_shared_from_this<UnaryCall>,
                        private grpc::ClientStreamHandler {
 public:
  UnaryCall(io::Loop* loop, const Route& route, http1::ExchangePtr exchange);

  void Start(io::Network* network);

 private:
  void OnMessage(Bytes message) override;
  bool TakesPieces() const override { return true; }
  void OnPiece(absl::string_view piece, bool last) override;
  void OnFinish(const absl::Status& status) override;

  // Sends the JSON so far on its way.
  void SendSlice();
  void Fail(const absl::Status& status);

  io::Loop* const loop_;
  const Route& route_;
  const http1::ExchangePtr exchange_;
  JsonWriter writer_;
  std::optional<BytesBuilder> json_;  // not yet sent
  std::unique_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::ClientStream> stream_;
  bool complete_ = false;  // the message
  bool begun_ = false;     // to answer
  bool paused_ = false;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_UNARY_CALL_H_
