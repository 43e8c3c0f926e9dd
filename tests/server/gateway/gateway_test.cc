// The JSON gateway and the rules of the HTTP side, on whole servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/server/support/test_cluster.h"

namespace quorate {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

struct Answer {
  int status = 0;
  std::string text;
  http1::Fields fields;
  json body() const { return json::parse(text, nullptr, /*allow_exceptions=*/false); }
};

// A connection of our own, to see the chunks as they are.
class RawConnection final : private io::Stream::Handler {
 public:
  RawConnection(TestCluster* cluster, int member) : cluster_(cluster) {
    cluster->client_host().Run([this, member] {
      connecting_ = cluster_->client_env().network->Connect(
          TestCluster::ClientAddress(member),
          [this](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
            stream_ = *std::move(stream);
            stream_->Start(this);
          });
    });
    EXPECT_TRUE(cluster->world().RunUntil([this] { return stream_ != nullptr; }));
  }
  void Send(const std::string& bytes) {
    cluster_->client_host().Run([this, bytes] { stream_->Write(Bytes::Copy(bytes)); });
  }
  // Begins a POST with a body that goes on.
  void Post(const std::string& path, const std::string& fields = "") {
    Send(absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: m1\r\nTransfer-Encoding: chunked\r\n",
                      fields, "\r\n"));
  }
  void Chunk(const std::string& data) {
    Send(absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n"));
  }
  void LastChunk() { Send("0\r\n\r\n"); }
  bool WaitFor(const std::string& text) {
    return cluster_->world().RunUntil([&] { return received_.find(text) != std::string::npos; },
                                      Seconds(20));
  }
  void Pause() {
    cluster_->client_host().Run([this] { stream_->PauseReading(); });
  }
  void Resume() {
    cluster_->client_host().Run([this] { stream_->ResumeReading(); });
  }
  bool WaitForClose() {
    return cluster_->world().RunUntil([&] { return closed_; }, Seconds(20));
  }
  const std::string& received() const { return received_; }
  // The chunks of the answer's body so far.
  std::vector<std::string> chunks() const {
    std::vector<std::string> all;
    const size_t head = received_.find("\r\n\r\n");
    if (head == std::string::npos) return all;
    absl::string_view rest = absl::string_view(received_).substr(head + 4);
    while (true) {
      const size_t line = rest.find("\r\n");
      if (line == absl::string_view::npos) return all;
      const size_t size = std::stoul(std::string(rest.substr(0, line)), nullptr, 16);
      if (size == 0 || rest.size() < line + 2 + size + 2) return all;
      all.emplace_back(rest.substr(line + 2, size));
      rest.remove_prefix(line + 2 + size + 2);
    }
  }

 private:
  void OnData(absl::string_view data) override { received_.append(data.data(), data.size()); }
  void OnClose(const absl::Status&) override { closed_ = true; }

  TestCluster* const cluster_;
  std::unique_ptr<io::PendingConnect> connecting_;
  std::unique_ptr<io::Stream> stream_;
  std::string received_;
  bool closed_ = false;
};

class GatewayTest : public ::testing::Test {
 protected:
  explicit GatewayTest(const std::function<void(int, config::Config*)>& adjust = nullptr)
      : cluster_(1, 1, adjust) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.RunUntilReady());
  }
  Answer Request(const std::string& method, const std::string& target, const std::string& body,
                 const http1::Fields& fields = {},
                 const std::string& address = TestCluster::ClientAddress(1)) {
    http1::ClientRequest request;
    request.method = method;
    request.target = target;
    request.fields = fields;
    if (!body.empty()) request.body.push_back(Bytes::Copy(body));
    const auto whole = cluster_.Http(address, std::move(request));
    EXPECT_TRUE(whole.ok()) << whole.status();
    if (!whole.ok()) return {};
    return {whole->head.status, whole->body, whole->head.fields};
  }
  Answer Post(const std::string& path, const std::string& body, const http1::Fields& fields = {}) {
    return Request("POST", path, body, fields);
  }

  TestCluster cluster_;
};

