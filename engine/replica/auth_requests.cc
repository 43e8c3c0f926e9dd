// Who asks: credentials to subjects, what each kind of request needs, and the reads of
// the Auth service.
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status.h"
#include "engine/auth/errors.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

using apply::Operation;

constexpr size_t kRevisionBytes = 8;
// Requests that no longer wait for their token, served by one step.
constexpr size_t kReleasedAtOnce = 16;

// What a request needs before anybody looks at keys, while authentication is enabled.
enum class Need : uint8_t {
  kNothing,   // it is the server's own
  kSound,     // a token, if one is given, must be valid
  kSomebody,  // some user
  kAdmin,     // a user with role root
};

// As in etcd: what changes users and roles, and reads of them, is checked where it is
// applied or answered.
Need NeedOf(RequestKind kind) {
  switch (kind) {
    case RequestKind::kMemberAttributes:
    case RequestKind::kClusterVersion:
    case RequestKind::kDowngradeInfo:
    case RequestKind::kAuthPassword:
    case RequestKind::kAuthenticate:
    case RequestKind::kPeerLeaseKeepAlive:
    case RequestKind::kPeerLeaseTimeToLive:
    case RequestKind::kPeerMemberPromote:
    case RequestKind::kPeerRepair:
      return Need::kNothing;
    case RequestKind::kMemberList:
    case RequestKind::kStatus:
    case RequestKind::kAlarm:  // to raise one, or put one out: an administrator (Propose)
    case RequestKind::kLeaseGrant:
    case RequestKind::kLeaseRevoke:
    case RequestKind::kLeaseList:
    case RequestKind::kLeaseKeepAlive:
    case RequestKind::kLeaseTimeToLive:
      return Need::kSomebody;
    case RequestKind::kCompact:
    case RequestKind::kHashKv:
    case RequestKind::kAdminStatus:
    case RequestKind::kClusterStatus:
    case RequestKind::kMemberAdd:
    case RequestKind::kMemberRemove:
    case RequestKind::kMemberUpdate:
    case RequestKind::kMemberPromote:
    case RequestKind::kMoveLeader:
      return Need::kAdmin;
    default:
      return Need::kSound;
  }
}

// As Go's gRPC prints an error: etcd gives this text as the reason of a refused watch.
std::string RpcError(const absl::Status& status) {
  absl::string_view code = "Unknown";
  if (absl::IsPermissionDenied(status)) code = "PermissionDenied";
  if (absl::IsInvalidArgument(status)) code = "InvalidArgument";
  if (absl::IsUnauthenticated(status)) code = "Unauthenticated";
  if (absl::IsResourceExhausted(status)) code = "ResourceExhausted";
  return absl::StrCat("rpc error: code = ", code, " desc = ",
                      absl::string_view(status.message().data(), status.message().size()));
}

}  // namespace

Bytes PasswordHash::Encode() const {
  BytesBuilder out(kRevisionBytes + hash.size());
  StoreBe64(out.Grow(kRevisionBytes), auth_revision);
  out.Append(hash);
  return std::move(out).Finish();
}

PasswordHash PasswordHash::Decode(absl::string_view bytes) {
  CHECK(bytes.size() >= kRevisionBytes);
  return {LoadBe64(bytes.data()), std::string(bytes.substr(kRevisionBytes))};
}

// ---- subjects ----

absl::StatusOr<auth::Subject> Replica::Impl::Identify(const Credentials& credentials) {
  const auth::Auth& auth = applier_.auth();
  if (!auth.enabled()) return auth::Subject();
  switch (credentials.kind) {
    case Credentials::Kind::kNone:
      break;
    case Credentials::Kind::kToken: {
      const std::optional<absl::string_view> user = tokens_.Use(credentials.text, now_);
      if (!user.has_value()) return auth::InvalidAuthTokenError();
      return auth::Subject{*user, auth.revision()};
    }
    case Credentials::Kind::kName: {
      const uint64_t vouched = credentials.auth_revision;
      return auth::Subject{credentials.text, vouched == 0 ? auth.revision() : vouched};
    }
  }
  return auth::Subject();
}

absl::StatusOr<auth::Subject> Replica::Impl::Admit(const ClientRequest& request) {
  const Need need = NeedOf(request.kind);
  if (need == Need::kNothing || !applier_.auth().enabled()) return auth::Subject();
  ASSIGN_OR_RETURN(const auth::Subject subject, Identify(request.credentials));
  if (need == Need::kSomebody && request.credentials.kind == Credentials::Kind::kNone) {
    return auth::UserEmptyError();
  }
  if (need == Need::kAdmin) RETURN_IF_ERROR(applier_.auth().CheckAdmin(subject));
  return subject;
}

auth::Subject Replica::Impl::OwnSubject() const {
  const auth::Auth& auth = applier_.auth();
  return auth.enabled() ? auth::Subject{auth::kRootUser, auth.revision()} : auth::Subject();
}

LogIndex Replica::Impl::AwaitedIndex(const Credentials& credentials) const {
  if (credentials.kind != Credentials::Kind::kToken || !applier_.auth().enabled()) {
    return LogIndex(0);
  }
  return auth::SimpleTokenIndex(credentials.text).value_or(LogIndex(0));
}

