// Which path stands for which method.
#ifndef QUORATE_SERVER_GATEWAY_ROUTES_H_
#define QUORATE_SERVER_GATEWAY_ROUTES_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"
#include "server/grpc/server.h"

namespace quorate::gateway {

struct Route {
  absl::string_view path;    // "/v3/kv/range"
  absl::string_view method;  // "/etcdserverpb.KV/Range"
  grpc::MethodKind kind;
  const google::protobuf::Message* request;  // prototypes
  const google::protobuf::Message* response;
};

// All of them.
absl::Span<const Route> Routes();

}  // namespace quorate::gateway

#endif  // QUORATE_SERVER_GATEWAY_ROUTES_H_
