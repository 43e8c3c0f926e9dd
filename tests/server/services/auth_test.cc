// The Auth service of whole servers, as gRPC clients meet it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"
#include "engine/replica/inspector.h"
#include "server/grpc/channel.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const absl::Status kAuthFailed =
    absl::InvalidArgumentError("etcdserver: authentication failed, invalid user ID or password");
const absl::Status kDenied = absl::PermissionDeniedError("etcdserver: permission denied");
const absl::Status kNobody = absl::InvalidArgumentError("etcdserver: user name is empty");
const absl::Status kBadToken = absl::UnauthenticatedError("etcdserver: invalid auth token");

class AuthServiceTest : public ::testing::TestWithParam<int> {
 protected:
  AuthServiceTest()
      : cluster_(GetParam(), /*seed=*/1,
                 [](int, config::Config* config) { config->bcrypt_cost = 4; }) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }
  int AnyMember(int i) const { return i % GetParam() + 1; }

  static grpc::CallOptions With(const std::string& token) {
    grpc::CallOptions options;
    options.metadata = {{"token", token}};
    return options;
  }
  template <typename Request>
  grpc::Result Auth(int member, const std::string& method, const Request& request,
                    const grpc::CallOptions& options = {}) {
    return cluster_.Call(member, "/etcdserverpb.Auth/" + method, request.SerializeAsString(),
                         options);
  }
  absl::Status AddUser(const std::string& name, const std::string& password,
                       const grpc::CallOptions& options = {}) {
    etcdserverpb::AuthUserAddRequest request;
    request.set_name(name);
    request.set_password(password);
    return Auth(1, "UserAdd", request, options).status;
  }
  absl::Status ChangePassword(const std::string& name, const std::string& password,
                              const grpc::CallOptions& options = {}) {
    etcdserverpb::AuthUserChangePasswordRequest request;
    request.set_name(name);
    request.set_password(password);
    return Auth(1, "UserChangePassword", request, options).status;
  }
  // Root with password "rootpw", alice ("alicepw") who may do all with "a" .. "b"; enabled.
  void Enable() {
    EXPECT_TRUE(AddUser("root", "rootpw").ok());
    EXPECT_TRUE(AddUser("alice", "alicepw").ok());
    etcdserverpb::AuthUserGrantRoleRequest grant;
    grant.set_user("root");
    grant.set_role("root");
    EXPECT_TRUE(Auth(1, "UserGrantRole", grant).status.ok());
    etcdserverpb::AuthRoleAddRequest role;
    role.set_name("as");
    EXPECT_TRUE(Auth(1, "RoleAdd", role).status.ok());
    etcdserverpb::AuthRoleGrantPermissionRequest permission;
    permission.set_name("as");
    permission.mutable_perm()->set_permtype(authpb::Permission::READWRITE);
    permission.mutable_perm()->set_key("a");
    permission.mutable_perm()->set_range_end("b");
    EXPECT_TRUE(Auth(1, "RoleGrantPermission", permission).status.ok());
    grant.set_user("alice");
    grant.set_role("as");
    EXPECT_TRUE(Auth(1, "UserGrantRole", grant).status.ok());
    EXPECT_TRUE(Auth(1, "AuthEnable", etcdserverpb::AuthEnableRequest()).status.ok());
  }
  grpc::Result Authenticate(int member, const std::string& name, const std::string& password) {
    etcdserverpb::AuthenticateRequest request;
    request.set_name(name);
    request.set_password(password);
    return Auth(member, "Authenticate", request);
  }
  std::string LogIn(int member, const std::string& name, const std::string& password) {
    const grpc::Result result = Authenticate(member, name, password);
    EXPECT_TRUE(result.status.ok()) << result.status;
    etcdserverpb::AuthenticateResponse response;
    EXPECT_TRUE(response.ParseFromString(std::string(result.message.view())));
    EXPECT_EQ(response.header().member_id(), cluster_.server(member)->member_id().value());
    return response.token();
  }
  absl::Status Put(int member, const std::string& key, const grpc::CallOptions& options = {}) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    return cluster_.Call(member, "/etcdserverpb.KV/Put", request.SerializeAsString(), options)
        .status;
  }

  TestCluster cluster_;
};

INSTANTIATE_TEST_SUITE_P(Sizes, AuthServiceTest, ::testing::Values(1, 3));

