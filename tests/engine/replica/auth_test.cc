// Authentication through whole members: tokens, permissions of each kind of request, the
// auth revision between proposing and applying, watches, restarts.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "api/auth_rpc.pb.h"
#include "api/raft_internal.pb.h"
#include "engine/auth/errors.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

using auth::AuthOldRevisionError;
using auth::InvalidAuthTokenError;
using auth::PermissionDeniedError;
using auth::UserEmptyError;

Credentials Token(const std::string& token) { return {Credentials::Kind::kToken, token}; }
Credentials Name(const std::string& name, uint64_t revision = 0) {
  return {Credentials::Kind::kName, name, revision};
}

// Users root and alice, who may read and write what begins with "a"; enabled.
class ReplicaAuthTest : public ::testing::Test {
 protected:
  ReplicaAuthTest() : cluster_(3, [](Config* config) { config->max_turn_work = 64; }) {
    cluster_.Elect();
    AddUser("root");
    Must(GrantRole("root", "root"));
    AddUser("alice");
    etcdserverpb::AuthRoleAddRequest role;
    role.set_name("as");
    Must(Call(1, RequestKind::kAuthRoleAdd, role));
    Must(Grant("a", "b"));
    Must(GrantRole("alice", "as"));
    Must(cluster_.Call(1, RequestKind::kAuthEnable, ""));
  }

  template <typename Request>
  Response Call(int member, RequestKind kind, const Request& request,
                const Credentials& credentials = {}) {
    return cluster_.Call(member, kind, request.SerializeAsString(), credentials);
  }
  static void Must(const Response& response) {
    EXPECT_TRUE(response.status.ok()) << response.status;
  }

  void AddUser(const std::string& name) {
    etcdserverpb::AuthUserAddRequest user;
    user.set_name(name);
    user.set_hashedpassword(absl::Base64Escape("hash of " + name));
    Must(Call(1, RequestKind::kAuthUserAdd, user));
  }
  Response GrantRole(const std::string& user, const std::string& role, const Credentials& as = {}) {
    etcdserverpb::AuthUserGrantRoleRequest request;
    request.set_user(user);
    request.set_role(role);
    return Call(1, RequestKind::kAuthUserGrantRole, request, as);
  }
  static etcdserverpb::AuthRoleGrantPermissionRequest GrantRequest(const std::string& key,
                                                                   const std::string& end) {
    etcdserverpb::AuthRoleGrantPermissionRequest request;
    request.set_name("as");
    request.mutable_perm()->set_permtype(authpb::Permission::READWRITE);
    request.mutable_perm()->set_key(key);
    request.mutable_perm()->set_range_end(end);
    return request;
  }
  Response Grant(const std::string& key, const std::string& end, const Credentials& as = {}) {
    return Call(1, RequestKind::kAuthRoleGrantPermission, GrantRequest(key, end), as);
  }
  Response ChangePassword(const std::string& name, const Credentials& as) {
    etcdserverpb::AuthUserChangePasswordRequest request;
    request.set_name(name);
    request.set_hashedpassword(absl::Base64Escape("other"));
    return Call(1, RequestKind::kAuthUserChangePassword, request, as);
  }
  // As if the password had been right.
  Credentials LogIn(const std::string& name, int member = 1) {
    etcdserverpb::InternalAuthenticateRequest request;
    request.set_name(name);
    request.set_simple_token("prefix");
    const Response response = Call(member, RequestKind::kAuthenticate, request);
    Must(response);
    return Token(Parsed<etcdserverpb::AuthenticateResponse>(response).token());
  }
  absl::Status TryPut(int member, const std::string& key, const Credentials& as) {
    return cluster_.Call(member, RequestKind::kPut, Put(key, "v"), as).status;
  }
  absl::Status TryGet(int member, const std::string& key, const Credentials& as,
                      bool serializable = false) {
    return cluster_.Call(member, RequestKind::kRange, Get(key, serializable), as).status;
  }
  static etcdserverpb::WatchRequest WatchOf(const std::string& key, const std::string& end = "") {
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key(key);
    request.mutable_create_request()->set_range_end(end);
    return request;
  }

  Cluster cluster_;
};

