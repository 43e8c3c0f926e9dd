#include "tests/clients/comparison/generator.h"

#include <memory>
#include <utility>

#include "base/check.h"

namespace quorate::differential {
namespace {

// How often a type is drawn, relative to the others.
uint64_t Weight(Type type) {
  switch (type) {
    case Type::kPut:
      return 280;
    case Type::kRange:
      return 220;
    case Type::kTxn:
      return 180;
    case Type::kRangeStream:
      return 40;
    case Type::kDeleteRange:
      return 70;
    case Type::kCompact:
      return 12;
    case Type::kHashKv:
      return 20;
    case Type::kWatch:
      return 55;
    case Type::kWatchCancel:
      return 35;
    case Type::kWatchProgress:
      return 3;
    case Type::kAuthDisable:
      return 2;
    case Type::kAuthEnable:
      return 8;
    case Type::kUserDelete:
    case Type::kRoleDelete:
      return 3;
    default:
      return Info(type).group == "lease" ? 20 : 6;
  }
}

// Grants among which one lease is left to run out, which takes seconds.
constexpr uint64_t kExpiryOneIn = 100;
// New watchers among which one gets large values.
constexpr uint64_t kLargeOneIn = 100;

template <typename Request>
Step StepOf(Type type, Request request) {
  Step step;
  step.type = type;
  step.request = std::make_shared<Request>(std::move(request));
  return step;
}

}  // namespace

Generator::Generator(uint64_t seed, const std::set<Type>& types, const Release& release)
    : types_(types),
      draw_(seed),
      kv_(&draw_, &known_, release),
      watch_(&draw_, &known_, &kv_, release),
      lease_(&draw_, &known_),
      auth_(&draw_, &known_, &kv_, release) {
  CHECK(!types_.empty());
  for (const Type type : types_) total_weight_ += Weight(type);
}

Type Generator::DrawType() {
  uint64_t n = draw_.Below(total_weight_);
  for (const Type type : types_) {
    if (n < Weight(type)) return type;
    n -= Weight(type);
  }
  UNREACHABLE("weights add up");
}

Step Generator::Make(Type type) {
  switch (type) {
    case Type::kRange:
      return StepOf(type, kv_.Range());
    case Type::kRangeStream:
      return StepOf(type, kv_.RangeStream());
    case Type::kPut:
      return StepOf(type, kv_.Put());
    case Type::kDeleteRange:
      return StepOf(type, kv_.DeleteRange());
    case Type::kTxn:
      return StepOf(type, kv_.Txn());
    case Type::kCompact:
      return StepOf(type, kv_.Compact());
    case Type::kHashKv:
      return StepOf(type, kv_.HashKv());
    case Type::kWatch:
      return watch_.Create();
    case Type::kWatchCancel:
      return watch_.Cancel();
    case Type::kWatchProgress:
      return watch_.Progress();
    case Type::kLeaseGrant:
      return lease_.Grant();
    case Type::kLeaseRevoke:
      return lease_.Revoke();
    case Type::kLeaseKeepAlive:
      return lease_.KeepAlive();
    case Type::kLeaseTimeToLive:
      return lease_.TimeToLive();
    case Type::kLeaseLeases:
      return lease_.Leases();
    default:
      return auth_.Request(type);
  }
}

void Generator::ChooseUser(Step* step) {
  if (!types_.contains(Type::kAuthEnable)) return;
  const absl::string_view group = Info(step->type).group;
  if (group == "watch" && !step->reopens) {
    step->user = known_.streams().at(step->stream).user;
    // A stream keeps its token, even one that is worth nothing any more.
    const auto owner = known_.users().find(step->user);
    const bool valid = owner != known_.users().end() && owner->second.has_token;
    if (!known_.auth_enabled() || valid || draw_.Percent(25)) return;
    step->reopens = true;
  }
  step->user = group == "auth" || step->type == Type::kCompact ? auth_.Admin() : auth_.User();
}

// Large changes before a watcher that is there and one that comes too late.
void Generator::PlanLarge() {
  const std::string prefix = KvSource::kLargePrefix;
  planned_.push_back(watch_.CreateForLarge(prefix, 0));
  if (types_.contains(Type::kTxn)) {
    for (int i = 0; i < 2; ++i) planned_.push_back(StepOf(Type::kTxn, kv_.LargeTxn()));
  }
  planned_.push_back(watch_.CreateForLarge(prefix, known_.revision() + 1));
}

Step Generator::Next() {
  if (planned_.empty()) {
    const Type type = DrawType();
    if (type == Type::kLeaseGrant && draw_.OneIn(kExpiryOneIn)) {
      for (Step& step : lease_.Expiry()) planned_.push_back(std::move(step));
    } else if (type == Type::kWatch && draw_.OneIn(kLargeOneIn)) {
      PlanLarge();
    } else {
      planned_.push_back(Make(type));
    }
    for (Step& step : planned_) ChooseUser(&step);
    // Whoever has no token logs in first.
    const std::string user = planned_.front().user;
    const auto found = known_.users().find(user);
    if (known_.auth_enabled() && found != known_.users().end() && !found->second.has_token) {
      planned_.push_front(auth_.Login(user));
    }
  }
  Step step = std::move(planned_.front());
  planned_.pop_front();
  return step;
}

}  // namespace quorate::differential
