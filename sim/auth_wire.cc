#include "sim/auth_wire.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/messages.h"
#include "api/raft_internal.pb.h"
#include "base/check.h"

namespace quorate::sim {
namespace {

namespace pb = etcdserverpb;
using Kind = AuthChange::Kind;
using engine::RequestKind;

template <typename Message>
void SetPassword(const AuthChange& change, bool hashed, Message* out) {
  if (change.no_password) return;
  const std::string password = PasswordOf(change.user);
  if (hashed) {
    out->set_hashedpassword(absl::Base64Escape(HashOf(password)));
  } else {
    out->set_password(password);
  }
}

Bytes EncodeOfUser(const AuthChange& change, bool hashed) {
  switch (change.kind) {
    case Kind::kAddUser: {
      pb::AuthUserAddRequest out;
      out.set_name(change.user);
      if (change.no_password) out.mutable_options()->set_no_password(true);
      SetPassword(change, hashed, &out);
      return SerializeMessage(out);
    }
    case Kind::kDeleteUser: {
      pb::AuthUserDeleteRequest out;
      out.set_name(change.user);
      return SerializeMessage(out);
    }
    case Kind::kChangePassword: {
      pb::AuthUserChangePasswordRequest out;
      out.set_name(change.user);
      SetPassword(change, hashed, &out);
      return SerializeMessage(out);
    }
    case Kind::kGrantRole: {
      pb::AuthUserGrantRoleRequest out;
      out.set_user(change.user);
      out.set_role(change.role);
      return SerializeMessage(out);
    }
    default: {
      CHECK(change.kind == Kind::kRevokeRole);
      pb::AuthUserRevokeRoleRequest out;
      out.set_name(change.user);
      out.set_role(change.role);
      return SerializeMessage(out);
    }
  }
}

std::optional<AuthChange> ChangeOfUser(const pb::InternalRaftRequest& in) {
  if (in.has_auth_user_add()) {
    AuthChange out = OfUser(Kind::kAddUser, in.auth_user_add().name());
    out.no_password = in.auth_user_add().options().no_password();
    return out;
  }
  if (in.has_auth_user_delete()) return OfUser(Kind::kDeleteUser, in.auth_user_delete().name());
  if (in.has_auth_user_change_password()) {
    return OfUser(Kind::kChangePassword, in.auth_user_change_password().name());
  }
  if (in.has_auth_user_grant_role()) {
    return OfUser(Kind::kGrantRole, in.auth_user_grant_role().user(),
                  in.auth_user_grant_role().role());
  }
  if (in.has_auth_user_revoke_role()) {
    return OfUser(Kind::kRevokeRole, in.auth_user_revoke_role().name(),
                  in.auth_user_revoke_role().role());
  }
  return std::nullopt;
}

std::optional<AuthChange> ChangeOfRole(const pb::InternalRaftRequest& in) {
  if (in.has_auth_role_add()) return OfRole(Kind::kAddRole, in.auth_role_add().name());
  if (in.has_auth_role_delete()) return OfRole(Kind::kDeleteRole, in.auth_role_delete().role());
  if (in.has_auth_role_grant_permission()) {
    const pb::AuthRoleGrantPermissionRequest& grant = in.auth_role_grant_permission();
    AuthChange out = OfRole(Kind::kGrantPermission, grant.name());
    out.key = grant.perm().key();
    out.range_end = grant.perm().range_end();
    out.type = static_cast<int>(grant.perm().permtype());
    return out;
  }
  if (in.has_auth_role_revoke_permission()) {
    AuthChange out = OfRole(Kind::kRevokePermission, in.auth_role_revoke_permission().role());
    out.key = in.auth_role_revoke_permission().key();
    out.range_end = in.auth_role_revoke_permission().range_end();
    return out;
  }
  return std::nullopt;
}

struct Names {
  RequestKind kind;
  absl::string_view method;
};

const Names& NamesOf(Kind kind) {
  static constexpr Names kNames[] = {
      {RequestKind::kAuthEnable, "/etcdserverpb.Auth/AuthEnable"},
      {RequestKind::kAuthDisable, "/etcdserverpb.Auth/AuthDisable"},
      {RequestKind::kAuthUserAdd, "/etcdserverpb.Auth/UserAdd"},
      {RequestKind::kAuthUserDelete, "/etcdserverpb.Auth/UserDelete"},
      {RequestKind::kAuthUserChangePassword, "/etcdserverpb.Auth/UserChangePassword"},
      {RequestKind::kAuthUserGrantRole, "/etcdserverpb.Auth/UserGrantRole"},
      {RequestKind::kAuthUserRevokeRole, "/etcdserverpb.Auth/UserRevokeRole"},
      {RequestKind::kAuthRoleAdd, "/etcdserverpb.Auth/RoleAdd"},
      {RequestKind::kAuthRoleDelete, "/etcdserverpb.Auth/RoleDelete"},
      {RequestKind::kAuthRoleGrantPermission, "/etcdserverpb.Auth/RoleGrantPermission"},
      {RequestKind::kAuthRoleRevokePermission, "/etcdserverpb.Auth/RoleRevokePermission"},
  };
  static_assert(std::size(kNames) == static_cast<size_t>(Kind::kRevokePermission) + 1);
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace

std::string PasswordOf(const std::string& user) { return absl::StrCat("password of ", user); }

std::string HashOf(absl::string_view password) { return absl::StrCat("hash of ", password); }

engine::RequestKind KindOf(const AuthChange& change) { return NamesOf(change.kind).kind; }

absl::string_view MethodOf(const AuthChange& change) { return NamesOf(change.kind).method; }

Bytes EncodeAuthChange(const AuthChange& change, bool hashed) {
  switch (change.kind) {
    case Kind::kEnable:
    case Kind::kDisable:
      return Bytes();  // no fields
    case Kind::kAddRole: {
      pb::AuthRoleAddRequest out;
      out.set_name(change.role);
      return SerializeMessage(out);
    }
    case Kind::kDeleteRole: {
      pb::AuthRoleDeleteRequest out;
      out.set_role(change.role);
      return SerializeMessage(out);
    }
    case Kind::kGrantPermission: {
      pb::AuthRoleGrantPermissionRequest out;
      out.set_name(change.role);
      out.mutable_perm()->set_key(change.key);
      out.mutable_perm()->set_range_end(change.range_end);
      out.mutable_perm()->set_permtype(static_cast<authpb::Permission::Type>(change.type));
      return SerializeMessage(out);
    }
    case Kind::kRevokePermission: {
      pb::AuthRoleRevokePermissionRequest out;
      out.set_role(change.role);
      out.set_key(change.key);
      out.set_range_end(change.range_end);
      return SerializeMessage(out);
    }
    default:
      return EncodeOfUser(change, hashed);
  }
}

absl::StatusOr<AuthCommand> DecodeAuthCommand(absl::string_view data) {
  pb::InternalRaftRequest in;
  if (!ParseMessage(data, &in)) return absl::DataLossError("not an InternalRaftRequest");
  AuthCommand out;
  out.user = in.header().username();
  out.revision = in.header().auth_revision();
  if (in.has_auth_enable()) out.change = OfUser(Kind::kEnable, "");
  if (in.has_auth_disable()) out.change = OfUser(Kind::kDisable, "");
  if (!out.change.has_value()) out.change = ChangeOfUser(in);
  if (!out.change.has_value()) out.change = ChangeOfRole(in);
  return out;
}

}  // namespace quorate::sim