TEST_F(GatewayTest, PutRangeAndTxn) {
  const Answer put = Post("/v3/kv/put", R"({"key":"Zm9v","value":"YmFy"})");
  EXPECT_EQ(put.status, 200);
  EXPECT_EQ(put.fields.Get("Content-Type"), "application/json");
  EXPECT_EQ(put.fields.Get("Grpc-Metadata-Content-Type"), "application/grpc");
  EXPECT_EQ(put.body()["header"]["revision"], "2");
  const json range = Post("/v3/kv/range", R"({"key":"Zm9v"} what follows is not read)").body();
  EXPECT_EQ(range["count"], "1");
  EXPECT_EQ(range["kvs"][0]["value"], "YmFy");
  EXPECT_EQ(range["kvs"][0]["mod_revision"], "2");
  EXPECT_FALSE(range["kvs"][0].contains("lease"));
  const json txn =
      Post("/v3/kv/txn", R"({"compare":[{"target":"VERSION","key":"Zm9v","version":"0"}],)"
                         R"("success":[{"requestPut":{"key":"YQ==","value":"YQ=="}}],)"
                         R"("failure":[{"request_range":{"key":"Zm9v"}}]})")
          .body();
  EXPECT_FALSE(txn.contains("succeeded"));
  EXPECT_EQ(txn["responses"][0]["response_range"]["kvs"][0]["key"], "Zm9v");
  EXPECT_EQ(Post("/v3beta/kv/range", R"({"key":"Zm9v"})").body()["count"], "1");
}

TEST_F(GatewayTest, ErrorsAreTheUnionOfAllReleases) {
  const Answer no_key = Post("/v3/kv/range", "{}");
  EXPECT_EQ(no_key.status, 400);
  EXPECT_EQ(no_key.body(), json::parse(R"({"error":"etcdserver: key is not provided","code":3,)"
                                       R"("message":"etcdserver: key is not provided"})"));
  EXPECT_EQ(Post("/v3/kv/range", "").status, 400) << "nothing is an empty request";
  for (const char* bad : {"{bad", "[1]", "null", R"({"key":5})"}) {
    const Answer refused = Post("/v3/kv/range", bad);
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_EQ(refused.body()["code"], 3) << bad;
  }
  const Answer future = Post("/v3/kv/compaction", R"({"revision":99})");
  EXPECT_EQ(future.status, 400);
  EXPECT_EQ(future.body()["code"], 11);
  EXPECT_EQ(future.body()["message"], "etcdserver: mvcc: required revision is a future revision");
  EXPECT_EQ(Post("/v3/lease/revoke", R"({"ID":"5"})").status, 404);
  const Answer proclaim = Post("/v3/election/proclaim", "{}");
  EXPECT_EQ(proclaim.status, 500);
  EXPECT_EQ(proclaim.body()["message"], "\"leader\" field must be provided");
}

TEST_F(GatewayTest, WhatIsNotThere) {
  const Answer unknown = Post("/v3/kv/nosuch", "{}");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body()["message"], "Not Found");
  const Answer get = Request("GET", "/v3/kv/range", "");
  EXPECT_EQ(get.status, 501);
  EXPECT_EQ(get.body()["code"], 12);
  EXPECT_EQ(Post("/v3alpha/kv/range", "{}").status, 404);
}

TEST_F(GatewayTest, DeadlinesAndMetadata) {
  const Answer malformed = Post("/v3/kv/range", R"({"key":"Zm9v"})", {{"Grpc-Timeout", "zz"}});
  EXPECT_EQ(malformed.status, 400);
  EXPECT_EQ(malformed.body()["message"], "invalid grpc-timeout: zz");
  EXPECT_EQ(Post("/v3/lock/lock", R"({"name":"bXk="})").status, 200);
  const Answer late =  // the lock is taken
      Post("/v3/lock/lock", R"({"name":"bXk="})", {{"Grpc-Timeout", "50m"}});
  EXPECT_EQ(late.status, 504);
  EXPECT_EQ(late.body()["code"], 4);
  EXPECT_EQ(Post("/v3/kv/range", R"({"key":"Zm9v"})", {{"Grpc-Metadata-Hasleader", "true"}}).status,
            200);
  EXPECT_EQ(Post("/v3/kv/range", R"({"key":"Zm9v"})", {{"Grpc-Metadata-:path", "/x"}}).status, 200)
      << "no metadata can become part of the protocol";
}

