#include "sim/workload/administrator.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/messages.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kAsk("administer", "kind", "member");

constexpr Duration kTimeout = Seconds(2);
constexpr Duration kMeanPause = Milliseconds(400);

}  // namespace

Administrator::Administrator(const Context& context, HostId host, const io::Env& env,
                             Cluster* cluster, Judge* judge)
    : context_(context),
      host_(host),
      cluster_(cluster),
      judge_(judge),
      loop_(env.loop),
      prng_(NamedDraw(context.seed, HashName("administrator"), HashName("choices"), 0)),
      timer_(env.loop->NewTimer([this] { Next(); })) {}

void Administrator::PlanNext() { timer_->Set(loop_->Now() + prng_.Exponential(kMeanPause)); }

void Administrator::Next() {
  const size_t member = cluster_->PickActive(&prng_);
  if (prng_.Chance(1, 2)) {
    AddUser(member);
  } else {
    ChangeSomething(member);
  }
  PlanNext();
}

template <typename Request>
void Administrator::Ask(size_t member, engine::RequestKind kind, const Request& request,
                        const std::string& added_user) {
  if (!cluster_->ready(member)) return;
  last_deadline_ = loop_->Now() + kTimeout;
  context_.Record(host_, kAsk, static_cast<uint64_t>(kind), member);
  if (!added_user.empty()) asked_.insert(added_user);
  cluster_->host(member).Run([this, member, kind, added_user, body = SerializeMessage(request)] {
    node::Node* const node = cluster_->node(member);
    if (node == nullptr) return;
    node->Call(kind, body, kTimeout, [this, added_user](const absl::Status& status, const Bytes&) {
      if (status.ok() && !added_user.empty()) acknowledged_.insert(added_user);
    });
  });
}

void Administrator::AddUser(size_t member) {
  etcdserverpb::AuthUserAddRequest request;
  request.set_name(absl::StrCat("u", ++last_user_));
  request.set_hashedpassword(absl::Base64Escape("not a real hash"));
  Ask(member, engine::RequestKind::kAuthUserAdd, request, request.name());
}

void Administrator::ChangeSomething(size_t member) {
  using engine::RequestKind;
  const std::string user = absl::StrCat("u", prng_.Below(last_user_ + 1));
  const std::string role = absl::StrCat("r", prng_.Below(4));
  switch (prng_.Below(6)) {
    case 0: {
      etcdserverpb::AuthRoleAddRequest request;
      request.set_name(role);
      return Ask(member, RequestKind::kAuthRoleAdd, request);
    }
    case 1: {
      etcdserverpb::AuthRoleDeleteRequest request;
      request.set_role(role);
      return Ask(member, RequestKind::kAuthRoleDelete, request);
    }
    case 2: {
      etcdserverpb::AuthUserChangePasswordRequest request;
      request.set_name(user);
      request.set_hashedpassword(absl::Base64Escape(absl::StrCat("hash ", prng_.Below(1000))));
      return Ask(member, RequestKind::kAuthUserChangePassword, request);
    }
    case 3: {
      etcdserverpb::AuthUserRevokeRoleRequest request;
      request.set_name(user);
      request.set_role(role);
      return Ask(member, RequestKind::kAuthUserRevokeRole, request);
    }
    case 4: {
      etcdserverpb::AuthUserGrantRoleRequest request;
      request.set_user(user);
      request.set_role(role);
      return Ask(member, RequestKind::kAuthUserGrantRole, request);
    }
    default: {
      etcdserverpb::AuthRoleGrantPermissionRequest request;
      request.set_name(role);
      request.mutable_perm()->set_key(absl::StrCat("k", prng_.Below(5)));
      request.mutable_perm()->set_permtype(static_cast<authpb::Permission::Type>(prng_.Below(3)));
      return Ask(member, RequestKind::kAuthRoleGrantPermission, request);
    }
  }
}

std::set<std::string> Administrator::UsersOf(const Bytes& user_list_response) {
  etcdserverpb::AuthUserListResponse list;
  const bool parsed = ParseMessage(user_list_response, &list);
  if (!parsed) return {};
  return {list.users().begin(), list.users().end()};
}

void Administrator::Check(size_t member, const std::set<std::string>& users) {
  judge_->Checked(Rule::kNoLostWrite);
  for (const std::string& user : acknowledged_) {
    if (users.contains(user)) continue;
    judge_->Report(
        Rule::kNoLostWrite, context_.now(),
        absl::StrCat("user ", user, " was acknowledged, but member ", member, " does not have it"));
  }
  for (const std::string& user : users) {
    if (asked_.contains(user)) continue;
    judge_->Report(
        Rule::kNoLostWrite, context_.now(),
        absl::StrCat("member ", member, " has user ", user, ", which nobody has asked for"));
  }
}

}  // namespace quorate::sim
