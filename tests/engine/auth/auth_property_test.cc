// Long random sequences of committed commands against the model: every refusal, every
// answer, and who may then do what.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "api/auth_rpc.pb.h"
#include "api/raft_internal.pb.h"
#include "base/prng.h"
#include "engine/apply/applier.h"
#include "engine/apply/command.h"
#include "sim/model/auth.h"

namespace quorate::apply {
namespace {

using etcdserverpb::InternalRaftRequest;
using sim::AuthChange;
using sim::AuthModel;

// Draws from few names and keys, so that they meet.
class Draw {
 public:
  explicit Draw(uint64_t seed) : prng_(seed) {}

  Prng& prng() { return prng_; }
  std::string User() { return Pick({"root", "alice", "bob", "carol", ""}, 24); }
  std::string Role() { return Pick({"root", "reader", "writer", "x", ""}, 24); }
  std::string Key() { return Pick({"a", "aa", "ab", "b", "ba", "c", "d", ""}, 40); }
  std::string RangeEnd() {
    switch (prng_.Below(6)) {
      case 0:
        return std::string(1, '\0');
      case 1:
        return Key() + '\0';
      case 2:
      case 3:
        return Key();
      default:
        return "";
    }
  }
  AuthChange Change() {
    AuthChange change;
    // Permissions and grants come more often than the rest, enabling rarely.
    static constexpr int kKinds[] = {0, 1, 2, 2, 3, 4, 5, 5, 5, 6, 7, 7, 8, 9, 9, 9, 9, 9, 10};
    change.kind = static_cast<AuthChange::Kind>(kKinds[prng_.Below(std::size(kKinds))]);
    change.user = User();
    change.role = Role();
    change.no_password = prng_.Chance(1, 4);
    change.key = Key();
    change.range_end = RangeEnd();
    change.type = static_cast<int>(prng_.Below(3));
    return change;
  }

 private:
  // One of the names; the last (an odd one) only once in `rare`.
  std::string Pick(const std::vector<std::string>& names, uint64_t rare) {
    if (prng_.Below(rare) == 0) return names.back();
    return names[prng_.Below(names.size() - 1)];
  }

  Prng prng_;
};

InternalRaftRequest Encode(const AuthChange& change) {
  InternalRaftRequest r;
  using Kind = AuthChange::Kind;
  switch (change.kind) {
    case Kind::kEnable:
      r.mutable_auth_enable();
      break;
    case Kind::kDisable:
      r.mutable_auth_disable();
      break;
    case Kind::kAddUser:
      r.mutable_auth_user_add()->set_name(change.user);
      r.mutable_auth_user_add()->mutable_options()->set_no_password(change.no_password);
      r.mutable_auth_user_add()->set_hashedpassword(absl::Base64Escape("$2a$"));
      break;
    case Kind::kDeleteUser:
      r.mutable_auth_user_delete()->set_name(change.user);
      break;
    case Kind::kChangePassword:
      r.mutable_auth_user_change_password()->set_name(change.user);
      r.mutable_auth_user_change_password()->set_hashedpassword(absl::Base64Escape("$2a$1"));
      break;
    case Kind::kGrantRole:
      r.mutable_auth_user_grant_role()->set_user(change.user);
      r.mutable_auth_user_grant_role()->set_role(change.role);
      break;
    case Kind::kRevokeRole:
      r.mutable_auth_user_revoke_role()->set_name(change.user);
      r.mutable_auth_user_revoke_role()->set_role(change.role);
      break;
    case Kind::kAddRole:
      r.mutable_auth_role_add()->set_name(change.role);
      break;
    case Kind::kDeleteRole:
      r.mutable_auth_role_delete()->set_role(change.role);
      break;
    case Kind::kGrantPermission: {
      r.mutable_auth_role_grant_permission()->set_name(change.role);
      authpb::Permission* permission = r.mutable_auth_role_grant_permission()->mutable_perm();
      permission->set_permtype(static_cast<authpb::Permission::Type>(change.type));
      permission->set_key(change.key);
      permission->set_range_end(change.range_end);
      break;
    }
    case Kind::kRevokePermission:
      r.mutable_auth_role_revoke_permission()->set_role(change.role);
      r.mutable_auth_role_revoke_permission()->set_key(change.key);
      r.mutable_auth_role_revoke_permission()->set_range_end(change.range_end);
      break;
  }
  return r;
}

// The engine and the model side by side.
class Pair {
 public:
  // Applies to two engines, the second of which answers nobody.
  absl::Status Apply(InternalRaftRequest request, const std::string& asker, uint64_t revision) {
    request.mutable_header()->set_id(1);
    request.mutable_header()->set_username(asker);
    request.mutable_header()->set_auth_revision(revision);
    const std::string bytes = request.SerializeAsString();
    const absl::StatusOr<Command> command = DecodeCommand(bytes);
    RC_ASSERT(command.ok());
    const uint64_t before = engine_.Digest();
    Outcome outcome;
    RC_ASSERT(engine_.Apply(*command, {}, true, &outcome).ok());
    if (!outcome.status.ok()) RC_ASSERT(engine_.Digest() == before);
    Outcome silent;
    RC_ASSERT(silent_.Apply(*command, {}, false, &silent).ok());
    RC_ASSERT(silent.status == outcome.status);
    RC_ASSERT(engine_.Digest() == silent_.Digest());
    return outcome.status;
  }

