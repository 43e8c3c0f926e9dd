#include "server/peer/stream_dialer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/config/ids.h"

namespace quorate::peer {

StreamDialer::StreamDialer(const Context* context, MemberId peer,
                           const std::vector<std::string>& addresses, PeerStats* stats)
    : context_(context),
      peer_(peer),
      stats_(stats),
      redial_timer_(context->env.loop->NewTimer([this] { Dial(); })),
      redial_delay_(context->options.redial_min) {
  CHECK(!addresses.empty());
  http1::ClientOptions options;
  options.connect_timeout = context->options.dial_timeout;
  options.response_timeout = context->options.silence_timeout;
  options.read_timeout = context->options.silence_timeout;
  options.max_idle_connections = 0;
  clients_ = NewClients(*context, addresses, options);
}

StreamDialer::~StreamDialer() = default;

void StreamDialer::Dial() {
  http1::ClientRequest request;
  request.target = absl::StrCat("/raft/stream/message/", config::HexId(context_->self.member));
  request.fields = RequestFields(context_->self);
  AddStreamFields(peer_, &request.fields);
  reader_ = std::make_unique<FrameReader>();
  exchange_ = clients_[next_client_]->Start(std::move(request), this);
}

void StreamDialer::OnResponse(const http1::ResponseHead& head) {
  const absl::Status status = CheckResponse(head);
  if (!status.ok()) return GiveUp(status);
  peer_version_ = std::string(head.fields.Get("X-Server-Version"));
  connected_ = true;
  failure_logged_ = false;
  LOG_INFO(context_->log, "established TCP streaming connection with remote peer",
           {"stream-reader-type", "stream Message"},
           {"local-member-id", config::HexId(context_->self.member)},
           {"remote-peer-id", config::HexId(peer_)}, {"remote-peer-version", peer_version_});
  if (on_connected_ != nullptr) on_connected_(true);
}

absl::Status StreamDialer::CheckResponse(const http1::ResponseHead& head) {
  switch (head.status) {
    case 200:
      return absl::OkStatus();
    case 404:
      return absl::FailedPreconditionError("the peer does not know this member yet");
    case 410: {
      absl::Status removed =
          absl::FailedPreconditionError("the member has been permanently removed from the cluster");
      if (context_->on_removed != nullptr) context_->on_removed(removed);
      return removed;
    }
    case 412:
      return absl::FailedPreconditionError(
          absl::StrCat("the peer refuses this member: another cluster, member or an "
                       "incompatible version (its cluster id is ",
                       head.fields.Get("X-Etcd-Cluster-ID"), ", its version ",
                       head.fields.Get("X-Server-Version"), ")"));
    default:
      return absl::UnavailableError(
          absl::StrCat("the peer answers with HTTP status ", head.status));
  }
}

void StreamDialer::OnBody(absl::string_view piece) {
  if (!connected_) return;  // the text of a refusal
  stats_->received_bytes += piece.size();
  const absl::Status status = reader_->Feed(
      piece, [this](const Bytes& frame) { return Deliver(*context_, peer_, frame, stats_); });
  if (status.ok()) {
    redial_delay_ = context_->options.redial_min;
    return;
  }
  ++stats_->received_failures;
  GiveUp(status);
}

void StreamDialer::GiveUp(const absl::Status& why) {
  exchange_.reset();
  if (connected_) {
    LOG_WARN(context_->log, "lost TCP streaming connection with remote peer",
             {"stream-reader-type", "stream Message"},
             {"local-member-id", config::HexId(context_->self.member)},
             {"remote-peer-id", config::HexId(peer_)}, {why});
  } else if (!failure_logged_) {
    LOG_WARN(context_->log, "failed to dial remote peer; retrying",
             {"local-member-id", config::HexId(context_->self.member)},
             {"remote-peer-id", config::HexId(peer_)},
             {"address", clients_[next_client_]->address()}, {why});
  }
  failure_logged_ = true;
  if (std::exchange(connected_, false) && on_connected_ != nullptr) on_connected_(false);
  next_client_ = (next_client_ + 1) % clients_.size();
  redial_timer_->Set(context_->env.loop->Now() + redial_delay_);
  redial_delay_ = std::min(redial_delay_ * 2, context_->options.redial_max);
}

}  // namespace quorate::peer
