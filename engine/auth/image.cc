// The auth store as bytes: a message in protobuf's wire format, its users and roles those
// of authpb, which is how etcd keeps them too.
#include <algorithm>
#include <functional>
#include <utility>

#include "api/auth.pb.h"
#include "api/messages.h"
#include "base/wire.h"
#include "engine/auth/auth.h"

namespace quorate::auth {
namespace {

constexpr uint32_t kEnabledField = 1;
constexpr uint32_t kRevisionField = 2;
constexpr uint32_t kUserField = 3;
constexpr uint32_t kRoleField = 4;

absl::Status Malformed() { return absl::DataLossError("auth: the image is malformed"); }

// Whether the name follows all that are there, as it does in an image.
template <typename Value>
bool Append(const std::string& name, Value value, absl::btree_map<std::string, Value>* map) {
  if (name.empty() || (!map->empty() && name <= map->rbegin()->first)) return false;
  map->emplace_hint(map->end(), name, std::move(value));
  return true;
}

bool ReadUser(absl::string_view bytes, absl::btree_map<std::string, User>* users) {
  authpb::User proto;
  if (!ParseMessage(bytes, &proto)) return false;
  User user;
  user.password_hash = proto.password();
  user.no_password = proto.options().no_password();
  user.roles.assign(proto.roles().begin(), proto.roles().end());
  const bool ascending = std::adjacent_find(user.roles.begin(), user.roles.end(),
                                            std::greater_equal<>()) == user.roles.end();
  return ascending && Append(proto.name(), std::move(user), users);
}

bool ReadRole(absl::string_view bytes, absl::btree_map<std::string, Role>* roles) {
  authpb::Role proto;
  if (!ParseMessage(bytes, &proto)) return false;
  Role role;
  for (const authpb::Permission& p : proto.keypermission()) {
    role.permissions.push_back({static_cast<int32_t>(p.permtype()), p.key(), p.range_end()});
  }
  const bool ascending =
      std::is_sorted(role.permissions.begin(), role.permissions.end(),
                     [](const Permission& a, const Permission& b) { return a.key < b.key; });
  return ascending && Append(proto.name(), std::move(role), roles);
}

}  // namespace

void Auth::Encode(BytesBuilder* out) const {
  AppendBool(out, kEnabledField, enabled_);
  AppendUint64(out, kRevisionField, revision_);
  for (const auto& [name, user] : users_) {
    authpb::User proto;
    proto.set_name(name);
    proto.set_password(user.password_hash);
    proto.mutable_options()->set_no_password(user.no_password);
    for (const std::string& role : user.roles) proto.add_roles(role);
    AppendLen(out, kUserField, proto.SerializeAsString());
  }
  for (const auto& [name, role] : roles_) {
    authpb::Role proto;
    proto.set_name(name);
    for (const Permission& p : role.permissions) {
      authpb::Permission* permission = proto.add_keypermission();
      permission->set_permtype(static_cast<authpb::Permission::Type>(p.type));
      permission->set_key(p.key);
      permission->set_range_end(p.range_end);
    }
    AppendLen(out, kRoleField, proto.SerializeAsString());
  }
}

absl::Status Auth::Decode(absl::string_view bytes) {
  Auth read;
  read.revision_ = 0;
  WireReader in(bytes);
  while (in.Next()) {
    bool sound = false;
    if (in.tag() == VarintTag(kEnabledField)) {
      sound = read.enabled_ = in.boolean();
    } else if (in.tag() == VarintTag(kRevisionField)) {
      read.revision_ = in.uint64();
      sound = read.revision_ != 0;
    } else if (in.tag() == LenTag(kUserField)) {
      sound = ReadUser(in.bytes(), &read.users_);
    } else if (in.tag() == LenTag(kRoleField)) {
      sound = ReadRole(in.bytes(), &read.roles_);
    }
    if (!sound) return Malformed();
  }
  if (!in.ok() || read.revision_ == 0) return Malformed();
  *this = std::move(read);
  return absl::OkStatus();
}

}  // namespace quorate::auth
