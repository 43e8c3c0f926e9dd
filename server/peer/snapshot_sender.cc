#include "server/peer/snapshot_sender.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/config/ids.h"

namespace quorate::peer {
namespace {

constexpr size_t kMaxAnswerBytes = 4096;
// Attempts to send one chunk, and the wait between two.
constexpr int kMaxAttempts = 5;
constexpr Duration kRetryInterval = Milliseconds(500);

}  // namespace

SnapshotSender::SnapshotSender(const Context* context, MemberId peer,
                               const std::vector<std::string>& addresses, PeerStats* stats,
                               std::function<void(bool)> done)
    : context_(context),
      peer_(peer),
      stats_(stats),
      done_(std::move(done)),
      timer_(context->env.loop->NewTimer([this] { Post(); })) {
  http1::ClientOptions options;
  options.connect_timeout = context->options.dial_timeout;
  options.response_timeout = context->options.silence_timeout;
  options.read_timeout = context->options.silence_timeout;
  options.max_idle_connections = 1;
  clients_ = NewClients(*context, addresses, options);
}

SnapshotSender::~SnapshotSender() = default;

void SnapshotSender::Start(raft::Message message, engine::StateImage image) {
  post_ = nullptr;
  LOG_INFO(context_->log, "sending a snapshot", {"remote-peer-id", config::HexId(peer_)},
           {"index", image.index.value()}, {"bytes", image.bytes()});
  chunker_.emplace(context_->env.random->Next64() | 1, std::move(message), std::move(image));
  finished_ = false;
  begun_ = send_at_ = context_->env.loop->Now();
  NextChunk();
}

void SnapshotSender::NextChunk() {
  chunk_ = chunker_->Next();
  attempts_ = 0;
  int64_t bytes = 0;
  for (const Bytes& piece : chunk_) bytes += static_cast<int64_t>(piece.size());
  send_at_ = std::max(send_at_, context_->env.loop->Now());
  timer_->Set(send_at_);
  const auto rate = static_cast<int64_t>(context_->options.snapshot_bytes_per_second);
  send_at_ = send_at_ + Nanoseconds(bytes * 1'000'000 / rate * 1000);
}

void SnapshotSender::Post() {
  if (!chunker_.has_value()) return;
  if (finished_) return Finish(false);
  http1::ClientRequest request;
  request.method = "POST";
  request.target = kSnapshotPath;
  request.fields = RequestFields(context_->self);
  request.fields.Add("Content-Type", "application/octet-stream");
  request.body = chunk_;
  for (const Bytes& piece : chunk_) stats_->sent_bytes += piece.size();
  post_ = clients_[next_client_]->Fetch(
      std::move(request), kMaxAnswerBytes,
      [this](const absl::StatusOr<http1::Client::WholeResponse>& answer) { OnAnswer(answer); });
}

void SnapshotSender::OnAnswer(const absl::StatusOr<http1::Client::WholeResponse>& answer) {
  post_ = nullptr;
  if (answer.ok() && answer->head.status / 100 == 2) {
    if (chunker_->done()) return Finish(true);
    return NextChunk();
  }
  next_client_ = (next_client_ + 1) % clients_.size();
  // A peer that does not know the way, or has another chunk in mind, will not change it.
  const bool refused = answer.ok() && answer->head.status / 100 == 4;
  finished_ = refused || ++attempts_ == kMaxAttempts;
  // Also before a failure is reported: raft tries again at once.
  timer_->Set(context_->env.loop->Now() + kRetryInterval);
}

void SnapshotSender::Finish(bool ok) {
  LOG_INFO(context_->log, ok ? "sent database snapshot" : "failed to send database snapshot",
           {"remote-peer-id", config::HexId(peer_)});
  ++(ok ? stats_->sent_messages : stats_->sent_failures);
  ++(ok ? stats_->snapshots_sent : stats_->snapshots_not_sent);
  if (ok) stats_->snapshot_send_times.Add(context_->env.loop->Now() - begun_);
  chunker_.reset();
  chunk_.clear();
  done_(ok);
}

}  // namespace quorate::peer
