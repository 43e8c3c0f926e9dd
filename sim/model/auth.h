// Users, roles and permissions as they should be: small enough to be seen to be right.
// Tests compare the engine's auth store with it.
//
// Nothing is merged, cached or searched: every question goes through all permissions of
// all roles of the user. Pure data in, pure data out.
#ifndef QUORATE_SIM_MODEL_AUTH_H_
#define QUORATE_SIM_MODEL_AUTH_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace quorate::sim {

// A request of the Auth service that can change something.
struct AuthChange {
  enum class Kind : uint8_t {
    kEnable,
    kDisable,
    kAddUser,
    kDeleteUser,
    kChangePassword,
    kGrantRole,
    kRevokeRole,
    kAddRole,
    kDeleteRole,
    kGrantPermission,
    kRevokePermission,
  };
  Kind kind = Kind::kEnable;
  std::string user;
  std::string role;
  bool no_password = false;
  // Of permissions: the range as in requests, and authpb.Permission.Type.
  std::string key;
  std::string range_end;
  int type = 0;

  friend bool operator==(const AuthChange&, const AuthChange&) = default;
};

// Changes that name a user, a role, or both.
AuthChange OfUser(AuthChange::Kind kind, std::string user, std::string role = "");
AuthChange OfRole(AuthChange::Kind kind, std::string role);

class AuthModel {
 public:
  struct Permission {
    std::string key;
    std::string range_end;
    int type = 0;
    friend bool operator==(const Permission&, const Permission&) = default;
  };

  // Performs a change that `asker` ("" = nobody) asks for. Gives etcd's error text; empty
  // if it was done.
  std::string Apply(const AuthChange& change, const std::string& asker);
  // Why `asker`, known since auth revision `revision` (0 = nobody), may not read (or
  // write) all keys of the range; empty if it may.
  std::string Check(const std::string& asker, uint64_t revision, bool write, const std::string& key,
                    const std::string& range_end) const;
  std::string CheckAdmin(const std::string& asker) const;

  bool enabled() const { return enabled_; }
  uint64_t revision() const { return revision_; }
  std::vector<std::string> Users() const;
  std::vector<std::string> Roles() const;
  bool HasUser(const std::string& user) const { return users_.contains(user); }
  bool HasRole(const std::string& role) const { return roles_.contains(role); }
  std::vector<std::string> RolesOf(const std::string& user) const;
  // In ascending key.
  std::vector<Permission> PermissionsOf(const std::string& role) const;

 private:
  std::string Perform(const AuthChange& change);
  std::string PerformOnUser(const AuthChange& change);
  std::string PerformOnRole(const AuthChange& change);
  bool MayDo(const std::string& user, bool write, const std::string& key) const;

  bool enabled_ = false;
  bool changed_ = false;  // by the change under way
  uint64_t revision_ = 1;
  std::map<std::string, std::set<std::string>> users_;  // to their roles
  std::map<std::string, std::vector<Permission>> roles_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_MODEL_AUTH_H_
