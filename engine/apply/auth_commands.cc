#include "engine/apply/auth_commands.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/malformed.h"
#include "api/messages.h"
#include "api/raft_internal.pb.h"
#include "base/check.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/auth/errors.h"
#include "engine/auth/tokens.h"

namespace quorate::apply {
namespace {

namespace pb = etcdserverpb;
using auth::TokenChange;

using AuthRequest =
    std::variant<pb::AuthEnableRequest, pb::AuthDisableRequest, pb::InternalAuthenticateRequest,
                 pb::AuthUserAddRequest, pb::AuthUserDeleteRequest,
                 pb::AuthUserChangePasswordRequest, pb::AuthUserGrantRoleRequest,
                 pb::AuthUserRevokeRoleRequest, pb::AuthRoleAddRequest, pb::AuthRoleDeleteRequest,
                 pb::AuthRoleGrantPermissionRequest, pb::AuthRoleRevokePermissionRequest>;

template <typename Request>
absl::StatusOr<Request> Parse(absl::string_view body) {
  Request request;
  if (ParseMessage(body, &request)) return request;
  return MalformedRequestError();
}

absl::Status ClearPasswordError(absl::string_view type) {
  return absl::UnimplementedError(
      absl::StrCat(type, " with a password that is not hashed (etcd 3.4 or older)"));
}

absl::StatusOr<AuthRequest> ParseUserAdd(absl::string_view body) {
  ASSIGN_OR_RETURN(pb::AuthUserAddRequest request, Parse<pb::AuthUserAddRequest>(body));
  const bool hashed = request.password().empty() || !request.hashedpassword().empty();
  if (!hashed && !request.options().no_password()) {
    return ClearPasswordError(request.GetTypeName());
  }
  return request;
}

absl::StatusOr<AuthRequest> ParseChangePassword(absl::string_view body) {
  ASSIGN_OR_RETURN(pb::AuthUserChangePasswordRequest request,
                   Parse<pb::AuthUserChangePasswordRequest>(body));
  const bool hashed = request.password().empty() || !request.hashedpassword().empty();
  if (!hashed) return ClearPasswordError(request.GetTypeName());
  return request;
}

absl::StatusOr<AuthRequest> ParseAuthRequest(const Command& command) {
  const absl::string_view body = command.body;
  switch (command.operation) {
    case Operation::kAuthEnable:
      return Parse<pb::AuthEnableRequest>(body);
    case Operation::kAuthDisable:
      return Parse<pb::AuthDisableRequest>(body);
    case Operation::kAuthenticate:
      return Parse<pb::InternalAuthenticateRequest>(body);
    case Operation::kAuthUserAdd:
      return ParseUserAdd(body);
    case Operation::kAuthUserDelete:
      return Parse<pb::AuthUserDeleteRequest>(body);
    case Operation::kAuthUserChangePassword:
      return ParseChangePassword(body);
    case Operation::kAuthUserGrantRole:
      return Parse<pb::AuthUserGrantRoleRequest>(body);
    case Operation::kAuthUserRevokeRole:
      return Parse<pb::AuthUserRevokeRoleRequest>(body);
    case Operation::kAuthRoleAdd:
      return Parse<pb::AuthRoleAddRequest>(body);
    case Operation::kAuthRoleDelete:
      return Parse<pb::AuthRoleDeleteRequest>(body);
    case Operation::kAuthRoleGrantPermission:
      return Parse<pb::AuthRoleGrantPermissionRequest>(body);
    case Operation::kAuthRoleRevokePermission:
      return Parse<pb::AuthRoleRevokePermissionRequest>(body);
    default:
      UNREACHABLE("only for what IsAuthCommand() names");
  }
}

// Makes each change, and notes what it does to the tokens.
class Changer {
 public:
  Changer(auth::Auth* auth, LogIndex index, Outcome* outcome)
      : auth_(auth), index_(index), outcome_(outcome) {}

