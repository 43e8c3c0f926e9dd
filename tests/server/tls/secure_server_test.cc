// Whole members over TLS on simulated hosts: both ports, renewed files, names as users.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"
#include "server/log/logger.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/network.h"
#include "server/tls/source.h"
#include "tests/server/support/test_cluster.h"
#include "tests/server/tls/test_ca.h"

namespace quorate {
namespace {

using ::testing::HasSubstr;

std::string PutRequest(const std::string& key, const std::string& value) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return request.SerializeAsString();
}

void WriteFile(TestWorld* world, sim::Host* host, io::Disk* disk, const std::string& path,
               const std::string& content) {
  bool done = false;
  absl::Status status;
  host->Run([&] {
    disk->MakeDirs(path.substr(0, path.rfind('/')), [&, disk](const absl::Status& made) {
      ASSERT_TRUE(made.ok()) << made;
      disk->Open(path, {.create = true}, [&](absl::StatusOr<std::unique_ptr<io::File>> opened) {
        ASSERT_TRUE(opened.ok()) << opened.status();
        const std::shared_ptr<io::File> file = *std::move(opened);
        file->Truncate(0, [&, file](const absl::Status&) {
          file->WriteAndSync(0, {Bytes::Copy(content)}, [&, file](const absl::Status& written) {
            status = written;
            done = true;
          });
        });
      });
    });
  });
  ASSERT_TRUE(world->RunUntil([&] { return done; }));
  ASSERT_TRUE(status.ok()) << status;
}

// A member with https URLs, and a client host with TLS of its own.
class SecureMember : public ::testing::Test {
 protected:
  explicit SecureMember(const std::function<void(config::Config*)>& adjust = nullptr)
      : cluster_(1, 1, [&](int, config::Config* config) { Configure(adjust, config); }),
        ca_("ca", WallNow()),
        log_(cluster_.client_env().log, cluster_.client_env().loop),
        queue_(cluster_.client_env().compute, 2) {
    const TestCertificate server{.names = "DNS:m1"};
    server_pair_ = ca_.Issue(server);
  }

  static void Configure(const std::function<void(config::Config*)>& adjust,
                        config::Config* config) {
    config->listen_client_urls = {{"https", "m1", 2379}};
    config->advertise_client_urls = config->listen_client_urls;
    config->client_tls.cert_file = "/tls/server.crt";
    config->client_tls.key_file = "/tls/server.key";
    config->client_tls.trusted_ca_file = "/tls/ca.crt";
    config->client_tls.client_cert_auth = true;
    if (adjust != nullptr) adjust(config);
  }
  WallTime WallNow() { return cluster_.client_env().loop->WallNow(); }

  void GiveFiles() {
    const io::Env env = cluster_.host(1).Boot();
    Put(&env, "/tls/server.crt", server_pair_.cert);
    Put(&env, "/tls/server.key", server_pair_.key);
    Put(&env, "/tls/ca.crt", ca_.pem());
    cluster_.host(1).Crash(sim::CrashKind::kKill);
  }
  void Put(const io::Env* env, const std::string& path, const std::string& content) {
    WriteFile(&cluster_.world(), &cluster_.host(1), env->disk, path, content);
  }
  // On the running member's disk.
  void Replace(const std::string& path, const std::string& content) {
    WriteFile(&cluster_.world(), &cluster_.host(1), cluster_.env(1).disk, path, content);
  }
  bool Begin() {
    GiveFiles();
    cluster_.Start(1);
    return cluster_.RunUntilReady();
  }

  // A new connection with that certificate (none: common name empty).
  std::unique_ptr<grpc::Channel> Connect(const std::string& common_name) {
    const io::Env& env = cluster_.client_env();
    config::TlsSettings settings{.flag_prefix = "peer-"};
    settings.trusted_ca_file = "/tls/ca.crt";
    WriteFile(&cluster_.world(), &cluster_.client_host(), env.disk, "/tls/ca.crt", ca_.pem());
    if (!common_name.empty()) {
      const tls::CertificateAndKey pair = ca_.Issue({.common_name = common_name, .names = ""});
      settings.cert_file = "/tls/c.crt";
      settings.key_file = "/tls/c.key";
      WriteFile(&cluster_.world(), &cluster_.client_host(), env.disk, "/tls/c.crt", pair.cert);
      WriteFile(&cluster_.world(), &cluster_.client_host(), env.disk, "/tls/c.key", pair.key);
    }
    sources_.push_back(std::make_unique<tls::Source>(env, &log_, tls::Role::kPeerClient, settings,
                                                     std::vector<std::string>{"h2"}));
    networks_.push_back(
        std::make_unique<tls::Network>(env.loop, env.network, sources_.back().get(), &queue_));
    std::unique_ptr<grpc::Channel> channel;
    cluster_.client_host().Run([&] {
      channel = std::make_unique<grpc::Channel>(env.loop, networks_.back().get(),
                                                TestCluster::ClientAddress(1));
    });
    EXPECT_TRUE(cluster_.world().RunUntil([&] { return channel != nullptr; }));
    return channel;
  }

