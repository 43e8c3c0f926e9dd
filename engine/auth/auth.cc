#include "engine/auth/auth.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "engine/auth/errors.h"

namespace quorate::auth {
namespace {

// What a deleted user or role listed goes at once if it is no more than this.
constexpr size_t kFewListed = 100;
constexpr uint64_t kLastNumber = std::numeric_limits<uint64_t>::max();

// Puts another value in the place of one that is ordered alike.
template <typename Set>
void Replace(Set* set, typename Set::iterator at, typename Set::value_type value) {
  set->insert(set->erase(at), std::move(value));
}

bool IsBase64Char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

// Stricter than Abseil's, so that members of either make agree on what is an error:
// padding must be there, and of white space only ends of lines may be.
std::optional<std::string> DecodeBase64(absl::string_view text) {
  std::string packed;
  for (const char c : text) {
    if (c != '\r' && c != '\n') packed += c;
  }
  if (packed.size() % 4 != 0) return std::nullopt;
  absl::string_view digits = packed;
  for (int i = 0; i < 2 && !digits.empty() && digits.back() == '='; ++i) digits.remove_suffix(1);
  if (!std::all_of(digits.begin(), digits.end(), IsBase64Char)) return std::nullopt;
  std::string bytes;
  if (!absl::Base64Unescape(packed, &bytes)) return std::nullopt;
  return bytes;
}

bool IsPermissionRange(const Permission& permission) {
  if (permission.key.empty()) return false;
  const mvcc::KeyRange range = permission.range();
  return range.kind != mvcc::KeyRange::Kind::kHalfOpen || range.begin < range.end;
}

}  // namespace

bool Auth::IsHeld(const RoleGrant& grant) const {
  if (grant.name == kRootRole) return grant.role == root_role_id_;
  const auto role = roles_.find(grant.name);
  return role != roles_.end() && role->second.id == grant.role;
}

bool Auth::HasRole(const User& user, absl::string_view role) const {
  const auto at = user.roles.find(role);
  return at != user.roles.end() && IsHeld(*at);
}

// Two are looked at for each that is added: they never become many more than those that are held.
void Auth::ForgetDeletedRoles(User* user) const {
  for (int i = 0; i < 2 && !user->roles.empty(); ++i) {
    auto at = user->roles.upper_bound(user->looked_at);
    if (at == user->roles.end()) at = user->roles.begin();
    user->looked_at = at->name;
    if (!IsHeld(*at)) user->roles.erase(at);
  }
}

absl::Status Auth::Enable() {
  if (enabled_) return absl::OkStatus();
  const auto root = users_.find(kRootUser);
  if (root == users_.end()) return RootUserNotExistError();
  if (!HasRole(root->second, kRootRole)) return RootRoleNotExistError();
  enabled_ = true;
  return absl::OkStatus();
}

void Auth::Disable() {
  if (!enabled_) return;
  enabled_ = false;
  ++revision_;
}

// ---- users ----

absl::Status Auth::AddUser(absl::string_view name, absl::string_view password, bool no_password) {
  if (name.empty()) return UserEmptyError();
  if (users_.contains(name)) return UserAlreadyExistError();
  User user;
  user.no_password = no_password;
  if (!no_password) {
    std::optional<std::string> hash = DecodeBase64(password);
    if (!hash.has_value()) return NoPasswordUserError();
    user.password_hash = *std::move(hash);
  }
  users_.emplace(std::string(name), std::move(user));
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::DeleteUser(absl::string_view name) {
  if (enabled_ && name == kRootUser) return InvalidAuthMgmtError();
  const auto at = users_.find(name);
  if (at == users_.end()) return UserNotFoundError();
  if (at->second.roles.size() > kFewListed) {
    deleted_grants_.push_back(std::move(at->second.roles));
  }
  users_.erase(at);
  grants_.erase(std::string(name));
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::ChangePassword(absl::string_view name, absl::string_view password) {
  const auto user = users_.find(name);
  if (user == users_.end()) return UserNotFoundError();
  if (!user->second.no_password) {
    std::optional<std::string> hash = DecodeBase64(password);
    if (!hash.has_value()) return NoPasswordUserError();
    user->second.password_hash = *std::move(hash);
  }
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::GrantRole(absl::string_view user, absl::string_view role) {
  const auto at = users_.find(user);
  if (at == users_.end()) return UserNotFoundError();
  const auto known = roles_.find(role);
  if (role != kRootRole && known == roles_.end()) return RoleNotFoundError();
  const uint64_t id = role == kRootRole ? root_role_id_ : known->second.id;
  RoleGrants& roles = at->second.roles;
  const auto place = roles.find(role);
  if (place == roles.end()) {
    roles.insert({std::string(role), id});
    ForgetDeletedRoles(&at->second);
  } else if (place->role != id) {
    Replace(&roles, place, {std::string(role), id});
  } else {
    return absl::OkStatus();
  }
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::RevokeRole(absl::string_view user, absl::string_view role) {
  if (enabled_ && user == kRootUser && role == kRootRole) return InvalidAuthMgmtError();
  const auto at = users_.find(user);
  if (at == users_.end()) return UserNotFoundError();
  if (!HasRole(at->second, role)) return RoleNotGrantedError();
  at->second.roles.erase(at->second.roles.find(role));
  ++revision_;
  return absl::OkStatus();
}

// ---- roles ----

absl::Status Auth::AddRole(absl::string_view name) {
  if (name.empty()) return RoleEmptyError();
  if (roles_.contains(name)) return RoleAlreadyExistError();
  roles_.emplace(std::string(name), Role{++last_role_id_, {}});
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::DeleteRole(absl::string_view name) {
  if (enabled_ && name == kRootRole) return InvalidAuthMgmtError();
  const auto at = roles_.find(name);
  if (at == roles_.end()) return RoleNotFoundError();
  if (at->second.permissions.size() > kFewListed) {
    deleted_permissions_.push_back(std::move(at->second.permissions));
  }
  roles_.erase(at);
  if (name == kRootRole) root_role_id_ = ++last_role_id_;
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::GrantPermission(absl::string_view role, Permission permission) {
  if (!IsPermissionRange(permission)) return InvalidAuthMgmtError();
  const auto at = roles_.find(role);
  if (at == roles_.end()) return RoleNotFoundError();
  Permissions& permissions = at->second.permissions;
  const auto first = permissions.lower_bound(ByKey::Place(permission.key, 0));
  const bool known = first != permissions.end() && first->key == permission.key;
  if (known && first->range_end == permission.range_end) {
    permission.number = first->number;
    Replace(&permissions, first, std::move(permission));
  } else {
    // Behind those of the same key.
    const auto after = permissions.upper_bound(ByKey::Place(permission.key, kLastNumber));
    permission.number = known ? std::prev(after)->number + 1 : 0;
    permissions.insert(after, std::move(permission));
  }
  ++revision_;
  return absl::OkStatus();
}

absl::Status Auth::RevokePermission(absl::string_view role, absl::string_view key,
                                    absl::string_view range_end) {
  const auto at = roles_.find(role);
  if (at == roles_.end()) return RoleNotFoundError();
  Permissions& permissions = at->second.permissions;
  bool revoked = false;
  for (auto p = permissions.lower_bound(ByKey::Place(key, 0));
       p != permissions.end() && p->key == key;) {
    if (p->range_end == range_end) {
      p = permissions.erase(p);
      revoked = true;
    } else {
      ++p;
    }
  }
  if (!revoked) return PermissionNotGrantedError();
  ++revision_;
  return absl::OkStatus();
}

// ---- checks ----

absl::Status Auth::CheckAdmin(const Subject& subject) const {
  if (!enabled_) return absl::OkStatus();
  if (subject.user.empty()) return UserEmptyError();
  const auto user = users_.find(subject.user);
  if (user == users_.end()) return UserNotFoundError();
  return HasRole(user->second, kRootRole) ? absl::OkStatus() : PermissionDeniedError();
}

absl::Status Auth::CheckAccess(const Subject& subject, Access access,
                               const mvcc::KeyRange& range) const {
  if (!enabled_) return absl::OkStatus();
  if (subject.revision == 0) return UserEmptyError();
  if (subject.revision < revision_) return AuthOldRevisionError();
  const auto user = users_.find(subject.user);
  if (user == users_.end()) return PermissionDeniedError();
  if (HasRole(user->second, kRootRole)) return absl::OkStatus();
  const Grants& grants = GrantsOf(user->first, user->second);
  const KeySet& keys = access == Access::kRead ? grants.read : grants.write;
  return keys.Covers(range) ? absl::OkStatus() : PermissionDeniedError();
}

std::optional<std::string> Auth::EndOfAccess(const Subject& subject, Access access,
                                             absl::string_view key) const {
  if (!enabled_) return std::nullopt;
  const auto user = users_.find(subject.user);
  CHECK(user != users_.end());
  if (HasRole(user->second, kRootRole)) return std::nullopt;
  const Grants& grants = GrantsOf(user->first, user->second);
  return (access == Access::kRead ? grants.read : grants.write).EndOfRunWith(key);
}

bool Auth::UserHasRole(absl::string_view user, absl::string_view role) const {
  const auto at = users_.find(user);
  return at != users_.end() && HasRole(at->second, role);
}

const Auth::Grants& Auth::GrantsOf(const std::string& name, const User& user) const {
  Grants& grants = grants_[name];
  if (grants.revision == revision_) return grants;
  std::vector<mvcc::KeyRange> read;
  std::vector<mvcc::KeyRange> write;
  for (const RoleGrant& grant : user.roles) {
    const auto role = roles_.find(grant.name);
    // Root's without a role of that name, too.
    if (role == roles_.end() || !IsHeld(grant)) continue;
    for (const Permission& permission : role->second.permissions) {
      if (permission.Allows(Access::kRead)) read.push_back(permission.range());
      if (permission.Allows(Access::kWrite)) write.push_back(permission.range());
    }
  }
  grants = {revision_, KeySet(read), KeySet(write)};
  return grants;
}

namespace {

uint64_t Fold(uint64_t digest, uint64_t v) { return Mix64(digest ^ Mix64(v)); }
uint64_t Fold(uint64_t digest, absl::string_view s) {
  return Fold(Fold(digest, s.size()), Crc32c(s));
}

}  // namespace

uint64_t Auth::Digest(uint64_t digest) const {
  digest = Fold(digest, uint64_t{enabled_});
  digest = Fold(digest, revision_);
  digest = Fold(digest, users_.size());
  for (const auto& [name, user] : users_) {
    digest = Fold(digest, name);
    digest = Fold(digest, user.password_hash);
    digest = Fold(digest, uint64_t{user.no_password});
    for (const RoleGrant& role : user.roles) {
      if (IsHeld(role)) digest = Fold(digest, role.name);
    }
    digest = Fold(digest, uint64_t{0});
  }
  digest = Fold(digest, roles_.size());
  for (const auto& [name, role] : roles_) {
    digest = Fold(digest, name);
    digest = Fold(digest, role.permissions.size());
    for (const Permission& permission : role.permissions) {
      digest = Fold(digest, static_cast<uint64_t>(permission.type));
      digest = Fold(digest, permission.key);
      digest = Fold(digest, permission.range_end);
    }
  }
  return digest;
}

}  // namespace quorate::auth