TEST_F(ReplicaAuthTest, ATokenOfOneMemberIsGoodAtAll) {
  const Credentials root = LogIn("root", 2);
  const Credentials alice = LogIn("alice", 3);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(TryPut(i, "z", root).ok());
    EXPECT_TRUE(TryGet(i, "z", root).ok());
    EXPECT_TRUE(TryPut(i, "a1", alice).ok());
    EXPECT_EQ(TryPut(i, "z", alice), PermissionDeniedError());
    EXPECT_EQ(TryGet(i, "z", alice), PermissionDeniedError());
    EXPECT_EQ(TryGet(i, "z", alice, true), PermissionDeniedError());
    EXPECT_EQ(TryPut(i, "a1", {}), UserEmptyError());
    EXPECT_EQ(TryGet(i, "a1", {}), UserEmptyError());
    EXPECT_EQ(TryPut(i, "a1", Token("prefix.1")), InvalidAuthTokenError());
    EXPECT_EQ(TryGet(i, "a1", Token("")), InvalidAuthTokenError());
  }
}

// Before and after the transaction some key of the lease is not alice's. In the midst of it there
// is a moment when none of the keys attached so far is another's.
TEST_F(ReplicaAuthTest, QuestionsForLeasesAreJudgedByNoHalfAppliedTransaction) {
  const Credentials root = LogIn("root");
  const Credentials alice = LogIn("alice");
  Must(cluster_.Call(1, RequestKind::kLeaseGrant, engine::Grant(9, 1000), root));
  for (int i = 0; i < 300; ++i) {
    const std::string key = (i == 0 ? "a" : "x") + std::to_string(i);
    Must(cluster_.Call(1, RequestKind::kPut, PutWithLease(key, "v", 9), root));
  }
  etcdserverpb::TxnRequest txn;
  auto* del = txn.add_success()->mutable_request_delete_range();
  del->set_key("x");
  del->set_range_end("y");
  for (int i = 0; i < 100; ++i) {
    auto* put = txn.add_success()->mutable_request_put();
    put->set_key(i < 99 ? "a9" + std::to_string(i) : "z");
    put->set_lease(9);
  }
  const RequestToken change = cluster_.Send(1, RequestKind::kTxn, txn.SerializeAsString(), root);
  std::vector<RequestToken> questions;
  while (cluster_.Find(change) == nullptr) {
    ASSERT_TRUE(cluster_.WorkAll());
    for (int i = 1; i <= 3; ++i) {
      questions.push_back(
          cluster_.Send(i, RequestKind::kLeaseTimeToLive, TimeToLive(9, true), alice));
      questions.push_back(cluster_.Send(i, RequestKind::kLeaseList, "", alice));
    }
  }
  EXPECT_GT(cluster_[1].status().pieces.applies, 0u);
  cluster_.Settle();
  for (const RequestToken token : questions) {
    ASSERT_NE(cluster_.Find(token), nullptr);
    EXPECT_EQ(cluster_.Find(token)->status, PermissionDeniedError());
  }
  // Whose keys all are hers is told of them.
  Must(cluster_.Call(1, RequestKind::kDeleteRange, Delete("z"), root));
  const Response answer =
      cluster_.Call(1, RequestKind::kLeaseTimeToLive, TimeToLive(9, true), alice);
  Must(answer);
  EXPECT_EQ(Parsed<etcdserverpb::LeaseTimeToLiveResponse>(answer).keys_size(), 100);
}

TEST_F(ReplicaAuthTest, TransactionsNeedAllThatAnyBranchCouldDo) {
  const Credentials alice = LogIn("alice");
  etcdserverpb::TxnRequest txn;
  txn.add_success()->mutable_request_put()->set_key("a1");
  EXPECT_TRUE(Call(1, RequestKind::kTxn, txn, alice).status.ok());
  auto* nested = txn.add_failure()->mutable_request_txn();
  nested->add_failure()->mutable_request_range()->set_key("z");
  EXPECT_EQ(Call(1, RequestKind::kTxn, txn, alice).status, PermissionDeniedError());
  etcdserverpb::TxnRequest read;
  read.add_success()->mutable_request_range()->set_key("a1");
  EXPECT_TRUE(Call(2, RequestKind::kTxn, read, alice).status.ok());
  EXPECT_EQ(Call(2, RequestKind::kTxn, read).status, UserEmptyError());
  read.add_compare()->set_key("z");
  EXPECT_EQ(Call(2, RequestKind::kTxn, read, alice).status, PermissionDeniedError());
}