  void Change(Draw* draw) {
    const AuthChange change = draw->Change();
    // Mostly by one who may.
    const std::string asker = draw->prng().Chance(3, 4) ? "root" : draw->User();
    const std::string expected = model_.Apply(change, asker);
    const absl::Status status = Apply(Encode(change), asker, engine_.auth().revision());
    RC_ASSERT(Text(status) == expected);
    RC_ASSERT(engine_.auth().enabled() == model_.enabled());
    RC_ASSERT(engine_.auth().revision() == model_.revision());
  }

  // A command that needs several permissions is refused as soon as one is missing.
  void Write(Draw* draw) {
    const std::string asker = draw->User();
    const uint64_t revision = model_.revision() - (draw->prng().Chance(1, 10) ? 1 : 0);
    InternalRaftRequest request;
    std::string expected;
    if (draw->prng().Chance(1, 2)) {
      expected = FillTxn(draw, asker, revision, 2, request.mutable_txn());
    } else if (draw->prng().Chance(1, 2)) {
      expected = Fill(draw, asker, revision, request.mutable_put());
    } else {
      expected = Fill(draw, asker, revision, request.mutable_delete_range());
    }
    RC_ASSERT(Text(Apply(request, asker, revision)) == expected);
  }

  void Read(Draw* draw) {
    const std::string asker = draw->User();
    const auth::Subject subject{asker, model_.revision()};
    const std::string user = draw->User();
    const std::string role = draw->Role();
    const std::string admin = model_.CheckAdmin(asker);

    etcdserverpb::AuthUserGetRequest get_user;
    get_user.set_name(user);
    etcdserverpb::AuthUserGetResponse got_user;
    std::string error = admin.empty() || user == asker ? "" : admin;
    if (error.empty() && !model_.HasUser(user)) error = "etcdserver: user name not found";
    RC_ASSERT(Ask(Operation::kAuthUserGet, get_user, subject, &got_user) == error);
    if (error.empty()) RC_ASSERT(Texts(got_user.roles()) == model_.RolesOf(user));

    etcdserverpb::AuthRoleGetRequest get_role;
    get_role.set_role(role);
    etcdserverpb::AuthRoleGetResponse got_role;
    const bool own = model_.HasUser(asker) && Holds(model_.RolesOf(asker), role);
    error = admin.empty() || own ? "" : admin;
    if (error.empty() && !model_.HasRole(role)) error = "etcdserver: role name not found";
    RC_ASSERT(Ask(Operation::kAuthRoleGet, get_role, subject, &got_role) == error);
    if (error.empty()) RC_ASSERT(Permissions(got_role) == ExpectedPermissions(role));

    etcdserverpb::AuthUserListResponse users;
    RC_ASSERT(Ask(Operation::kAuthUserList, etcdserverpb::AuthUserListRequest(), subject, &users) ==
              admin);
    if (admin.empty()) RC_ASSERT(Texts(users.users()) == model_.Users());
    etcdserverpb::AuthRoleListResponse roles;
    RC_ASSERT(Ask(Operation::kAuthRoleList, etcdserverpb::AuthRoleListRequest(), subject, &roles) ==
              admin);
    if (admin.empty()) RC_ASSERT(Texts(roles.roles()) == model_.Roles());
  }

  void Range(Draw* draw) {
    const std::string asker = draw->User();
    etcdserverpb::RangeRequest request;
    const std::string expected = Fill(draw, asker, model_.revision(), &request);
    const std::string bytes = request.SerializeAsString();
    mvcc::RangeRequest decoded;
    RC_ASSERT(mvcc::Decode(bytes, &decoded).ok());
    const absl::Status status = engine_.Authorize({asker, model_.revision()}).Check(decoded);
    RC_ASSERT(Text(status) == expected);
  }

 private:
  static std::string Text(const absl::Status& status) { return std::string(status.message()); }
  template <typename List>
  static std::vector<std::string> Texts(const List& list) {
    return {list.begin(), list.end()};
  }
  static bool Holds(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  }
  static std::string First(const std::string& a, const std::string& b) { return a.empty() ? b : a; }

