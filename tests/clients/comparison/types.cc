#include "tests/clients/comparison/types.h"

#include <google/protobuf/descriptor.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"
#include "base/check.h"

namespace quorate::differential {
namespace {

struct Row {
  Type type;
  absl::string_view name;
  absl::string_view group;
  const char* method;
};

constexpr Row kRows[] = {
    {Type::kRange, "Range", "kv", "etcdserverpb.KV.Range"},
    {Type::kRangeStream, "RangeStream", "kv", "etcdserverpb.KV.RangeStream"},
    {Type::kPut, "Put", "kv", "etcdserverpb.KV.Put"},
    {Type::kDeleteRange, "DeleteRange", "kv", "etcdserverpb.KV.DeleteRange"},
    {Type::kTxn, "Txn", "kv", "etcdserverpb.KV.Txn"},
    {Type::kCompact, "Compact", "kv", "etcdserverpb.KV.Compact"},
    {Type::kHashKv, "HashKV", "kv", "etcdserverpb.Maintenance.HashKV"},
    {Type::kWatch, "Watch", "watch", "etcdserverpb.Watch.Watch"},
    {Type::kWatchCancel, "WatchCancel", "watch", "etcdserverpb.Watch.Watch"},
    {Type::kWatchProgress, "WatchProgress", "watch", "etcdserverpb.Watch.Watch"},
    {Type::kLeaseGrant, "LeaseGrant", "lease", "etcdserverpb.Lease.LeaseGrant"},
    {Type::kLeaseRevoke, "LeaseRevoke", "lease", "etcdserverpb.Lease.LeaseRevoke"},
    {Type::kLeaseKeepAlive, "LeaseKeepAlive", "lease", "etcdserverpb.Lease.LeaseKeepAlive"},
    {Type::kLeaseTimeToLive, "LeaseTimeToLive", "lease", "etcdserverpb.Lease.LeaseTimeToLive"},
    {Type::kLeaseLeases, "LeaseLeases", "lease", "etcdserverpb.Lease.LeaseLeases"},
    {Type::kAuthEnable, "AuthEnable", "auth", "etcdserverpb.Auth.AuthEnable"},
    {Type::kAuthDisable, "AuthDisable", "auth", "etcdserverpb.Auth.AuthDisable"},
    {Type::kAuthStatus, "AuthStatus", "auth", "etcdserverpb.Auth.AuthStatus"},
    {Type::kAuthenticate, "Authenticate", "auth", "etcdserverpb.Auth.Authenticate"},
    {Type::kUserAdd, "UserAdd", "auth", "etcdserverpb.Auth.UserAdd"},
    {Type::kUserGet, "UserGet", "auth", "etcdserverpb.Auth.UserGet"},
    {Type::kUserList, "UserList", "auth", "etcdserverpb.Auth.UserList"},
    {Type::kUserDelete, "UserDelete", "auth", "etcdserverpb.Auth.UserDelete"},
    {Type::kUserChangePassword, "UserChangePassword", "auth",
     "etcdserverpb.Auth.UserChangePassword"},
    {Type::kUserGrantRole, "UserGrantRole", "auth", "etcdserverpb.Auth.UserGrantRole"},
    {Type::kUserRevokeRole, "UserRevokeRole", "auth", "etcdserverpb.Auth.UserRevokeRole"},
    {Type::kRoleAdd, "RoleAdd", "auth", "etcdserverpb.Auth.RoleAdd"},
    {Type::kRoleGet, "RoleGet", "auth", "etcdserverpb.Auth.RoleGet"},
    {Type::kRoleList, "RoleList", "auth", "etcdserverpb.Auth.RoleList"},
    {Type::kRoleDelete, "RoleDelete", "auth", "etcdserverpb.Auth.RoleDelete"},
    {Type::kRoleGrantPermission, "RoleGrantPermission", "auth",
     "etcdserverpb.Auth.RoleGrantPermission"},
    {Type::kRoleRevokePermission, "RoleRevokePermission", "auth",
     "etcdserverpb.Auth.RoleRevokePermission"},
};

std::vector<TypeInfo> MakeTypes() {
  // Naming one message of each file links its descriptors in.
  (void)etcdserverpb::RangeRequest::default_instance();
  (void)etcdserverpb::AuthEnableRequest::default_instance();
  const google::protobuf::DescriptorPool* pool = google::protobuf::DescriptorPool::generated_pool();
  google::protobuf::MessageFactory* factory = google::protobuf::MessageFactory::generated_factory();
  std::vector<TypeInfo> types;
  for (const Row& row : kRows) {
    const google::protobuf::MethodDescriptor* method = pool->FindMethodByName(row.method);
    CHECK(method != nullptr);
    CHECK_EQ(static_cast<size_t>(row.type), types.size());
    types.push_back({row.type, row.name, row.group,
                     absl::StrCat("/", method->service()->full_name(), "/", method->name()),
                     factory->GetPrototype(method->input_type()),
                     factory->GetPrototype(method->output_type())});
  }
  return types;
}

}  // namespace

const std::vector<TypeInfo>& AllTypes() {
  static const auto* const kTypes = new std::vector<TypeInfo>(MakeTypes());
  return *kTypes;
}

const TypeInfo& Info(Type type) { return AllTypes().at(static_cast<size_t>(type)); }

absl::StatusOr<std::set<Type>> ParseTypes(absl::string_view text) {
  std::set<Type> types;
  for (const absl::string_view word : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    bool found = false;
    for (const TypeInfo& info : AllTypes()) {
      if (word != "all" && word != info.group && word != info.name) continue;
      types.insert(info.type);
      found = true;
    }
    if (!found) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", word, "\" is neither a type of request nor a group of them"));
    }
  }
  return types;
}

}  // namespace quorate::differential
