#include "tests/clients/comparison/auth_source.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "base/check.h"

namespace quorate::differential {
namespace {

template <typename Request>
Request* Make(Type type, Step* step) {
  auto request = std::make_shared<Request>();
  step->type = type;
  step->request = request;
  return request.get();
}

}  // namespace

std::string AuthSource::UserName() {
  if (draw_.OneIn(40)) return "";
  return draw_.Percent(12) ? "root" : absl::StrCat("u", draw_.Below(4));
}

std::string AuthSource::RoleName() {
  if (draw_.OneIn(40)) return "";
  return draw_.Percent(12) ? "root" : absl::StrCat("r", draw_.Below(4));
}

std::string AuthSource::Password() {
  if (draw_.OneIn(40)) return draw_.Of<std::string>({"", std::string(73, 'p')});
  return absl::StrCat("p", draw_.Below(3));
}

std::string AuthSource::User() {
  std::vector<std::string> any;
  for (const auto& [name, user] : known_.users()) {
    if (user.has_token) any.push_back(name);
  }
  const uint64_t n = draw_.Below(100);
  if (!known_.auth_enabled()) {
    if (release_.has_early_auth) return "";
    if (n == 0) return std::string(kNobody);
    return n < 5 && !any.empty() ? draw_.Member(any) : "";
  }
  if (n < 3) return "";
  if (n < 5) return std::string(kNobody);
  return any.empty() || n < 45 ? "root" : draw_.Member(any);
}

std::string AuthSource::Admin() {
  return known_.auth_enabled() && draw_.Percent(85) ? "root" : User();
}

Step AuthSource::Login(const std::string& user) {
  Step step;
  auto* request = Make<etcdserverpb::AuthenticateRequest>(Type::kAuthenticate, &step);
  request->set_name(user);
  const auto found = known_.users().find(user);
  if (found != known_.users().end()) request->set_password(found->second.password);
  return step;
}

// Authentication needs a user named root with the role of that name.
Step AuthSource::Enable() {
  Step step;
  const auto root = known_.users().find("root");
  if (draw_.Percent(20) || known_.auth_enabled()) {
    Make<etcdserverpb::AuthEnableRequest>(Type::kAuthEnable, &step);
  } else if (root == known_.users().end()) {
    auto* request = Make<etcdserverpb::AuthUserAddRequest>(Type::kUserAdd, &step);
    request->set_name("root");
    request->set_password("p0");
  } else if (!known_.roles().contains("root")) {
    Make<etcdserverpb::AuthRoleAddRequest>(Type::kRoleAdd, &step)->set_name("root");
  } else if (!root->second.roles.contains("root")) {
    auto* request = Make<etcdserverpb::AuthUserGrantRoleRequest>(Type::kUserGrantRole, &step);
    request->set_user("root");
    request->set_role("root");
  } else {
    Make<etcdserverpb::AuthEnableRequest>(Type::kAuthEnable, &step);
  }
  return step;
}

Step AuthSource::Authenticate() {
  if (draw_.Percent(75) && !known_.users().empty()) {
    return Login(draw_.Member(known_.users()).first);
  }
  Step step;
  auto* request = Make<etcdserverpb::AuthenticateRequest>(Type::kAuthenticate, &step);
  request->set_name(UserName());
  request->set_password(Password());
  return step;
}

Step AuthSource::UserAdd() {
  Step step;
  auto* request = Make<etcdserverpb::AuthUserAddRequest>(Type::kUserAdd, &step);
  request->set_name(UserName());
  request->set_password(Password());
  // Somebody must be able to switch authentication off again.
  if (request->name() == "root") {
    request->set_password("p0");
  } else if (draw_.Percent(15)) {
    request->mutable_options()->set_no_password(true);
    if (draw_.Percent(70)) request->clear_password();
  } else if (draw_.Percent(10)) {
    request->mutable_options();
  }
  return step;
}

Step AuthSource::RevokeRole() {
  Step step;
  auto* request = Make<etcdserverpb::AuthUserRevokeRoleRequest>(Type::kUserRevokeRole, &step);
  request->set_name(UserName());
  request->set_role(RoleName());
  std::vector<std::pair<std::string, std::string>> granted;
  for (const auto& [name, user] : known_.users()) {
    for (const std::string& role : user.roles) granted.emplace_back(name, role);
  }
  if (draw_.Percent(60) && !granted.empty()) {
    const auto [user, role] = draw_.Member(granted);
    request->set_name(user);
    request->set_role(role);
  }
  return step;
}

Step AuthSource::GrantPermission() {
  Step step;
  auto* request =
      Make<etcdserverpb::AuthRoleGrantPermissionRequest>(Type::kRoleGrantPermission, &step);
  request->set_name(RoleName());
  if (draw_.OneIn(30)) return step;
  authpb::Permission* permission = request->mutable_perm();
  permission->set_permtype(static_cast<authpb::Permission::Type>(
      draw_.OneIn(40) ? draw_.Of<int>({3, -1}) : static_cast<int>(draw_.Below(3))));
  permission->set_key(kv_.Key());
  permission->set_range_end(kv_.RangeEnd(permission->key()));
  return step;
}

Step AuthSource::RevokePermission() {
  Step step;
  auto* request =
      Make<etcdserverpb::AuthRoleRevokePermissionRequest>(Type::kRoleRevokePermission, &step);
  request->set_role(RoleName());
  request->set_key(kv_.Key());
  request->set_range_end(kv_.RangeEnd(request->key()));
  std::vector<std::pair<std::string, authpb::Permission>> granted;
  for (const auto& [role, permissions] : known_.roles()) {
    for (const authpb::Permission& permission : permissions) granted.emplace_back(role, permission);
  }
  if (draw_.Percent(60) && !granted.empty()) {
    const auto [role, permission] = draw_.Member(granted);
    request->set_role(role);
    request->set_key(permission.key());
    request->set_range_end(permission.range_end());
  }
  return step;
}

Step AuthSource::Request(Type type) {
  Step step;
  switch (type) {
    case Type::kAuthEnable:
      return Enable();
    case Type::kAuthenticate:
      return Authenticate();
    case Type::kUserAdd:
      return UserAdd();
    case Type::kUserRevokeRole:
      return RevokeRole();
    case Type::kRoleGrantPermission:
      return GrantPermission();
    case Type::kRoleRevokePermission:
      return RevokePermission();
    case Type::kUserGet:
      Make<etcdserverpb::AuthUserGetRequest>(type, &step)->set_name(UserName());
      break;
    case Type::kUserDelete:
      Make<etcdserverpb::AuthUserDeleteRequest>(type, &step)->set_name(UserName());
      break;
    case Type::kUserChangePassword: {
      auto* request = Make<etcdserverpb::AuthUserChangePasswordRequest>(type, &step);
      request->set_name(UserName());
      // Root must be able to log in again.
      request->set_password(request->name() == "root" ? "p1" : Password());
      break;
    }
    case Type::kUserGrantRole: {
      auto* request = Make<etcdserverpb::AuthUserGrantRoleRequest>(type, &step);
      request->set_user(UserName());
      request->set_role(RoleName());
      break;
    }
    case Type::kRoleAdd:
      Make<etcdserverpb::AuthRoleAddRequest>(type, &step)->set_name(RoleName());
      break;
    case Type::kRoleGet:
      Make<etcdserverpb::AuthRoleGetRequest>(type, &step)->set_role(RoleName());
      break;
    case Type::kRoleDelete:
      Make<etcdserverpb::AuthRoleDeleteRequest>(type, &step)->set_role(RoleName());
      break;
    default:  // AuthDisable, AuthStatus, UserList, RoleList ask for nothing
      step.type = type;
      step.request.reset(Info(type).request->New());
  }
  return step;
}

}  // namespace quorate::differential