  static std::vector<AuthModel::Permission> Permissions(
      const etcdserverpb::AuthRoleGetResponse& response) {
    std::vector<AuthModel::Permission> permissions;
    for (const authpb::Permission& p : response.perm()) {
      permissions.push_back({p.key(), p.range_end(), p.permtype()});
    }
    return permissions;
  }
  std::vector<AuthModel::Permission> ExpectedPermissions(const std::string& role) const {
    if (role == "root") return {{"", std::string(1, '\0'), 2}};
    return model_.PermissionsOf(role);
  }

  template <typename Request, typename Reply>
  std::string Ask(Operation operation, const Request& request, const auth::Subject& subject,
                  Reply* response) const {
    const std::unique_ptr<apply::ReadRun> run =
        engine_.StartAuthRead(operation, request.SerializeAsString(), subject, {});
    // Of a few names at a time.
    for (bool done = false; !done;) {
      mvcc::Work work(2);
      done = run->Step(&work);
    }
    const absl::StatusOr<Bytes>& body = run->result();
    if (!body.ok()) return Text(body.status());
    RC_ASSERT(response->ParseFromArray(body->data(), static_cast<int>(body->size())));
    RC_ASSERT(response->header().revision() == engine_.store().revision().value());
    return "";
  }

  std::string NonEmptyKey(Draw* draw) {
    const std::string key = draw->Key();
    return key.empty() ? "e" : key;
  }
  // Each fills a request and gives the refusal that it should meet.
  std::string Fill(Draw* draw, const std::string& asker, uint64_t revision,
                   etcdserverpb::RangeRequest* r) {
    r->set_key(NonEmptyKey(draw));
    r->set_range_end(draw->RangeEnd());
    return model_.Check(asker, revision, false, r->key(), r->range_end());
  }
  std::string Fill(Draw* draw, const std::string& asker, uint64_t revision,
                   etcdserverpb::PutRequest* r) {
    r->set_key(NonEmptyKey(draw));
    r->set_prev_kv(draw->prng().Chance(1, 3));
    std::string refusal = model_.Check(asker, revision, true, r->key(), "");
    if (r->prev_kv()) refusal = First(refusal, model_.Check(asker, revision, false, r->key(), ""));
    return refusal;
  }
  std::string Fill(Draw* draw, const std::string& asker, uint64_t revision,
                   etcdserverpb::DeleteRangeRequest* r) {
    r->set_key(NonEmptyKey(draw));
    r->set_range_end(draw->RangeEnd());
    r->set_prev_kv(draw->prng().Chance(1, 3));
    std::string refusal = model_.Check(asker, revision, true, r->key(), r->range_end());
    if (r->prev_kv()) {
      refusal = First(refusal, model_.Check(asker, revision, false, r->key(), r->range_end()));
    }
    return refusal;
  }
  std::string FillTxn(Draw* draw, const std::string& asker, uint64_t revision, int depth,
                      etcdserverpb::TxnRequest* txn) {
    std::string refusal;
    for (uint64_t n = draw->prng().Below(3); n > 0; --n) {
      etcdserverpb::Compare* compare = txn->add_compare();
      compare->set_key(NonEmptyKey(draw));
      compare->set_range_end(draw->RangeEnd());
      compare->set_target(etcdserverpb::Compare::VERSION);
      refusal = First(refusal,
                      model_.Check(asker, revision, false, compare->key(), compare->range_end()));
    }
    for (auto* list : {txn->mutable_success(), txn->mutable_failure()}) {
      for (uint64_t n = draw->prng().Below(3); n > 0; --n) {
        refusal = First(refusal, FillOp(draw, asker, revision, depth, list->Add()));
      }
    }
    return refusal;
  }
  std::string FillOp(Draw* draw, const std::string& asker, uint64_t revision, int depth,
                     etcdserverpb::RequestOp* op) {
    switch (draw->prng().Below(depth > 0 ? 4 : 3)) {
      case 0:
        return Fill(draw, asker, revision, op->mutable_request_range());
      case 1:
        return Fill(draw, asker, revision, op->mutable_request_put());
      case 2:
        return Fill(draw, asker, revision, op->mutable_request_delete_range());
      default:
        return FillTxn(draw, asker, revision, depth - 1, op->mutable_request_txn());
    }
  }

  Applier engine_;
  Applier silent_;
  AuthModel model_;
};

RC_GTEST_PROP(AuthProperty, DecidesLikeTheModel, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const auto steps = *rc::gen::inRange<int>(1, 120);
  Draw draw(seed);
  Pair pair;
  for (int i = 0; i < steps; ++i) {
    pair.Change(&draw);
    pair.Read(&draw);
    for (int n = 0; n < 3; ++n) {
      pair.Range(&draw);
      pair.Write(&draw);
    }
  }
}

}  // namespace
}  // namespace quorate::apply
