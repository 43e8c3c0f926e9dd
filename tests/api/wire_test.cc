// The bytes, names and numbers by which etcd's clients and members would notice a slip in api/.
// Byte strings come from a recorded etcd 3.4.23 cluster or follow from etcd's schemas.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "api/auth.pb.h"
#include "api/auth_rpc.pb.h"
#include "api/election.pb.h"
#include "api/health.pb.h"
#include "api/kv.pb.h"
#include "api/lease.pb.h"
#include "api/lock.pb.h"
#include "api/membership.pb.h"
#include "api/raft.pb.h"
#include "api/raft_internal.pb.h"
#include "api/rpc.pb.h"

namespace quorate::api {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::DescriptorPool;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::FileDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::MethodDescriptor;
using ::google::protobuf::ServiceDescriptor;

// Bytes written in hex, with spaces where they help the eye.
std::string Bytes(absl::string_view hex) {
  return absl::HexStringToBytes(absl::StrReplaceAll(hex, {{" ", ""}}));
}

std::string Hex(const Message& message) {
  return absl::BytesToHexString(message.SerializeAsString());
}

std::string Hex(absl::string_view hex_with_spaces) {
  return absl::BytesToHexString(Bytes(hex_with_spaces));
}

// A descriptor by full name from the files linked in.
const DescriptorPool& Pool() {
  // A reference to every file keeps the linker from dropping what registers it.
  for (const FileDescriptor* file :
       {authpb::User::descriptor()->file(), etcdserverpb::AuthEnableRequest::descriptor()->file(),
        etcdserverpb::InternalRaftRequest::descriptor()->file(),
        etcdserverpb::RangeRequest::descriptor()->file(),
        grpc::health::v1::HealthCheckRequest::descriptor()->file(),
        leasepb::Lease::descriptor()->file(), membershippb::Member::descriptor()->file(),
        mvccpb::KeyValue::descriptor()->file(), raftpb::Entry::descriptor()->file(),
        v3electionpb::LeaderKey::descriptor()->file(),
        v3lockpb::LockRequest::descriptor()->file()}) {
    EXPECT_NE(file, nullptr);
  }
  return *DescriptorPool::generated_pool();
}

// ---- Bytes ----

TEST(WireTest, RangeOfOneKey) {
  etcdserverpb::RangeRequest request;
  request.set_key("a");
  EXPECT_EQ(Hex(request), Hex("0a 01 61"));
}

TEST(WireTest, KeyValueOmitsZerosAndAscends) {
  mvccpb::KeyValue kv;
  kv.set_lease(-1);
  kv.set_value("v");
  kv.set_version(1);
  kv.set_mod_revision(300);
  kv.set_key("k");
  EXPECT_EQ(Hex(kv), Hex("0a 01 6b 18 ac02 20 01 2a 01 76 30 ffffffffffffffffff01"));
}

TEST(WireTest, CompareWithAbsentKeyKeepsItsZeroVersion) {
  etcdserverpb::Compare compare;
  compare.set_version(0);
  EXPECT_EQ(Hex(compare), Hex("20 00"));

  etcdserverpb::Compare parsed;
  ASSERT_TRUE(parsed.ParseFromString(Bytes("20 00")));
  EXPECT_EQ(parsed.target_union_case(), etcdserverpb::Compare::kVersion);
  EXPECT_EQ(etcdserverpb::Compare::default_instance().target_union_case(),
            etcdserverpb::Compare::TARGET_UNION_NOT_SET);
}

TEST(WireTest, WatchFiltersAreReadPackedAndUnpacked) {
  etcdserverpb::WatchCreateRequest packed;
  etcdserverpb::WatchCreateRequest unpacked;
  ASSERT_TRUE(packed.ParseFromString(Bytes("2a 02 00 01")));
  ASSERT_TRUE(unpacked.ParseFromString(Bytes("28 00 28 01")));
  for (const auto* request : {&packed, &unpacked}) {
    ASSERT_EQ(request->filters_size(), 2);
    EXPECT_EQ(request->filters(0), etcdserverpb::WatchCreateRequest::NOPUT);
    EXPECT_EQ(request->filters(1), etcdserverpb::WatchCreateRequest::NODELETE);
  }
  EXPECT_EQ(Hex(unpacked), Hex("2a 02 00 01"));
}

// A user's options are present even if they say nothing, and must come back so.
TEST(WireTest, EmptyUserOptionsStayPresent) {
  authpb::User user;
  user.set_name("u");
  user.mutable_options();
  EXPECT_EQ(Hex(user), Hex("0a 01 75 22 00"));
}

constexpr char kRecordedPut[] =
    "220c (0a05 6d69786564 1203 796573) a2060b (08 85b4d4dcc4bfe8baaf01)";

std::string Recorded(absl::string_view text) {
  return Bytes(absl::StrReplaceAll(text, {{"(", ""}, {")", ""}}));
}

TEST(WireTest, ReplicatedPutWritesItsHeaderLast) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_header()->set_id(0xaf75a1fc4b951a05);
  request.mutable_put()->set_key("mixed");
  request.mutable_put()->set_value("yes");
  EXPECT_EQ(request.SerializeAsString(), Recorded(kRecordedPut));
}

