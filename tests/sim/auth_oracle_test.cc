// Stories of users and permissions told by hand: what is allowed and what is refused must pass,
// and each kind of bypass must be caught.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "api/messages.h"
#include "api/raft_internal.pb.h"
#include "sim/oracle/auth.h"
#include "sim/oracle/kv.h"

namespace quorate::sim {
namespace {

using Kind = AuthChange::Kind;

Request Put(const std::string& key, const std::string& value, int64_t lease = 0) {
  Request request;
  request.shape = Request::Shape::kPut;
  Operation operation;
  operation.kind = Operation::Kind::kPut;
  operation.key = key;
  operation.value = value;
  operation.lease = lease;
  request.success.push_back(operation);
  return request;
}

Request Get(const std::string& key, bool serializable = false) {
  Request request;
  request.serializable = serializable;
  Operation operation;
  operation.key = key;
  request.success.push_back(operation);
  return request;
}

Request OfLease(Request::Shape shape, int64_t lease) {
  Request request;
  request.shape = shape;
  request.lease = lease;
  request.ttl = shape == Request::Shape::kGrant ? 10 : 0;
  return request;
}

// One member, alice and bob; alice may write keys from "a" on before "c", bob may read them.
class AuthOracleTest : public testing::Test {
 protected:
  AuthOracleTest()
      : kv_(&judge_, &history_),
        auth_(&judge_, &history_, &kv_.model(), [this](size_t) { return applied_; }) {
    for (const char* user : {"root", "alice", "bob"}) Change(OfUser(Kind::kAddUser, user));
    for (const char* role : {"writer", "reader"}) Change(OfUser(Kind::kAddRole, "", role));
    Change(OfUser(Kind::kGrantRole, "root", "root"));
    Change(OfUser(Kind::kGrantRole, "alice", "writer"));
    Change(OfUser(Kind::kGrantRole, "bob", "reader"));
    Change(Permission(Kind::kGrantPermission, "writer", 2));
    Change(Permission(Kind::kGrantPermission, "reader", 0));
    Change(OfUser(Kind::kEnable, ""));
    applied_ = LogIndex(index_);
  }

  static AuthChange Permission(Kind kind, const std::string& role, int type = 0) {
    AuthChange change = OfUser(kind, "", role);
    change.key = "a";
    change.range_end = "c";
    change.type = type;
    return change;
  }

  // A committed command; `revision` 0 is the present one.
  void Commit(etcdserverpb::InternalRaftRequest command, const std::string& user,
              uint64_t revision = 0) {
    if (revision == 0) revision = auth_.present().revision();
    command.mutable_header()->set_id(++index_);
    command.mutable_header()->set_username(user);
    command.mutable_header()->set_auth_revision(user.empty() ? 0 : revision);
    raft::Entry entry;
    entry.index = LogIndex(index_);
    entry.data = SerializeMessage(command);
    if (!auth_.Refuses(Tick(), entry)) kv_.OnCommit(now_, entry);
  }
  void Change(const AuthChange& change) {
    etcdserverpb::InternalRaftRequest command;
    const Bytes body = EncodeAuthChange(change, true);
    const auto parse = [&body](auto* out) { ASSERT_TRUE(ParseMessage(body, out)); };
    switch (change.kind) {
      case Kind::kEnable:
        command.mutable_auth_enable();
        break;
      case Kind::kAddUser:
        parse(command.mutable_auth_user_add());
        break;
      case Kind::kDeleteUser:
        parse(command.mutable_auth_user_delete());
        break;
      case Kind::kGrantRole:
        parse(command.mutable_auth_user_grant_role());
        break;
      case Kind::kRevokeRole:
        parse(command.mutable_auth_user_revoke_role());
        break;
      case Kind::kAddRole:
        parse(command.mutable_auth_role_add());
        break;
      default:
        parse(command.mutable_auth_role_grant_permission());
        break;
    }
    Commit(std::move(command), auth_.present().enabled() ? "root" : "");
  }
  void CommitPut(const Request& request, const std::string& user, uint64_t revision = 0) {
    etcdserverpb::InternalRaftRequest command;
    ASSERT_TRUE(ParseMessage(EncodeRequest(request), command.mutable_put()));
    Commit(std::move(command), user, revision);
  }
  void CommitGrant(int64_t lease) {
    etcdserverpb::InternalRaftRequest command;
    command.mutable_lease_grant()->set_id(lease);
    command.mutable_lease_grant()->set_ttl(10);
    Commit(std::move(command), "alice");
  }

  History::Id Ask(const std::string& user, const Request& request) {
    Call call;
    call.user = user;
    call.request = request;
    call.member = 1;
    call.invoked = Tick();
    const History::Id id = history_.Invoke(call);
    auth_.OnInvoke(id);
    return id;
  }
  void Answer(History::Id id, const Result& result) {
    history_.Return(id, Tick(), Outcome::kOk).result = result;
    auth_.OnReturn(id);
  }
  void Refuse(History::Id id, const std::string& error) {
    history_.Return(id, Tick(), Outcome::kNoEffect).error = error;
    auth_.OnReturn(id);
  }
  Result At(int64_t revision) {
    Result result;
    result.revision = revision;
    result.lease_found = true;
    result.operations.emplace_back();
    return result;
  }
  int64_t revision() const { return kv_.model().revision(); }
  bool Caught() const { return !judge_.clean() && judge_.violations()[0].rule == Rule::kAuth; }
  VirtualTime Tick() { return now_ = now_ + Milliseconds(1); }

