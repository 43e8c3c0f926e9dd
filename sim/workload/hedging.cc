// Requests that a client sends to a second member when the first does not answer at once, as
// against slow servers. Both attempts stand in the history; the answer that comes first is taken,
// and the other one, which may come long after, is judged all the same.
#include <utility>

#include "sim/workload/client.h"

namespace quorate::sim {
namespace {

constexpr Duration kLongestWait = Milliseconds(60);

}  // namespace

// Of the generator's own requests only: a workload would not know of the second attempt.
void Client::PlanHedge() {
  const Request& request = history_->call(*open_).request;
  if (second_port_ == nullptr || hedge_.has_value() || probing_ || workload_ != nullptr ||
      request.serializable || request.AboutLease()) {
    return;
  }
  if (!prng_.Chance(options_.hedge_percent, 100)) return;
  hedged_ = *open_;
  hedge_timer_->Set(loop_->Now() + prng_.Between(Duration(), kLongestWait));
}

void Client::OnHedgeTimer() {
  if (hedge_.has_value()) {
    second_port_->GiveUp();
    Settle(*std::exchange(hedge_, std::nullopt),
           {Outcome::kUnknown, Result(), "no second answer in time"});
    return;
  }
  if (open_ != hedged_) return;  // answered
  const size_t member = cluster_->PickActive(&prng_);
  if (member == history_->call(hedged_).member) return;
  context_.Inject(Fault::kHedgedRequest, host_, hedged_);
  const Request request = history_->call(hedged_).request;
  hedge_ = Begin(request, member);
  hedge_timer_->Set(loop_->Now() + options_.request_timeout);
  second_port_->Call(member, request, options_.request_timeout, [this, id = *hedge_](Reply reply) {
    if (hedge_ == id) OnHedgeReply(reply);
  });
}

void Client::OnHedgeReply(const Reply& reply) {
  hedge_timer_->Cancel();
  const History::Id id = *std::exchange(hedge_, std::nullopt);
  const sim::Call& call = Settle(id, EndingOf(id, reply));
  if (call.outcome != Outcome::kOk) return;
  ++answered_;
  generator_.Learn(call.request, call.result);
  if (open_ != hedged_) return;
  port_->GiveUp();
  answered_elsewhere_ = true;
  End({Outcome::kUnknown, Result(), "another member has answered"});
}

}  // namespace quorate::sim
