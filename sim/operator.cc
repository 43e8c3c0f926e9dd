#include "sim/operator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "server/config/ids.h"

namespace quorate::sim {
namespace {

using engine::RequestKind;

// etcd supports seven voters and no more.
constexpr size_t kMaxVoters = 7;
constexpr Duration kTimeout = Seconds(2);
constexpr Duration kPause = Milliseconds(150);
// Who does not answer is gone, as far as the operator knows.
constexpr Duration kPatience = Milliseconds(2500);
// Until what is committed is durable as such, too: with the entries that come after it.
constexpr Duration kSettling = Seconds(2);
// A member that was removed is left alone for a while: it must do no harm.
constexpr Duration kMeanAfterlife = Seconds(2);

RequestKind KindOf(Fault step) {
  switch (step) {
    case Fault::kMemberAdd:
    case Fault::kLearnerAdd:
      return RequestKind::kMemberAdd;
    case Fault::kMemberPromote:
      return RequestKind::kMemberPromote;
    default:
      return RequestKind::kMemberRemove;
  }
}

}  // namespace

Operator::Operator(const Context& context, Cluster* cluster)
    : context_(context), cluster_(cluster) {}

Operator::~Operator() { context_.scheduler->Cancel(next_try_); }

void Operator::Begin(uint64_t draws) {
  if (!idle()) return;
  prng_ = Prng(draws);
  hasty_prng_ = Prng(NamedDraw(draws, HashName("operator"), HashName("hasty"), 0));
  hasty_ = hasty_prng_.Chance(1, 2);
  const size_t voters = cluster_->active().size();
  std::vector<Fault> possible;
  if (cluster_->FindSpare() != 0 && voters < kMaxVoters) {
    possible.push_back(Fault::kMemberAdd);
    possible.push_back(Fault::kLearnerAdd);
    // The others must be a majority without the one that is lost.
    if (voters > 3 || (voters == 3 && IsSettled())) possible.push_back(Fault::kMemberReplace);
  }
  // Of two, one could be gone for good before the other knows that it is alone: that one
  // waits for a second vote for ever, here as in etcd.
  if (voters >= 3) possible.push_back(Fault::kMemberRemove);
  if (possible.empty()) return;
  Plan(possible[prng_.Below(possible.size())]);
  Try();
}

// Whether everybody knows who is in the cluster, a power loss later as well. Before that the ones
// that are left may come back with an earlier, smaller configuration, in which they are no
// majority; an operator who throws a disk away then has lost the cluster.
bool Operator::IsSettled() const {
  if (context_.now() < changed_ + kSettling) return false;
  for (const size_t m : cluster_->active()) {
    if (!cluster_->ready(m)) return false;
    node::Node* const node = cluster_->node(m);
    if (node == nullptr || node->members().size() != cluster_->active().size()) return false;
  }
  return true;
}

void Operator::Plan(Fault change) {
  const bool by_learner = prng_.Chance(1, 2);
  if (change == Fault::kMemberRemove) {
    const size_t leaving = VoterToLose();
    steps_.push_back({Fault::kMemberRemove, leaving, cluster_->id(leaving)});
    return;
  }
  if (change == Fault::kMemberReplace) {
    const size_t leaving = VoterToLose();
    // It never comes back: what it had acknowledged is lost with its disk.
    cluster_->Lose(leaving);
    steps_.push_back({Fault::kMemberReplace, leaving, cluster_->id(leaving)});
  }
  const size_t joining = cluster_->FindSpare();
  const int64_t seconds =
      1'700'000'000 + static_cast<int64_t>(context_.now().nanos() / 1'000'000'000);
  const MemberId id = config::AddedMemberId(cluster_->peer_urls(joining), seconds);
  const bool learner =
      change == Fault::kLearnerAdd || (change == Fault::kMemberReplace && by_learner);
  steps_.push_back({learner ? Fault::kLearnerAdd : Fault::kMemberAdd, joining, id});
  if (learner) steps_.push_back({Fault::kMemberPromote, joining, id});
}

size_t Operator::VoterToLose() {
  const size_t leader = cluster_->Leader();
  const bool that = prng_.Chance(1, 3);
  const size_t any = cluster_->PickActive(&prng_);
  return that && cluster_->IsActive(leader) ? leader : any;
}

bool Operator::removing() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.fault == Fault::kMemberRemove || step.fault == Fault::kMemberReplace;
  });
}

