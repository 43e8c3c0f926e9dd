// Encoded messages to JSON, in any pieces.
#include "server/gateway/json_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/rpc.pb.h"
#include "google/protobuf/descriptor.h"
#include "server/gateway/json.h"
#include "server/gateway/routes.h"

namespace quorate::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

TEST(WireToJsonTest, NamesStringsBase64AndNoDefaults) {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_cluster_id(18446744073709551615u);
  response.mutable_header()->set_revision(2);
  mvccpb::KeyValue* kv = response.add_kvs();
  kv->set_key("\xfb\xff");
  kv->set_create_revision(-1);
  kv->set_lease(77);
  response.set_count(1);
  EXPECT_EQ(*WireToJson(response.SerializeAsString(), response),
            R"({"header":{"cluster_id":"18446744073709551615","revision":"2"},)"
            R"("kvs":[{"key":"+/8=","create_revision":"-1","lease":"77"}],"count":"1"})");
  etcdserverpb::HashResponse hash;
  hash.set_hash(3401132668u);
  EXPECT_EQ(*WireToJson(hash.SerializeAsString(), hash), R"({"hash":3401132668})");
  etcdserverpb::AlarmMember alarm;
  alarm.set_alarm(etcdserverpb::NOSPACE);
  EXPECT_EQ(*WireToJson(alarm.SerializeAsString(), alarm), R"({"alarm":"NOSPACE"})");
  etcdserverpb::StatusResponse status;
  status.mutable_downgradeinfo();
  status.set_dbsize(5);
  EXPECT_EQ(*WireToJson(status.SerializeAsString(), status),
            R"({"dbSize":"5","downgradeInfo":{}})");
}

TEST(WireToJsonTest, WhatIsNoMessageIsAnError) {
  EXPECT_FALSE(WireToJson("\xff\xff", etcdserverpb::RangeResponse::default_instance()).ok());
}

// In pieces of `size` bytes; "error" for what is no message.
template <typename Message>
std::string InPieces(const std::string& wire, size_t size) {
  JsonWriter writer(Message::descriptor());
  BytesBuilder json;
  for (size_t at = 0; at < wire.size(); at += size) {
    if (!writer.Write(absl::string_view(wire).substr(at, size), &json).ok()) return "error";
  }
  return writer.End(&json).ok() ? std::string(json.view()) : "error";
}

etcdserverpb::TxnResponse OfEverything() {
  etcdserverpb::TxnResponse response;
  response.mutable_header()->set_revision(1u << 31);
  response.set_succeeded(true);
  auto* const range = response.add_responses()->mutable_response_range();
  for (int i = 0; i < 8; ++i) {
    range->add_kvs()->set_key(std::string(static_cast<size_t>(i), static_cast<char>(0xf8 + i)));
  }
  range->set_more(true);
  response.add_responses()->mutable_response_put();  // a choice shows although it is empty
  auto* const nested = response.add_responses()->mutable_response_txn()->add_responses();
  nested->mutable_response_delete_range()->add_prev_kvs();
  return response;
}

TEST(JsonWriterTest, PiecesOfAnySizeGiveTheSame) {
  const etcdserverpb::TxnResponse response = OfEverything();
  const std::string wire = response.SerializeAsString();
  const std::string json =
      R"({"header":{"revision":"2147483648"},"succeeded":true,"responses":[)"
      R"({"response_range":{"kvs":[{},{"key":"+Q=="},{"key":"+vo="},{"key":"+/v7"},)"
      R"({"key":"/Pz8/A=="},{"key":"/f39/f0="},{"key":"/v7+/v7+"},{"key":"/////////w=="}],)"
      R"("more":true}},{"response_put":{}},)"
      R"({"response_txn":{"responses":[{"response_delete_range":{"prev_kvs":[{}]}}]}}]})";
  for (size_t size = 1; size <= wire.size(); ++size) {
    EXPECT_EQ(InPieces<etcdserverpb::TxnResponse>(wire, size), json) << size;
  }
}

