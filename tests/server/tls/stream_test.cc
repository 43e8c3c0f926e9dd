// TLS over byte streams: data arrives whole and in order however the bytes below are cut,
// delayed or broken off; only those whom the rules admit get in; writers are held back.
#include "server/tls/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/server/fakes/memory_world.h"
#include "tests/server/tls/test_ca.h"

namespace quorate::tls {
namespace {

using ::testing::HasSubstr;

// At once, as an event of its own.
class DeferredCompute final : public io::Compute {
 public:
  explicit DeferredCompute(io::Loop* loop) : loop_(loop) {}
  void Run(std::function<void()> work, std::function<void()> done) override {
    ++running_;
    most_ = std::max(most_, running_);
    loop_->Defer([this, work = std::move(work), done = std::move(done)] {
      work();
      --running_;
      done();
    });
  }
  int most() const { return most_; }

 private:
  io::Loop* const loop_;
  int running_ = 0;
  int most_ = 0;
};

// Lets so many bytes in from the stream below, then breaks it off.
class CutStream final : public io::Stream, private io::Stream::Handler {
 public:
  CutStream(std::unique_ptr<io::Stream> below, size_t allowed)
      : below_(std::move(below)), allowed_(allowed) {}
  void Start(Stream::Handler* handler) override {
    handler_ = handler;
    below_->Start(this);
  }
  void Write(Bytes data) override {
    if (below_ != nullptr) below_->Write(std::move(data));
  }
  size_t write_queue_bytes() const override {
    return below_ == nullptr ? 0 : below_->write_queue_bytes();
  }
  void PauseReading() override {
    if (below_ != nullptr) below_->PauseReading();
  }
  void ResumeReading() override {
    if (below_ != nullptr) below_->ResumeReading();
  }
  void CloseAfterFlush() override {
    if (below_ != nullptr) below_->CloseAfterFlush();
  }
  const std::string& peer_address() const override { return address_; }

 private:
  void OnData(absl::string_view data) override {
    if (data.size() <= allowed_) {
      allowed_ -= data.size();
      return handler_->OnData(data);
    }
    below_.reset();
    handler_->OnClose(absl::UnavailableError("connection reset"));
  }
  void OnWritable() override { handler_->OnWritable(); }
  void OnEnd() override { handler_->OnEnd(); }
  void OnClose(const absl::Status& status) override { handler_->OnClose(status); }

  std::unique_ptr<io::Stream> below_;
  size_t allowed_;
  Stream::Handler* handler_ = nullptr;
  const std::string address_ = "127.0.0.1:1";
};

// One end and what it experiences.
class End final : private io::Stream::Handler {
 public:
  std::unique_ptr<TlsStream> stream;
  absl::Status handshake = absl::UnknownError("not done");
  std::string received;
  absl::Status closed = absl::UnknownError("open");
  bool ended = false;
  int writable = 0;
  std::string echo;  // what to answer each piece with

  bool open() const { return handshake.ok(); }
  void Listen() { stream->Start(this); }

 private:
  void OnData(absl::string_view data) override { received.append(data.data(), data.size()); }
  void OnWritable() override { ++writable; }
  void OnEnd() override { ended = true; }
  void OnClose(const absl::Status& status) override { closed = status; }
};

struct Setting {
  config::TlsSettings server;
  config::TlsSettings client = {.flag_prefix = "peer-"};
  Material server_material;
  Material client_material;
  std::string dialled = "127.0.0.1";
  std::string client_address = "127.0.0.1";
  std::vector<std::string> client_alpn = {"h2"};
};

class TlsStreamTest : public ::testing::Test {
 protected:
  TlsStreamTest() : ca_("test-ca", world_.WallNow()), compute_(&world_), queue_(&compute_, 2) {
    Use(&setting_.server, &setting_.server_material, {});
  }