TEST_P(AuthServiceTest, PasswordsGiveTokensAndTokensGiveAccess) {
  Enable();
  for (int i = 0; i < 3; ++i) {
    const std::string token = LogIn(AnyMember(i), "alice", "alicepw");
    EXPECT_THAT(token, ::testing::MatchesRegex("[a-zA-Z]+\\.[0-9]+"));
    EXPECT_EQ(token.find('.'), 16u);
    for (int j = 1; j <= GetParam(); ++j) {
      EXPECT_TRUE(Put(j, "a1", With(token)).ok());
      EXPECT_EQ(Put(j, "z", With(token)), kDenied);
    }
  }
  EXPECT_EQ(Put(1, "a1"), kNobody);
  EXPECT_EQ(Put(1, "a1", With("abcdefghijklmnop.1")), kBadToken);
  EXPECT_EQ(Put(1, "a1", With("")), kBadToken);
  EXPECT_EQ(Authenticate(1, "alice", "wrong").status, kAuthFailed);
  EXPECT_EQ(Authenticate(1, "alice", "").status, kAuthFailed);
  EXPECT_EQ(Authenticate(1, "alice", std::string("alicepw\0", 8)).status, kAuthFailed);
  EXPECT_EQ(Authenticate(1, "zoe", "alicepw").status, kAuthFailed);
  EXPECT_EQ(Authenticate(1, "", "").status, kAuthFailed);
}

TEST_P(AuthServiceTest, ATokenMayComeAsAuthorization) {
  Enable();
  const std::string token = LogIn(1, "alice", "alicepw");
  grpc::CallOptions options;
  options.metadata = {{"authorization", token}};
  EXPECT_TRUE(Put(1, "a1", options).ok());
  options.metadata = {{"authorization", "Bearer " + token}};
  EXPECT_TRUE(Put(1, "a1", options).ok());
  options.metadata = {{"authorization", token}, {"token", "wrong"}};
  EXPECT_EQ(Put(1, "a1", options), kBadToken);
}

TEST_P(AuthServiceTest, BeforeItIsEnabled) {
  EXPECT_EQ(Authenticate(1, "root", "x").status,
            absl::FailedPreconditionError("etcdserver: authentication is not enabled"));
  EXPECT_EQ(Auth(1, "AuthEnable", etcdserverpb::AuthEnableRequest()).status,
            absl::FailedPreconditionError("etcdserver: root user does not exist"));
  EXPECT_TRUE(Put(1, "a", With("any")).ok());
  etcdserverpb::AuthStatusResponse status;
  const grpc::Result result = Auth(1, "AuthStatus", etcdserverpb::AuthStatusRequest());
  ASSERT_TRUE(status.ParseFromString(std::string(result.message.view())));
  EXPECT_FALSE(status.enabled());
  EXPECT_EQ(status.authrevision(), 1u);
}