TEST_F(GatewayTest, UsersAndTokens) {
  EXPECT_EQ(Post("/v3/auth/user/add", R"({"name":"root","password":"pw"})").status, 200);
  EXPECT_EQ(Post("/v3/auth/role/add", R"({"name":"root"})").status, 200);
  EXPECT_EQ(Post("/v3/auth/user/grant", R"({"user":"root","role":"root"})").status, 200);
  EXPECT_EQ(Post("/v3/auth/enable", "{}").status, 200);
  const Answer nobody = Post("/v3/kv/range", R"({"key":"Zm9v"})");
  EXPECT_EQ(nobody.status, 400);
  EXPECT_EQ(nobody.body()["error"], "etcdserver: user name is empty");
  EXPECT_EQ(Post("/v3/auth/authenticate", R"({"name":"root","password":"x"})").status, 400);
  const json login = Post("/v3/auth/authenticate", R"({"name":"root","password":"pw"})").body();
  const std::string token = login["token"];
  EXPECT_EQ(Post("/v3/kv/put", R"({"key":"Zm9v"})", {{"Authorization", token}}).status, 200);
  const Answer wrong = Post("/v3/kv/put", R"({"key":"Zm9v"})", {{"Authorization", "x.9"}});
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.fields.Get("WWW-Authenticate"), "etcdserver: invalid auth token");
  EXPECT_EQ(Post("/v3/maintenance/defragment", "{}").status, 400);
  EXPECT_EQ(Post("/v3/maintenance/defragment", "{}", {{"Authorization", token}}).text, "{}");
}

TEST_F(GatewayTest, AWatchIsOneDocumentInEachChunk) {
  RawConnection watch(&cluster_, 1);
  watch.Post("/v3/watch");
  watch.Chunk(R"({"create_request":{"key":"Zm9v"}})");
  ASSERT_TRUE(watch.WaitFor("\"created\":true"));
  EXPECT_EQ(Post("/v3/kv/put", R"({"key":"Zm9v","value":"MQ=="})").status, 200);
  ASSERT_TRUE(watch.WaitFor("\"MQ==\""));
  // The stream of requests goes on, whenever the client likes.
  cluster_.world().RunFor(Seconds(300));
  watch.Chunk(R"({"create_request":{"key":"YmFy"}}{"create_req)");
  watch.Chunk(R"(uest":{"key":"YmF6","start_revision":"1"}})");
  ASSERT_TRUE(watch.WaitFor("\"watch_id\":\"2\""));
  const std::vector<std::string> chunks = watch.chunks();
  ASSERT_GE(chunks.size(), 4u);
  for (const std::string& chunk : chunks) {
    EXPECT_EQ(chunk.back(), '\n');
    EXPECT_TRUE(json::parse(chunk).contains("result")) << chunk;
  }
  EXPECT_EQ(json::parse(chunks[1])["result"]["events"][0]["kv"]["value"], "MQ==");
}

TEST_F(GatewayTest, AWatchEndsWithItsConnection) {
  const auto watchers = [this] { return cluster_.node(1)->status().watchers; };
  {
    RawConnection watch(&cluster_, 1);
    watch.Post("/v3/watch");
    watch.Chunk(R"({"create_request":{"key":"Zm9v"}})");
    watch.LastChunk();
    ASSERT_TRUE(watch.WaitFor("\"created\":true"));
    cluster_.world().RunFor(Seconds(30));
    EXPECT_EQ(watchers(), 1u) << "the end of the requests does not end it";
  }
  EXPECT_TRUE(cluster_.world().RunUntil([&] { return watchers() == 0; }));
}

TEST_F(GatewayTest, KeepAliveEndsWithItsRequests) {
  EXPECT_EQ(Post("/v3/lease/grant", R"({"TTL":100,"ID":"77"})").body()["TTL"], "100");
  const Answer kept = Post("/v3/lease/keepalive", R"({"ID":77}{"ID":78})");
  EXPECT_EQ(kept.status, 200);
  const std::vector<std::string> lines = absl::StrSplit(kept.text, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u) << kept.text;
  EXPECT_EQ(json::parse(lines[0])["result"]["TTL"], "100");
  EXPECT_FALSE(json::parse(lines[1])["result"].contains("TTL")) << "there is no such lease";
  EXPECT_EQ(Post("/v3/kv/lease/timetolive", R"({"ID":77})").body()["grantedTTL"], "100");
  EXPECT_EQ(Post("/v3/kv/lease/revoke", R"({"ID":77})").status, 200);
}

