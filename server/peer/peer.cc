#include "server/peer/peer.h"

#include <utility>

#include "engine/raft/codec.h"
#include "server/config/ids.h"

namespace quorate::peer {

Peer::Peer(const Context* context, MemberId id, const std::vector<std::string>& addresses,
           std::function<void(MemberId)> on_unreachable,
           std::function<void(MemberId, bool)> on_snapshot_sent,
           std::function<void(MemberId, bool)> on_connected)
    : context_(context),
      id_(id),
      addresses_(addresses),
      on_unreachable_(std::move(on_unreachable)),
      dialer_(context, id, addresses, &stats_),
      pipeline_(context, addresses, &stats_, [this] { on_unreachable_(id_); }),
      forwarder_(context, addresses),
      prober_(context, id, addresses.front()),
      snapshots_(context, id, addresses, &stats_,
                 [id, report = std::move(on_snapshot_sent)](bool ok) { report(id, ok); }) {
  dialer_.set_on_connected([this, report = std::move(on_connected)](bool up) {
    if (!up) ++stats_.disconnects;
    report(id_, up);
  });
}

Peer::~Peer() { Detach(); }

void Peer::Add(const raft::Message& message) {
  if (stream_ == nullptr) {
    if (!pipeline_.Send(EncodePost(message))) Lose(1);
    return;
  }
  writer_.Add(message);
  ++gathered_;
}

void Peer::Flush() {
  if (writer_.empty()) return;
  const size_t bytes = writer_.bytes();
  const uint64_t messages = std::exchange(gathered_, 0);
  std::vector<Bytes> pieces = writer_.Take();
  // An empty queue takes a turn of any size: one entry may be larger than the bound.
  const size_t waiting = stream_ == nullptr ? 0 : stream_->queued_bytes();
  const bool full = waiting > 0 && waiting + bytes > context_->options.max_queued_bytes;
  if (stream_ == nullptr || full) return Lose(messages);
  stats_.sent_bytes += bytes;
  stats_.sent_messages += messages;
  stream_->Write(std::move(pieces));
}

void Peer::Lose(uint64_t messages) {
  stats_.sent_failures += messages;
  on_unreachable_(id_);
}

void Peer::Attach(http1::ExchangePtr stream) {
  Detach();
  stream_ = std::move(stream);
  stream_->set_on_close([this] {
    stream_ = nullptr;
    LOG_WARN(context_->log, "lost TCP streaming connection with remote peer",
             {"stream-writer-type", "stream Message"},
             {"local-member-id", config::HexId(context_->self.member)},
             {"remote-peer-id", config::HexId(id_)});
    // What was on its way is lost, as far as we know.
    on_unreachable_(id_);
  });
  LOG_INFO(context_->log, "established TCP streaming connection with remote peer",
           {"stream-writer-type", "stream Message"},
           {"local-member-id", config::HexId(context_->self.member)},
           {"remote-peer-id", config::HexId(id_)});
}

void Peer::Detach() {
  if (stream_ == nullptr) return;
  const http1::ExchangePtr old = std::exchange(stream_, nullptr);
  old->set_on_close(nullptr);
  old->Abort();
}

void Peer::SendLinkHeartbeat() {
  if (stream_ == nullptr) return;
  const Bytes frame = LinkHeartbeatFrame();
  stats_.sent_bytes += frame.size();
  stream_->Write(frame);
}

std::string Peer::version() const {
  return dialer_.peer_version().empty() ? announced_version_ : dialer_.peer_version();
}

}  // namespace quorate::peer
