#include "server/peer/prober.h"

#include <utility>

namespace quorate::peer {
namespace {

constexpr size_t kMaxAnswerBytes = 4096;

http1::ClientOptions ClientOptionsOf(const Options& options) {
  http1::ClientOptions client;
  client.connect_timeout = options.dial_timeout;
  client.response_timeout = options.silence_timeout;
  client.read_timeout = options.silence_timeout;
  // A new connection would count twice.
  client.max_idle_connections = 1;
  client.idle_timeout = options.probe_interval * 3;
  return client;
}

}  // namespace

Prober::Prober(const Context* context, MemberId peer, const std::string& address)
    : context_(context),
      peer_(peer),
      client_(NewClient(*context, address, ClientOptionsOf(context->options))),
      timer_(context->env.loop->NewTimer([this] { Probe(); })) {
  timer_->Set(context_->env.loop->Now() + context_->options.probe_interval);
}

void Prober::Probe() {
  http1::ClientRequest request;
  request.target = "/raft/probing";
  asked_at_ = context_->env.loop->Now();
  exchange_ = client_->Fetch(
      std::move(request), kMaxAnswerBytes,
      [this](const absl::StatusOr<http1::Client::WholeResponse>& answer) { OnAnswer(answer); });
}

void Prober::OnAnswer(const absl::StatusOr<http1::Client::WholeResponse>& answer) {
  const Instant now = context_->env.loop->Now();
  const bool answered = answer.ok() && answer->head.status == 200;
  if (answered && context_->on_round_trip != nullptr) {
    context_->on_round_trip(peer_, now - asked_at_);
  }
  timer_->Set(now + context_->options.probe_interval);
}

}  // namespace quorate::peer
