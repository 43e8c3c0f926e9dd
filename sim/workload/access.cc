#include "sim/workload/access.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sim/workload/generator.h"

namespace quorate::sim {
namespace {

using Kind = AuthChange::Kind;

constexpr TraceKind kAsk("change-access", "kind", "member");
constexpr TraceKind kTold("access-changed", "kind", "code");

constexpr Duration kTimeout = Seconds(2);
// Between two of what must be made, and between two changes.
constexpr Duration kSetupPause = Milliseconds(5);
constexpr Duration kMeanPause = Milliseconds(500);

constexpr uint64_t kUsers = 3;
// May do everything with all keys; may read them all and write some; has what comes.
constexpr const char* kRoles[] = {"all", "part", "odd"};

constexpr int kRead = 0;
constexpr int kWrite = 1;
constexpr int kReadWrite = 2;

AuthChange Grant(std::string role, std::string key, std::string range_end, int type) {
  AuthChange out = OfRole(Kind::kGrantPermission, std::move(role));
  out.key = std::move(key);
  out.range_end = std::move(range_end);
  out.type = type;
  return out;
}

std::string UserNamed(uint64_t number) { return absl::StrCat("u", number % kUsers); }

// The group's keys are those between this and PrefixEnd() of it.
std::string GroupPrefix(uint64_t group) {
  return absl::StrCat(Generator::kPrefix, absl::Dec(group, absl::kZeroPad2), "/");
}

// There is nothing to make: it has been made, perhaps by an attempt that nobody told of.
bool NeedsNothing(const absl::Status& status) {
  const absl::string_view text(status.message().data(), status.message().size());
  return absl::StrContains(text, "already exists") || absl::StrContains(text, "not found") ||
         absl::StrContains(text, "is not granted");
}

}  // namespace

std::string AccessAdministrator::UserOf(uint32_t client) {
  return client % 3 == 0 ? "root" : UserNamed(client / 3 + client);
}

AccessAdministrator::AccessAdministrator(const Context& context, HostId host, const io::Env& env,
                                         std::unique_ptr<ClientPort> port, Cluster* cluster,
                                         AuthOracle* oracle, size_t groups)
    : context_(context),
      host_(host),
      port_(std::move(port)),
      cluster_(cluster),
      oracle_(oracle),
      groups_(groups),
      loop_(env.loop),
      session_(context, host, env.loop, port_.get(), "root"),
      prng_(NamedDraw(context.seed, HashName("access"), HashName("choices"), 0)),
      timer_(env.loop->NewTimer([this] { Next(); })),
      timeout_(env.loop->NewTimer([this] {
        port_->GiveUp();
        asking_ = false;
        PlanNext();
      })) {
  PlanSetup();
}

void AccessAdministrator::PlanSetup() {
  const std::string prefix = Generator::kPrefix;
  for (const char* role : kRoles) Must(OfRole(Kind::kAddRole, role));
  Must(Grant("all", prefix, PrefixEnd(prefix), kReadWrite));
  Must(Grant("part", prefix, PrefixEnd(prefix), kRead));
  // Two permissions that touch, and one that is written for one key.
  Must(Grant("part", GroupPrefix(0), GroupPrefix(1), kWrite));
  Must(Grant("part", GroupPrefix(1), PrefixEnd(GroupPrefix(1)), kReadWrite));
  Must(Grant("odd", GroupPrefix(2), PrefixEnd(GroupPrefix(2)), kReadWrite));
  Must(Grant("odd", absl::StrCat(GroupPrefix(0), "k0"), "", kRead));
  Must(OfUser(Kind::kAddUser, "root"));
  Must(OfUser(Kind::kGrantRole, "root", "root"));
  for (uint64_t i = 0; i < kUsers; ++i) Must(OfUser(Kind::kAddUser, UserNamed(i)));
  for (uint64_t i = 0; i < kUsers; ++i) {
    Must(OfUser(Kind::kGrantRole, UserNamed(i), kRoles[i % 3]));
  }
  Must(OfUser(Kind::kGrantRole, UserNamed(1), "odd"));
  Must(OfUser(Kind::kEnable, ""));
}

void AccessAdministrator::Stop() {
  stopping_ = true;
  timer_->Cancel();
}

void AccessAdministrator::PlanNext() {
  if (stopping_) return;
  const Duration pause = due_.empty() ? prng_.Exponential(kMeanPause) : kSetupPause;
  timer_->Set(loop_->Now() + pause);
}

void AccessAdministrator::Next() {
  if (stopping_ || asking_) return;
  if (session_.must_log_in()) {
    return session_.LogIn(cluster_->PickActive(&prng_), [this] { PlanNext(); });
  }
  Ask(due_.empty() ? Draw() : due_.front());
}

void AccessAdministrator::Ask(AuthChange change) {
  const size_t member = cluster_->PickActive(&prng_);
  const uint64_t asked = ++asked_;
  asking_ = true;
  context_.Record(host_, kAsk, static_cast<uint64_t>(change.kind), member);
  timeout_->Set(loop_->Now() + kTimeout);
  port_->ChangeAuth(member, change, kTimeout,
                    [this, asked, change, since = oracle_->committed()](const Reply& reply) {
                      if (asking_ && asked == asked_) OnReply(change, since, reply);
                    });
}

void AccessAdministrator::OnReply(const AuthChange& change, LogIndex since, const Reply& reply) {
  timeout_->Cancel();
  asking_ = false;
  context_.Record(host_, kTold, static_cast<uint64_t>(change.kind),
                  static_cast<uint64_t>(reply.status.code()));
  const absl::Status& status = reply.status;
  if (status.ok()) {
    oracle_->OnAcknowledged(context_.now(), change, since);
  } else {
    session_.OnRefused(absl::string_view(status.message().data(), status.message().size()));
  }
  const bool made = status.ok() || NeedsNothing(status);
  if (made && !due_.empty() && due_.front() == change) due_.pop_front();
  set_up_ = set_up_ || due_.empty();
  PlanNext();
}

AuthChange AccessAdministrator::DrawPermission(Kind kind) {
  AuthChange out = OfRole(kind, kRoles[1 + prng_.Below(2)]);
  const std::string prefix = GroupPrefix(prng_.Below(groups_));
  out.key = prefix;
  switch (prng_.Below(4)) {
    case 0:
      out.key = absl::StrCat(prefix, "k", prng_.Below(3));
      break;
    case 1:
      out.range_end = std::string(1, '\0');  // and all that follow
      break;
    default:
      out.range_end = PrefixEnd(prefix);
      break;
  }
  if (kind == Kind::kGrantPermission) out.type = static_cast<int>(prng_.Below(3));
  return out;
}

// What takes much away is given back with the next change.
AuthChange AccessAdministrator::Draw() {
  const std::string user = UserNamed(prng_.Below(kUsers));
  const std::string role = kRoles[prng_.Below(3)];
  switch (prng_.Below(16)) {
    case 0:
    case 1:
    case 2:
      return OfUser(Kind::kGrantRole, user, role);
    case 3:
    case 4:
    case 5:
      return OfUser(Kind::kRevokeRole, user, role);
    case 6:
    case 7:
    case 8:
      return DrawPermission(Kind::kGrantPermission);
    case 9:
    case 10:
      return DrawPermission(Kind::kRevokePermission);
    case 11:
      Must(OfUser(Kind::kDeleteUser, user));
      Must(OfUser(Kind::kAddUser, user));
      Must(OfUser(Kind::kGrantRole, user, role));
      return due_.front();
    case 12:
      return OfUser(Kind::kChangePassword, user);
    case 13:
      Must(OfUser(Kind::kRevokeRole, user, "all"));
      Must(OfUser(Kind::kGrantRole, user, "all"));
      return due_.front();
    case 14:
      Must(OfRole(Kind::kDeleteRole, "odd"));
      Must(OfRole(Kind::kAddRole, "odd"));
      Must(OfUser(Kind::kGrantRole, user, "odd"));
      return due_.front();
    default:
      if (!prng_.Chance(1, 4)) return OfUser(Kind::kGrantRole, user, "all");
      Must(OfUser(Kind::kDisable, ""));
      Must(OfUser(Kind::kEnable, ""));
      return due_.front();
  }
}

}  // namespace quorate::sim
