// etcdserverpb.InternalRaftRequest: the data of a normal raft entry, one operation and
// the id of the request.
//
// The operation's bytes are those that the client sent: they are embedded as they came
// and copied once, into the entry.
#ifndef QUORATE_ENGINE_APPLY_COMMAND_H_
#define QUORATE_ENGINE_APPLY_COMMAND_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/auth/auth.h"

namespace quorate::apply {

// Operations, numbered by their field of InternalRaftRequest.
enum class Operation : uint32_t {
  kNone = 0,
  kRange = 3,
  kPut = 4,
  kDeleteRange = 5,
  kTxn = 6,
  kCompaction = 7,
  kLeaseGrant = 8,
  kLeaseRevoke = 9,
  kAlarm = 10,
  kLeaseCheckpoint = 11,
  kAuthEnable = 1000,
  kAuthDisable = 1011,
  kAuthenticate = 1012,
  kAuthStatus = 1013,
  kAuthUserAdd = 1100,
  kAuthUserDelete = 1101,
  kAuthUserGet = 1102,
  kAuthUserChangePassword = 1103,
  kAuthUserGrantRole = 1104,
  kAuthUserRevokeRole = 1105,
  kAuthUserList = 1106,
  kAuthRoleList = 1107,
  kAuthRoleAdd = 1200,
  kAuthRoleDelete = 1201,
  kAuthRoleGet = 1202,
  kAuthRoleGrantPermission = 1203,
  kAuthRoleRevokePermission = 1204,
  kClusterVersionSet = 1300,
  kClusterMemberAttrSet = 1301,
  kDowngradeInfoSet = 1302,
};

struct Command {
  uint64_t id = 0;
  Operation operation = Operation::kNone;
  absl::string_view body;  // points into the entry's data
  // Who asked, as the member that proposed it found; empty if nobody said.
  auth::Subject subject;  // points into the entry's data
  // Of the entry; not among its data.
  LogIndex index;
};

// The command in an entry's data. InvalidArgument if it is malformed, has no id, not
// exactly one operation, or is a legacy request of etcd 3.5 and older.
absl::StatusOr<Command> DecodeCommand(absl::string_view data);

// The data of an entry: operation `body` with request id `id`, asked for by `subject`.
Bytes EncodeCommand(Operation operation, absl::string_view body, uint64_t id,
                    const auth::Subject& subject = {});
// The number of bytes that EncodeCommand gives.
size_t EncodedCommandSize(Operation operation, size_t body_size, uint64_t id,
                          const auth::Subject& subject = {});

// The lease that a well-formed kLeaseGrant or kLeaseRevoke is about.
LeaseId LeaseOf(const Command& command);

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_COMMAND_H_
