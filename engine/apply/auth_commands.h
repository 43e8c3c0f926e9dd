// The Auth service's commands against the auth store.
//
// Commands are etcdserverpb's requests as the proposer sends them on: passwords are
// hashed. Responses are etcdserverpb's too.
#ifndef QUORATE_ENGINE_APPLY_AUTH_COMMANDS_H_
#define QUORATE_ENGINE_APPLY_AUTH_COMMANDS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/apply/applier.h"
#include "engine/apply/command.h"
#include "engine/auth/auth.h"
#include "engine/mvcc/range.h"

namespace quorate::apply {

// Whether it is a command of the Auth service that can change something.
bool IsAuthCommand(Operation operation);

// For one of those. Internal, with gRPC's text, if it is malformed; Unimplemented if it
// carries a password in the clear, as etcd 3.4's did: every member would make a hash of
// its own.
absl::Status CheckAuthCommand(const Command& command);

// Applies one. An error only if CheckAuthCommand gives it; what was wrong otherwise is in
// outcome->status, and then nothing has changed. `revision` is the store's, for the
// response's header, which is made only if `respond`.
absl::Status ApplyAuthCommand(const Command& command, auth::Auth* auth, Revision revision,
                              const mvcc::Identity& identity, bool respond, Outcome* outcome);

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_AUTH_COMMANDS_H_