TEST_F(GatewayTest, ErrorsInStreams) {
  const Answer first = Post("/v3/watch", R"({"create_request":{"start_revision":"abc"}})");
  EXPECT_EQ(first.status, 400);
  EXPECT_EQ(first.body()["error"]["grpc_code"], 3);
  EXPECT_EQ(first.body()["code"], 3);
  EXPECT_EQ(first.body()["message"], first.body()["error"]["message"]);
  RawConnection watch(&cluster_, 1);
  watch.Post("/v3/watch");
  watch.Chunk(R"({"create_request":{"key":"Zm9v"}})");
  ASSERT_TRUE(watch.WaitFor("\"created\":true"));
  watch.Chunk("nonsense");
  ASSERT_TRUE(watch.WaitForClose());
  EXPECT_EQ(json::parse(watch.chunks().back())["error"]["http_code"], 400);
  EXPECT_EQ(Post("/v3/maintenance/snapshot", "{}").status, 501);
}

TEST_F(GatewayTest, AnEndlessDocumentIsRefused) {
  RawConnection watch(&cluster_, 1);
  watch.Post("/v3/watch");
  watch.Chunk(R"({"create_request":{"key":")");
  for (int i = 0; i < 100; ++i) watch.Chunk(std::string(64 * 1024, 'A'));
  ASSERT_TRUE(watch.WaitFor("is too large"));
  EXPECT_EQ(Post("/v3/kv/put", R"({"key":"Zm9v"})").status, 200) << "others are served";
}

TEST_F(GatewayTest, AReaderThatStopsIsKeptAsAPositionAndMissesNothing) {
  RawConnection watch(&cluster_, 1);
  watch.Post("/v3/watch");
  watch.Chunk(R"({"create_request":{"key":"AA==","range_end":"AA=="}})");
  ASSERT_TRUE(watch.WaitFor("\"created\":true"));
  watch.Pause();
  const std::string value(200'000, 'A');
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Post("/v3/kv/put", absl::StrCat(R"({"key":"Zm9v","value":")", value, "\"}")).status,
              200);
  }
  EXPECT_EQ(cluster_.node(1)->status().slow_watchers, 1u) << "of 20 MB most is not in a queue";
  watch.Resume();
  ASSERT_TRUE(cluster_.world().RunUntil(
      [&] { return watch.received().find("\"mod_revision\":\"101\"") != std::string::npos; }));
}

TEST_F(GatewayTest, LocksByJson) {
  const json held = Post("/v3/lock/lock", R"({"name":"bXk="})").body();
  ASSERT_TRUE(held.contains("key"));
  const std::string key = held["key"];
  EXPECT_EQ(Post("/v3/lock/unlock", absl::StrCat(R"({"key":")", key, "\"}")).status, 200);
  const Answer nobody = Post("/v3/election/leader", R"({"name":"bXk="})");
  EXPECT_EQ(nobody.status, 500);
  EXPECT_EQ(nobody.body()["message"], "election: no leader");
}

TEST_F(GatewayTest, LargeAnswersAreMadeOffTheLoop) {
  const std::string value(400'000, 'A');
  EXPECT_EQ(Post("/v3/kv/put", absl::StrCat(R"({"key":"Zm9v","value":")", value, "\"}")).status,
            200);
  EXPECT_EQ(Post("/v3/kv/range", R"({"key":"Zm9v"})").body()["kvs"][0]["value"], value);
  const Answer too_large = Post(
      "/v3/kv/put", absl::StrCat(R"({"key":"Zm9v","value":")", std::string(2'200'000, 'A'), "\"}"));
  EXPECT_EQ(too_large.status, 400);
  EXPECT_EQ(too_large.body()["message"], "etcdserver: request is too large");
}