  // Gives one side a certificate; both trust the authority.
  void Use(config::TlsSettings* settings, Material* material, const TestCertificate& wanted) {
    const CertificateAndKey pair = ca_.Issue(wanted);
    *material = {pair.cert, pair.key, ca_.pem(), material->crl};
    settings->cert_file = "a.crt";
    settings->key_file = "a.key";
    setting_.client.trusted_ca_file = "ca.crt";
    setting_.client_material.ca = ca_.pem();
  }
  void ClientShows(const TestCertificate& wanted) {
    Use(&setting_.client, &setting_.client_material, wanted);
  }
  // The server wants a certificate of its clients.
  void Mutual() {
    setting_.server.client_cert_auth = true;
    setting_.server.trusted_ca_file = "ca.crt";
  }

  std::shared_ptr<const Context> ContextOf(Role role) {
    const bool server = role == Role::kServer;
    auto context =
        Context::New(role, server ? setting_.server : setting_.client,
                     server ? setting_.server_material : setting_.client_material,
                     server ? std::vector<std::string>{"http/1.1", "h2"} : setting_.client_alpn);
    EXPECT_TRUE(context.ok()) << context.status();
    return *context;
  }

  void Make(End* end, Role role, std::unique_ptr<io::Stream> below) {
    const std::string& host = role == Role::kServer ? setting_.client_address : setting_.dialled;
    end->stream = std::make_unique<TlsStream>(
        &world_, &queue_, std::move(below),
        std::make_shared<Session>(ContextOf(role), host, world_.WallNow()),
        [end](const absl::Status& status) {
          end->handshake = status;
          status.ok() ? end->Listen() : end->stream->Linger([] {});
        });
  }

  // Two ends whose handshake begins; the server gets so many bytes, and then a reset.
  void Connect(size_t allowed = ~size_t{0}) {
    auto [client_below, server_below] = world_.Pair();
    Make(&client_, Role::kPeerClient, std::move(client_below));
    Make(&server_, Role::kServer, std::make_unique<CutStream>(std::move(server_below), allowed));
    server_.stream->Handshake();
    client_.stream->Handshake();
    world_.Run();
  }

  fakes::MemoryWorld world_;
  TestCa ca_;
  DeferredCompute compute_;
  HandshakeQueue queue_;
  Setting setting_;
  End client_;
  End server_;
};

TEST_F(TlsStreamTest, BytesArriveHoweverTheyAreCut) {
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{100}, size_t{4096}, ~size_t{0}}) {
    world_.set_chunk(chunk);
    client_ = End();
    server_ = End();
    Connect();
    ASSERT_TRUE(client_.open() && server_.open()) << chunk << client_.handshake;
    std::string sent;
    for (int i = 0; i < 300; ++i) {
      const std::string piece = absl::StrCat("piece ", i, std::string(i % 97, 'x'), ";");
      sent += piece;
      client_.stream->Write(Bytes::Copy(piece));
      if (i % 50 == 0) world_.Run();
    }
    server_.stream->Write(Bytes::Copy("and back"));
    world_.Run();
    EXPECT_EQ(server_.received, sent);
    EXPECT_EQ(client_.received, "and back");
    EXPECT_EQ(server_.stream->alpn(), "h2");
  }
}

