#include "tests/clients/comparison/known.h"

#include <algorithm>

#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"

namespace quorate::differential {

void Known::Observe(const mvccpb::Event& event) {
  const std::string& key = event.kv().key();
  if (event.type() == mvccpb::Event::DELETE) {
    keys_.erase(key);
    if (!deleted_.empty() && deleted_.begin()->second != event.kv().mod_revision()) {
      deleted_.clear();
    }
    deleted_[key] = event.kv().mod_revision();
  } else {
    const auto deleted = deleted_.find(key);
    if (deleted != deleted_.end() && deleted->second == event.kv().mod_revision()) {
      reborn_.insert(deleted->second);
    }
    keys_[key] = event.kv();
  }
  revision_ = std::max(revision_, event.kv().mod_revision());
}

void Known::Learn(const Step& step, const Answer& answer) {
  if (!answer.status.ok()) return;
  const auto group = Info(step.type).group;
  if (group == "kv") LearnKv(step, answer);
  if (group == "watch") LearnWatch(step, answer);
  if (group == "lease") LearnLease(step, answer);
  if (group == "auth") LearnAuth(step);
}

void Known::LearnKv(const Step& step, const Answer&) {
  if (step.type != Type::kCompact) return;
  compacted_ = step.As<etcdserverpb::CompactionRequest>().revision();
}

void Known::LearnWatch(const Step& step, const Answer& answer) {
  KnownStream& stream = streams_[step.stream];
  if (step.reopens) stream = KnownStream{step.user, {}};
  const auto& response = answer.As<etcdserverpb::WatchResponse>();
  if (step.type == Type::kWatch && response.created() && !response.canceled()) {
    stream.watches[response.watch_id()] =
        step.As<etcdserverpb::WatchRequest>().create_request().start_revision();
  }
  if (step.type == Type::kWatchCancel && response.canceled()) {
    stream.watches.erase(response.watch_id());
  }
}

void Known::LearnLease(const Step& step, const Answer& answer) {
  if (step.type == Type::kLeaseGrant) {
    const int64_t chosen = answer.As<etcdserverpb::LeaseGrantResponse>().id();
    leases_.insert(step.names_lease.value_or(chosen));
  } else if (step.type == Type::kLeaseRevoke) {
    leases_.erase(step.As<etcdserverpb::LeaseRevokeRequest>().id());
  }
  if (step.awaits_expiry.has_value()) leases_.erase(*step.awaits_expiry);
}

void Known::LearnAuth(const Step& step) {
  switch (step.type) {
    case Type::kAuthEnable:
      auth_enabled_ = true;
      break;
    case Type::kAuthDisable:
      auth_enabled_ = false;
      for (auto& [name, user] : users_) user.has_token = false;
      break;
    case Type::kAuthenticate:
      users_[step.As<etcdserverpb::AuthenticateRequest>().name()].has_token = true;
      break;
    default:
      LearnUsers(step);
      LearnRoles(step);
  }
}

void Known::LearnUsers(const Step& step) {
  switch (step.type) {
    case Type::kUserAdd: {
      const auto& request = step.As<etcdserverpb::AuthUserAddRequest>();
      users_[request.name()] = {request.password(), request.options().no_password(), false, {}};
      break;
    }
    case Type::kUserDelete:
      users_.erase(step.As<etcdserverpb::AuthUserDeleteRequest>().name());
      break;
    case Type::kUserChangePassword: {
      const auto& request = step.As<etcdserverpb::AuthUserChangePasswordRequest>();
      users_[request.name()].password = request.password();
      users_[request.name()].has_token = false;
      break;
    }
    case Type::kUserGrantRole: {
      const auto& request = step.As<etcdserverpb::AuthUserGrantRoleRequest>();
      users_[request.user()].roles.insert(request.role());
      break;
    }
    case Type::kUserRevokeRole: {
      const auto& request = step.As<etcdserverpb::AuthUserRevokeRoleRequest>();
      users_[request.name()].roles.erase(request.role());
      break;
    }
    default:
      break;
  }
}

void Known::LearnRoles(const Step& step) {
  switch (step.type) {
    case Type::kRoleAdd:
      roles_[step.As<etcdserverpb::AuthRoleAddRequest>().name()];
      break;
    case Type::kRoleDelete: {
      const std::string& role = step.As<etcdserverpb::AuthRoleDeleteRequest>().role();
      roles_.erase(role);
      for (auto& [name, user] : users_) user.roles.erase(role);
      break;
    }
    case Type::kRoleGrantPermission: {
      const auto& request = step.As<etcdserverpb::AuthRoleGrantPermissionRequest>();
      roles_[request.name()].push_back(request.perm());
      break;
    }
    case Type::kRoleRevokePermission: {
      const auto& request = step.As<etcdserverpb::AuthRoleRevokePermissionRequest>();
      std::vector<authpb::Permission>& held = roles_[request.role()];
      held.erase(std::remove_if(held.begin(), held.end(),
                                [&](const authpb::Permission& p) {
                                  return p.key() == request.key() &&
                                         p.range_end() == request.range_end();
                                }),
                 held.end());
      break;
    }
    default:
      break;
  }
}

bool Known::IsRoot(const std::string& user) const {
  const auto found = users_.find(user);
  return found != users_.end() && found->second.roles.contains("root");
}

}  // namespace quorate::differential
