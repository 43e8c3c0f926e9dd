#include "server/gateway/gateway.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/gateway/errors.h"
#include "server/gateway/stream_call.h"
#include "server/gateway/unary_call.h"

namespace quorate::gateway {
namespace {

// Room for the JSON of a message: base64 takes a third more, and names come on top.
size_t JsonBytes(size_t message_bytes) { return 2 * message_bytes + 64 * 1024; }

void RespondError(const http1::ExchangePtr& exchange, const absl::Status& status) {
  exchange->Respond(ErrorResponse(status, ErrorJson(status)));
}

}  // namespace

Gateway::Gateway(io::Loop* loop, http1::Server* http, io::Network::AcceptCallback accept,
                 const Options& options)
    : loop_(loop), options_(options), loopback_(loop, std::move(accept)) {
  for (const Route& route : Routes()) AddRoute(http, route);
  for (const char* prefix : {"/v3/", "/v3beta/"}) {
    http->RoutePrefix({}, prefix, [](const http1::ExchangePtr& exchange) {
      RespondError(exchange, absl::NotFoundError("Not Found"));
    });
  }
}

void Gateway::AddRoute(http1::Server* http, const Route& route) {
  http1::RouteOptions route_options;
  route_options.web_socket = true;
  const auto wrong_method = [](const http1::ExchangePtr& exchange) {
    if (exchange->request().method == "POST") return false;
    RespondError(exchange, absl::UnimplementedError("Method Not Allowed"));
    return true;
  };
  http1::Server::Handler handler;
  if (route.kind == grpc::MethodKind::kUnary) {
    route_options.max_body_bytes = JsonBytes(options_.max_message_bytes);
    route_options.answers_after_end = true;
    route_options.too_large = [max = options_.max_message_bytes] {
      const absl::Status status = absl::ResourceExhaustedError(
          absl::StrCat("grpc: received message larger than max (more than ", max, ")"));
      return ErrorResponse(status, ErrorJson(status));
    };
    handler = [this, &route, wrong_method](const http1::ExchangePtr& exchange) {
      if (wrong_method(exchange)) return;
      std::make_shared<UnaryCall>(loop_, route, exchange)->Start(&loopback_);
    };
  } else {
    route_options.stream_body = true;
    route_options.endless_body = route.kind == grpc::MethodKind::kBidiStream;
    handler = [this, &route, wrong_method](const http1::ExchangePtr& exchange) {
      if (wrong_method(exchange)) return;
      std::make_shared<StreamCall>(loop_, route, JsonBytes(options_.max_message_bytes), exchange)
          ->Start(&loopback_);
    };
  }
  http->Route({}, std::string(route.path), route_options, handler);
  absl::string_view rest = route.path;
  absl::ConsumePrefix(&rest, "/v3/");
  http->Route({}, absl::StrCat("/v3beta/", rest), route_options, std::move(handler));
}

}  // namespace quorate::gateway
