// What a client's call says of who makes it.
#ifndef QUORATE_SERVER_CREDENTIALS_CALL_CREDENTIALS_H_
#define QUORATE_SERVER_CREDENTIALS_CALL_CREDENTIALS_H_

#include <string>

#include "engine/replica/input.h"
#include "io/random.h"
#include "server/grpc/call.h"

namespace quorate::credentials {

// The token in the call's metadata: "token", else "authorization", of either without a
// leading "Bearer ". Without such metadata the name that the call's connection proves (a
// client certificate's, under --client-cert-auth), but not that of an HTTP gateway, which
// calls for others; else none.
engine::Credentials CredentialsOf(const grpc::Call& call);

// The random part of a simple token: 16 letters, each as likely as any other.
std::string NewTokenPrefix(io::Random* random);

}  // namespace quorate::credentials

#endif  // QUORATE_SERVER_CREDENTIALS_CALL_CREDENTIALS_H_
