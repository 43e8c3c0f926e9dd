#include "sim/model/auth.h"

#include <algorithm>
#include <utility>

#include "sim/model/rules.h"

namespace quorate::sim {
namespace {

const char kRoot[] = "root";
const std::string kFrom(1, '\0');  // NOLINT: a constant

constexpr int kRead = 0;
constexpr int kWrite = 1;
constexpr int kReadWrite = 2;

}  // namespace

AuthChange OfUser(AuthChange::Kind kind, std::string user, std::string role) {
  AuthChange out;
  out.kind = kind;
  out.user = std::move(user);
  out.role = std::move(role);
  return out;
}

AuthChange OfRole(AuthChange::Kind kind, std::string role) {
  return OfUser(kind, "", std::move(role));
}

std::string AuthModel::Apply(const AuthChange& change, const std::string& asker) {
  std::string refusal = CheckAdmin(asker);
  if (!refusal.empty()) return refusal;
  changed_ = false;
  std::string error = Perform(change);
  if (changed_) ++revision_;
  return error;
}

std::string AuthModel::CheckAdmin(const std::string& asker) const {
  if (!enabled_) return "";
  if (asker.empty()) return "etcdserver: user name is empty";
  if (!users_.contains(asker)) return "etcdserver: user name not found";
  return users_.at(asker).contains(kRoot) ? "" : "etcdserver: permission denied";
}

std::string AuthModel::Perform(const AuthChange& change) {
  using Kind = AuthChange::Kind;
  switch (change.kind) {
    case Kind::kEnable:
      if (enabled_) return "";
      if (!users_.contains(kRoot)) return "etcdserver: root user does not exist";
      if (!users_.at(kRoot).contains(kRoot)) {
        return "etcdserver: root user does not have root role";
      }
      enabled_ = true;
      return "";
    case Kind::kDisable:
      changed_ = enabled_;
      enabled_ = false;
      return "";
    case Kind::kAddUser:
    case Kind::kDeleteUser:
    case Kind::kChangePassword:
    case Kind::kGrantRole:
    case Kind::kRevokeRole:
      return PerformOnUser(change);
    default:
      return PerformOnRole(change);
  }
}

std::string AuthModel::PerformOnUser(const AuthChange& change) {
  using Kind = AuthChange::Kind;
  const bool known = users_.contains(change.user);
  if (change.kind == Kind::kAddUser) {
    if (change.user.empty()) return "etcdserver: user name is empty";
    if (known) return "etcdserver: user name already exists";
    users_[change.user];
    changed_ = true;
    return "";
  }
  const bool roots_role = change.kind == Kind::kDeleteUser ||
                          (change.kind == Kind::kRevokeRole && change.role == kRoot);
  if (enabled_ && change.user == kRoot && roots_role) {
    return "etcdserver: invalid auth management";
  }
  if (!known) return "etcdserver: user name not found";
  std::set<std::string>& roles = users_[change.user];
  if (change.kind == Kind::kGrantRole) {
    if (change.role != kRoot && !roles_.contains(change.role)) {
      return "etcdserver: role name not found";
    }
    changed_ = roles.insert(change.role).second;
    return "";
  }
  if (change.kind == Kind::kRevokeRole && roles.erase(change.role) == 0) {
    return "etcdserver: role is not granted to the user";
  }
  if (change.kind == Kind::kDeleteUser) users_.erase(change.user);
  changed_ = true;
  return "";
}

std::string AuthModel::PerformOnRole(const AuthChange& change) {
  using Kind = AuthChange::Kind;
  const bool known = roles_.contains(change.role);
  if (change.kind == Kind::kAddRole) {
    if (change.role.empty()) return "etcdserver: role name is empty";
    if (known) return "etcdserver: role name already exists";
    roles_[change.role];
    changed_ = true;
    return "";
  }
  if (change.kind == Kind::kDeleteRole && enabled_ && change.role == kRoot) {
    return "etcdserver: invalid auth management";
  }
  if (change.kind == Kind::kGrantPermission) {
    const bool range = !change.range_end.empty() && change.range_end != kFrom;
    if (change.key.empty() || (range && change.range_end <= change.key)) {
      return "etcdserver: invalid auth management";
    }
  }
  if (!known) return "etcdserver: role name not found";
  std::vector<Permission>& permissions = roles_[change.role];
  if (change.kind == Kind::kDeleteRole) {
    roles_.erase(change.role);
    for (auto& [name, roles] : users_) roles.erase(change.role);
  } else if (change.kind == Kind::kGrantPermission) {
    const auto first = std::find_if(permissions.begin(), permissions.end(),
                                    [&](const Permission& p) { return p.key == change.key; });
    if (first != permissions.end() && first->range_end == change.range_end) {
      first->type = change.type;
    } else {
      permissions.push_back({change.key, change.range_end, change.type});
      std::stable_sort(permissions.begin(), permissions.end(),
                       [](const Permission& a, const Permission& b) { return a.key < b.key; });
    }
  } else if (std::erase_if(permissions, [&](const Permission& p) {
               return p.key == change.key && p.range_end == change.range_end;
             }) == 0) {
    return "etcdserver: permission is not granted to the role";
  }
  changed_ = true;
  return "";
}

bool AuthModel::MayDo(const std::string& user, bool write, const std::string& key) const {
  for (const std::string& role : users_.at(user)) {
    if (role == kRoot) return true;
    for (const Permission& p : roles_.at(role)) {
      const bool type_fits = p.type == kReadWrite || p.type == (write ? kWrite : kRead);
      if (type_fits && InRange(key, p.key, p.range_end)) return true;
    }
  }
  return false;
}

std::string AuthModel::Check(const std::string& asker, uint64_t revision, bool write,
                             const std::string& key, const std::string& range_end) const {
  if (!enabled_) return "";
  if (revision == 0) return "etcdserver: user name is empty";
  if (revision < revision_) return "etcdserver: revision of auth store is old";
  std::string denied = "etcdserver: permission denied";
  if (!users_.contains(asker)) return denied;
  // The first key of any gap is the first that is asked for, or comes right after what
  // some permission covers; beyond all of these there is only the end of all keys.
  std::set<std::string> candidates = {key};
  for (const auto& [role, permissions] : roles_) {
    for (const Permission& p : permissions) {
      for (const std::string& end : {p.key + '\0', p.range_end, std::string(8, '\xff')}) {
        if (!end.empty() && InRange(end, key, range_end)) candidates.insert(end);
      }
    }
  }
  const bool all = std::all_of(candidates.begin(), candidates.end(),
                               [&](const std::string& k) { return MayDo(asker, write, k); });
  return all ? "" : denied;
}

std::vector<std::string> AuthModel::Users() const {
  std::vector<std::string> names;
  for (const auto& [name, roles] : users_) names.push_back(name);
  return names;
}

std::vector<std::string> AuthModel::Roles() const {
  std::vector<std::string> names;
  for (const auto& [name, permissions] : roles_) names.push_back(name);
  return names;
}

std::vector<std::string> AuthModel::RolesOf(const std::string& user) const {
  const std::set<std::string>& roles = users_.at(user);
  return {roles.begin(), roles.end()};
}

std::vector<AuthModel::Permission> AuthModel::PermissionsOf(const std::string& role) const {
  return roles_.at(role);
}

}  // namespace quorate::sim
