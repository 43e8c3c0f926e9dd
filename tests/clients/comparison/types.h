// The kinds of request that the differential test sends, and where each of them goes.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_TYPES_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_TYPES_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::differential {

enum class Type : uint8_t {
  kRange,
  kRangeStream,
  kPut,
  kDeleteRange,
  kTxn,
  kCompact,
  kHashKv,
  kWatch,
  kWatchCancel,
  kWatchProgress,
  kLeaseGrant,
  kLeaseRevoke,
  kLeaseKeepAlive,
  kLeaseTimeToLive,
  kLeaseLeases,
  kAuthEnable,
  kAuthDisable,
  kAuthStatus,
  kAuthenticate,
  kUserAdd,
  kUserGet,
  kUserList,
  kUserDelete,
  kUserChangePassword,
  kUserGrantRole,
  kUserRevokeRole,
  kRoleAdd,
  kRoleGet,
  kRoleList,
  kRoleDelete,
  kRoleGrantPermission,
  kRoleRevokePermission,
};

struct TypeInfo {
  Type type;
  absl::string_view name;
  absl::string_view group;  // kv, watch, lease, auth
  std::string path;
  // Prototypes.
  const google::protobuf::Message* request;
  const google::protobuf::Message* response;

  std::unique_ptr<google::protobuf::Message> NewResponse() const {
    return std::unique_ptr<google::protobuf::Message>(response->New());
  }
};

// In the order of Type.
const std::vector<TypeInfo>& AllTypes();
const TypeInfo& Info(Type type);

// Names and groups, separated by commas; "all" for every one. InvalidArgument names
// what is not known.
absl::StatusOr<std::set<Type>> ParseTypes(absl::string_view text);

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_TYPES_H_