TEST_P(AuthServiceTest, OddPasswordsAndUsers) {
  EXPECT_EQ(AddUser("", "x"), kNobody);
  EXPECT_EQ(AddUser("u", std::string(73, 'x')),
            absl::UnknownError("bcrypt: password length exceeds 72 bytes"));
  EXPECT_EQ(AddUser("u", std::string("a\0b", 3)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(AddUser("u", "").ok());
  EXPECT_EQ(AddUser("u", "y"),
            absl::FailedPreconditionError("etcdserver: user name already exists"));
  EXPECT_EQ(ChangePassword("nobody", "x"),
            absl::FailedPreconditionError("etcdserver: user name not found"));
  etcdserverpb::AuthUserAddRequest without;
  without.set_name("cert");
  without.set_password("ignored");
  without.mutable_options()->set_no_password(true);
  EXPECT_TRUE(Auth(1, "UserAdd", without).status.ok());
  for (const char* method : {"UserAdd", "UserChangePassword", "Authenticate", "UserGet",
                             "RoleGrantPermission", "AuthEnable"}) {
    EXPECT_EQ(
        cluster_.Call(1, std::string("/etcdserverpb.Auth/") + method, "\x0a\xff").status.code(),
        absl::StatusCode::kInternal)
        << method;
    // Names are text.
    if (std::string(method) == "AuthEnable") continue;
    EXPECT_EQ(
        cluster_.Call(1, std::string("/etcdserverpb.Auth/") + method, "\x0a\x01\xff").status.code(),
        absl::StatusCode::kInternal)
        << method;
  }
  Enable();
  EXPECT_TRUE(Authenticate(1, "u", "").status.ok());
  EXPECT_EQ(
      Authenticate(1, "cert", "ignored").status,
      absl::UnknownError("auth: authentication failed, password was given for no password user"));
}

TEST_P(AuthServiceTest, PasswordsAreInNoLogAndNoState) {
  Enable();
  const std::string root = LogIn(1, "root", "rootpw");
  EXPECT_TRUE(ChangePassword("alice", "verysecret", With(root)).ok());
  LogIn(1, "alice", "verysecret");
  const engine::ReplicaInspector& inspector = cluster_.node(1)->replica().inspector();
  for (LogIndex i = inspector.first_index(); i <= inspector.last_index(); ++i) {
    const std::string data(inspector.EntryAt(i)->data.view());
    for (const char* secret : {"rootpw", "alicepw", "verysecret"}) {
      EXPECT_THAT(data, Not(HasSubstr(secret)));
    }
  }
}

TEST_P(AuthServiceTest, ANewPasswordEndsOldTokens) {
  Enable();
  const std::string root = LogIn(1, "root", "rootpw");
  const std::string old = LogIn(AnyMember(1), "alice", "alicepw");
  EXPECT_TRUE(Put(1, "a1", With(old)).ok());
  EXPECT_EQ(ChangePassword("alice", "new", With(old)), kDenied);
  EXPECT_TRUE(ChangePassword("alice", "new", With(root)).ok());
  EXPECT_EQ(Put(1, "a1", With(old)), kBadToken);
  EXPECT_EQ(Authenticate(AnyMember(2), "alice", "alicepw").status, kAuthFailed);
  EXPECT_TRUE(Put(1, "a1", With(LogIn(1, "alice", "new"))).ok());
}

// Between the comparison and the token another password may have been set: then the
// comparison is made again, and fails.
TEST_P(AuthServiceTest, AnOldPasswordThatIsBeingCheckedGivesNoToken) {
  Enable();
  const std::string root = LogIn(1, "root", "rootpw");
  int refused = 0;
  for (int round = 0; round < 20; ++round) {
    const std::string old_password = "old" + std::to_string(round);
    ASSERT_TRUE(ChangePassword("alice", old_password, With(root)).ok());
    etcdserverpb::AuthenticateRequest log_in;
    log_in.set_name("alice");
    log_in.set_password(old_password);
    etcdserverpb::AuthUserChangePasswordRequest change;
    change.set_name("alice");
    change.set_password("new");
    std::optional<grpc::Result> got;
    std::optional<grpc::Result> changed;
    grpc::Channel* channel = cluster_.channel(1);
    cluster_.client_host().Run([&] {
      channel->Unary("/etcdserverpb.Auth/Authenticate", Bytes::Copy(log_in.SerializeAsString()), {},
                     [&](grpc::Result r) { got = std::move(r); });
      channel->Unary("/etcdserverpb.Auth/UserChangePassword",
                     Bytes::Copy(change.SerializeAsString()), With(root),
                     [&](grpc::Result r) { changed = std::move(r); });
    });
    ASSERT_TRUE(cluster_.world().RunUntil([&] { return got.has_value() && changed.has_value(); }));
    ASSERT_TRUE(changed->status.ok());
    if (!got->status.ok()) {
      EXPECT_EQ(got->status, kAuthFailed);
      ++refused;
      continue;
    }
    // It was done before the change: then the change has ended its token.
    etcdserverpb::AuthenticateResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(got->message.view())));
    EXPECT_EQ(Put(1, "a1", With(response.token())), kBadToken);
  }
  EXPECT_GT(refused, 0);
}