TEST_F(GatewayTest, AnyOriginMayAsk) {
  const Answer options = Request("OPTIONS", "/v3/kv/range", "", {{"Origin", "http://x"}});
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.fields.Get("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(options.fields.Get("Access-Control-Allow-Methods"), "POST, GET, OPTIONS, PUT, DELETE");
  EXPECT_EQ(Request("OPTIONS", "/health", "").status, 200);
  EXPECT_EQ(Post("/v3/kv/put", R"({"key":"Zm9v"})").fields.Get("Access-Control-Allow-Headers"),
            "accept, content-type, authorization");
}

// As etcd's gateway lets browsers watch.
TEST_F(GatewayTest, AWatchOverAWebSocket) {
  const auto frame = [](absl::string_view text) {  // masked with zeros, which change nothing
    std::string bytes = "\x81";
    bytes.push_back(static_cast<char>(0x80 | text.size()));
    return absl::StrCat(bytes, std::string(4, '\0'), text);
  };
  RawConnection socket(&cluster_, 1);
  socket.Send(
      "GET /v3/watch HTTP/1.1\r\nHost: m1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  socket.Send(frame(R"({"create_request":{"key":"Zm9v"}})"));
  ASSERT_TRUE(socket.WaitFor(R"("created":true)"));
  EXPECT_THAT(socket.received(), HasSubstr("101 Switching Protocols"));
  EXPECT_EQ(Post("/v3/kv/put", R"({"key":"Zm9v","value":"YmFy"})").status, 200);
  ASSERT_TRUE(socket.WaitFor(R"("value":"YmFy")"));
  socket.Send(frame("nonsense"));
  ASSERT_TRUE(socket.WaitForClose());
  EXPECT_THAT(socket.received(), HasSubstr(R"("code":3)"));
}

TEST_F(GatewayTest, TheSecondApiIsExplained) {
  for (const char* path : {"/v2/keys/?recursive=true", "/v2/keys/a", "/v2/members", "/v2"}) {
    const Answer answer = Request("GET", path, "");
    EXPECT_EQ(answer.status, absl::string_view(path) == "/v2/members" ? 501 : 404);
    EXPECT_THAT(std::string(answer.body()["message"]), HasSubstr("ETCDCTL_API=3"));
    EXPECT_TRUE(answer.body()["errorCode"].is_number());
    EXPECT_EQ(answer.fields.Get("X-Etcd-Index"), "0");
  }
}

void Restrict(int, config::Config* config) {
  config->cors = {"https://ok.example"};
  config->host_whitelist = {"m1", "::1"};
  config->listen_metrics_urls = {{"http", "m1", 2381}};
  config->enable_grpc_gateway = false;
}

class RestrictedTest : public GatewayTest {
 protected:
  RestrictedTest() : GatewayTest(Restrict) {}
};

TEST_F(RestrictedTest, OriginsAndHostsByList) {
  const Answer good = Request("GET", "/version", "", {{"Origin", "https://ok.example"}});
  EXPECT_EQ(good.fields.Get("Access-Control-Allow-Origin"), "https://ok.example");
  const Answer bad = Request("GET", "/version", "", {{"Origin", "https://bad.example"}});
  EXPECT_EQ(bad.status, 200);
  EXPECT_FALSE(bad.fields.Has("Access-Control-Allow-Origin"));
  RawConnection raw(&cluster_, 1);
  raw.Send("GET /version HTTP/1.1\r\nHost: evil.example:2379\r\n\r\n");
  ASSERT_TRUE(raw.WaitFor("\r\n\r\n"));
  EXPECT_THAT(raw.received(), HasSubstr("HTTP/1.1 421 "));
}

TEST_F(RestrictedTest, WithoutTheGateway) {
  EXPECT_EQ(Post("/v3/kv/range", R"({"key":"Zm9v"})").status, 404);
}

TEST_F(RestrictedTest, TheMetricsPortHasMetricsAndHealthOnly) {
  const std::string port = "m1:2381";
  for (const char* path : {"/metrics", "/health", "/livez", "/readyz", "/readyz/data_corruption"}) {
    EXPECT_EQ(Request("GET", path, "", {}, port).status, 200) << path;
  }
  for (const char* path : {"/version", "/v3/kv/range", "/v2/keys"}) {
    EXPECT_EQ(Request("GET", path, "", {}, port).status, 404) << path;
  }
}

}  // namespace
}  // namespace quorate