  Judge judge_;
  History history_;
  KvOracle kv_;
  LogIndex applied_;
  AuthOracle auth_;
  uint64_t index_ = 0;
  VirtualTime now_;
};

TEST_F(AuthOracleTest, WhoMayWriteAndReadIsServed) {
  const auto put = Ask("alice", Put("a", "1"));
  CommitPut(Put("a", "1"), "alice");
  ASSERT_EQ(revision(), 2);
  Answer(put, At(2));
  Answer(Ask("bob", Get("b")), At(2));
  EXPECT_TRUE(judge_.clean()) << judge_.violations()[0].text;
}

TEST_F(AuthOracleTest, ACommandThatItsAskerMayNotDoHasNoEffect) {
  const auto put = Ask("bob", Put("a", "1"));
  CommitPut(Put("a", "1"), "bob");
  EXPECT_EQ(revision(), 1);
  EXPECT_EQ(auth_.refused(), 1u);
  Refuse(put, "etcdserver: permission denied");
  EXPECT_TRUE(judge_.clean());
}

TEST_F(AuthOracleTest, AWriteThatMustBeRefusedIsNotAcknowledged) {
  const auto put = Ask("bob", Put("a", "1"));
  CommitPut(Put("a", "1"), "bob");
  Answer(put, At(2));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, AnAskerFoundAtAnEarlierAuthRevisionIsRefused) {
  const uint64_t before = auth_.present().revision();
  const auto put = Ask("alice", Put("a", "1"));
  Change(OfUser(Kind::kAddUser, "carol"));
  CommitPut(Put("a", "1"), "alice", before);
  EXPECT_EQ(revision(), 1);
  Answer(put, At(2));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, AWriteStandsInTheLogInItsClientsName) {
  const auto put = Ask("bob", Put("a", "1"));
  CommitPut(Put("a", "1"), "alice");
  Answer(put, At(2));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, NobodyReadsWhatItMayNot) {
  Answer(Ask("bob", Get("d")), At(1));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, NobodyIsServedWithoutAName) {
  Answer(Ask("", Get("a")), At(1));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, AReadMayBeOlderThanARevocationOfWhichNobodyWasTold) {
  const auto read = Ask("bob", Get("a"));
  const LogIndex since = auth_.committed();
  Change(OfUser(Kind::kRevokeRole, "bob", "reader"));
  auth_.OnAcknowledged(Tick(), OfUser(Kind::kRevokeRole, "bob", "reader"), since);
  Answer(read, At(1));
  EXPECT_TRUE(judge_.clean());
  // But one that began later may not; and a serializable one again, of a member behind.
  Answer(Ask("bob", Get("a", /*serializable=*/true)), At(1));
  EXPECT_TRUE(judge_.clean());
  Answer(Ask("bob", Get("a")), At(1));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, ADenialNeedsAReason) {
  Refuse(Ask("alice", Put("d", "1")), "etcdserver: permission denied");
  Refuse(Ask("", Put("a", "1")), "etcdserver: user name is empty");
  Refuse(Ask("alice", Put("a", "1")), "etcdserver: invalid auth token");
  EXPECT_TRUE(judge_.clean());
  EXPECT_EQ(auth_.denied(), 3u);
  Refuse(Ask("alice", Put("a", "1")), "etcdserver: permission denied");
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, AnOldAuthRevisionNeedsAChange) {
  const auto put = Ask("alice", Put("a", "1"));
  Change(OfUser(Kind::kAddUser, "carol"));
  Refuse(put, "etcdserver: revision of auth store is old");
  EXPECT_TRUE(judge_.clean());
  applied_ = LogIndex(index_);
  Refuse(Ask("alice", Put("a", "1")), "etcdserver: revision of auth store is old");
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, ALeaseIsRenewedByWhoMayWriteItsKeys) {
  CommitGrant(7);
  CommitPut(Put("a", "1", 7), "alice");
  applied_ = LogIndex(index_);
  Answer(Ask("alice", OfLease(Request::Shape::kKeepAlive, 7)), At(2));
  Refuse(Ask("bob", OfLease(Request::Shape::kKeepAlive, 7)), "etcdserver: permission denied");
  EXPECT_TRUE(judge_.clean());
  Answer(Ask("bob", OfLease(Request::Shape::kKeepAlive, 7)), At(2));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, OnlyRootCompacts) {
  Request compact;
  compact.shape = Request::Shape::kCompact;
  Answer(Ask("root", compact), At(1));
  EXPECT_TRUE(judge_.clean());
  Answer(Ask("alice", compact), At(1));
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, AWatchIsLetInWhereItMayRead) {
  WatchAnswer created;
  created.created = true;
  auth_.OnWatchAnswer(Tick(), {"bob", "a", "b", applied_}, created);
  EXPECT_TRUE(judge_.clean());
  WatchAnswer refused = created;
  refused.canceled = true;
  refused.cancel_reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
  auth_.OnWatchAnswer(Tick(), {"bob", "a", "d", applied_}, refused);
  EXPECT_TRUE(judge_.clean());
  auth_.OnWatchAnswer(Tick(), {"bob", "a", "d", applied_}, created);
  EXPECT_TRUE(Caught());
}

TEST_F(AuthOracleTest, AChangeThatWasAcknowledgedIsInTheLog) {
  const AuthChange change = OfUser(Kind::kAddUser, "carol");
  auth_.OnAcknowledged(Tick(), change, auth_.committed());
  EXPECT_TRUE(Caught());
}

}  // namespace
}  // namespace quorate::sim
