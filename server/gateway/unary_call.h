// One request and one answer. Private to this room.
#ifndef QUORATE_SERVER_GATEWAY_UNARY_CALL_H_
#define QUORATE_SERVER_GATEWAY_UNARY_CALL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/compute.h"
#include "io/loop.h"
#include "io/network.h"
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

// Lives from its start until its exchange is closed, in the exchange's hands.
class UnaryCall : public std::enable_shared_from_this<UnaryCall> {
 public:
  UnaryCall(io::Loop* loop, io::Compute* compute, const Route& route, size_t max_inline_bytes,
            http1::ExchangePtr exchange);

  void Start(io::Network* network);

 private:
  void OnResult(grpc::Result result);
  void Answer(absl::StatusOr<Bytes> json);
  void Fail(const absl::Status& status);

  io::Loop* const loop_;
  io::Compute* const compute_;
  const Route& route_;
  const size_t max_inline_bytes_;
  const http1::ExchangePtr exchange_;
  std::unique_ptr<grpc::Channel> channel_;
};

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_UNARY_CALL_H_