// Of three, the one that is left beside a member in repair would be no quorum for it to ask, for
// ever: a careful operator sees it and waits.
bool Operator::WouldStrandARepair(const Step& step) const {
  if (step.fault != Fault::kMemberRemove && step.fault != Fault::kMemberReplace) return false;
  const std::vector<size_t>& active = cluster_->active();
  return std::any_of(active.begin(), active.end(),
                     [&](size_t m) { return m != step.member && cluster_->lacks_data(m); });
}

void Operator::TryAgainAfter(Duration wait) {
  context_.scheduler->Cancel(next_try_);
  next_try_ = context_.scheduler->After(wait, [this] { Try(); });
}

void Operator::Try() {
  if (idle()) return;
  // Of two that were asked for the second may come first.
  if (hasty_ && steps_.size() > 1 && IsListed(steps_[1])) std::swap(steps_[0], steps_[1]);
  const Step& step = steps_.front();
  // An attempt without an answer may have made it, and a member that is not alone any more may
  // have to wait for the new one.
  ++attempt_;
  if (IsListed(step)) return Complete();
  if (WouldStrandARepair(step)) return TryAgainAfter(kPause);
  const size_t asked = cluster_->PickActive(&prng_);
  node::Node* const node = cluster_->ready(asked) ? cluster_->node(asked) : nullptr;
  if (node == nullptr || (asked == step.member && step.fault != Fault::kMemberRemove)) {
    return TryAgainAfter(kPause);
  }
  TryAgainAfter(kPatience);
  Ask(asked, step, /*heed=*/true);
  if (hasty_) AskForNext();
}

void Operator::AskForNext() {
  const size_t asked = cluster_->PickActive(&hasty_prng_);
  if (steps_.size() < 2 || KindOf(steps_[1].fault) != RequestKind::kMemberAdd) return;
  if (cluster_->ready(asked) && asked != steps_[0].member) Ask(asked, steps_[1], /*heed=*/false);
}

void Operator::Ask(size_t asked, const Step& step, bool heed) {
  node::Node* const node = cluster_->node(asked);
  // Removals and promotions only have the id.
  etcdserverpb::Member request;
  request.set_id(step.id.value());
  if (KindOf(step.fault) == RequestKind::kMemberAdd) {
    for (const config::Url& url : cluster_->peer_urls(step.member)) {
      request.add_peerurls(url.ToString());
    }
    request.set_islearner(step.fault == Fault::kLearnerAdd);
  }
  cluster_->host(asked).Run([this, node, heed, kind = KindOf(step.fault), attempt = attempt_,
                             body = SerializeMessage(request)] {
    node->Call(
        kind, body, kTimeout,
        [this, heed, attempt](const absl::Status& status, const Bytes&) {
          if (heed && attempt == attempt_ && !idle()) OnAnswer(status);
        },
        engine::OwnCredentials());
  });
}

bool Operator::Made(const absl::Status& status) const {
  if (status.ok()) return true;
  if (IsListed(steps_.front())) return true;
  switch (steps_.front().fault) {
    case Fault::kMemberAdd:
    case Fault::kLearnerAdd:
      return status.message() == "etcdserver: member ID already exist";
    case Fault::kMemberPromote:
      return status.message() == "etcdserver: can only promote a learner member";
    default:
      return absl::IsNotFound(status);
  }
}

// As in a list of the members: an addition whose answer was lost is refused when it is repeated,
// because one member has not started yet.
bool Operator::IsListed(const Step& step) const {
  if (KindOf(step.fault) != RequestKind::kMemberAdd) return false;
  for (const size_t m : cluster_->active()) {
    node::Node* const node = cluster_->node(m);
    if (node == nullptr) continue;
    for (const engine::MemberInfo& member : node->members()) {
      if (member.id == step.id) return true;
    }
  }
  return false;
}

void Operator::OnAnswer(const absl::Status& status) {
  if (!Made(status)) return TryAgainAfter(kPause + prng_.Exponential(kPause));
  ++attempt_;
  context_.scheduler->Cancel(next_try_);
  // From an event of the world: members may have to be stopped.
  next_try_ = context_.scheduler->After(Nanoseconds(0), [this] { Complete(); });
}

void Operator::Complete() {
  const Step step = steps_.front();
  steps_.pop_front();
  changed_ = context_.now();
  context_.Inject(step.fault, cluster_->host_id(step.member), step.id.value());
  switch (step.fault) {
    case Fault::kMemberAdd:
    case Fault::kLearnerAdd:
      cluster_->Admit(step.member, step.id);
      break;
    case Fault::kMemberReplace:
    case Fault::kMemberRemove:
      cluster_->Retire(step.member, prng_.Exponential(kMeanAfterlife));
      break;
    default:
      break;
  }
  if (!idle()) TryAgainAfter(kPause);
}

}  // namespace quorate::sim
