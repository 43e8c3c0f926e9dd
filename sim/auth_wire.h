// Between plain changes of users and roles and etcd's messages: what an administrator sends,
// and what stands in the replicated log.
#ifndef QUORATE_SIM_AUTH_WIRE_H_
#define QUORATE_SIM_AUTH_WIRE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/replica/input.h"
#include "sim/model/auth.h"

namespace quorate::sim {

// The password of every user of the simulator that has one.
std::string PasswordOf(const std::string& user);

engine::RequestKind KindOf(const AuthChange& change);
// "/etcdserverpb.Auth/UserAdd".
absl::string_view MethodOf(const AuthChange& change);
// The encoded etcdserverpb message. New passwords go as they are to the service, and as what a
// service would have made of them (HashOf) to a node.
Bytes EncodeAuthChange(const AuthChange& change, bool hashed);

// In place of bcrypt where no service runs, and whether a password fits.
std::string HashOf(absl::string_view password);
inline bool Matches(absl::string_view password, absl::string_view hash) {
  return hash == HashOf(password);
}

// What a committed command says of who asked for it, and the change of users and roles in it,
// if it is one.
struct AuthCommand {
  std::string user;
  uint64_t revision = 0;  // of the auth store, at which the asker was found to be that user
  std::optional<AuthChange> change;
};
// DataLoss if the data cannot be decoded.
absl::StatusOr<AuthCommand> DecodeAuthCommand(absl::string_view data);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_AUTH_WIRE_H_
