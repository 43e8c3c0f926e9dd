// Committed commands: headers, tokens, leases' keys, and hostile bytes.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "api/auth_rpc.pb.h"
#include "api/raft_internal.pb.h"
#include "base/prng.h"
#include "engine/apply/applier.h"
#include "engine/apply/auth_commands.h"
#include "engine/apply/command.h"
#include "engine/auth/errors.h"
#include "engine/mvcc/reply.h"

namespace quorate::apply {
namespace {

using etcdserverpb::InternalRaftRequest;

std::string Body(const google::protobuf::MessageLite& message) {
  return message.SerializeAsString();
}

Outcome Apply(Applier* applier, Operation operation, const std::string& body,
              const auth::Subject& subject = {}) {
  Command command{1, operation, body, subject, LogIndex(9)};
  Outcome outcome;
  EXPECT_TRUE(applier->Apply(command, {}, true, &outcome).ok());
  return outcome;
}

void AddUser(Applier* applier, const std::string& name, bool no_password = false) {
  etcdserverpb::AuthUserAddRequest user;
  user.set_name(name);
  user.set_hashedpassword(absl::Base64Escape("$2a$"));
  user.mutable_options()->set_no_password(no_password);
  EXPECT_TRUE(Apply(applier, Operation::kAuthUserAdd, Body(user)).status.ok());
}

// Users root (with its role), alice, and carol without a password; enabled.
void EnableAuth(Applier* applier) {
  AddUser(applier, "root");
  AddUser(applier, "alice");
  AddUser(applier, "carol", true);
  etcdserverpb::AuthUserGrantRoleRequest grant;
  grant.set_user("root");
  grant.set_role("root");
  EXPECT_TRUE(Apply(applier, Operation::kAuthUserGrantRole, Body(grant)).status.ok());
  EXPECT_TRUE(Apply(applier, Operation::kAuthEnable, "").status.ok());
}

Outcome Authenticate(Applier* applier, const std::string& name) {
  etcdserverpb::InternalAuthenticateRequest request;
  request.set_name(name);
  request.set_simple_token("prefix");
  return Apply(applier, Operation::kAuthenticate, Body(request));
}

// ---- lists that may be long ----

etcdserverpb::AuthUserListResponse TakeUsers(ReadRun* run) {
  etcdserverpb::AuthUserListResponse response;
  EXPECT_TRUE(run->result().ok());
  EXPECT_TRUE(response.ParseFromString(std::string(run->result()->Joined().view())));
  return response;
}

TEST(AuthRead, AListIsOfOneMomentWhateverChangesBetweenItsPieces) {
  constexpr int kUsers = 500;
  Applier applier;
  for (int i = 0; i < kUsers; ++i) AddUser(&applier, "user" + std::to_string(1000 + i));
  const auto run = applier.StartAuthRead(Operation::kAuthUserList, "", {}, {});
  bool done = false;
  for (int changes = 0; !done; ++changes) {
    ASSERT_LT(changes, 1000);
    mvcc::Work work(100);
    done = run->Step(&work);
    if (done) break;
    // First one that the list has passed, then one that it has yet to come to.
    AddUser(&applier, "a" + std::to_string(1000 + changes));
    AddUser(&applier, "z" + std::to_string(1000 + changes));
  }
  std::set<std::string> a;
  std::set<std::string> z;
  const auto response = TakeUsers(run.get());
  for (const std::string& name : response.users()) {
    if (name[0] == 'a') a.insert(name.substr(1));
    if (name[0] == 'z') z.insert(name.substr(1));
  }
  EXPECT_EQ(a, z);
  EXPECT_FALSE(a.empty()) << "it was begun anew";
  EXPECT_EQ(static_cast<size_t>(response.users_size()), kUsers + a.size() + z.size());
}

// A list of several buffers was joined in later turns, and a change in between took some of them
// away: what was left was answered as if it were all.
TEST(AuthRead, AListOfManyBuffersIsCompleteWhateverChangesBetweenItsPieces) {
  constexpr int kUsers = 10'000;
  const std::string tail(80, 'u');
  for (const uint64_t units : {100, 3000, 12'000}) {
    Applier applier;
    for (int i = 0; i < kUsers; ++i) AddUser(&applier, "m" + std::to_string(10'000 + i) + tail);
    const auto run = applier.StartAuthRead(Operation::kAuthUserList, "", {}, {});
    std::set<std::string> added;
    int steps = 0;
    while (true) {
      ASSERT_LT(steps, 1000);
      mvcc::Work work(units);
      if (run->Step(&work)) break;
      // By turns behind what is listed and before it.
      const std::string name = (steps % 2 == 0 ? "a" : "z") + std::to_string(10'000 + steps);
      AddUser(&applier, name);
      added.insert(name);
      ++steps;
    }
    EXPECT_GT(run->result()->size(), 3 * mvcc::Reply::kPieceBytes);
    const auto response = TakeUsers(run.get());
    // The last list is made in one piece, after all that had been added.
    ASSERT_EQ(static_cast<size_t>(response.users_size()), kUsers + added.size()) << units;
    std::set<std::string> users(response.users().begin(), response.users().end());
    EXPECT_EQ(users.size(), kUsers + added.size());
    for (const std::string& name : added) EXPECT_TRUE(users.contains(name)) << name;
  }
}

TEST(AuthRead, ALongListThatNothingDisturbsTakesAsManyPiecesAsItNeeds) {
  constexpr int kUsers = 500;
  Applier applier;
  for (int i = 0; i < kUsers; ++i) AddUser(&applier, "user" + std::to_string(1000 + i));
  const auto run = applier.StartAuthRead(Operation::kAuthUserList, "", {}, {});
  int pieces = 0;
  for (bool done = false; !done; ++pieces) {
    mvcc::Work work(10);
    done = run->Step(&work);
  }
  EXPECT_GE(pieces, kUsers / 10);
  const auto response = TakeUsers(run.get());
  ASSERT_EQ(response.users_size(), kUsers);
  for (int i = 0; i < kUsers; ++i) EXPECT_EQ(response.users(i), "user" + std::to_string(1000 + i));
}

TEST(Command, TheHeaderCarriesWhoAsked) {
  const Bytes entry = EncodeCommand(Operation::kPut, "body", 7, {"alice", 300});
  EXPECT_EQ(entry.size(), EncodedCommandSize(Operation::kPut, 4, 7, {"alice", 300}));
  const absl::StatusOr<Command> command = DecodeCommand(entry);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->id, 7u);
  EXPECT_EQ(command->body, "body");
  EXPECT_EQ(command->subject.user, "alice");
  EXPECT_EQ(command->subject.revision, 300u);

  InternalRaftRequest proto;
  etcdserverpb::AuthUserDeleteRequest* request = proto.mutable_auth_user_delete();
  request->set_name("bob");
  proto.mutable_header()->set_id(8);
  proto.mutable_header()->set_username("root");
  proto.mutable_header()->set_auth_revision(5);
  const std::string ours(
      EncodeCommand(Operation::kAuthUserDelete, Body(*request), 8, {"root", 5}).view());
  InternalRaftRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(ours));
  EXPECT_EQ(Body(parsed), Body(proto));
}

TEST(AuthCommands, AuthenticateGivesOutATokenNamedByItsIndex) {
  Applier applier;
  EXPECT_EQ(Authenticate(&applier, "root").status, auth::AuthNotEnabledError());
  EnableAuth(&applier);
  const Outcome outcome = Authenticate(&applier, "alice");
  ASSERT_TRUE(outcome.status.ok());
  etcdserverpb::AuthenticateResponse response;
  ASSERT_TRUE(response.ParseFromString(std::string(outcome.body.Joined().view())));
  EXPECT_EQ(response.token(), "prefix.9");
  ASSERT_NE(outcome.tokens, nullptr);
  EXPECT_EQ(outcome.tokens->kind, auth::TokenChange::Kind::kAssign);
  EXPECT_EQ(outcome.tokens->user, "alice");
  EXPECT_EQ(outcome.tokens->token, "prefix.9");
  EXPECT_EQ(Authenticate(&applier, "carol").status, auth::AuthFailedError());
  EXPECT_EQ(Authenticate(&applier, "nobody").status, auth::AuthFailedError());
}

TEST(AuthCommands, WhatMakesTokensInvalid) {
  using Kind = auth::TokenChange::Kind;
  Applier applier;
  EnableAuth(&applier);
  const auth::Subject root{"root", applier.auth().revision()};
  etcdserverpb::AuthUserChangePasswordRequest change;
  change.set_name("alice");
  const Outcome changed = Apply(&applier, Operation::kAuthUserChangePassword, Body(change), root);
  ASSERT_NE(changed.tokens, nullptr);
  EXPECT_EQ(changed.tokens->kind, Kind::kForgetUser);
  EXPECT_EQ(changed.tokens->user, "alice");
  change.set_name("nobody");
  EXPECT_EQ(Apply(&applier, Operation::kAuthUserChangePassword, Body(change), root).tokens,
            nullptr);
  etcdserverpb::AuthUserDeleteRequest remove;
  remove.set_name("carol");
  EXPECT_EQ(Apply(&applier, Operation::kAuthUserDelete, Body(remove), root).tokens->user, "carol");
  EXPECT_EQ(Apply(&applier, Operation::kAuthDisable, "", root).tokens->kind, Kind::kForgetAll);
  EXPECT_EQ(Apply(&applier, Operation::kAuthDisable, "", root).tokens, nullptr);
}

TEST(AuthCommands, OnlyRootMayChangeAnything) {
  Applier applier;
  EnableAuth(&applier);
  const uint64_t digest = applier.Digest();
  for (const Operation operation :
       {Operation::kAuthEnable, Operation::kAuthDisable, Operation::kAuthUserAdd,
        Operation::kAuthUserDelete, Operation::kAuthUserChangePassword,
        Operation::kAuthUserGrantRole, Operation::kAuthUserRevokeRole, Operation::kAuthRoleAdd,
        Operation::kAuthRoleDelete, Operation::kAuthRoleGrantPermission,
        Operation::kAuthRoleRevokePermission}) {
    EXPECT_EQ(Apply(&applier, operation, "").status, auth::UserEmptyError());
    EXPECT_EQ(Apply(&applier, operation, "", {"alice", applier.auth().revision()}).status,
              auth::PermissionDeniedError());
  }
  EXPECT_EQ(applier.Digest(), digest);
}

TEST(AuthCommands, APermissionMustBeGiven) {
  Applier applier;
  etcdserverpb::AuthRoleGrantPermissionRequest request;
  request.set_name("r");
  EXPECT_EQ(Apply(&applier, Operation::kAuthRoleGrantPermission, Body(request)).status,
            auth::PermissionNotGivenError());
}

// Every member would hash it with a salt of its own, and their states would differ.
TEST(AuthCommands, APasswordInTheClearStopsTheMember) {
  Applier applier;
  etcdserverpb::AuthUserAddRequest user;
  user.set_name("u");
  user.set_password("secret");
  const std::string body = Body(user);
  const Command command{1, Operation::kAuthUserAdd, body, {}, LogIndex(1)};
  Outcome outcome;
  EXPECT_EQ(applier.Apply(command, {}, true, &outcome).code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Applier::Check(command).code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(applier.auth().users().empty());
  // Where it does not count it does no harm.
  user.mutable_options()->set_no_password(true);
  EXPECT_TRUE(Apply(&applier, Operation::kAuthUserAdd, Body(user)).status.ok());
}

class FakeLeaseKeys : public LeaseKeys {
 public:
  std::optional<std::string> KeyFrom(LeaseId lease, absl::string_view from) const override {
    const auto at = keys.find(lease.value());
    if (at == keys.end()) return std::nullopt;
    const auto key = at->second.lower_bound(std::string(from));
    if (key == at->second.end()) return std::nullopt;
    ++visited;
    return *key;
  }
  std::map<int64_t, std::set<std::string>> keys;
  mutable int visited = 0;
};

TEST(Authorizer, AttachingToALeaseNeedsAllItsKeys) {
  auth::Auth auth;
  ASSERT_TRUE(auth.AddUser("root", "", false).ok());
  ASSERT_TRUE(auth.GrantRole("root", "root").ok());
  ASSERT_TRUE(auth.AddUser("alice", "", false).ok());
  ASSERT_TRUE(auth.AddRole("r").ok());
  ASSERT_TRUE(auth.GrantPermission("r", {auth::Permission::kReadWrite, "a", "b"}).ok());
  ASSERT_TRUE(auth.GrantRole("alice", "r").ok());
  ASSERT_TRUE(auth.Enable().ok());
  FakeLeaseKeys leases;
  leases.keys = {{1, {"a1", "a2"}}, {2, {"a1", "other", "a2"}}};
  mvcc::PutRequest put;
  put.key = "a3";
  const Authorizer alice(auth, {"alice", auth.revision()}, &leases);
  const Authorizer root(auth, {"root", auth.revision()}, &leases);
  put.lease = LeaseId(1);
  EXPECT_TRUE(alice.Check(put).ok());
  put.lease = LeaseId(2);
  leases.visited = 0;
  EXPECT_EQ(alice.Check(put), auth::PermissionDeniedError());
  EXPECT_EQ(leases.visited, 2);
  // Of however many keys that one permission spans, one is looked at.
  for (int i = 0; i < 1000; ++i) leases.keys[4].insert("a" + std::to_string(i));
  put.lease = LeaseId(4);
  leases.visited = 0;
  EXPECT_TRUE(alice.Check(put).ok());
  EXPECT_EQ(leases.visited, 1);
  EXPECT_TRUE(root.Check(put).ok());
  EXPECT_EQ(alice.CheckLease(auth::Access::kWrite, LeaseId(2)), auth::PermissionDeniedError());
  EXPECT_TRUE(alice.CheckLease(auth::Access::kRead, LeaseId(1)).ok());
  EXPECT_TRUE(alice.CheckLease(auth::Access::kWrite, LeaseId(3)).ok());
}

// Whatever bytes are committed: they are refused as malformed, or they are applied, by
// every member alike.
TEST(AuthCommands, HostileBytes) {
  constexpr Operation kOperations[] = {Operation::kAuthEnable,
                                       Operation::kAuthDisable,
                                       Operation::kAuthenticate,
                                       Operation::kAuthUserAdd,
                                       Operation::kAuthUserDelete,
                                       Operation::kAuthUserChangePassword,
                                       Operation::kAuthUserGrantRole,
                                       Operation::kAuthUserRevokeRole,
                                       Operation::kAuthRoleAdd,
                                       Operation::kAuthRoleDelete,
                                       Operation::kAuthRoleGrantPermission,
                                       Operation::kAuthRoleRevokePermission};
  Applier one;
  Applier two;
  Prng prng(20240601);
  int accepted = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string body;
    for (uint64_t n = prng.Below(4); n > 0; --n) {
      // Mostly fields of the right form with odd contents.
      std::string text(prng.Below(6), '\0');
      for (char& c : text)
        c = static_cast<char>(prng.Chance(3, 4) ? 'a' + prng.Below(4) : prng.Below(256));
      body += static_cast<char>(prng.Below(6) << 3 | (prng.Chance(7, 8) ? 2 : prng.Below(8)));
      body += static_cast<char>(prng.Chance(7, 8) ? text.size() : prng.Below(256));
      body += text;
    }
    const Command command{
        1, kOperations[prng.Below(std::size(kOperations))], body, {}, LogIndex(1)};
    const absl::Status check = Applier::Check(command);
    Outcome outcome;
    Outcome again;
    EXPECT_EQ(one.Apply(command, {}, true, &outcome), check);
    EXPECT_EQ(two.Apply(command, {}, false, &again), check);
    EXPECT_EQ(outcome.status, again.status);
    accepted += check.ok() && outcome.status.ok();
  }
  EXPECT_EQ(one.Digest(), two.Digest());
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace quorate::apply
