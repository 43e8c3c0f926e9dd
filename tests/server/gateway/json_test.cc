// JSON as etcd's gateway writes and reads it, without a server.
#include "server/gateway/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/rpc.pb.h"
#include "google/protobuf/descriptor.h"
#include "server/gateway/errors.h"
#include "server/gateway/routes.h"

namespace quorate::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Message>
Message Read(absl::string_view json) {
  const absl::StatusOr<std::string> wire = JsonToWire(json, Message::default_instance());
  EXPECT_TRUE(wire.ok()) << wire.status();
  Message message;
  EXPECT_TRUE(message.ParseFromString(wire.value_or("")));
  return message;
}

bool Refused(absl::string_view json) {
  return absl::IsInvalidArgument(
      JsonToWire(json, etcdserverpb::RangeRequest::default_instance()).status());
}

TEST(JsonToWireTest, BothSpellingsOfNamesAndNumbersAndUnknownFields) {
  const auto range = Read<etcdserverpb::RangeRequest>(
      R"({"key":"Zm9v","rangeEnd":"Zm9w","limit":"5","revision":7,"sort_order":"DESCEND",)"
      R"("sortTarget":3,"bogus":[1,{"x":null}]})");
  EXPECT_EQ(range.key(), "foo");
  EXPECT_EQ(range.range_end(), "fop");
  EXPECT_EQ(range.limit(), 5);
  EXPECT_EQ(range.revision(), 7);
  EXPECT_EQ(range.sort_order(), etcdserverpb::RangeRequest::DESCEND);
  EXPECT_EQ(range.sort_target(), etcdserverpb::RangeRequest::MOD);
}

TEST(JsonToWireTest, Base64OfBothAlphabetsWithAndWithoutPadding) {
  for (const char* text : {"+/8=", "-_8=", "+/8", "-_8"}) {
    EXPECT_EQ(Read<etcdserverpb::RangeRequest>(absl::StrCat("{\"key\":\"", text, "\"}")).key(),
              "\xfb\xff")
        << text;
  }
}

TEST(JsonToWireTest, NothingIsAnEmptyMessage) {
  EXPECT_EQ(Read<etcdserverpb::RangeRequest>("").ByteSizeLong(), 0u);
  EXPECT_EQ(Read<etcdserverpb::RangeRequest>(" \n").ByteSizeLong(), 0u);
  EXPECT_EQ(Read<etcdserverpb::RangeRequest>("{}").ByteSizeLong(), 0u);
}

TEST(JsonToWireTest, OneofsByTheNameOfTheirMember) {
  const auto txn = Read<etcdserverpb::TxnRequest>(
      R"({"compare":[{"target":"CREATE","key":"YQ==","create_revision":"0"}],)"
      R"("success":[{"requestPut":{"key":"YQ==","value":"Yg=="}}]})");
  EXPECT_EQ(txn.compare(0).target_union_case(), etcdserverpb::Compare::kCreateRevision);
  EXPECT_EQ(txn.success(0).request_put().value(), "b");
}

TEST(JsonToWireTest, RefusesWhatDoesNotFit) {
  for (const char* bad :
       {"{bad", "[1]", "null", "5", "\"x\"", R"({"key":5})", R"({"limit":"x"})",
        R"({"limit":99999999999999999999})", R"({"key":"*"})", "{\"key\":\"Zm9v\"",
        // Padding where the characters, line breaks included, are no multiple of four; and none
        // where they are.
        R"({"key":"YQ==\n"})", R"({"key":"YQ\n\n"})", R"({"key":"YQ==="})"}) {
    EXPECT_TRUE(Refused(bad)) << bad;
  }
}

