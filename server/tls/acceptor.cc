#include "server/tls/acceptor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "io/address.h"

namespace quorate::tls {
namespace {

// "10.0.0.1:53210" without the port.
std::string HostOf(const std::string& address) {
  const absl::StatusOr<io::HostPort> parsed = io::ParseHostPort(address);
  return parsed.ok() ? parsed->host : "";
}

std::string Rejection(const AcceptorOptions& options) {
  return absl::StrCat("rejected connection on ", options.endpoint, " endpoint");
}

}  // namespace

Acceptor::Acceptor(io::Loop* loop, log::Logger* log, Source* source, HandshakeQueue* queue,
                   AcceptorOptions options, AcceptCallback on_accept)
    : loop_(loop),
      log_(log),
      source_(source),
      queue_(queue),
      options_(std::move(options)),
      on_accept_(std::move(on_accept)),
      timer_(loop->NewTimer([this] { OnTimer(); })),
      throttle_(loop, log, Rejection(options_), options_.notice_interval),
      self_(std::make_shared<Acceptor*>(this)) {}

Acceptor::~Acceptor() = default;

void Acceptor::Accept(std::unique_ptr<io::Stream> stream) {
  const uint64_t id = next_id_++;
  Pending& pending = pending_[id];
  pending.raw = std::move(stream);
  SetDeadline(&pending, options_.handshake_timeout);
  source_->Get([weak = std::weak_ptr<Acceptor*>(self_), id](const Source::ContextOr& context) {
    if (const std::shared_ptr<Acceptor*> self = weak.lock()) (*self)->Begin(id, context);
  });
}

void Acceptor::Begin(uint64_t id, const Source::ContextOr& context) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;  // timed out meanwhile
  Pending& pending = found->second;
  if (!context.ok()) {
    Notice(pending.raw->peer_address(), context.status());
    return Drop(id);
  }
  auto session =
      std::make_shared<Session>(*context, HostOf(pending.raw->peer_address()), loop_->WallNow());
  pending.stream = std::make_unique<TlsStream>(
      loop_, queue_, std::move(pending.raw), std::move(session),
      [this, id](const absl::Status& status) { OnHandshake(id, status); });
  pending.stream->Handshake();
}

void Acceptor::OnHandshake(uint64_t id, const absl::Status& status) {
  const auto found = pending_.find(id);
  CHECK(found != pending_.end());
  if (!status.ok()) return Refuse(id, status);
  Accepted accepted;
  accepted.protocol = found->second.stream->alpn();
  accepted.verified_name = found->second.stream->verified_name();
  accepted.stream = std::move(found->second.stream);
  pending_.erase(found);
  on_accept_(std::move(accepted));
}

void Acceptor::Refuse(uint64_t id, const absl::Status& why) {
  Pending& pending = pending_.at(id);
  Notice(pending.stream->peer_address(), why);
  SetDeadline(&pending, options_.linger_timeout);
  pending.stream->Linger([this, id] { Drop(id); });
}

void Acceptor::Drop(uint64_t id) { pending_.erase(id); }

void Acceptor::Notice(const std::string& remote, const absl::Status& why) {
  if (why.message() == "EOF") return;  // a probe of the port
  if (!throttle_.Admits(remote, absl::string_view(why.message().data(), why.message().size()))) {
    return;
  }
  LOG_WARN(log_, Rejection(options_), {"remote-addr", remote}, {why});
}

void Acceptor::SetDeadline(Pending* pending, Duration from_now) {
  pending->deadline = loop_->Now() + from_now;
  if (pending->deadline >= timer_at_) return;
  timer_at_ = pending->deadline;
  timer_->Set(timer_at_);
}

// Rare, and over connections that are few: those whose handshake is under way.
void Acceptor::OnTimer() {
  timer_at_ = Instant::Infinite();
  const Instant now = loop_->Now();
  for (auto at = pending_.begin(); at != pending_.end();) {
    if (at->second.deadline > now) {
      timer_at_ = std::min(timer_at_, at->second.deadline);
      ++at;
      continue;
    }
    at = pending_.erase(at);
  }
  if (timer_at_ != Instant::Infinite()) timer_->Set(timer_at_);
}

}  // namespace quorate::tls
