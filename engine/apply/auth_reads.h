// The Auth service's reads, in pieces: users, roles, and what they hold may be very many.
//
// A list is of one moment: if a user or role changes meanwhile it is begun anew, and the last time
// it is made in one piece. Responses are etcdserverpb's.
#ifndef QUORATE_ENGINE_APPLY_AUTH_READS_H_
#define QUORATE_ENGINE_APPLY_AUTH_READS_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "engine/apply/command.h"
#include "engine/apply/run.h"
#include "engine/auth/auth.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/store.h"

namespace quorate::apply {

// Answers kAuthStatus, kAuthUserGet, kAuthUserList, kAuthRoleGet or kAuthRoleList, if `subject` may
// ask for it. `auth` and `store` are borrowed.
std::unique_ptr<ReadRun> RunAuthRead(Operation operation, absl::string_view body,
                                     const auth::Subject& subject, const auth::Auth& auth,
                                     const mvcc::Store& store, const mvcc::Identity& identity);

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_AUTH_READS_H_