// What Go's reader takes, so that clients may have relied on it with etcd.
TEST(JsonToWireTest, TakesWhatGoTakes) {
  for (const char* text : {"Zm9v\\n", "Zm\\r\\n9v", "Zm9v"}) {  // line breaks of MIME
    EXPECT_EQ(Read<etcdserverpb::RangeRequest>(absl::StrCat("{\"key\":\"", text, "\"}")).key(),
              "foo")
        << text;
  }
  EXPECT_EQ(Read<etcdserverpb::RangeRequest>(R"({"key":"Zh"})").key(), "f");  // unused bits
  for (const char* ten : {"10", "\"10\"", "10.0", "\"1e1\"", "1E+1", "100e-1", "\"10.00\""}) {
    EXPECT_EQ(Read<etcdserverpb::RangeRequest>(absl::StrCat("{\"limit\":", ten, "}")).limit(), 10)
        << ten;
  }
  EXPECT_EQ(Read<etcdserverpb::RangeRequest>(R"({"limit":"-9223372036854775808"})").limit(),
            std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Read<etcdserverpb::MemberRemoveRequest>(R"({"ID":18446744073709551615})").id(),
            std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(Read<etcdserverpb::RangeRequest>(R"({"":{"key":1},"key":"YQ==","limit":null})").key(),
            "a");
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  EXPECT_EQ(
      Read<etcdserverpb::RangeRequest>(absl::StrCat(R"({"x":)", deep, R"(,"key":"YQ=="})")).key(),
      "a");
}

TEST(JsonToWireTest, RefusesWhatGoRefuses) {
  for (const char* bad : {R"({"key":"Zm9v","key":"YmFy"})",
                          R"({"range_end":"","rangeEnd":""})",
                          R"({"key":"YQ==",})",
                          "{key:\"YQ==\"}",
                          "{'key':'YQ=='}",
                          R"({"key":"\q"})",
                          R"({"limit":1.})",
                          R"({"limit":"+1"})",
                          R"({"limit":"01"})",
                          R"({"limit":" 1"})",
                          R"({"limit":"1.5"})",
                          R"({"limit":1e30})",
                          R"({"revision":-9223372036854775809})",
                          R"({"revision":9223372036854775808})",
                          R"({"serializable":"true"})",
                          R"({"serializable":1})",
                          R"({"key":"Z"})",
                          R"({"key":"Zg==="})",
                          R"({"key":"-_+/"})",
                          R"({"key":{}})",
                          R"({"key":["YQ=="]})",
                          R"({"limit":true})",
                          "{} {}"}) {
    EXPECT_TRUE(Refused(bad)) << bad;
  }
  for (const char* bad : {R"({"success":[null]})", R"({"success":{}})", R"({"success":[[]]})",
                          R"({"success":[5]})", R"({"compare":[{"version":1,"lease":2}]})",
                          R"({"success":[{"request_put":{},"request_range":{}}]})"}) {
    EXPECT_FALSE(JsonToWire(bad, etcdserverpb::TxnRequest::default_instance()).ok()) << bad;
  }
}

std::string NestedTxn(int levels) {
  std::string json = R"({"request_put":{"key":"YQ=="}})";
  for (int i = 0; i < levels; ++i) json = R"({"request_txn":{"success":[)" + json + "]}}";
  return R"({"success":[)" + json + "]}";
}

// A transaction that was taken must not fail for its answer.
TEST(WireToJsonTest, AnswersAreAsDeepAsRequestsMayBe) {
  ASSERT_TRUE(JsonToWire(NestedTxn(200), etcdserverpb::TxnRequest::default_instance()).ok());
  etcdserverpb::TxnResponse answer;
  etcdserverpb::TxnResponse* inner = &answer;
  for (int i = 0; i < 200; ++i) inner = inner->add_responses()->mutable_response_txn();
  inner->add_responses()->mutable_response_range()->add_kvs()->set_key("a");
  const auto json = WireToJson(answer.SerializeAsString(), answer);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_THAT(*json, HasSubstr(R"({"response_range":{"kvs":[{"key":"YQ=="}]}})"));
  EXPECT_FALSE(JsonToWire(NestedTxn(1000), etcdserverpb::TxnRequest::default_instance()).ok());
}

TEST(JsonToWireTest, DeepNestingEndsInAnError) {
  EXPECT_TRUE(Refused(absl::StrCat("{\"x\":", std::string(100'000, '['))));
  std::string txn;
  for (int i = 0; i < 10'000; ++i) txn += R"({"success":[{"request_txn":)";
  EXPECT_FALSE(JsonToWire(txn, etcdserverpb::TxnRequest::default_instance()).ok());
}

std::vector<std::string> Split(const std::vector<std::string>& pieces) {
  DocumentSplitter splitter(1000);
  std::vector<std::string> documents;
  for (const std::string& piece : pieces) {
    splitter.Append(piece);
    while (true) {
      const auto next = splitter.Next();
      if (!next.ok()) {
        documents.push_back("error");
        return documents;
      }
      if (!next->has_value()) break;
      documents.push_back(**next);
    }
  }
  documents.push_back(splitter.AtEnd().ok() ? "end" : "cut off");
  return documents;
}

TEST(DocumentSplitterTest, DocumentsMayTouchOrComeInPieces) {
  EXPECT_THAT(Split({R"({"a":1}{"b":[{}]} )", "\n{\"c\":", "2}"}),
              ElementsAre(R"({"a":1})", R"({"b":[{}]})", R"({"c":2})", "end"));
  EXPECT_THAT(Split({R"({"a":"}\"{[\\"})", "}"}), ElementsAre(R"({"a":"}\"{[\\"})", "error"));
  std::vector<std::string> bytes;
  for (const char c : std::string(R"( {"a":"\\\"}"} {"b":{}})")) bytes.emplace_back(1, c);
  EXPECT_THAT(Split(bytes), ElementsAre(R"({"a":"\\\"}"})", R"({"b":{}})", "end"));
}

TEST(DocumentSplitterTest, WhatIsLeftOrTooLong) {
  EXPECT_THAT(Split({"{\"a\""}), ElementsAre("cut off"));
  EXPECT_THAT(Split({"  "}), ElementsAre("end"));
  EXPECT_THAT(Split({"[1]"}), ElementsAre("error"));
  EXPECT_THAT(Split({"{\"a\":\"" + std::string(2000, 'x')}), ElementsAre("error"));
  EXPECT_THAT(Split({"{\"a\":\"" + std::string(2000, 'x') + "\"}"}), ElementsAre("error"));
}

TEST(ErrorsTest, TheUnionOfWhatClientsRead) {
  EXPECT_EQ(ErrorJson(absl::InvalidArgumentError("no \"key\"")),
            R"({"error":"no \"key\"","code":3,"message":"no \"key\""})");
  EXPECT_EQ(StreamErrorJson(absl::UnavailableError("no leader")),
            R"({"error":{"code":14,"message":"no leader","grpc_code":14,"http_code":503,)"
            R"("http_status":"Service Unavailable"}})");
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kFailedPrecondition), 400);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kUnauthenticated), 401);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kCancelled), 499);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kUnknown), 500);
}

