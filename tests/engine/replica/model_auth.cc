// Users, roles and what they permit, and requests in the name of users.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/auth_rpc.pb.h"
#include "sim/auth_wire.h"
#include "tests/engine/replica/model_world.h"

namespace quorate::engine {
namespace {

using Kind = sim::AuthChange::Kind;

std::string User(Prng* prng) {
  static constexpr const char* kUsers[] = {"root", "alice", "bob"};
  return kUsers[prng->Below(3)];
}

sim::AuthChange AnyChange(mvcc_model::Requests* draw) {
  static constexpr const char* kRoles[] = {"root", "reader", "writer"};
  // Permissions and grants more often than the rest.
  static constexpr Kind kKinds[] = {
      Kind::kEnable,          Kind::kDisable,         Kind::kAddUser,
      Kind::kAddUser,         Kind::kDeleteUser,      Kind::kChangePassword,
      Kind::kGrantRole,       Kind::kGrantRole,       Kind::kGrantRole,
      Kind::kRevokeRole,      Kind::kAddRole,         Kind::kAddRole,
      Kind::kDeleteRole,      Kind::kGrantPermission, Kind::kGrantPermission,
      Kind::kGrantPermission, Kind::kGrantPermission, Kind::kRevokePermission};
  Prng& prng = draw->prng();
  sim::AuthChange change;
  change.kind = kKinds[prng.Below(std::size(kKinds))];
  change.user = User(&prng);
  change.role = kRoles[prng.Below(3)];
  change.no_password = prng.Chance(1, 4);
  change.key = draw->Key();
  change.range_end = draw->RangeEnd();
  change.type = static_cast<int>(prng.Below(3));
  return change;
}

template <typename List>
std::string Joined(const List& list) {
  return absl::StrJoin(list, " ");
}

}  // namespace

Credentials ModelWorld::As(const std::string& user) { return {Credentials::Kind::kName, user, 0}; }

std::string ModelWorld::Asker(Prng* prng) const {
  return auth_.enabled() && prng->Chance(1, 2) ? User(prng) : "root";
}

void ModelWorld::ChangeAuth(const sim::AuthChange& change, const std::string& asker) {
  absl::StrAppend(&doing_, asker, " changes users or roles: ", static_cast<int>(change.kind), " ",
                  change.user, " ", change.role, " ", change.key, " ", change.range_end, "\n");
  const Bytes body = sim::EncodeAuthChange(change, /*hashed=*/true);
  const Response response =
      cluster_.Call(leader_, sim::KindOf(change), std::string(body.view()), As(asker));
  const std::string refusal = auth_.Apply(change, asker);
  ExpectEqual("change of users or roles", response.status.message(), refusal);
  ExpectEqual("auth revision", cluster_[leader_].status().auth_revision, auth_.revision());
}

// Users who may do nothing show little of what they are refused, and why. Some ranges touch, so
// that they count together.
void ModelWorld::PermitMuch(const std::string& role, mvcc_model::Requests* draw) {
  ChangeAuth(sim::OfRole(Kind::kAddRole, role), "root");
  sim::AuthChange permit = sim::OfRole(Kind::kGrantPermission, role);
  permit.type = role == "reader" ? authpb::Permission::READ : authpb::Permission::WRITE;
  for (int i = 0; i < 3; ++i) {
    const bool touches = i > 0 && draw->prng().Chance(1, 2) && permit.range_end.size() == 1 &&
                         permit.range_end != std::string(1, '\0');
    permit.key = touches ? permit.range_end : draw->Key();
    permit.range_end = draw->prng().Chance(1, 3) ? "e" : draw->RangeEnd();
    ChangeAuth(permit, "root");
  }
}

void ModelWorld::DoAuth(mvcc_model::Requests* draw) {
  Prng& prng = draw->prng();
  if (!auth_.enabled() && prng.Chance(1, 2)) {
    for (const char* const user : {"root", "alice", "bob"}) {
      ChangeAuth(sim::OfUser(Kind::kAddUser, user), "root");
    }
    for (const char* const role : {"reader", "writer"}) PermitMuch(role, draw);
    ChangeAuth(sim::OfUser(Kind::kGrantRole, "root", "root"), "root");
    ChangeAuth(sim::OfUser(Kind::kGrantRole, "alice", "reader"), "root");
    ChangeAuth(sim::OfUser(Kind::kGrantRole, "alice", "writer"), "root");
    ChangeAuth(sim::OfUser(Kind::kGrantRole, "bob", "writer"), "root");
    ChangeAuth(sim::AuthChange(), "root");  // enables
  }
  const std::string asker = prng.Chance(3, 4) ? "root" : User(&prng);
  ChangeAuth(AnyChange(draw), asker);
}

// ---- what a request needs; empty if the asker has it ----

std::string ModelWorld::Refusal(const std::string& asker, bool write, const std::string& key,
                                const std::string& range_end) const {
  return auth_.Check(asker, auth_.revision(), write, key, range_end);
}

std::string ModelWorld::Refusal(const std::string& asker,
                                const etcdserverpb::RangeRequest& r) const {
  return Refusal(asker, /*write=*/false, r.key(), r.range_end());
}

// As in etcd, a key may be attached only beside keys that the asker may write.
std::string ModelWorld::Refusal(const std::string& asker, const etcdserverpb::PutRequest& r) const {
  std::string refusal = Refusal(asker, /*write=*/true, r.key(), "");
  if (r.lease() != 0 && !auth_.CheckAdmin(asker).empty()) {
    for (const std::string& key : model_.KeysOf(r.lease())) {
      if (refusal.empty()) refusal = Refusal(asker, /*write=*/true, key, "");
    }
  }
  if (refusal.empty() && r.prev_kv()) refusal = Refusal(asker, /*write=*/false, r.key(), "");
  return refusal;
}

std::string ModelWorld::Refusal(const std::string& asker,
                                const etcdserverpb::DeleteRangeRequest& r) const {
  std::string refusal = Refusal(asker, /*write=*/true, r.key(), r.range_end());
  if (refusal.empty() && r.prev_kv()) {
    refusal = Refusal(asker, /*write=*/false, r.key(), r.range_end());
  }
  return refusal;
}

std::string ModelWorld::Refusal(const std::string& asker, const etcdserverpb::TxnRequest& r) const {
  std::string refusal;
  for (const etcdserverpb::Compare& c : r.compare()) {
    if (refusal.empty()) refusal = Refusal(asker, /*write=*/false, c.key(), c.range_end());
  }
  for (const auto* list : {&r.success(), &r.failure()}) {
    for (const etcdserverpb::RequestOp& op : *list) {
      if (!refusal.empty()) return refusal;
      if (op.has_request_range()) refusal = Refusal(asker, op.request_range());
      if (op.has_request_put()) refusal = Refusal(asker, op.request_put());
      if (op.has_request_delete_range()) refusal = Refusal(asker, op.request_delete_range());
      if (op.has_request_txn()) refusal = Refusal(asker, op.request_txn());
    }
  }
  return refusal;
}

// ---- at the end ----

void ModelWorld::CompareAuth(int member) {
  const auto ask = [&](RequestKind kind, const google::protobuf::Message& request) {
    return cluster_.Call(member, kind, request.SerializeAsString(), As("root"));
  };
  const auto users = Parsed<etcdserverpb::AuthUserListResponse>(
      ask(RequestKind::kAuthUserList, etcdserverpb::AuthUserListRequest()));
  ExpectEqual("users", Joined(users.users()), Joined(auth_.Users()));
  for (const std::string& user : auth_.Users()) {
    etcdserverpb::AuthUserGetRequest get;
    get.set_name(user);
    const auto got = Parsed<etcdserverpb::AuthUserGetResponse>(ask(RequestKind::kAuthUserGet, get));
    ExpectEqual("roles", Joined(got.roles()), Joined(auth_.RolesOf(user)));
  }
  const auto roles = Parsed<etcdserverpb::AuthRoleListResponse>(
      ask(RequestKind::kAuthRoleList, etcdserverpb::AuthRoleListRequest()));
  ExpectEqual("roles", Joined(roles.roles()), Joined(auth_.Roles()));
  for (const std::string& role : auth_.Roles()) {
    if (role == "root") continue;  // it may do all, whatever it was granted
    etcdserverpb::AuthRoleGetRequest get;
    get.set_role(role);
    std::string expected;
    for (const auto& p : auth_.PermissionsOf(role)) {
      absl::StrAppend(&expected, p.key, "-", p.range_end, ":", p.type, " ");
    }
    std::string granted;
    const auto got = Parsed<etcdserverpb::AuthRoleGetResponse>(ask(RequestKind::kAuthRoleGet, get));
    for (const authpb::Permission& p : got.perm()) {
      absl::StrAppend(&granted, p.key(), "-", p.range_end(), ":", static_cast<int>(p.permtype()),
                      " ");
    }
    ExpectEqual("permissions", granted, expected);
  }
  ExpectEqual("auth enabled", cluster_[member].status().auth_enabled, auth_.enabled());
}

}  // namespace quorate::engine
