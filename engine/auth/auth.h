// The auth store: users, roles and what they permit, as the committed entries decide it.
//
// A role holds permissions on keys and ranges of keys; a user holds roles, and may do
// what any of them permits. The role "root" permits everything. While authentication is
// enabled every request has a subject, and is refused unless the subject's user may do
// what it asks. The auth revision counts the changes: a command that was proposed under
// an older one is refused where it is applied, since what it relied on may be gone.
//
// Passwords are here only as bcrypt texts that came ready made; nothing is hashed or
// compared in the engine. Errors carry etcd's codes and texts (engine/auth/errors.h);
// what fails changes nothing.
#ifndef QUORATE_ENGINE_AUTH_AUTH_H_
#define QUORATE_ENGINE_AUTH_AUTH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/auth/key_set.h"
#include "engine/mvcc/key_range.h"
#include "engine/mvcc/work.h"

namespace quorate::auth {

// Names with rights of their own.
inline constexpr absl::string_view kRootUser = "root";
inline constexpr absl::string_view kRootRole = "root";

enum class Access : uint8_t { kRead, kWrite };

// authpb.Permission.
struct Permission {
  // authpb.Permission.Type. Numbers that it does not know are kept and permit nothing.
  enum Type : int32_t { kRead = 0, kWrite = 1, kReadWrite = 2 };

  int32_t type = kRead;
  std::string key;
  std::string range_end;

  mvcc::KeyRange range() const { return mvcc::KeyRange::FromRequest(key, range_end); }
  bool Allows(Access access) const {
    return type == kReadWrite || type == (access == Access::kRead ? kRead : kWrite);
  }
};

struct Role {
  uint64_t id = 0;  // of roles that had the name one after another no two have the same
  // In ascending key; those of one key in the order in which they were granted.
  std::vector<Permission> permissions;
};

// A role that was deleted is gone from all users at once, however many they are: they keep the
// grant until they are changed, and it counts for nothing (Auth::IsHeld).
struct RoleGrant {
  std::string name;
  uint64_t role = 0;  // Role::id
};

struct User {
  std::string password_hash;     // bcrypt's text; empty matches no password
  bool no_password = false;      // known by certificate only
  std::vector<RoleGrant> roles;  // in ascending name
  size_t looked_at = 0;          // of roles, for those that were deleted
};

// Who asks, and the auth revision at which the asker was found to be that user; revision
// 0 = nobody said who.
struct Subject {
  absl::string_view user;
  uint64_t revision = 0;
};

class Auth {
 public:
  // ---- changes ----

  // Needs user root with role root. Changes nothing, the revision included, if enabled
  // already.
  absl::Status Enable();
  // Counts as a change, unless disabled already.
  void Disable();

  // `password` is the bcrypt text in base64 (RFC 4648, padded) and does not count if
  // `no_password`.
  absl::Status AddUser(absl::string_view name, absl::string_view password, bool no_password);
  absl::Status DeleteUser(absl::string_view name);
  // A user without password stays so, whatever is given.
  absl::Status ChangePassword(absl::string_view name, absl::string_view password);
  // Root's role can be granted though nobody added it. One that the user has already
  // changes nothing.
  absl::Status GrantRole(absl::string_view user, absl::string_view role);
  absl::Status RevokeRole(absl::string_view user, absl::string_view role);

  absl::Status AddRole(absl::string_view name);
  // Also takes it from all users. O(log n), but for its permissions.
  absl::Status DeleteRole(absl::string_view name);
  // Adds a permission, or changes the type of the one for that very range if it is the
  // first of its key (an etcd habit that members must share: else what one of them
  // applies another refuses).
  absl::Status GrantPermission(absl::string_view role, Permission permission);
  // Takes back all that was granted for exactly this range.
  absl::Status RevokePermission(absl::string_view role, absl::string_view key,
                                absl::string_view range_end);

  // ---- checks; all pass while authentication is disabled ----

  absl::Status CheckAdmin(const Subject& subject) const;
  absl::Status CheckAccess(const Subject& subject, Access access,
                           const mvcc::KeyRange& range) const;
  // Of a key to which the subject has access: the first one behind it that is not of the
  // same run of permitted keys; nothing if everything behind it is permitted.
  std::optional<std::string> EndOfAccess(const Subject& subject, Access access,
                                         absl::string_view key) const;
  bool UserHasRole(absl::string_view user, absl::string_view role) const;

  // ---- views ----

  bool enabled() const { return enabled_; }
  // 1 before any change.
  uint64_t revision() const { return revision_; }
  // By name.
  const absl::btree_map<std::string, User>& users() const { return users_; }
  const absl::btree_map<std::string, Role>& roles() const { return roles_; }
  // Whether the role that a user was granted is still there.
  bool IsHeld(const RoleGrant& grant) const;

  // All of it as sections of an image, equal for equal states. Each goes on where the last one
  // ended, as *at has it, and has about kSectionPartBytes: false with the last one.
  struct ImagePlace {
    bool begun = false;
    bool users_done = false;
    std::string name;   // the last user, or role, that was encoded
    size_t listed = 0;  // of its roles, or permissions; 0 = all
  };
  bool EncodeSome(ImagePlace* at, BytesBuilder* out) const;
  // Back, in a fresh one, one section after another. DataLoss if they are not what EncodeSome
  // gives; then it is of no use.
  absl::Status Decode(absl::string_view section);
  // Gives memory back in pieces; true once little of it is left. It is of no use any more.
  bool Release(mvcc::Work* work);

  // Folds all of it into a digest.
  uint64_t Digest(uint64_t digest) const;

 private:
  // What a user's roles permit together.
  struct Grants {
    uint64_t revision = 0;  // at which this was found
    KeySet read;
    KeySet write;
  };

  bool HasRole(const User& user, absl::string_view role) const;
  // Forgets some of the user's grants of roles that were deleted, if there are any.
  void ForgetDeletedRoles(User* user) const;
  // A record of an image; false if there is none any more.
  bool EncodeUser(ImagePlace* at, BytesBuilder* out) const;
  bool EncodeRole(ImagePlace* at, BytesBuilder* out) const;
  const Grants& GrantsOf(const std::string& name, const User& user) const;

  bool enabled_ = false;
  uint64_t revision_ = 1;
  absl::btree_map<std::string, User> users_;
  absl::btree_map<std::string, Role> roles_;
  uint64_t last_role_id_ = 0;
  // The root role can be granted though there is none of that name.
  uint64_t root_role_id_ = 0;
  // Follows from users_ and roles_: made when first asked for, and anew after each change.
  mutable absl::btree_map<std::string, Grants> grants_;
  bool decoding_ = false;
};

}  // namespace quorate::auth

#endif  // QUORATE_ENGINE_AUTH_AUTH_H_