  absl::Status operator()(const pb::AuthEnableRequest&) { return auth_->Enable(); }
  absl::Status operator()(const pb::AuthDisableRequest&) {
    if (auth_->enabled()) Note({TokenChange::Kind::kForgetAll});
    auth_->Disable();
    return absl::OkStatus();
  }
  // The proposer has checked the password.
  absl::Status operator()(const pb::InternalAuthenticateRequest& r) {
    if (!auth_->enabled()) return auth::AuthNotEnabledError();
    const auto user = auth_->users().find(r.name());
    if (user == auth_->users().end() || user->second.no_password) return auth::AuthFailedError();
    Note({TokenChange::Kind::kAssign, r.name(), auth::SimpleToken(r.simple_token(), index_)});
    return absl::OkStatus();
  }
  absl::Status operator()(const pb::AuthUserAddRequest& r) {
    return auth_->AddUser(r.name(), r.hashedpassword(), r.options().no_password());
  }
  absl::Status operator()(const pb::AuthUserDeleteRequest& r) {
    RETURN_IF_ERROR(auth_->DeleteUser(r.name()));
    Note({TokenChange::Kind::kForgetUser, r.name()});
    return absl::OkStatus();
  }
  absl::Status operator()(const pb::AuthUserChangePasswordRequest& r) {
    RETURN_IF_ERROR(auth_->ChangePassword(r.name(), r.hashedpassword()));
    Note({TokenChange::Kind::kForgetUser, r.name()});
    return absl::OkStatus();
  }
  absl::Status operator()(const pb::AuthUserGrantRoleRequest& r) {
    return auth_->GrantRole(r.user(), r.role());
  }
  absl::Status operator()(const pb::AuthUserRevokeRoleRequest& r) {
    return auth_->RevokeRole(r.name(), r.role());
  }
  absl::Status operator()(const pb::AuthRoleAddRequest& r) { return auth_->AddRole(r.name()); }
  absl::Status operator()(const pb::AuthRoleDeleteRequest& r) {
    return auth_->DeleteRole(r.role());
  }
  absl::Status operator()(const pb::AuthRoleGrantPermissionRequest& r) {
    if (!r.has_perm()) return auth::PermissionNotGivenError();
    return auth_->GrantPermission(r.name(), {static_cast<int32_t>(r.perm().permtype()),
                                             r.perm().key(), r.perm().range_end()});
  }
  absl::Status operator()(const pb::AuthRoleRevokePermissionRequest& r) {
    return auth_->RevokePermission(r.role(), r.key(), r.range_end());
  }

 private:
  void Note(TokenChange change) {
    outcome_->tokens = std::make_unique<TokenChange>(std::move(change));
  }

  auth::Auth* const auth_;
  const LogIndex index_;
  Outcome* const outcome_;
};

// Of an AuthenticateResponse; the header is field 1.
constexpr uint32_t kTokenField = 2;

}  // namespace

bool IsAuthCommand(Operation operation) {
  switch (operation) {
    case Operation::kAuthEnable:
    case Operation::kAuthDisable:
    case Operation::kAuthenticate:
    case Operation::kAuthUserAdd:
    case Operation::kAuthUserDelete:
    case Operation::kAuthUserChangePassword:
    case Operation::kAuthUserGrantRole:
    case Operation::kAuthUserRevokeRole:
    case Operation::kAuthRoleAdd:
    case Operation::kAuthRoleDelete:
    case Operation::kAuthRoleGrantPermission:
    case Operation::kAuthRoleRevokePermission:
      return true;
    default:
      return false;
  }
}

absl::Status CheckAuthCommand(const Command& command) { return ParseAuthRequest(command).status(); }

absl::Status ApplyAuthCommand(const Command& command, auth::Auth* auth, Revision revision,
                              const mvcc::Identity& identity, bool respond, Outcome* outcome) {
  ASSIGN_OR_RETURN(const AuthRequest request, ParseAuthRequest(command));
  if (command.operation != Operation::kAuthenticate) {
    outcome->status = auth->CheckAdmin(command.subject);
    if (!outcome->status.ok()) return absl::OkStatus();
  }
  outcome->status = std::visit(Changer(auth, command.index, outcome), request);
  if (!outcome->status.ok() || !respond) return absl::OkStatus();
  BytesBuilder out;
  mvcc::AppendHeader(identity, revision, &out);
  if (command.operation == Operation::kAuthenticate) {
    AppendBytes(&out, kTokenField, outcome->tokens->token);
  }
  outcome->body = std::move(out).Finish();
  return absl::OkStatus();
}

}  // namespace quorate::apply