TEST(WireTest, ReplicatedClusterVersionWritesItsHeaderFirst) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_cluster_version_set()->set_ver("3.7.0");
  request.mutable_header()->set_id(7);
  EXPECT_EQ(Hex(request), Hex("a206 02 0807 a251 07 0a05 332e372e30"));
}

TEST(WireTest, ReplicatedMemberAttributes) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_header()->set_id(7);
  auto* set = request.mutable_cluster_member_attr_set();
  set->set_member_id(9);
  set->mutable_member_attributes()->set_name("n1");
  set->mutable_member_attributes()->add_client_urls("http://a:2379");
  EXPECT_EQ(Hex(request),
            Hex("a206 02 0807 aa51 17 0809 1213 0a02 6e31 120d 687474703a2f2f613a32333739"));
}

TEST(WireTest, EntryRecordedFromEtcd) {
  const std::string bytes = Recorded(absl::StrCat("0800 1002 1806 221c ", kRecordedPut));
  raftpb::Entry entry;
  ASSERT_TRUE(entry.ParseFromString(bytes));
  EXPECT_EQ(entry.type(), raftpb::EntryNormal);
  EXPECT_EQ(entry.term(), 2u);
  EXPECT_EQ(entry.index(), 6u);
  etcdserverpb::InternalRaftRequest request;
  ASSERT_TRUE(request.ParseFromString(entry.data()));
  EXPECT_EQ(request.put().key(), "mixed");
  EXPECT_EQ(request.put().value(), "yes");
  EXPECT_EQ(request.header().id(), 0xaf75a1fc4b951a05);
  EXPECT_EQ(entry.SerializeAsString(), bytes);
}

TEST(WireTest, EmptyEntryOfANewLeader) {
  raftpb::Entry entry;
  entry.set_type(raftpb::EntryNormal);
  entry.set_term(2);
  entry.set_index(3);
  EXPECT_EQ(Hex(entry), Hex("0800 1002 1803"));
}

TEST(WireTest, BootstrapConfChangeRecordedFromEtcd) {
  const std::string context =
      R"({"id":15301972154275966837,"peerURLs":["http://127.0.0.1:39401"],"name":"n1"})";
  raftpb::ConfChange change;
  change.set_id(0);
  change.set_type(raftpb::ConfChangeAddNode);
  change.set_node_id(15301972154275966837u);
  change.set_context(context);
  raftpb::Entry entry;
  entry.set_type(raftpb::EntryConfChange);
  entry.set_term(1);
  entry.set_index(1);
  entry.set_data(change.SerializeAsString());
  EXPECT_EQ(entry.SerializeAsString(),
            Bytes("0801 1001 1801 225e 0800 1000 18 f5dea6d49dd3e1add401 224d") + context);
}

TEST(WireTest, HardStateRecordedFromEtcd) {
  raftpb::HardState state;
  state.set_term(1);
  state.set_vote(0);
  state.set_commit(2);
  EXPECT_EQ(Hex(state), Hex("0801 1000 1802"));
}

TEST(WireTest, LinkHeartbeatIsJustItsType) {
  raftpb::Message message;
  message.set_type(raftpb::MsgHeartbeat);
  EXPECT_EQ(Hex(message), Hex("08 08"));
}

TEST(WireTest, VotersAreNotPacked) {
  raftpb::ConfState state;
  state.add_voters(1);
  state.add_voters(2);
  state.set_auto_leave(false);
  EXPECT_EQ(Hex(state), Hex("0801 0802 2800"));
}

// ---- JSON: what the gateway's users see ----

std::string Json(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return json;
}