  grpc::Result Call(grpc::Channel* channel, const std::string& path, const std::string& request,
                    const grpc::CallOptions& options = {}) {
    grpc::Result result;
    bool done = false;
    cluster_.client_host().Run([&] {
      channel->Unary(path, Bytes::Copy(request), options, [&](grpc::Result answer) {
        result = std::move(answer);
        done = true;
      });
    });
    EXPECT_TRUE(cluster_.world().RunUntil([&] { return done; }));
    return result;
  }
  grpc::Result Put(grpc::Channel* channel, const grpc::CallOptions& options = {}) {
    return Call(channel, "/etcdserverpb.KV/Put", PutRequest("k", "v"), options);
  }

  TestCluster cluster_;
  TestCa ca_;
  log::Logger log_;
  tls::HandshakeQueue queue_;
  tls::CertificateAndKey server_pair_;
  std::vector<std::unique_ptr<tls::Source>> sources_;
  std::vector<std::unique_ptr<tls::Network>> networks_;
};

TEST_F(SecureMember, ServesClientsWithACertificateAndNoOthers) {
  ASSERT_TRUE(Begin());
  EXPECT_TRUE(cluster_.Logged(1, "serving client traffic securely"));
  const auto good = Connect("anybody");
  EXPECT_TRUE(Put(good.get()).status.ok()) << Put(good.get()).status;
  const auto bare = Connect("");
  EXPECT_EQ(Put(bare.get()).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(cluster_.Logged(1, "rejected connection on client endpoint"));
  // Without TLS at all.
  EXPECT_FALSE(cluster_.Get(1, "/health").ok());
  EXPECT_TRUE(Put(good.get()).status.ok());
}

TEST_F(SecureMember, RenewedFilesCountForNewConnections) {
  ASSERT_TRUE(Begin());
  const auto before = Connect("anybody");
  ASSERT_TRUE(Put(before.get()).status.ok());
  const TestCa next("next", WallNow());
  const tls::CertificateAndKey renewed = next.Issue({.names = "DNS:m1"});
  // Half of it: the pair of before is used on, and the log says so.
  Replace("/tls/server.crt", renewed.cert);
  EXPECT_TRUE(Put(Connect("anybody").get()).status.ok());
  EXPECT_TRUE(cluster_.Logged(1, "cannot use the TLS files as they are now"));
  Replace("/tls/server.key", renewed.key);
  EXPECT_THAT(std::string(Put(Connect("anybody").get()).status.message()),
              HasSubstr("certificate verify failed"))
      << "the client does not trust the new authority yet";
  EXPECT_TRUE(Put(before.get()).status.ok()) << "connections that stand are left alone";
  Replace("/tls/server.crt", server_pair_.cert);
  Replace("/tls/server.key", server_pair_.key);
  EXPECT_TRUE(Put(Connect("anybody").get()).status.ok());
  Replace("/tls/ca.crt", next.pem());
  EXPECT_FALSE(Put(Connect("anybody").get()).status.ok()) << "whom to trust is reloaded as well";
}

TEST_F(SecureMember, TheNameInTheCertificateIsTheUser) {
  ASSERT_TRUE(Begin());
  const auto root = Connect("root");
  etcdserverpb::AuthUserAddRequest user;
  user.set_name("root");
  user.set_password("pw");
  const auto call = [&](grpc::Channel* channel, const std::string& method,
                        const google::protobuf::MessageLite& request) {
    return Call(channel, "/etcdserverpb.Auth/" + method, request.SerializeAsString()).status;
  };
  ASSERT_TRUE(call(root.get(), "UserAdd", user).ok());
  etcdserverpb::AuthRoleAddRequest role;
  role.set_name("root");
  ASSERT_TRUE(call(root.get(), "RoleAdd", role).ok());
  etcdserverpb::AuthUserGrantRoleRequest grant;
  grant.set_user("root");
  grant.set_role("root");
  ASSERT_TRUE(call(root.get(), "UserGrantRole", grant).ok());
  user.set_name("alice");
  ASSERT_TRUE(call(root.get(), "UserAdd", user).ok());
  ASSERT_TRUE(call(root.get(), "AuthEnable", etcdserverpb::AuthEnableRequest()).ok());

  EXPECT_TRUE(Put(root.get()).status.ok());
  const auto alice = Connect("alice");
  EXPECT_THAT(std::string(Put(alice.get()).status.message()), HasSubstr("permission denied"));
  const auto nobody = Connect("nobody");
  EXPECT_FALSE(Put(nobody.get()).status.ok());
  // A token goes before the certificate; a gateway's certificate is not its callers'.
  etcdserverpb::AuthenticateRequest login;
  login.set_name("root");
  login.set_password("pw");
  const grpc::Result answer =
      Call(alice.get(), "/etcdserverpb.Auth/Authenticate", login.SerializeAsString());
  etcdserverpb::AuthenticateResponse token;
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  ASSERT_TRUE(token.ParseFromString(std::string(answer.message.view())));
  grpc::CallOptions options;
  options.metadata = {{"token", token.token()}};
  EXPECT_TRUE(Put(alice.get(), options).status.ok());
  options.metadata = {{"grpcgateway-accept", "application/json"}};
  EXPECT_THAT(std::string(Put(root.get(), options).status.message()),
              HasSubstr("user name is empty"));
}

TEST_F(SecureMember, ASilentClientIsCutOffAndCounted) {
  ASSERT_TRUE(Begin());
  std::unique_ptr<io::Stream> raw;
  std::unique_ptr<io::PendingConnect> connecting;
  const io::Env& env = cluster_.client_env();
  struct Watcher : io::Stream::Handler {
    void OnData(absl::string_view) override {}
    void OnClose(const absl::Status&) override { closed = true; }
    bool closed = false;
  } watcher;
  cluster_.client_host().Run([&] {
    connecting = env.network->Connect(TestCluster::ClientAddress(1), [&](auto stream) {
      raw = *std::move(stream);
      raw->Start(&watcher);
      raw->Write(Bytes::Static("\x16\x03\x01"));
    });
  });
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return raw != nullptr; }));
  cluster_.world().RunFor(Seconds(9));
  EXPECT_FALSE(watcher.closed);
  EXPECT_TRUE(cluster_.world().RunUntil([&] { return watcher.closed; }, Seconds(3)));
}

