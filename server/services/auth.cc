#include "server/services/auth.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/messages.h"
#include "api/raft_internal.pb.h"
#include "server/credentials/call_credentials.h"
#include "server/credentials/password.h"
#include "server/services/forward.h"

namespace quorate::services {

using engine::RequestKind;

namespace {

absl::Status TooManyRequests() {
  return absl::ResourceExhaustedError("etcdserver: too many requests");
}

absl::Status AuthFailed() {
  return absl::InvalidArgumentError(
      "etcdserver: authentication failed, invalid user ID or password");
}

std::string Path(absl::string_view method) { return absl::StrCat("/etcdserverpb.Auth/", method); }

}  // namespace

struct Auth::LogIn {
  uint64_t call_id = 0;
  std::string name;
  std::string password;
  uint64_t checked_revision = 0;
};

Auth::Auth(grpc::Server* server, node::Node* node, io::Compute* compute, io::Random* random,
           const Options& options)
    : server_(server),
      node_(node),
      compute_(compute),
      random_(random),
      options_(options),
      self_(std::make_shared<Auth*>(this)) {
  const std::pair<const char*, RequestKind> forwarded[] = {
      {"AuthEnable", RequestKind::kAuthEnable},
      {"AuthDisable", RequestKind::kAuthDisable},
      {"UserGet", RequestKind::kAuthUserGet},
      {"UserDelete", RequestKind::kAuthUserDelete},
      {"UserGrantRole", RequestKind::kAuthUserGrantRole},
      {"UserRevokeRole", RequestKind::kAuthUserRevokeRole},
      {"RoleAdd", RequestKind::kAuthRoleAdd},
      {"RoleGet", RequestKind::kAuthRoleGet},
      {"RoleDelete", RequestKind::kAuthRoleDelete},
      {"RoleGrantPermission", RequestKind::kAuthRoleGrantPermission},
      {"RoleRevokePermission", RequestKind::kAuthRoleRevokePermission},
  };
  for (const auto& [method, kind] : forwarded) AddForward(server, node, Path(method), kind);
  AddForwardUnread<etcdserverpb::AuthStatusRequest>(server, node, Path("AuthStatus"),
                                                    RequestKind::kAuthStatus);
  AddForwardUnread<etcdserverpb::AuthUserListRequest>(server, node, Path("UserList"),
                                                      RequestKind::kAuthUserList);
  AddForwardUnread<etcdserverpb::AuthRoleListRequest>(server, node, Path("RoleList"),
                                                      RequestKind::kAuthRoleList);
  server->AddUnary(Path("UserAdd"),
                   [this](grpc::Call* call, const Bytes& request) { UserAdd(call, request); });
  server->AddUnary(Path("UserChangePassword"), [this](grpc::Call* call, const Bytes& request) {
    ChangePassword(call, request);
  });
  server->AddUnary(Path("Authenticate"),
                   [this](grpc::Call* call, const Bytes& request) { Authenticate(call, request); });
}

// ---- new passwords ----

void Auth::UserAdd(grpc::Call* call, const Bytes& bytes) {
  etcdserverpb::AuthUserAddRequest request;
  if (!ParseRequest(call, bytes, &request)) return;
  const std::string password = request.password();
  request.clear_password();
  if (request.options().no_password()) {
    return Forward(server_, node_, call, RequestKind::kAuthUserAdd, SerializeMessage(request));
  }
  Hash(call, password, [this, request](grpc::Call* hashed, const std::string& hash) mutable {
    request.set_hashedpassword(hash);
    Forward(server_, node_, hashed, RequestKind::kAuthUserAdd, SerializeMessage(request));
  });
}

void Auth::ChangePassword(grpc::Call* call, const Bytes& bytes) {
  etcdserverpb::AuthUserChangePasswordRequest request;
  if (!ParseRequest(call, bytes, &request)) return;
  const std::string password = request.password();
  request.clear_password();
  if (password.empty()) {  // then the hash is taken that the client gives, as in etcd
    return Forward(server_, node_, call, RequestKind::kAuthUserChangePassword,
                   SerializeMessage(request));
  }
  Hash(call, password, [this, request](grpc::Call* hashed, const std::string& hash) mutable {
    request.set_hashedpassword(hash);
    Forward(server_, node_, hashed, RequestKind::kAuthUserChangePassword,
            SerializeMessage(request));
  });
}

void Auth::Hash(grpc::Call* call, const std::string& password,
                std::function<void(grpc::Call*, const std::string& hash)> then) {
  const absl::Status sound = credentials::CheckPassword(password);
  if (!sound.ok()) return call->Finish(sound);
  credentials::Salt salt;
  random_->Fill(salt.data(), salt.size());
  auto hash = std::make_shared<std::string>();
  const bool accepted = Compute(
      [hash, password, salt, cost = options_.bcrypt_cost] {
        *hash = absl::Base64Escape(credentials::HashPassword(password, cost, salt));
      },
      [this, hash, id = call->id(), then = std::move(then)] {
        if (grpc::Call* waiting = server_->Find(id)) then(waiting, *hash);
      });
  if (!accepted) call->Finish(TooManyRequests());
}

bool Auth::Compute(std::function<void()> work, std::function<void()> done) {
  if (hashing_ >= options_.max_hashing) return false;
  ++hashing_;
  compute_->Run(std::move(work), [weak = std::weak_ptr<Auth*>(self_), done = std::move(done)] {
    const std::shared_ptr<Auth*> self = weak.lock();
    if (self == nullptr) return;
    --(*self)->hashing_;
    done();
  });
  return true;
}

// ---- Authenticate ----

void Auth::Authenticate(grpc::Call* call, const Bytes& bytes) {
  etcdserverpb::AuthenticateRequest request;
  if (!ParseRequest(call, bytes, &request)) return;
  auto log_in = std::make_shared<LogIn>();
  log_in->call_id = call->id();
  log_in->name = request.name();
  log_in->password = request.password();
  ReadHash(log_in);
}

void Auth::CallNode(const std::shared_ptr<LogIn>& log_in, RequestKind kind, Bytes body,
                    std::function<void(grpc::Call*, const absl::Status&, Bytes)> done) {
  grpc::Call* call = server_->Find(log_in->call_id);
  if (call == nullptr) return;
  const node::CallId pending =
      node_->Call(kind, std::move(body), node_->request_timeout(),
                  [this, log_in, done = std::move(done)](const absl::Status& status, Bytes reply) {
                    grpc::Call* waiting = server_->Find(log_in->call_id);
                    if (waiting != nullptr) done(waiting, status, std::move(reply));
                  });
  call->set_on_cancel([node = node_, pending](const absl::Status&) { node->Abandon(pending); });
}

void Auth::ReadHash(const std::shared_ptr<LogIn>& log_in) {
  CallNode(log_in, RequestKind::kAuthPassword, Bytes::Copy(log_in->name),
           [this, log_in](grpc::Call* call, const absl::Status& status, const Bytes& reply) {
             if (!status.ok()) return call->Finish(status);
             Compare(log_in, engine::PasswordHash::Decode(reply));
           });
}

void Auth::Compare(const std::shared_ptr<LogIn>& log_in, const engine::PasswordHash& hash) {
  log_in->checked_revision = hash.auth_revision;
  auto matches = std::make_shared<bool>(false);
  const bool accepted =
      Compute([matches, password = log_in->password,
               hash = hash.hash] { *matches = credentials::PasswordMatches(password, hash); },
              [this, log_in, matches] {
                if (*matches) return GiveToken(log_in);
                if (grpc::Call* call = server_->Find(log_in->call_id)) call->Finish(AuthFailed());
              });
  if (!accepted) server_->Find(log_in->call_id)->Finish(TooManyRequests());
}

void Auth::GiveToken(const std::shared_ptr<LogIn>& log_in) {
  etcdserverpb::InternalAuthenticateRequest request;
  request.set_name(log_in->name);
  request.set_simple_token(credentials::NewTokenPrefix(random_));
  CallNode(log_in, RequestKind::kAuthenticate, SerializeMessage(request),
           [this, log_in](grpc::Call* call, const absl::Status& status, Bytes reply) {
             if (!status.ok()) return call->Finish(status);
             if (node_->status().auth_revision != log_in->checked_revision) return ReadHash(log_in);
             call->Finish(status, std::move(reply));
           });
}

}  // namespace quorate::services