TEST(WireTest, JsonUsesEtcdsFieldNames) {
  etcdserverpb::LeaseTimeToLiveResponse lease;
  lease.set_id(7);
  lease.set_ttl(9);
  lease.set_grantedttl(10);
  lease.add_keys("k");
  EXPECT_EQ(Json(lease), R"({"ID":"7","TTL":"9","grantedTTL":"10","keys":["aw=="]})");

  etcdserverpb::Member member;
  member.set_id(1);
  member.add_peerurls("http://a:2380");
  member.add_clienturls("http://a:2379");
  member.set_islearner(true);
  EXPECT_EQ(Json(member),
            R"({"ID":"1","peerURLs":["http://a:2380"],"clientURLs":["http://a:2379"],)"
            R"("isLearner":true})");

  etcdserverpb::AlarmMember alarm;
  alarm.set_memberid(3);
  alarm.set_alarm(etcdserverpb::NOSPACE);
  EXPECT_EQ(Json(alarm), R"({"memberID":"3","alarm":"NOSPACE"})");
}

// ---- Names and numbers ----

// "[repeated ]type", messages and enums by their full names.
std::string TypeOf(const FieldDescriptor& field) {
  const std::string repeated = field.is_repeated() ? "repeated " : "";
  if (const Descriptor* message = field.message_type()) return repeated + message->full_name();
  if (const EnumDescriptor* type = field.enum_type()) return repeated + type->full_name();
  return repeated + field.type_name();
}

struct FieldCase {
  const char* message;
  int number;
  const char* name;
  const char* type;
};

constexpr FieldCase kFields[] = {
    {"mvccpb.KeyValue", 6, "lease", "int64"},
    {"mvccpb.Event", 3, "prev_kv", "mvccpb.KeyValue"},
    {"authpb.User", 2, "password", "bytes"},
    {"authpb.User", 3, "roles", "repeated string"},
    {"authpb.Permission", 1, "permType", "authpb.Permission.Type"},
    {"authpb.Role", 2, "keyPermission", "repeated authpb.Permission"},
    {"membershippb.ClusterMemberAttrSetRequest", 1, "member_ID", "uint64"},
    {"membershippb.DowngradeInfoSetRequest", 2, "ver", "string"},
    {"leasepb.Lease", 3, "RemainingTTL", "int64"},
    {"leasepb.LeaseInternalRequest", 1, "LeaseTimeToLiveRequest",
     "etcdserverpb.LeaseTimeToLiveRequest"},
    {"etcdserverpb.ResponseHeader", 4, "raft_term", "uint64"},
    {"etcdserverpb.RangeRequest", 5, "sort_order", "etcdserverpb.RangeRequest.SortOrder"},
    {"etcdserverpb.RangeRequest", 6, "sort_target", "etcdserverpb.RangeRequest.SortTarget"},
    {"etcdserverpb.RangeRequest", 13, "max_create_revision", "int64"},
    {"etcdserverpb.RangeResponse", 4, "count", "int64"},
    {"etcdserverpb.PutRequest", 6, "ignore_lease", "bool"},
    {"etcdserverpb.DeleteRangeResponse", 3, "prev_kvs", "repeated mvccpb.KeyValue"},
    {"etcdserverpb.RequestOp", 4, "request_txn", "etcdserverpb.TxnRequest"},
    {"etcdserverpb.ResponseOp", 4, "response_txn", "etcdserverpb.TxnResponse"},
    {"etcdserverpb.Compare", 7, "value", "bytes"},
    {"etcdserverpb.Compare", 64, "range_end", "bytes"},
    {"etcdserverpb.TxnRequest", 3, "failure", "repeated etcdserverpb.RequestOp"},
    {"etcdserverpb.WatchCreateRequest", 8, "fragment", "bool"},
    {"etcdserverpb.WatchResponse", 6, "cancel_reason", "string"},
    {"etcdserverpb.WatchResponse", 11, "events", "repeated mvccpb.Event"},
    {"etcdserverpb.LeaseGrantRequest", 1, "TTL", "int64"},
    {"etcdserverpb.LeaseGrantResponse", 2, "ID", "int64"},
    {"etcdserverpb.LeaseCheckpoint", 2, "remaining_TTL", "int64"},
    {"etcdserverpb.LeaseLeasesResponse", 2, "leases", "repeated etcdserverpb.LeaseStatus"},
    {"etcdserverpb.MemberAddResponse", 3, "members", "repeated etcdserverpb.Member"},
    {"etcdserverpb.StatusResponse", 7, "raftAppliedIndex", "uint64"},
    {"etcdserverpb.StatusResponse", 12, "dbSizeQuota", "int64"},
    {"etcdserverpb.StatusResponse", 13, "downgradeInfo", "etcdserverpb.DowngradeInfo"},
    {"etcdserverpb.HashKVResponse", 2, "hash", "uint32"},
    {"etcdserverpb.SnapshotResponse", 3, "blob", "bytes"},
    {"etcdserverpb.MoveLeaderRequest", 1, "targetID", "uint64"},
    {"etcdserverpb.AuthStatusResponse", 3, "authRevision", "uint64"},
    {"etcdserverpb.AuthUserAddRequest", 4, "hashedPassword", "string"},
    {"etcdserverpb.AuthUserGrantRoleRequest", 1, "user", "string"},
    {"etcdserverpb.AuthUserRevokeRoleRequest", 1, "name", "string"},
    {"etcdserverpb.AuthRoleRevokePermissionRequest", 2, "key", "bytes"},
    {"etcdserverpb.InternalRaftRequest", 1, "ID", "uint64"},
    {"etcdserverpb.InternalRaftRequest", 100, "header", "etcdserverpb.RequestHeader"},
    {"etcdserverpb.InternalRaftRequest", 1012, "authenticate",
     "etcdserverpb.InternalAuthenticateRequest"},
    {"etcdserverpb.InternalRaftRequest", 1107, "auth_role_list",
     "etcdserverpb.AuthRoleListRequest"},
    {"etcdserverpb.InternalRaftRequest", 1204, "auth_role_revoke_permission",
     "etcdserverpb.AuthRoleRevokePermissionRequest"},
    {"etcdserverpb.InternalRaftRequest", 1302, "downgrade_info_set",
     "membershippb.DowngradeInfoSetRequest"},
    {"etcdserverpb.InternalRaftRequest", 9900, "downgrade_version_test",
     "etcdserverpb.DowngradeVersionTestRequest"},
    {"v3lockpb.LockResponse", 2, "key", "bytes"},
    {"v3electionpb.LeaderKey", 3, "rev", "int64"},
    {"v3electionpb.LeaderResponse", 2, "kv", "mvccpb.KeyValue"},
    {"raftpb.Message", 5, "logTerm", "uint64"},
    {"raftpb.Message", 11, "rejectHint", "uint64"},
    {"raftpb.Message", 14, "responses", "repeated raftpb.Message"},
    {"raftpb.ConfState", 4, "learners_next", "repeated uint64"},
    {"raftpb.ConfChangeV2", 2, "changes", "repeated raftpb.ConfChangeSingle"},
    {"grpc.health.v1.HealthCheckResponse", 1, "status",
     "grpc.health.v1.HealthCheckResponse.ServingStatus"},
};