class MissingFile : public SecureMember {
 protected:
  MissingFile()
      : SecureMember(
            [](config::Config* config) { config->client_tls.cert_file = "/tls/nowhere.crt"; }) {}
};

TEST_F(MissingFile, IsNamedAtStart) {
  GiveFiles();
  cluster_.Start(1);
  ASSERT_TRUE(cluster_.world().RunUntil([&] { return !cluster_.failure(1).ok(); }));
  EXPECT_THAT(std::string(cluster_.failure(1).message()), HasSubstr("cannot read --cert-file: "));
  EXPECT_THAT(std::string(cluster_.failure(1).message()), HasSubstr("/tls/nowhere.crt"));
}

TEST(SecurePeers, ThreeMembersWithCertificatesOfTheirOwnMaking) {
  TestCluster cluster(3, 1, [](int, config::Config* config) {
    config->peer_tls.auto_tls = true;
    for (auto* urls : {&config->listen_peer_urls, &config->initial_advertise_peer_urls}) {
      for (config::Url& url : *urls) url.scheme = "https";
    }
    for (config::InitialMember& member : config->initial_cluster) {
      for (config::Url& url : member.peer_urls) url.scheme = "https";
    }
  });
  cluster.StartAll();
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_TRUE(cluster.Logged(1, "automatically generate certificates"));
  for (int member = 1; member <= 3; ++member) {
    EXPECT_TRUE(cluster.Call(member, "/etcdserverpb.KV/Put", PutRequest("k", "v")).status.ok());
  }
  // They are kept, and a member that comes back is in touch again.
  cluster.Crash(2);
  cluster.Start(2);
  ASSERT_TRUE(cluster.RunUntilReady());
  EXPECT_TRUE(cluster.Call(2, "/etcdserverpb.KV/Put", PutRequest("k", "w")).status.ok());
  // Plain HTTP is not spoken there.
  http1::ClientRequest request;
  request.target = "/version";
  EXPECT_FALSE(cluster.Http(TestCluster::PeerAddress(1), std::move(request)).ok());
}

}  // namespace
}  // namespace quorate