TEST_F(ReplicaAuthTest, WhatTheOtherRequestsNeed) {
  const Credentials root = LogIn("root");
  const Credentials alice = LogIn("alice");
  etcdserverpb::CompactionRequest compaction;
  compaction.set_revision(1);
  for (const RequestKind kind : {RequestKind::kHashKv, RequestKind::kCompact}) {
    const std::string body = kind == RequestKind::kCompact ? compaction.SerializeAsString() : "";
    EXPECT_EQ(cluster_.Call(1, kind, body).status, UserEmptyError());
    EXPECT_EQ(cluster_.Call(1, kind, body, alice).status, PermissionDeniedError());
    EXPECT_TRUE(cluster_.Call(1, kind, body, root).status.ok());
  }
  for (const RequestKind kind : {RequestKind::kMemberList, RequestKind::kStatus}) {
    EXPECT_EQ(cluster_.Call(1, kind, "").status, UserEmptyError());
    EXPECT_EQ(cluster_.Call(1, kind, "", Token("x.1")).status, InvalidAuthTokenError());
    EXPECT_TRUE(cluster_.Call(1, kind, "", alice).status.ok());
  }
  // A malformed request is that before anything else.
  EXPECT_EQ(cluster_.Call(1, RequestKind::kPut, Put("", "v")).status.message(),
            "etcdserver: key is not provided");
}