TEST_F(TlsStreamTest, SmallWritesOfATurnShareARecord) {
  Connect();
  const size_t before = world_.bytes_moved();
  for (int i = 0; i < 1000; ++i) client_.stream->Write(Bytes::Static("0123456789"));
  world_.Run();
  EXPECT_EQ(server_.received.size(), 10'000u);
  EXPECT_LT(world_.bytes_moved() - before, 10'200u) << "a record costs 22 bytes at least";
}

TEST_F(TlsStreamTest, AResetAtAnyByteEndsBothSidesInOrder) {
  Connect();
  client_.stream->Write(Bytes::Copy(std::string(500, 'x')));
  world_.Run();
  ASSERT_EQ(server_.received.size(), 500u);
  world_.set_chunk(16);
  bool complete = false;
  for (size_t allowed = 0; !complete; allowed += 23) {
    client_ = End();
    server_ = End();
    Connect(allowed);
    if (client_.open()) client_.stream->Write(Bytes::Copy(std::string(500, 'x')));
    world_.Run();
    complete = server_.received.size() == 500;
    ASSERT_LT(allowed, 5000u);
    if (complete) break;
    const absl::Status& told = server_.open() ? server_.closed : server_.handshake;
    EXPECT_THAT(std::string(told.message()), HasSubstr("connection reset")) << allowed;
    EXPECT_TRUE(!client_.open() || client_.closed.code() == absl::StatusCode::kUnavailable);
  }
}

TEST_F(TlsStreamTest, AnEndWithoutGoodbyeIsNoEnd) {
  Connect();
  client_.stream->Write(Bytes::Static("half a mess"));
  world_.Run();
  client_.stream.reset();
  world_.Run();
  EXPECT_FALSE(server_.ended);
  EXPECT_THAT(std::string(server_.closed.message()), HasSubstr("unexpected end"));
}

TEST_F(TlsStreamTest, CloseAfterFlushDeliversEverythingAndSaysGoodbye) {
  Connect();
  const std::string large(3'000'000, 'y');
  client_.stream->Write(Bytes::Copy(large));
  client_.stream->CloseAfterFlush();
  world_.Run();
  EXPECT_EQ(server_.received, large);
  EXPECT_TRUE(server_.ended);
  EXPECT_EQ(server_.closed.message(), "open");
}

TEST_F(TlsStreamTest, AWriterIsHeldBackAndToldToGoOn) {
  Connect();
  server_.stream->PauseReading();
  const Bytes piece = Bytes::Copy(std::string(100'000, 'z'));
  size_t sent = 0;
  while (client_.stream->write_queue_bytes() <= io::Stream::kWriteHighWater) {
    client_.stream->Write(piece);
    sent += piece.size();
    world_.Run();
    ASSERT_LT(sent, 20'000'000u) << "the queue never fills";
  }
  EXPECT_EQ(client_.writable, 0);
  EXPECT_LT(server_.received.size(), sent);
  server_.stream->ResumeReading();
  world_.Run();
  EXPECT_EQ(server_.received.size(), sent);
  EXPECT_GE(client_.writable, 1);
  EXPECT_EQ(client_.stream->write_queue_bytes(), 0u);
}

TEST_F(TlsStreamTest, GarbageIsRefused) {
  auto [client_below, server_below] = world_.Pair();
  Make(&server_, Role::kServer, std::move(server_below));
  server_.stream->Handshake();
  fakes::RawPeer peer(std::move(client_below));
  peer.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.Run();
  EXPECT_THAT(std::string(server_.handshake.message()), HasSubstr("http request"));
}

TEST_F(TlsStreamTest, AForgedRecordEndsTheStream) {
  auto [client_below, server_below] = world_.Pair();
  Make(&server_, Role::kServer, std::move(server_below));
  io::Stream* const raw = client_below.get();
  Make(&client_, Role::kPeerClient, std::move(client_below));
  server_.stream->Handshake();
  client_.stream->Handshake();
  world_.Run();
  ASSERT_TRUE(server_.open());
  raw->Write(Bytes::Copy(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'q')));
  world_.Run();
  EXPECT_EQ(server_.received, "");
  EXPECT_THAT(std::string(server_.closed.message()), HasSubstr("bad record mac"));
}

// ---- Who gets in ----

class TlsRulesTest : public TlsStreamTest {
 protected:
  // The server's verdict; the client's is in client_.
  std::string Verdict() {
    Connect();
    client_.stream->Write(Bytes::Static("x"));
    world_.Run();
    return server_.open() ? "admitted" : std::string(server_.handshake.message());
  }
};

TEST_F(TlsRulesTest, AVerifiedClientHasItsCommonName) {
  Mutual();
  ClientShows({.common_name = "alice", .names = ""});
  EXPECT_EQ(Verdict(), "admitted");
  EXPECT_EQ(server_.stream->verified_name(), "alice");
}

TEST_F(TlsRulesTest, WithoutVerificationThereIsNoName) {
  ClientShows({.common_name = "alice"});
  EXPECT_EQ(Verdict(), "admitted");
  EXPECT_EQ(server_.stream->verified_name(), "");
}

TEST_F(TlsRulesTest, NoCertificate) {
  Mutual();
  EXPECT_THAT(Verdict(), HasSubstr("did not return a certificate"));
  EXPECT_THAT(std::string(client_.closed.message()), HasSubstr("certificate required"));
}

TEST_F(TlsRulesTest, ATrustedCaAloneAsksForCertificatesToo) {
  setting_.server.trusted_ca_file = "ca.crt";
  EXPECT_THAT(Verdict(), HasSubstr("did not return a certificate"));
}

TEST_F(TlsRulesTest, AnotherAuthority) {
  Mutual();
  ClientShows({});
  const TestCa other("test-ca", world_.WallNow());
  const CertificateAndKey pair = other.Issue({});
  setting_.client_material.cert = pair.cert;
  setting_.client_material.key = pair.key;
  EXPECT_THAT(Verdict(), HasSubstr("certificate verify failed"));
}

TEST_F(TlsRulesTest, ExpiredAndNotYetValid) {
  Mutual();
  ClientShows({.valid_from = -7200, .valid_for = 3600});
  EXPECT_THAT(Verdict(), HasSubstr("certificate has expired"));
  EXPECT_THAT(std::string(client_.closed.message()), HasSubstr("certificate expired"));
  client_ = End();
  server_ = End();
  ClientShows({.valid_from = 3600});
  EXPECT_THAT(Verdict(), HasSubstr("certificate is not yet valid"));
}

TEST_F(TlsRulesTest, OfAServerOnly) {
  Mutual();
  ClientShows({.usage = "serverAuth"});
  EXPECT_THAT(Verdict(), HasSubstr("certificate verify failed"));
}

TEST_F(TlsRulesTest, RevokedInEitherForm) {
  for (const bool der : {false, true}) {
    client_ = End();
    server_ = End();
    Mutual();
    ClientShows({.serial = 77});
    setting_.server.crl_file = "crl";
    setting_.server_material.crl = ca_.Revoke({5, 77}, der);
    EXPECT_THAT(Verdict(), HasSubstr("certificate serial 4D revoked"));
    client_ = End();
    server_ = End();
    ClientShows({.serial = 78});
    EXPECT_EQ(Verdict(), "admitted");
  }
}

TEST_F(TlsRulesTest, AllowedNames) {
  Mutual();
  ClientShows({.common_name = "alice", .names = "DNS:a.example.com"});
  setting_.server.allowed_cns = {"bob", "alice"};
  EXPECT_EQ(Verdict(), "admitted");
  for (const auto& [cn, host, admitted] :
       {std::tuple("bob", "", false), std::tuple("", "a.example.com", true),
        std::tuple("", "b.example.com", false), std::tuple("", "alice", false)}) {
    client_ = End();
    server_ = End();
    setting_.server.allowed_cns.clear();
    setting_.server.allowed_hostnames.clear();
    if (*cn != 0) setting_.server.allowed_cns = {cn};
    if (*host != 0) setting_.server.allowed_hostnames = {host};
    EXPECT_THAT(Verdict(), HasSubstr(admitted ? "admitted" : "client certificate authentication"))
        << cn << host;
  }
}

TEST_F(TlsRulesTest, ACertificateForAnotherAddress) {
  Mutual();
  ClientShows({.names = "IP:10.0.0.1"});
  EXPECT_THAT(Verdict(), HasSubstr("not valid for its address 127.0.0.1"));
  client_ = End();
  server_ = End();
  setting_.server.skip_client_san_verification = true;
  EXPECT_EQ(Verdict(), "admitted");
}

TEST_F(TlsRulesTest, AClientBelievesNoOtherServer) {
  setting_.dialled = "10.0.0.9";
  Connect();
  EXPECT_THAT(std::string(client_.handshake.message()), HasSubstr("IP address mismatch"));
  EXPECT_THAT(std::string(server_.handshake.message()), HasSubstr("bad certificate"));
  client_ = End();
  server_ = End();
  setting_.dialled = "example.com";
  Connect();
  EXPECT_THAT(std::string(client_.handshake.message()), HasSubstr("ostname mismatch"));
}

TEST_F(TlsRulesTest, VersionsAndProtocols) {
  setting_.server.min_version = config::TlsVersion::kTls13;
  setting_.client.max_version = config::TlsVersion::kTls12;
  EXPECT_THAT(Verdict(), HasSubstr("unsupported protocol"));
  client_ = End();
  server_ = End();
  setting_.server.min_version = config::TlsVersion::kTls12;
  setting_.server.cipher_suites = {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
                                   "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"};
  EXPECT_EQ(Verdict(), "admitted");
  for (const auto& [offered, chosen] :
       {std::pair<std::vector<std::string>, std::string>({"h2", "http/1.1"}, "http/1.1"),
        {{"grpc-exp", "h2"}, "h2"},
        {{}, ""}}) {
    client_ = End();
    server_ = End();
    setting_.client_alpn = offered;
    ASSERT_EQ(Verdict(), "admitted");
    EXPECT_EQ(server_.stream->alpn(), chosen);
  }
  client_ = End();
  server_ = End();
  setting_.client_alpn = {"spdy/3"};
  EXPECT_THAT(Verdict(), HasSubstr("protocol"));
}

// ---- Files that do not fit ----

TEST_F(TlsRulesTest, BadFilesAreNamed) {
  const auto error = [&](Role role) {
    const bool server = role == Role::kServer;
    return std::string(Context::New(role, server ? setting_.server : setting_.client,
                                    server ? setting_.server_material : setting_.client_material,
                                    {"h2"})
                           .status()
                           .message());
  };
  const Material good = setting_.server_material;
  EXPECT_EQ(error(Role::kServer), "");
  setting_.server_material.cert = "";
  EXPECT_EQ(error(Role::kServer), "--cert-file a.crt holds no certificate in PEM form");
  setting_.server_material = good;
  setting_.server_material.key = good.cert;
  EXPECT_THAT(error(Role::kServer), HasSubstr("--key-file a.key holds no private key"));
  setting_.server_material.key = ca_.Issue({}).key;
  EXPECT_EQ(error(Role::kServer),
            "the private key of --key-file a.key does not match --cert-file a.crt");
  setting_.server_material = good;
  setting_.server.cipher_suites = {"TLS_ROT13"};
  EXPECT_EQ(error(Role::kServer), "--cipher-suites: unexpected TLS cipher suite \"TLS_ROT13\"");
  setting_.server.cipher_suites.clear();
  setting_.server.crl_file = "revoked";
  setting_.server_material.crl = "nonsense";
  EXPECT_EQ(error(Role::kServer), "--client-crl-file revoked holds no certificate revocation list");
  setting_.client_material.ca = "nonsense";
  EXPECT_EQ(error(Role::kPeerClient),
            "--peer-trusted-ca-file ca.crt holds no certificate in PEM form");
}

TEST_F(TlsStreamTest, HandshakesAreFewAtATime) {
  std::vector<std::unique_ptr<End>> ends;
  for (int i = 0; i < 10; ++i) {
    auto [client_below, server_below] = world_.Pair();
    ends.push_back(std::make_unique<End>());
    Make(ends.back().get(), Role::kPeerClient, std::move(client_below));
    ends.push_back(std::make_unique<End>());
    Make(ends.back().get(), Role::kServer, std::move(server_below));
  }
  for (const auto& end : ends) end->stream->Handshake();
  world_.Run();
  for (const auto& end : ends) EXPECT_TRUE(end->open());
  EXPECT_EQ(compute_.most(), 2);
}

}  // namespace
}  // namespace quorate::tls