TEST(JsonWriterTest, StringsListsAndPackedNumbers) {
  etcdserverpb::MemberListResponse members;
  members.add_members()->set_name("quo\"te\n<\xc3\xa4>\xff");
  for (const char* url : {"http://a", ""}) members.mutable_members(0)->add_peerurls(url);
  const std::string wire = members.SerializeAsString();
  for (size_t size : {1, 2, 3, 100}) {
    EXPECT_EQ(InPieces<etcdserverpb::MemberListResponse>(wire, size),
              "{\"members\":[{\"name\":\"quo\\\"te\\n<\xc3\xa4>\\ufffd\","
              "\"peerURLs\":[\"http://a\",\"\"]}]}");
  }
  etcdserverpb::WatchCreateRequest watch;
  watch.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  watch.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  watch.set_watch_id(7);
  for (size_t size : {1, 2, 100}) {
    EXPECT_EQ(InPieces<etcdserverpb::WatchCreateRequest>(watch.SerializeAsString(), size),
              R"({"filters":["NOPUT","NODELETE"],"watch_id":"7"})");
  }
  EXPECT_EQ(InPieces<etcdserverpb::WatchCreateRequest>(std::string("\x2a\x02\x00\x09", 4), 1),
            R"({"filters":["NOPUT",9]})")
      << "a number that has no name";
}

TEST(JsonWriterTest, WhatIsNotKnownIsLeftOut) {
  // Fields 100 to 103 in all wire types.
  const std::string unknown = absl::StrCat("\xa0\x06\x05", "\xa9\x06", "12345678", "\xb2\x06\x03",
                                           "abc", "\xbd\x06", "1234");
  for (size_t size : {1, 3, 100}) {
    EXPECT_EQ(InPieces<etcdserverpb::PutResponse>(unknown, size), "{}");
  }
}

TEST(JsonWriterTest, WhatIsNoMessageIsAnErrorWhereverItEnds) {
  const std::string wire = OfEverything().SerializeAsString();
  const Descriptor* const type = etcdserverpb::TxnResponse::descriptor();
  for (size_t cut = 1; cut < wire.size(); ++cut) {
    // Cut off between two fields of the outermost message it is whole.
    etcdserverpb::TxnResponse whole;
    const bool parses = whole.ParseFromString(wire.substr(0, cut));
    EXPECT_EQ(InPieces<etcdserverpb::TxnResponse>(wire.substr(0, cut), 1) != "error", parses)
        << type->name() << " " << cut;
  }
  for (const std::string& bad :
       {std::string("\x0b", 1), std::string("\x00\x00", 2), std::string("\x0a\x02\x08", 3),
        std::string("\x0a\x01\x0a", 3), std::string(11, '\xff'), std::string("\x08\x01", 2),
        std::string("\x10\x01\x10\x01", 4)}) {
    EXPECT_EQ(InPieces<etcdserverpb::TxnResponse>(bad, 1), "error") << absl::CEscape(bad);
  }
}

// What the writer takes for granted of the API.
TEST(JsonWriterTest, TheApiHasOnlyKindsOfFieldsThatItKnows) {
  std::set<const Descriptor*> seen;
  std::vector<const Descriptor*> to_see;
  for (const Route& route : Routes()) {
    to_see.push_back(route.request->GetDescriptor());
    to_see.push_back(route.response->GetDescriptor());
  }
  while (!to_see.empty()) {
    const Descriptor* const type = to_see.back();
    to_see.pop_back();
    if (!seen.insert(type).second) continue;
    EXPECT_LE(type->field_count(), 64) << type->full_name();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* const field = type->field(i);
      EXPECT_FALSE(field->is_map()) << field->full_name();
      if (field->message_type() != nullptr) to_see.push_back(field->message_type());
      switch (field->type()) {
        case FieldDescriptor::TYPE_INT32:
        case FieldDescriptor::TYPE_INT64:
        case FieldDescriptor::TYPE_UINT32:
        case FieldDescriptor::TYPE_UINT64:
        case FieldDescriptor::TYPE_BOOL:
        case FieldDescriptor::TYPE_ENUM:
        case FieldDescriptor::TYPE_STRING:
        case FieldDescriptor::TYPE_BYTES:
        case FieldDescriptor::TYPE_MESSAGE:
          break;
        default:
          ADD_FAILURE() << field->full_name();
      }
    }
  }
  EXPECT_GT(seen.size(), 50u);
}

}  // namespace
}  // namespace quorate::gateway
