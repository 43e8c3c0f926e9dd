// etcdserverpb.Auth. Passwords end here: what goes on into the log is a hash, or a token
// for a password that matched one. Hashing happens off the loop, and no more of it waits
// than a bounded number: anybody may send passwords.
#ifndef QUORATE_SERVER_SERVICES_AUTH_H_
#define QUORATE_SERVER_SERVICES_AUTH_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "io/compute.h"
#include "io/random.h"
#include "server/grpc/server.h"
#include "server/node/node.h"

namespace quorate::services {

class Auth {
 public:
  struct Options {
    int bcrypt_cost = 10;
    // Passwords being hashed or compared at once; above it calls get ResourceExhausted.
    size_t max_hashing = 64;
  };

  // Adds the service. All borrowed, and outlive this; this outlives the server's last call.
  Auth(grpc::Server* server, node::Node* node, io::Compute* compute, io::Random* random,
       const Options& options);
  Auth(const Auth&) = delete;
  Auth& operator=(const Auth&) = delete;

 private:
  struct LogIn;

  void UserAdd(grpc::Call* call, const Bytes& request);
  void ChangePassword(grpc::Call* call, const Bytes& request);
  // Hashes, then calls `then` with the hash in base64 if the call is still there.
  void Hash(grpc::Call* call, const std::string& password,
            std::function<void(grpc::Call*, const std::string& hash)> then);
  // Authenticate, step by step: the hash at some auth revision, the comparison, a token;
  // once more if the revision has changed meanwhile, since then the password may have.
  void Authenticate(grpc::Call* call, const Bytes& request);
  void ReadHash(const std::shared_ptr<LogIn>& log_in);
  void Compare(const std::shared_ptr<LogIn>& log_in, const engine::PasswordHash& hash);
  void GiveToken(const std::shared_ptr<LogIn>& log_in);

  // Runs `work` off the loop and then `done`, unless this is gone. False if too much
  // waits already.
  bool Compute(std::function<void()> work, std::function<void()> done);
  // A step of Authenticate through the node; `done` is not called if the call has ended.
  void CallNode(const std::shared_ptr<LogIn>& log_in, engine::RequestKind kind, Bytes body,
                std::function<void(grpc::Call*, const absl::Status&, Bytes)> done);

  grpc::Server* const server_;
  node::Node* const node_;
  io::Compute* const compute_;
  io::Random* const random_;
  const Options options_;
  size_t hashing_ = 0;
  std::shared_ptr<Auth*> self_;  // what completions hold
};

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_AUTH_H_
