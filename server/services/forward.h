// What all services share: the unary call whose request goes to the node as it came and
// whose answer goes back as the node gave it, and the call that this release does not
// serve yet.
#ifndef QUORATE_SERVER_SERVICES_FORWARD_H_
#define QUORATE_SERVER_SERVICES_FORWARD_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "api/malformed.h"
#include "api/messages.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

// The message of a call, which ends as gRPC's servers end it if the bytes are none: false.
template <typename Request>
bool ParseRequest(grpc::Call* call, const Bytes& bytes, Request* request) {
  if (ParseMessage(bytes, request)) return true;
  const bool unary = call->method().kind == grpc::MethodKind::kUnary;
  call->Finish(unary ? MalformedRequestError() : MalformedMessageError());
  return false;
}

// Answers a unary call by Node::Call(kind) with its client's credentials. The call's
// deadline and its cancellation abandon the request. Both borrowed objects outlive the
// server's last call.
void Forward(grpc::Server* server, node::Node* node, grpc::Call* call, engine::RequestKind kind,
             Bytes request);

// Ends a unary call with what the node answered: a long answer as the client reads it, if it need
// not be in memory before.
void Finish(grpc::Call* call, const absl::Status& status, engine::Answer answer);

// Serves unary `path` so.
void AddForward(grpc::Server* server, node::Node* node, absl::string_view path,
                engine::RequestKind kind);

// The same for requests of which the node reads nothing: that they are messages is checked here.
template <typename Request>
void AddForwardUnread(grpc::Server* server, node::Node* node, absl::string_view path,
                      engine::RequestKind kind) {
  server->AddUnary(path, [server, node, kind](grpc::Call* call, const Bytes& bytes) {
    Request request;
    if (ParseRequest(call, bytes, &request)) Forward(server, node, call, kind, bytes);
  });
}

// Answers Unimplemented with a text that names the method.
void AddUnimplemented(grpc::Server* server, absl::string_view path,
                      grpc::MethodKind kind = grpc::MethodKind::kUnary);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_FORWARD_H_
