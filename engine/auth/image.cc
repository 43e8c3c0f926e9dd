// The auth store as bytes: a message in protobuf's wire format, its users and roles those
// of authpb, which is how etcd keeps them too.
#include "engine/image/image.h"

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

// Roles of a user, or permissions of a role, in a record: there are several of who has more.
constexpr int kListedPerRecord = 100;
// Users or roles, and what they list, whose memory is given back for a unit of work.
constexpr size_t kReleasedPerUnit = 4;

// The user, or role, of that name, which is the last one or follows all that are there, as in an
// image; null if it does not.
template <typename Value>
Value* LastOf(const std::string& name, absl::btree_map<std::string, Value>* map) {
  if (name.empty() || (!map->empty() && name < map->rbegin()->first)) return nullptr;
  return &map->try_emplace(map->end(), name)->second;
}

bool ReadUser(absl::string_view bytes, absl::btree_map<std::string, User>* users) {
  authpb::User proto;
  if (!ParseMessage(bytes, &proto)) return false;
  const size_t before = users->size();
  User* const user = LastOf(proto.name(), users);
  if (user == nullptr) return false;
  if (users->size() > before) {
    user->password_hash = proto.password();
    user->no_password = proto.options().no_password();
  } else if (proto.roles().empty()) {
    return false;  // nothing to go on with: it is there twice
  }
  for (const std::string& role : proto.roles()) {
    if (!user->roles.empty() && role <= user->roles.back().name) return false;
    user->roles.push_back({role, 0});
  }
  return true;
}

bool ReadRole(absl::string_view bytes, absl::btree_map<std::string, Role>* roles) {
  authpb::Role proto;
  if (!ParseMessage(bytes, &proto)) return false;
  const size_t before = roles->size();
  Role* const role = LastOf(proto.name(), roles);
  if (role == nullptr || (roles->size() == before && proto.keypermission().empty())) return false;
  for (const authpb::Permission& p : proto.keypermission()) {
    if (!role->permissions.empty() && p.key() < role->permissions.back().key) return false;
    role->permissions.push_back({static_cast<int32_t>(p.permtype()), p.key(), p.range_end()});
  }
  return true;
}

// The one that is encoded in part, or the next.
template <typename Value>
auto AtPlace(const absl::btree_map<std::string, Value>& map, const Auth::ImagePlace& place) {
  return place.listed > 0 ? map.find(place.name) : map.upper_bound(place.name);
}

template <typename Value, typename List>
bool ReleaseSome(absl::btree_map<std::string, Value>* map, List Value::*list, mvcc::Work* work) {
  for (; !map->empty(); map->erase(map->begin())) {
    if (work->spent()) return false;
    work->Spend(((map->begin()->second.*list).size() + 1) / kReleasedPerUnit + 1);
  }
  return true;
}

}  // namespace

bool Auth::EncodeSome(ImagePlace* at, BytesBuilder* out) const {
  const size_t begin = out->size();
  const auto full = [&] { return out->size() - begin >= engine::kSectionPartBytes; };
  if (!std::exchange(at->begun, true)) {
    AppendBool(out, kEnabledField, enabled_);
    AppendUint64(out, kRevisionField, revision_);
  }
  while (!full()) {
    if (!at->users_done && !EncodeUser(at, out)) *at = {true, true, "", 0};
    if (at->users_done && !EncodeRole(at, out)) return false;
  }
  return true;
}

// A record of the next user. Roles that were deleted count for nothing here, either: where records
// and sections end must not tell who kept them.
bool Auth::EncodeUser(ImagePlace* at, BytesBuilder* out) const {
  const auto it = AtPlace(users_, *at);
  if (it == users_.end()) return false;
  const auto& [name, user] = *it;
  authpb::User proto;
  proto.set_name(name);
  const bool first = at->listed == 0;
  if (first) {
    proto.set_password(user.password_hash);
    proto.mutable_options()->set_no_password(user.no_password);
  }
  size_t i = at->listed;
  for (; i < user.roles.size() && proto.roles_size() < kListedPerRecord; ++i) {
    if (IsHeld(user.roles[i])) proto.add_roles(user.roles[i].name);
  }
  at->name = name;
  at->listed = i < user.roles.size() ? i : 0;
  if (first || !proto.roles().empty()) AppendLen(out, kUserField, proto.SerializeAsString());
  return true;
}

bool Auth::EncodeRole(ImagePlace* at, BytesBuilder* out) const {
  const auto it = AtPlace(roles_, *at);
  if (it == roles_.end()) return false;
  const auto& [name, role] = *it;
  authpb::Role proto;
  proto.set_name(name);
  size_t i = at->listed;
  for (; i < role.permissions.size() && proto.keypermission_size() < kListedPerRecord; ++i) {
    const Permission& p = role.permissions[i];
    authpb::Permission* permission = proto.add_keypermission();
    permission->set_permtype(static_cast<authpb::Permission::Type>(p.type));
    permission->set_key(p.key);
    permission->set_range_end(p.range_end);
  }
  at->name = name;
  at->listed = i < role.permissions.size() ? i : 0;
  AppendLen(out, kRoleField, proto.SerializeAsString());
  return true;
}

absl::Status Auth::Decode(absl::string_view section) {
  if (!std::exchange(decoding_, true)) revision_ = 0;
  WireReader in(section);
  while (in.Next()) {
    bool sound = false;
    if (in.tag() == VarintTag(kEnabledField)) {
      sound = enabled_ = in.boolean();
    } else if (in.tag() == VarintTag(kRevisionField)) {
      revision_ = in.uint64();
      sound = revision_ != 0;
    } else if (in.tag() == LenTag(kUserField)) {
      sound = ReadUser(in.bytes(), &users_);
    } else if (in.tag() == LenTag(kRoleField)) {
      sound = ReadRole(in.bytes(), &roles_);
    }
    if (!sound) return Malformed();
  }
  return in.ok() && revision_ != 0 ? absl::OkStatus() : Malformed();
}

bool Auth::Release(mvcc::Work* work) {
  return ReleaseSome(&users_, &User::roles, work) && ReleaseSome(&roles_, &Role::permissions, work);
}

}  // namespace quorate::auth
