#include "engine/apply/auth_reads.h"

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/malformed.h"
#include "api/messages.h"
#include "base/check.h"
#include "base/wire.h"
#include "engine/auth/errors.h"
#include "engine/mvcc/reply.h"

namespace quorate::apply {
namespace {

namespace pb = etcdserverpb;

// How often a list is begun, at most.
constexpr int kBeginnings = 3;

// Fields of responses; the header is field 1 everywhere.
constexpr uint32_t kNamesField = 2;  // users, roles
constexpr uint32_t kPermissionField = 2;
constexpr uint32_t kEnabledField = 2;
constexpr uint32_t kAuthRevisionField = 3;

void AppendPermission(const auth::Permission& permission, BytesBuilder* out) {
  const size_t begin = BeginMessage(out, kPermissionField);
  AppendInt64(out, 1, permission.type);
  AppendBytes(out, 2, permission.key);
  AppendBytes(out, 3, permission.range_end);
  EndMessage(out, begin);
}

class AuthRead final : public ReadRun {
 public:
  AuthRead(Operation operation, absl::string_view body, const auth::Subject& subject,
           const auth::Auth& auth, const mvcc::Store& store, const mvcc::Identity& identity)
      : operation_(operation),
        user_(subject.user),
        user_revision_(subject.revision),
        auth_(auth),
        store_(store),
        identity_(identity) {
    if (operation == Operation::kAuthUserGet) ParseName<pb::AuthUserGetRequest>(body);
    if (operation == Operation::kAuthRoleGet) ParseName<pb::AuthRoleGetRequest>(body);
  }

  bool Step(mvcc::Work* work) override {
    if (status_.ok() && (beginnings_ == 0 || auth_.revision() != seen_)) {
      if (reply_.has_value() && !reply_->Release(work)) return false;
      Begin();
    }
    if (!status_.ok()) {
      result_ = status_;
      return true;
    }
    mvcc::Work all = mvcc::Work::Unlimited();
    if (!List(beginnings_ == kBeginnings ? &all : work)) return false;
    result_ = reply_->Finish();
    return true;
  }
  bool Release(mvcc::Work* work) override { return !reply_.has_value() || reply_->Release(work); }

 private:
  template <typename Request>
  void ParseName(absl::string_view body) {
    Request request;
    if (!ParseMessage(body, &request)) {
      status_ = MalformedRequestError();
    } else if constexpr (std::is_same_v<Request, pb::AuthUserGetRequest>) {
      name_ = request.name();
    } else {
      name_ = request.role();
    }
  }

  void Begin() {
    ++beginnings_;
    seen_ = auth_.revision();
    last_.clear();
    last_number_ = 0;
    reply_.emplace();
    mvcc::AppendHeader(identity_, store_.revision(), reply_->out());
    status_ = Check();
  }

  // Who may ask, and whether it is there.
  absl::Status Check() const {
    if (operation_ == Operation::kAuthStatus) return absl::OkStatus();
    absl::Status admin = auth_.CheckAdmin({user_, user_revision_});
    if (operation_ == Operation::kAuthUserGet) {
      if (!admin.ok() && name_ != user_) return admin;
      return auth_.users().contains(name_) ? absl::OkStatus() : auth::UserNotFoundError();
    }
    if (operation_ == Operation::kAuthRoleGet) {
      if (!admin.ok() && !auth_.UserHasRole(user_, name_)) return admin;
      return auth_.roles().contains(name_) ? absl::OkStatus() : auth::RoleNotFoundError();
    }
    return admin;
  }

  // True once all is appended.
  bool List(mvcc::Work* work) {
    switch (operation_) {
      case Operation::kAuthStatus:
        AppendBool(reply_->out(), kEnabledField, auth_.enabled());
        AppendUint64(reply_->out(), kAuthRevisionField, auth_.revision());
        return true;
      case Operation::kAuthUserList:
        return ListNames(auth_.users(), work);
      case Operation::kAuthRoleList:
        return ListNames(auth_.roles(), work);
      case Operation::kAuthUserGet:
        return ListGrants(auth_.users().find(name_)->second.roles, work);
      case Operation::kAuthRoleGet:
        if (name_ == auth::kRootRole) {
          AppendPermission({auth::Permission::kReadWrite, "", std::string(1, '\0')}, reply_->out());
          return true;
        }
        return ListPermissions(auth_.roles().find(name_)->second.permissions, work);
      default:
        UNREACHABLE("not one of the reads");
    }
  }

  // No name is empty.
  template <typename ByName>
  bool ListNames(const ByName& by_name, mvcc::Work* work) {
    for (auto at = by_name.upper_bound(last_); at != by_name.end(); ++at) {
      if (work->spent()) return false;
      work->SpendLook();
      AppendLen(reply_->out(), kNamesField, at->first);
      reply_->Roll();
      work->SpendBytes(at->first.size());
      if (work->spent()) last_ = at->first;
    }
    return true;
  }

  // `at` is the first that is not listed; `done(x)` notes that all up to `x` are.
  template <typename Set, typename Append, typename Done>
  bool ListAll(const Set& all, typename Set::const_iterator at, mvcc::Work* work, Append&& append,
               Done&& done) {
    for (; at != all.end(); ++at) {
      if (work->spent()) return false;
      work->SpendLook();
      const uint64_t before = reply_->size();
      append(*at);
      work->SpendBytes(reply_->size() - before);
      reply_->Roll();
      if (work->spent()) done(*at);
    }
    return true;
  }

  bool ListGrants(const auth::RoleGrants& grants, mvcc::Work* work) {
    return ListAll(
        grants, grants.upper_bound(last_), work,
        [this](const auth::RoleGrant& role) {
          if (auth_.IsHeld(role)) AppendLen(reply_->out(), kNamesField, role.name);
        },
        [this](const auth::RoleGrant& role) { last_ = role.name; });
  }

  // No key is empty.
  bool ListPermissions(const auth::Permissions& permissions, mvcc::Work* work) {
    return ListAll(
        permissions, permissions.upper_bound(auth::ByKey::Place(last_, last_number_)), work,
        [this](const auth::Permission& p) { AppendPermission(p, reply_->out()); },
        [this](const auth::Permission& p) {
          last_ = p.key;
          last_number_ = p.number;
        });
  }

  const Operation operation_;
  const std::string user_;
  const uint64_t user_revision_;
  const auth::Auth& auth_;
  const mvcc::Store& store_;
  const mvcc::Identity identity_;
  std::string name_;  // of the user or role that is asked for
  absl::Status status_;
  int beginnings_ = 0;
  uint64_t seen_ = 0;  // the auth revision
  // How far the list is: the name that was listed last, or the permission.
  std::string last_;
  uint64_t last_number_ = 0;
  std::optional<mvcc::Reply> reply_;
};

}  // namespace

std::unique_ptr<ReadRun> RunAuthRead(Operation operation, absl::string_view body,
                                     const auth::Subject& subject, const auth::Auth& auth,
                                     const mvcc::Store& store, const mvcc::Identity& identity) {
  return std::make_unique<AuthRead>(operation, body, subject, auth, store, identity);
}

}  // namespace quorate::apply