TEST(WireTest, FieldsHaveEtcdsNumbersNamesAndTypes) {
  for (const FieldCase& want : kFields) {
    SCOPED_TRACE(absl::StrCat(want.message, ".", want.name));
    const Descriptor* message = Pool().FindMessageTypeByName(want.message);
    ASSERT_NE(message, nullptr);
    const FieldDescriptor* field = message->FindFieldByNumber(want.number);
    ASSERT_NE(field, nullptr);
    EXPECT_EQ(field->name(), want.name);
    EXPECT_EQ(TypeOf(*field), want.type);
  }
}

// The values' names in order; number i belongs to the i-th, from 0 on.
std::vector<std::string> ValuesOf(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    EXPECT_EQ(type.value(i)->number(), i) << type.full_name();
    names.push_back(type.value(i)->name());
  }
  return names;
}

struct EnumCase {
  const char* name;
  std::vector<std::string> values;
};

TEST(WireTest, EnumsHaveEtcdsValues) {
  const EnumCase cases[] = {
      {"mvccpb.Event.EventType", {"PUT", "DELETE"}},
      {"authpb.Permission.Type", {"READ", "WRITE", "READWRITE"}},
      {"etcdserverpb.RangeRequest.SortOrder", {"NONE", "ASCEND", "DESCEND"}},
      {"etcdserverpb.RangeRequest.SortTarget", {"KEY", "VERSION", "CREATE", "MOD", "VALUE"}},
      {"etcdserverpb.Compare.CompareResult", {"EQUAL", "GREATER", "LESS", "NOT_EQUAL"}},
      {"etcdserverpb.Compare.CompareTarget", {"VERSION", "CREATE", "MOD", "VALUE", "LEASE"}},
      {"etcdserverpb.WatchCreateRequest.FilterType", {"NOPUT", "NODELETE"}},
      {"etcdserverpb.AlarmType", {"NONE", "NOSPACE", "CORRUPT"}},
      {"etcdserverpb.AlarmRequest.AlarmAction", {"GET", "ACTIVATE", "DEACTIVATE"}},
      {"etcdserverpb.DowngradeRequest.DowngradeAction", {"VALIDATE", "ENABLE", "CANCEL"}},
      {"grpc.health.v1.HealthCheckResponse.ServingStatus",
       {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}},
      {"raftpb.EntryType", {"EntryNormal", "EntryConfChange", "EntryConfChangeV2"}},
      {"raftpb.ConfChangeType",
       {"ConfChangeAddNode", "ConfChangeRemoveNode", "ConfChangeUpdateNode",
        "ConfChangeAddLearnerNode"}},
      {"raftpb.ConfChangeTransition",
       {"ConfChangeTransitionAuto", "ConfChangeTransitionJointImplicit",
        "ConfChangeTransitionJointExplicit"}},
      {"raftpb.MessageType",
       {"MsgHup",
        "MsgBeat",
        "MsgProp",
        "MsgApp",
        "MsgAppResp",
        "MsgVote",
        "MsgVoteResp",
        "MsgSnap",
        "MsgHeartbeat",
        "MsgHeartbeatResp",
        "MsgUnreachable",
        "MsgSnapStatus",
        "MsgCheckQuorum",
        "MsgTransferLeader",
        "MsgTimeoutNow",
        "MsgReadIndex",
        "MsgReadIndexResp",
        "MsgPreVote",
        "MsgPreVoteResp",
        "MsgStorageAppend",
        "MsgStorageAppendResp",
        "MsgStorageApply",
        "MsgStorageApplyResp",
        "MsgForgetLeader"}},
  };
  for (const EnumCase& want : cases) {
    const EnumDescriptor* type = Pool().FindEnumTypeByName(want.name);
    ASSERT_NE(type, nullptr) << want.name;
    EXPECT_EQ(ValuesOf(*type), want.values) << want.name;
  }
}