TEST(RoutesTest, EveryMethodOfTheApiHasAPath) {
  std::set<std::string> covered;
  std::set<std::string> paths;
  for (const Route& route : Routes()) {
    EXPECT_TRUE(paths.insert(std::string(route.path)).second) << route.path;
    covered.insert(std::string(route.method));
    // What the table says of a method is what its definition says.
    std::string name(route.method.substr(1));
    name[name.find('/')] = '.';
    const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
    ASSERT_NE(method, nullptr) << name;
    EXPECT_EQ(method->input_type(), route.request->GetDescriptor()) << name;
    EXPECT_EQ(method->output_type(), route.response->GetDescriptor()) << name;
    EXPECT_EQ(method->server_streaming(), route.kind != grpc::MethodKind::kUnary) << name;
    EXPECT_EQ(method->client_streaming(), route.kind == grpc::MethodKind::kBidiStream) << name;
  }
  for (const char* file :
       {"api/rpc.proto", "api/auth_rpc.proto", "api/lock.proto", "api/election.proto"}) {
    const auto* proto = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(file);
    ASSERT_NE(proto, nullptr) << file;
    for (int s = 0; s < proto->service_count(); ++s) {
      for (int m = 0; m < proto->service(s)->method_count(); ++m) {
        const std::string path = absl::StrCat("/", proto->service(s)->full_name(), "/",
                                              proto->service(s)->method(m)->name());
        if (path == "/etcdserverpb.KV/RangeStream") continue;  // etcd has no path for it
        EXPECT_TRUE(covered.contains(path)) << path;
      }
    }
  }
}

}  // namespace
}  // namespace quorate::gateway