// Whoever has waited since has waited long enough.
Instant Replica::Impl::TokenWaitEnd() const {
  return applier_.auth().enabled() ? now_ : Instant::Infinite();
}

bool Replica::Impl::HasReleasedTokens() const {
  return token_waits_.HasReady(applied_, TokenWaitEnd());
}

void Replica::Impl::ReleaseTokenWaits() {
  // Each may be a read of its own.
  for (size_t n = 0; n < kReleasedAtOnce && HasReleasedTokens(); ++n) {
    TokenWaits::Request request = token_waits_.TakeReady(TokenWaitEnd());
    if (auto* client = std::get_if<ClientRequest>(&request)) {
      Serve(*client);
    } else {
      const auto& watch = std::get<WatchRequestBytes>(request);
      watches_.Request(watch.stream.value(), watch.body, now_);
    }
  }
}

// ---- watches ----

void Replica::Impl::On(WatchOpen& event) {
  watches_.Open(event.stream.value());
  if (event.credentials.kind == Credentials::Kind::kNone) return;
  watch_credentials_.emplace(event.stream, std::move(event.credentials));
}

void Replica::Impl::On(WatchRequestBytes& event) {
  const auto credentials = watch_credentials_.find(event.stream);
  if (credentials != watch_credentials_.end()) {
    const LogIndex awaited = AwaitedIndex(credentials->second);
    if (awaited > applied_ || token_waits_.Holds(event.stream)) {
      if (!token_waits_.full()) return token_waits_.Add(std::move(event), awaited, now_);
      return watches_.Refuse(event.stream.value(), RpcError(TooManyRequestsError()));
    }
  }
  watches_.Request(event.stream.value(), event.body, now_);
}

void Replica::Impl::On(const WatchClose& event) {
  watches_.Close(event.stream.value());
  ForgetWatchCredentials(event.stream);
}

void Replica::Impl::OnWatchEnd(uint64_t stream, absl::Status status) {
  out_->watch_ends.push_back({StreamToken(stream), std::move(status)});
  ForgetWatchCredentials(StreamToken(stream));
}

void Replica::Impl::ForgetWatchCredentials(StreamToken stream) {
  if (watch_credentials_.erase(stream) > 0) token_waits_.Close(stream);
}

std::string Replica::Impl::WatchRefusal(uint64_t stream, const mvcc::KeyRange& range) {
  if (!applier_.auth().enabled()) return "";
  const auto credentials = watch_credentials_.find(StreamToken(stream));
  const absl::StatusOr<auth::Subject> subject =
      credentials == watch_credentials_.end() ? auth::Subject() : Identify(credentials->second);
  if (!subject.ok()) return RpcError(subject.status());
  const absl::Status access = applier_.auth().CheckAccess(*subject, auth::Access::kRead, range);
  return access.ok() ? "" : RpcError(access);
}

// ---- the Auth service ----

Operation Replica::Impl::AuthOperation(RequestKind kind) {
  switch (kind) {
    case RequestKind::kAuthEnable:
      return Operation::kAuthEnable;
    case RequestKind::kAuthDisable:
      return Operation::kAuthDisable;
    case RequestKind::kAuthStatus:
      return Operation::kAuthStatus;
    case RequestKind::kAuthUserAdd:
      return Operation::kAuthUserAdd;
    case RequestKind::kAuthUserGet:
      return Operation::kAuthUserGet;
    case RequestKind::kAuthUserList:
      return Operation::kAuthUserList;
    case RequestKind::kAuthUserDelete:
      return Operation::kAuthUserDelete;
    case RequestKind::kAuthUserChangePassword:
      return Operation::kAuthUserChangePassword;
    case RequestKind::kAuthUserGrantRole:
      return Operation::kAuthUserGrantRole;
    case RequestKind::kAuthUserRevokeRole:
      return Operation::kAuthUserRevokeRole;
    case RequestKind::kAuthRoleAdd:
      return Operation::kAuthRoleAdd;
    case RequestKind::kAuthRoleGet:
      return Operation::kAuthRoleGet;
    case RequestKind::kAuthRoleList:
      return Operation::kAuthRoleList;
    case RequestKind::kAuthRoleDelete:
      return Operation::kAuthRoleDelete;
    case RequestKind::kAuthRoleGrantPermission:
      return Operation::kAuthRoleGrantPermission;
    case RequestKind::kAuthRoleRevokePermission:
      return Operation::kAuthRoleRevokePermission;
    case RequestKind::kAuthenticate:
      return Operation::kAuthenticate;
    default:
      return Operation::kNone;
  }
}

absl::StatusOr<Bytes> Replica::Impl::ReadPasswordHash(absl::string_view user) const {
  const auth::Auth& auth = applier_.auth();
  if (!auth.enabled()) return auth::AuthNotEnabledError();
  const auto at = auth.users().find(user);
  if (at == auth.users().end()) return auth::AuthFailedError();
  if (at->second.no_password) return auth::NoPasswordUserError();
  return PasswordHash{auth.revision(), at->second.password_hash}.Encode();
}

}  // namespace quorate::engine