// "Name" for a unary method; " >" and " <" mark a stream of requests and of responses.
std::vector<std::string> MethodsOf(const ServiceDescriptor& service) {
  std::vector<std::string> methods;
  for (int i = 0; i < service.method_count(); ++i) {
    const MethodDescriptor& method = *service.method(i);
    methods.push_back(absl::StrCat(method.name(), method.client_streaming() ? " >" : "",
                                   method.server_streaming() ? " <" : ""));
  }
  return methods;
}

struct ServiceCase {
  const char* name;
  std::vector<std::string> methods;
};

TEST(WireTest, ServicesHaveEtcdsMethods) {
  const ServiceCase cases[] = {
      {"etcdserverpb.KV", {"Range", "RangeStream <", "Put", "DeleteRange", "Txn", "Compact"}},
      {"etcdserverpb.Watch", {"Watch > <"}},
      {"etcdserverpb.Lease",
       {"LeaseGrant", "LeaseRevoke", "LeaseKeepAlive > <", "LeaseTimeToLive", "LeaseLeases"}},
      {"etcdserverpb.Cluster",
       {"MemberAdd", "MemberRemove", "MemberUpdate", "MemberList", "MemberPromote"}},
      {"etcdserverpb.Maintenance",
       {"Alarm", "Status", "Defragment", "Hash", "HashKV", "Snapshot <", "MoveLeader",
        "Downgrade"}},
      {"etcdserverpb.Auth",
       {"AuthEnable", "AuthDisable", "AuthStatus", "Authenticate", "UserAdd", "UserGet", "UserList",
        "UserDelete", "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet",
        "RoleList", "RoleDelete", "RoleGrantPermission", "RoleRevokePermission"}},
      {"v3lockpb.Lock", {"Lock", "Unlock"}},
      {"v3electionpb.Election", {"Campaign", "Proclaim", "Leader", "Observe <", "Resign"}},
      {"grpc.health.v1.Health", {"Check", "List", "Watch <"}},
  };
  for (const ServiceCase& want : cases) {
    const ServiceDescriptor* service = Pool().FindServiceByName(want.name);
    ASSERT_NE(service, nullptr) << want.name;
    EXPECT_EQ(MethodsOf(*service), want.methods) << want.name;
  }
}

TEST(WireTest, OneofsHaveEtcdsNames) {
  for (const char* name :
       {"etcdserverpb.RequestOp.request", "etcdserverpb.ResponseOp.response",
        "etcdserverpb.Compare.target_union", "etcdserverpb.WatchRequest.request_union"}) {
    EXPECT_NE(Pool().FindOneofByName(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace quorate::api
