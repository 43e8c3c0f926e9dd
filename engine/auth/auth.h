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
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
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
  // In its role: tells apart those of one key, of which later ones have greater ones.
  uint64_t number = 0;

  mvcc::KeyRange range() const { return mvcc::KeyRange::FromRequest(key, range_end); }
  bool Allows(Access access) const {
    return type == kReadWrite || type == (access == Access::kRead ? kRead : kWrite);
  }
};

// A role's permissions: in ascending key; those of one key in the order in which they were granted.
// There may be very many, so that none of them is moved when another one comes or goes.
struct ByKey {
  using is_transparent = void;
  using Place = std::pair<absl::string_view, uint64_t>;
  static Place Of(const Permission& p) { return {p.key, p.number}; }
  static const Place& Of(const Place& place) { return place; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Of(a) < Of(b);
  }
};
using Permissions = absl::btree_set<Permission, ByKey>;

struct Role {
  uint64_t id = 0;  // of roles that had the name one after another no two have the same
  Permissions permissions;
};

// A role that was deleted is gone from all users at once, however many they are: they keep the
// grant until they are changed, and it counts for nothing (Auth::IsHeld).
struct RoleGrant {
  std::string name;
  uint64_t role = 0;  // Role::id
};

struct ByName {
  using is_transparent = void;
  static absl::string_view Of(const RoleGrant& grant) { return grant.name; }
  static absl::string_view Of(absl::string_view name) { return name; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Of(a) < Of(b);
  }
};
using RoleGrants = absl::btree_set<RoleGrant, ByName>;

struct User {
  std::string password_hash;  // bcrypt's text; empty matches no password
  bool no_password = false;   // known by certificate only
  RoleGrants roles;
  std::string looked_at;  // the role that was looked at last, for those that were deleted
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
  // Also takes it from all users.
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

  // All of it as sections of an image, equal for equal states however they are gone through. Each
  // section goes on where the last one ended, as *at has it, and has about kSectionPartBytes.
  struct ImagePlace {
    bool begun = false;
    bool users_done = false;
    std::string name;      // the last user, or role, that was encoded or is being encoded
    bool in_part = false;  // it goes on
    // Of what it lists, the last one.
    std::string listed;
    uint64_t number = 0;
    // Of a user in part: whether any record is written, and the roles of the next one so far.
    bool written = false;
    std::vector<std::string> roles;
  };
  enum class Encoded : uint8_t { kWorkSpent, kSection, kAll };
  // kWorkSpent: the section is to be gone on with; kSection: it is complete, and not the last one.
  Encoded EncodeSome(ImagePlace* at, mvcc::Work* work, BytesBuilder* out) const;
  // Back, in a fresh one, one section after another. DataLoss if they are not what EncodeSome
  // gives; then it is of no use.
  absl::Status Decode(absl::string_view section);
  // Gives memory back in pieces; true once little of it is left. It is of no use any more.
  bool Release(mvcc::Work* work);
  // The same of users and roles that were deleted and listed very much; true once it is all.
  bool ReleaseDeleted(mvcc::Work* work);
  bool has_deleted() const { return !deleted_grants_.empty() || !deleted_permissions_.empty(); }

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
  // A record of an image, or a part of it until the work is spent; false if there is none any more.
  bool EncodeUser(ImagePlace* at, mvcc::Work* work, BytesBuilder* out) const;
  bool EncodeRole(ImagePlace* at, mvcc::Work* work, BytesBuilder* out) const;
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
  // What deleted users and roles leave behind.
  std::deque<RoleGrants> deleted_grants_;
  std::deque<Permissions> deleted_permissions_;
  bool decoding_ = false;
};

}  // namespace quorate::auth

#endif  // QUORATE_ENGINE_AUTH_AUTH_H_
