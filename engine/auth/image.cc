// The auth store as bytes: a message in protobuf's wire format, its users and roles those
// of authpb, which is how etcd keeps them too.
#include "engine/image/image.h"

#include <deque>
#include <iterator>
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
constexpr size_t kListedPerRecord = 100;
// Of a record of an image, beside what it lists, in units of work.
constexpr uint64_t kRecordCost = 2;
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
    if (!user->roles.empty() && role <= user->roles.rbegin()->name) return false;
    user->roles.insert(user->roles.end(), {role, 0});
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
    uint64_t number = 0;
    if (!role->permissions.empty()) {
      const Permission& last = *role->permissions.rbegin();
      if (p.key() < last.key) return false;
      if (p.key() == last.key) number = last.number + 1;
    }
    role->permissions.insert(role->permissions.end(),
                             {static_cast<int32_t>(p.permtype()), p.key(), p.range_end(), number});
  }
  return true;
}

// The one that is encoded in part, or the next.
template <typename Value>
auto AtPlace(const absl::btree_map<std::string, Value>& map, Auth::ImagePlace* place) {
  if (place->in_part) return map.find(place->name);
  const auto next = map.upper_bound(place->name);
  if (next != map.end()) {
    *place = {true, place->users_done, next->first, /*in_part=*/true};
  }
  return next;
}

// True once all of the set is gone.
template <typename Set>
bool ReleaseListed(Set* listed, mvcc::Work* work) {
  while (!listed->empty()) {
    if (work->spent()) return false;
    work->Spend(1);
    auto end = listed->begin();
    for (size_t n = 0; n < kReleasedPerUnit && end != listed->end(); ++n) ++end;
    listed->erase(listed->begin(), end);
  }
  return true;
}

template <typename Value, typename List>
bool ReleaseSome(absl::btree_map<std::string, Value>* map, List Value::*list, mvcc::Work* work) {
  for (; !map->empty(); map->erase(map->begin())) {
    if (work->spent() || !ReleaseListed(&(map->begin()->second.*list), work)) return false;
    work->Spend(1);
  }
  return true;
}

template <typename Set>
bool ReleaseAll(std::deque<Set>* sets, mvcc::Work* work) {
  for (; !sets->empty(); sets->pop_front()) {
    if (!ReleaseListed(&sets->front(), work)) return false;
  }
  return true;
}

}  // namespace

Auth::Encoded Auth::EncodeSome(ImagePlace* at, mvcc::Work* work, BytesBuilder* out) const {
  if (!std::exchange(at->begun, true)) {
    AppendBool(out, kEnabledField, enabled_);
    AppendUint64(out, kRevisionField, revision_);
  }
  while (out->size() < engine::kSectionPartBytes) {
    if (work->spent()) return Encoded::kWorkSpent;
    const bool more = at->users_done ? EncodeRole(at, work, out) : EncodeUser(at, work, out);
    if (more) continue;
    if (at->users_done) return Encoded::kAll;
    *at = {true, true};
  }
  return Encoded::kSection;
}

// Roles that were deleted count for nothing here, either: where records and sections end must not
// tell who kept them.
bool Auth::EncodeUser(ImagePlace* at, mvcc::Work* work, BytesBuilder* out) const {
  const auto it = AtPlace(users_, at);
  if (it == users_.end()) return false;
  const auto& [name, user] = *it;
  auto role = user.roles.upper_bound(at->listed);
  for (; role != user.roles.end() && at->roles.size() < kListedPerRecord; ++role) {
    if (work->spent()) {
      if (role != user.roles.begin()) at->listed = std::prev(role)->name;
      return true;
    }
    work->SpendLook();
    if (IsHeld(*role)) at->roles.push_back(role->name);
  }
  at->in_part = role != user.roles.end();
  if (role != user.roles.begin()) at->listed = std::prev(role)->name;
  const bool first = !std::exchange(at->written, true);
  if (!first && at->roles.empty()) return true;
  authpb::User proto;
  proto.set_name(name);
  if (first) {
    proto.set_password(user.password_hash);
    proto.mutable_options()->set_no_password(user.no_password);
  }
  for (std::string& held : at->roles) proto.add_roles(std::move(held));
  at->roles.clear();
  const size_t before = out->size();
  AppendLen(out, kUserField, proto.SerializeAsString());
  work->SpendBytes(out->size() - before);
  work->Spend(kRecordCost);
  return true;
}

bool Auth::EncodeRole(ImagePlace* at, mvcc::Work* work, BytesBuilder* out) const {
  const auto it = AtPlace(roles_, at);
  if (it == roles_.end()) return false;
  const auto& [name, role] = *it;
  authpb::Role proto;
  proto.set_name(name);
  auto p = role.permissions.upper_bound(ByKey::Place(at->listed, at->number));
  for (size_t n = 0; p != role.permissions.end() && n < kListedPerRecord; ++p, ++n) {
    work->SpendLook();
    authpb::Permission* permission = proto.add_keypermission();
    permission->set_permtype(static_cast<authpb::Permission::Type>(p->type));
    permission->set_key(p->key);
    permission->set_range_end(p->range_end);
    at->number = p->number;
  }
  at->in_part = p != role.permissions.end();
  if (at->in_part) at->listed = std::prev(p)->key;
  const size_t before = out->size();
  AppendLen(out, kRoleField, proto.SerializeAsString());
  work->SpendBytes(out->size() - before);
  work->Spend(kRecordCost);
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
  return ReleaseDeleted(work) && ReleaseSome(&users_, &User::roles, work) &&
         ReleaseSome(&roles_, &Role::permissions, work);
}

bool Auth::ReleaseDeleted(mvcc::Work* work) {
  return ReleaseAll(&deleted_grants_, work) && ReleaseAll(&deleted_permissions_, work);
}

}  // namespace quorate::auth