TEST_P(AuthServiceTest, NoMoreThanSoManyPasswordsWait) {
  Enable();
  etcdserverpb::AuthenticateRequest log_in;
  log_in.set_name("alice");
  log_in.set_password("wrong");
  constexpr size_t kCalls = 200;
  std::vector<absl::Status> answers;
  grpc::Channel* channel = cluster_.channel(1);
  cluster_.client_host().Run([&] {
    for (size_t i = 0; i < kCalls; ++i) {
      channel->Unary("/etcdserverpb.Auth/Authenticate", Bytes::Copy(log_in.SerializeAsString()), {},
                     [&](const grpc::Result& r) { answers.push_back(r.status); });
    }
  });
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return answers.size() == kCalls; }));
  const auto count = [&](const absl::Status& status) {
    return static_cast<size_t>(std::count(answers.begin(), answers.end(), status));
  };
  const size_t too_many = count(absl::ResourceExhaustedError("etcdserver: too many requests"));
  EXPECT_GT(too_many, 0u);
  EXPECT_GE(count(kAuthFailed), 64u);
  EXPECT_EQ(count(kAuthFailed) + too_many, kCalls);
  EXPECT_TRUE(Authenticate(1, "alice", "alicepw").status.ok());
}

TEST_P(AuthServiceTest, AClientThatGivesUpWhileItsPasswordIsCheckedHarmsNobody) {
  Enable();
  for (int i = 0; i < 10; ++i) {
    grpc::CallOptions hurried;
    hurried.timeout = Microseconds(200 * i + 1);
    etcdserverpb::AuthenticateRequest log_in;
    log_in.set_name("alice");
    log_in.set_password("alicepw");
    Auth(1, "Authenticate", log_in, hurried);
  }
  EXPECT_TRUE(Authenticate(1, "alice", "alicepw").status.ok());
  EXPECT_EQ(cluster_.node(1)->pending_calls(), 0u);
}

TEST_P(AuthServiceTest, ProbesNeedNoPassword) {
  Enable();
  for (const char* target : {"/health", "/health?serializable=true", "/livez", "/readyz"}) {
    const auto answer = cluster_.Get(1, target);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->head.status, 200) << target;
  }
  EXPECT_THAT(cluster_.Get(1, "/metrics")->body, HasSubstr("etcd_debugging_auth_revision 7\n"));
}

TEST_P(AuthServiceTest, UsersSurviveACrashAndTokensDoNot) {
  Enable();
  const std::string before = LogIn(1, "alice", "alicepw");
  cluster_.Crash(1);
  cluster_.Start(1);
  ASSERT_TRUE(cluster_.RunUntilReady());
  EXPECT_EQ(Put(1, "a1", With(before)), kBadToken);
  if (GetParam() > 1) {
    EXPECT_TRUE(Put(2, "a1", With(before)).ok());
  }
  EXPECT_TRUE(Put(1, "a1", With(LogIn(1, "alice", "alicepw"))).ok());
  EXPECT_EQ(Put(1, "a1"), kNobody);
}

TEST_P(AuthServiceTest, AWatchIsRefusedInItsStream) {
  Enable();
  struct Stream : public grpc::ClientStreamHandler {
    void OnMessage(Bytes message) override {
      etcdserverpb::WatchResponse response;
      EXPECT_TRUE(response.ParseFromString(std::string(message.view())));
      responses.push_back(std::move(response));
    }
    void OnFinish(const absl::Status&) override {}
    std::vector<etcdserverpb::WatchResponse> responses;
  };
  const std::string token = LogIn(1, "alice", "alicepw");
  etcdserverpb::WatchRequest allowed;
  allowed.mutable_create_request()->set_key("a1");
  etcdserverpb::WatchRequest refused;
  refused.mutable_create_request()->set_key("z");
  Stream seen;
  std::unique_ptr<grpc::ClientStream> stream;
  grpc::Channel* channel = cluster_.channel(1);
  cluster_.client_host().Run([&] {
    stream = channel->Stream("/etcdserverpb.Watch/Watch", With(token), &seen);
    stream->Send(Bytes::Copy(refused.SerializeAsString()));
    stream->Send(Bytes::Copy(allowed.SerializeAsString()));
  });
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return seen.responses.size() == 2; }));
  EXPECT_EQ(seen.responses[0].cancel_reason(),
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
  EXPECT_FALSE(seen.responses[1].canceled());
  ASSERT_TRUE(Put(1, "a1", With(token)).ok());
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return seen.responses.size() == 3; }));
  EXPECT_EQ(seen.responses[2].events(0).kv().key(), "a1");
  cluster_.client_host().Run([&] { stream.reset(); });
}

}  // namespace
}  // namespace quorate