TEST_F(ReplicaAuthTest, ReadsOfUsersAndRoles) {
  const Credentials root = LogIn("root");
  const Credentials alice = LogIn("alice");
  const auto status =
      Parsed<etcdserverpb::AuthStatusResponse>(cluster_.Call(2, RequestKind::kAuthStatus, ""));
  EXPECT_TRUE(status.enabled());
  EXPECT_EQ(status.authrevision(), cluster_[2].status().auth_revision);
  EXPECT_EQ(cluster_.Call(2, RequestKind::kAuthStatus, "", Token("x.1")).status,
            InvalidAuthTokenError());
  etcdserverpb::AuthUserGetRequest self;
  self.set_name("alice");
  const auto got =
      Parsed<etcdserverpb::AuthUserGetResponse>(Call(3, RequestKind::kAuthUserGet, self, alice));
  EXPECT_EQ(got.roles(0), "as");
  etcdserverpb::AuthUserGetRequest other;
  other.set_name("root");
  EXPECT_EQ(Call(3, RequestKind::kAuthUserGet, other, alice).status, PermissionDeniedError());
  EXPECT_EQ(Call(3, RequestKind::kAuthUserGet, other).status, UserEmptyError());
  EXPECT_EQ(cluster_.Call(1, RequestKind::kAuthUserList, "", alice).status,
            PermissionDeniedError());
  const auto users = Parsed<etcdserverpb::AuthUserListResponse>(
      cluster_.Call(1, RequestKind::kAuthUserList, "", root));
  EXPECT_EQ(users.users_size(), 2);
  etcdserverpb::AuthRoleGetRequest role;
  role.set_role("as");
  const auto permissions =
      Parsed<etcdserverpb::AuthRoleGetResponse>(Call(1, RequestKind::kAuthRoleGet, role, alice));
  EXPECT_EQ(permissions.perm(0).range_end(), "b");
  EXPECT_EQ(cluster_.Call(1, RequestKind::kAuthRoleGet, "\xff").status.code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(cluster_.Call(1, RequestKind::kAuthUserAdd, "\xff").status.code(),
            absl::StatusCode::kInternal);
}

// The put was proposed while its user was allowed; by the time it is applied the role has
// lost that permission, or only might have.
TEST_F(ReplicaAuthTest, ACommandFromBeforeAChangeIsRefused) {
  const Credentials root = LogIn("root");
  const Credentials alice = LogIn("alice");
  etcdserverpb::AuthRoleRevokePermissionRequest revoke;
  revoke.set_role("as");
  revoke.set_key("a");
  revoke.set_range_end("b");
  const RequestToken change =
      cluster_.Send(1, RequestKind::kAuthRoleRevokePermission, revoke.SerializeAsString(), root);
  const RequestToken put = cluster_.Send(1, RequestKind::kPut, Put("a1", "late"), alice);
  cluster_.Settle();
  ASSERT_NE(cluster_.Find(put), nullptr);
  EXPECT_TRUE(cluster_.Find(change)->status.ok());
  EXPECT_EQ(cluster_.Find(put)->status, AuthOldRevisionError());
  EXPECT_EQ(
      Parsed<etcdserverpb::RangeResponse>(cluster_.Call(1, RequestKind::kRange, Get("a1"), root))
          .count(),
      0);
}

TEST_F(ReplicaAuthTest, TokensGoWithThePasswordTheUserAndAuthentication) {
  const Credentials root = LogIn("root");
  Credentials alice = LogIn("alice");
  Must(ChangePassword("alice", root));
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(TryGet(i, "a1", alice), InvalidAuthTokenError());
  alice = LogIn("alice");
  EXPECT_TRUE(TryGet(2, "a1", alice).ok());
  etcdserverpb::AuthUserDeleteRequest remove;
  remove.set_name("alice");
  Must(Call(2, RequestKind::kAuthUserDelete, remove, root));
  EXPECT_EQ(TryGet(3, "a1", alice), InvalidAuthTokenError());
  Must(cluster_.Call(1, RequestKind::kAuthDisable, "", root));
  EXPECT_TRUE(TryPut(2, "z", {}).ok());
  EXPECT_TRUE(TryPut(2, "z", Token("whatever")).ok());
  Must(cluster_.Call(1, RequestKind::kAuthEnable, ""));
  EXPECT_EQ(TryGet(1, "z", root), InvalidAuthTokenError());
}

TEST_F(ReplicaAuthTest, ATokenThatIsNotUsedExpires) {
  const Credentials alice = LogIn("alice");
  for (int i = 0; i < 3; ++i) {
    cluster_.Run(Seconds(200));
    EXPECT_TRUE(TryGet(1, "a1", alice).ok());
  }
  cluster_.Run(Seconds(301));
  EXPECT_EQ(TryGet(1, "a1", alice), InvalidAuthTokenError());
}

TEST_F(ReplicaAuthTest, ARestartKeepsUsersAndForgetsTokens) {
  const Credentials alice = LogIn("alice");
  ASSERT_TRUE(TryPut(1, "a1", alice).ok());
  const uint64_t digest = cluster_[2].StateDigest();
  cluster_.Crash(2);
  cluster_.Restart(2);
  cluster_.Elect();
  cluster_.Run(Seconds(1));
  EXPECT_EQ(cluster_[2].StateDigest(), digest);
  EXPECT_EQ(TryGet(2, "a1", alice), InvalidAuthTokenError());
  EXPECT_TRUE(TryGet(1, "a1", alice).ok());
  EXPECT_TRUE(TryGet(2, "a1", LogIn("alice", 2)).ok());
}

TEST_F(ReplicaAuthTest, AMemberThatIsBehindWaitsForTheTokensCommand) {
  const int leader = cluster_.leader();
  const int behind = leader == 1 ? 2 : 1;
  cluster_.Isolate(behind, true);
  const Credentials alice = LogIn("alice", leader);
  cluster_.Isolate(behind, false);
  const RequestToken put = cluster_.Send(behind, RequestKind::kPut, Put("a1", "v"), alice);
  const RequestToken get = cluster_.Send(behind, RequestKind::kRange, Get("a1", true), alice);
  const RequestToken gone = cluster_.Send(behind, RequestKind::kRange, Get("a1", true), alice);
  cluster_.OpenWatch(behind, 7, alice);
  cluster_.Watch(behind, 7, WatchOf("a1"));
  cluster_.Settle();
  EXPECT_EQ(cluster_.Find(put), nullptr);
  EXPECT_EQ(cluster_.Find(get), nullptr);
  cluster_.Abandon(behind, gone);
  cluster_.Run(Seconds(2));
  ASSERT_NE(cluster_.Find(put), nullptr);
  EXPECT_TRUE(cluster_.Find(put)->status.ok()) << cluster_.Find(put)->status;
  EXPECT_TRUE(cluster_.Find(get)->status.ok());
  EXPECT_EQ(cluster_.Find(gone), nullptr);
  const auto watched = cluster_.TakeWatched(7);
  ASSERT_FALSE(watched.empty());
  EXPECT_FALSE(watched[0].canceled()) << watched[0].cancel_reason();
}

TEST_F(ReplicaAuthTest, ATokenFromTheFutureIsInvalidAfterAWhile) {
  const Credentials forged = Token("prefix.18446744073709551614");
  const RequestToken put = cluster_.Send(1, RequestKind::kPut, Put("a1", "v"), forged);
  cluster_.OpenWatch(1, 7, forged);
  cluster_.Watch(1, 7, WatchOf("a1"));
  cluster_.OpenWatch(1, 8, forged);
  cluster_.Watch(1, 8, WatchOf("a1"));
  cluster_.Step(1, WatchClose{StreamToken(8)});
  cluster_.Run(Seconds(4));
  EXPECT_EQ(cluster_.Find(put), nullptr);
  cluster_.Run(Seconds(2));
  ASSERT_NE(cluster_.Find(put), nullptr);
  EXPECT_EQ(cluster_.Find(put)->status, InvalidAuthTokenError());
  const auto watched = cluster_.TakeWatched(7);
  ASSERT_EQ(watched.size(), 1u);
  EXPECT_EQ(watched[0].cancel_reason(),
            "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token");
  EXPECT_TRUE(cluster_.TakeWatched(8).empty());
}

TEST(ReplicaAuth, TooManyForgedTokensDoNotPileUp) {
  Cluster cluster(1, [](Config* config) { config->max_token_waits = 2; });
  cluster.Elect();
  etcdserverpb::AuthUserAddRequest user;
  user.set_name("root");
  cluster.Call(1, RequestKind::kAuthUserAdd, user.SerializeAsString());
  etcdserverpb::AuthUserGrantRoleRequest role;
  role.set_user("root");
  role.set_role("root");
  cluster.Call(1, RequestKind::kAuthUserGrantRole, role.SerializeAsString());
  ASSERT_TRUE(cluster.Call(1, RequestKind::kAuthEnable, "").status.ok());
  const Credentials forged = Token("x.1000000");
  for (int i = 0; i < 2; ++i) cluster.Send(1, RequestKind::kPut, Put("a", "v"), forged);
  const absl::Status too_many = absl::ResourceExhaustedError("etcdserver: too many requests");
  EXPECT_EQ(cluster.Call(1, RequestKind::kPut, Put("a", "v"), forged).status, too_many);
  // Streams get an answer as well.
  cluster.OpenWatch(1, 7, forged);
  etcdserverpb::WatchRequest watch;
  watch.mutable_create_request()->set_key("a");
  cluster.Watch(1, 7, watch);
  cluster.Settle();
  const auto watched = cluster.TakeWatched(7);
  ASSERT_EQ(watched.size(), 1u);
  EXPECT_TRUE(watched[0].created() && watched[0].canceled());
  EXPECT_EQ(watched[0].cancel_reason(),
            "rpc error: code = ResourceExhausted desc = etcdserver: too many requests");
}

// They are let go in pieces, and none is forgotten; a stream's requests stay in order.
TEST_F(ReplicaAuthTest, ManyWhoWaitForATokenAreAllServed) {
  const int leader = cluster_.leader();
  const int behind = leader == 1 ? 2 : 1;
  cluster_.Isolate(behind, true);
  const Credentials alice = LogIn("alice", leader);
  cluster_.Isolate(behind, false);
  std::vector<RequestToken> gets;
  for (int i = 0; i < 100; ++i) {
    gets.push_back(cluster_.Send(behind, RequestKind::kRange, Get("a1", true), alice));
  }
  cluster_.OpenWatch(behind, 7, alice);
  for (int i = 0; i < 50; ++i) cluster_.Watch(behind, 7, WatchOf("a" + std::to_string(i)));
  cluster_.Run(Seconds(2));
  for (const RequestToken get : gets) {
    ASSERT_NE(cluster_.Find(get), nullptr);
    EXPECT_TRUE(cluster_.Find(get)->status.ok()) << cluster_.Find(get)->status;
  }
  const auto watched = cluster_.TakeWatched(7);
  ASSERT_EQ(watched.size(), 50u);
  for (const auto& response : watched) EXPECT_TRUE(response.created());
}

TEST_F(ReplicaAuthTest, WatchesNeedToRead) {
  const Credentials alice = LogIn("alice");
  cluster_.OpenWatch(2, 1, alice);
  cluster_.Watch(2, 1, WatchOf("a", "b"));
  cluster_.Watch(2, 1, WatchOf("a", "c"));
  cluster_.Watch(2, 1, WatchOf("", std::string(1, '\0')));
  cluster_.OpenWatch(2, 2);
  cluster_.Watch(2, 2, WatchOf("a1"));
  cluster_.Settle();
  auto watched = cluster_.TakeWatched(1);
  ASSERT_EQ(watched.size(), 3u);
  EXPECT_FALSE(watched[0].canceled());
  for (int i : {1, 2}) {
    EXPECT_TRUE(watched[i].created() && watched[i].canceled());
    EXPECT_EQ(watched[i].watch_id(), -1);
    EXPECT_EQ(watched[i].cancel_reason(),
              "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
  }
  watched = cluster_.TakeWatched(2);
  ASSERT_EQ(watched.size(), 1u);
  EXPECT_EQ(watched[0].cancel_reason(),
            "rpc error: code = InvalidArgument desc = etcdserver: user name is empty");
}

// A client certificate vouches for a name, a signed token for a name at a revision.
TEST_F(ReplicaAuthTest, NamesThatTheShellHasVerified) {
  EXPECT_TRUE(TryPut(1, "z", Name("root")).ok());
  EXPECT_TRUE(TryPut(1, "a1", Name("alice")).ok());
  EXPECT_EQ(TryPut(1, "z", Name("alice")), PermissionDeniedError());
  EXPECT_EQ(TryPut(1, "a1", Name("zoe")), PermissionDeniedError());
  const uint64_t revision = cluster_[1].status().auth_revision;
  EXPECT_TRUE(TryGet(1, "a1", Name("alice", revision)).ok());
  EXPECT_EQ(TryGet(1, "a1", Name("alice", revision - 1)), AuthOldRevisionError());
  EXPECT_EQ(TryPut(1, "a1", Name("alice", revision - 1)), AuthOldRevisionError());
}

TEST_F(ReplicaAuthTest, PasswordHashesAreReadWithTheirRevision) {
  const Response response = cluster_.Call(2, RequestKind::kAuthPassword, "alice");
  ASSERT_TRUE(response.status.ok());
  const PasswordHash hash = PasswordHash::Decode(response.body.Joined());
  EXPECT_EQ(hash.hash, "hash of alice");
  EXPECT_EQ(hash.auth_revision, cluster_[2].status().auth_revision);
  EXPECT_EQ(cluster_.Call(2, RequestKind::kAuthPassword, "zoe").status, auth::AuthFailedError());
  Must(cluster_.Call(1, RequestKind::kAuthDisable, "", LogIn("root")));
  EXPECT_EQ(cluster_.Call(2, RequestKind::kAuthPassword, "alice").status,
            auth::AuthNotEnabledError());
}

TEST_F(ReplicaAuthTest, TheServersOwnRequestsNeedNobody) {
  EXPECT_TRUE(cluster_.Call(1, RequestKind::kClusterVersion, std::string("\x0a\x05") + "3.7.0")
                  .status.ok());
}

TEST_F(ReplicaAuthTest, AllMembersHaveTheSameUsers) {
  const Credentials root = LogIn("root");
  Must(Grant("c", "d", root));
  EXPECT_EQ(Grant("c", "d", LogIn("alice")).status, PermissionDeniedError());
  cluster_.Run(Seconds(1));
  for (int i = 2; i <= 3; ++i) {
    EXPECT_EQ(cluster_[i].status().applied, cluster_[1].status().applied);
    EXPECT_EQ(cluster_[i].StateDigest(), cluster_[1].StateDigest());
  }
}

TEST_F(ReplicaAuthTest, ALeaseIsForThoseWhoMayHaveItsKeys) {
  const Credentials root = LogIn("root");
  const Credentials alice = LogIn("alice");
  const auto status = [&](RequestKind kind, const std::string& body, const Credentials& as) {
    return cluster_.Call(2, kind, body, as).status;
  };
  const std::pair<RequestKind, std::string> requests[] = {
      {RequestKind::kLeaseGrant, engine::Grant(9, 60)},
      {RequestKind::kLeaseKeepAlive, KeepAlive(7)},
      {RequestKind::kLeaseTimeToLive, TimeToLive(7)},
      {RequestKind::kLeaseTimeToLive, TimeToLive(7, true)},
      {RequestKind::kLeaseList, ""},
      {RequestKind::kLeaseRevoke, Revoke(7)}};
  for (const auto& [kind, body] : requests) {
    EXPECT_EQ(status(kind, body, {}), UserEmptyError());
    EXPECT_EQ(status(kind, body, Token("no such token")), InvalidAuthTokenError());
  }
  EXPECT_TRUE(status(RequestKind::kLeaseGrant, engine::Grant(7, 60), alice).ok());
  EXPECT_TRUE(status(RequestKind::kPut, PutWithLease("a1", "v", 7), alice).ok());
  EXPECT_TRUE(status(RequestKind::kLeaseKeepAlive, KeepAlive(7), alice).ok());
  EXPECT_TRUE(status(RequestKind::kLeaseTimeToLive, TimeToLive(7, true), alice).ok());
  EXPECT_TRUE(status(RequestKind::kLeaseList, "", alice).ok());
  // With somebody else's key it is out of her hands, but for the bare time.
  EXPECT_TRUE(status(RequestKind::kPut, PutWithLease("z", "v", 7), root).ok());
  EXPECT_EQ(status(RequestKind::kPut, PutWithLease("a2", "v", 7), alice), PermissionDeniedError());
  EXPECT_EQ(status(RequestKind::kLeaseKeepAlive, KeepAlive(7), alice), PermissionDeniedError());
  EXPECT_EQ(status(RequestKind::kLeaseTimeToLive, TimeToLive(7, true), alice),
            PermissionDeniedError());
  EXPECT_TRUE(status(RequestKind::kLeaseTimeToLive, TimeToLive(7), alice).ok());
  EXPECT_EQ(status(RequestKind::kLeaseList, "", alice), PermissionDeniedError());
  EXPECT_EQ(status(RequestKind::kLeaseRevoke, Revoke(7), alice), PermissionDeniedError());
  EXPECT_TRUE(TryGet(1, "a1", alice).ok());
  for (const auto& [kind, body] : requests) EXPECT_TRUE(status(kind, body, root).ok());
}

// The leader needs nobody's permission to end a lease.
TEST_F(ReplicaAuthTest, LeasesExpireAllTheSame) {
  const Credentials alice = LogIn("alice");
  ASSERT_TRUE(cluster_.Call(1, RequestKind::kLeaseGrant, engine::Grant(7, 3), alice).status.ok());
  ASSERT_TRUE(cluster_.Call(1, RequestKind::kPut, PutWithLease("a1", "v", 7), alice).status.ok());
  cluster_.Run(Milliseconds(3500));
  EXPECT_EQ(cluster_[1].status().leases, 0u);
  EXPECT_EQ(cluster_[1].status().keys, 0u);
}

TEST_F(ReplicaAuthTest, AnybodyMaySeeAlarmsAndRootRaisesThem) {
  etcdserverpb::AlarmRequest alarm;
  const auto status = [&](const Credentials& as) {
    return Call(2, RequestKind::kAlarm, alarm, as).status;
  };
  const Credentials alice = LogIn("alice");
  EXPECT_EQ(status({}), UserEmptyError());
  EXPECT_TRUE(status(alice).ok());
  for (const auto action :
       {etcdserverpb::AlarmRequest::ACTIVATE, etcdserverpb::AlarmRequest::DEACTIVATE}) {
    alarm.set_action(action);
    alarm.set_alarm(etcdserverpb::NOSPACE);
    EXPECT_EQ(status(alice), PermissionDeniedError());
    EXPECT_TRUE(status(LogIn("root")).ok());
  }
}

}  // namespace
}  // namespace quorate::engine
