#include "server/repair.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/replica/image_meta.h"
#include "server/bootstrap.h"
#include "server/config/ids.h"
#include "server/peer_list.h"

namespace quorate::server {
namespace {

// Of members, where losing one leaves a quorum.
constexpr size_t kLeastQuorum = 2;
// For an answer, before another member is asked.
constexpr Duration kAnswerPatience = Seconds(3);
constexpr Duration kRetryInterval = Milliseconds(500);
// For a state that was promised; twice as long after each that did not come, since a large one
// that is asked for anew begins anew.
constexpr Duration kMinStatePatience = Seconds(5);
constexpr Duration kMaxStatePatience = Seconds(300);
// Without an answer from anybody. Whoever runs this process starts it again, and the disk may read
// better then.
constexpr Duration kGiveUp = Seconds(15);

}  // namespace

Repair::Repair(const io::Env& env, Options options, Callback done)
    : env_(env),
      options_(std::move(options)),
      done_(std::move(done)),
      transport_(options_.transport),
      patience_(kMinStatePatience),
      timer_(env.loop->NewTimer([this] { Ask(); })),
      self_(std::make_shared<Repair*>(this)) {
  if (transport_ == nullptr) OpenPort();
  env_.loop->Defer([weak = std::weak_ptr<Repair*>(self_)] {
    if (const std::shared_ptr<Repair*> self = weak.lock()) (*self)->FindPeers();
  });
}

// The port first: on its end it may have something to say.
Repair::~Repair() {
  if (port_ == nullptr) return;
  options_.gate->Hold();
  port_.reset();
}

// Nobody is told anything but that this member is here.
void Repair::OpenPort() {
  peer::Information nothing;
  nothing.members = [] { return std::vector<engine::MemberInfo>(); };
  nothing.cluster_version = [] { return std::string(); };
  nothing.downgrading = [] { return false; };
  port_ = std::make_unique<PeerPort>(env_, options_.log, options_.secure_ports, *options_.config,
                                     options_.self, std::move(nothing));
  port_->transport()->set_on_removed([this](const absl::Status& status) { Finish(status); });
  port_->transport()->Start(this);
  transport_ = port_->transport();
  options_.gate->Open([this](std::unique_ptr<io::Stream> stream, bool secure) {
    port_->Accept(std::move(stream), secure);
  });
}

// The flags name the founders. Who joined later asks, as when it joined.
void Repair::FindPeers() {
  const Foundation foundation = FoundationOf(*options_.config);
  if (foundation.member_id == options_.self.member_id) {
    std::vector<membership::Member> founders;
    for (const engine::BootstrapMember& member : foundation.members) {
      founders.push_back({member.id, member.name, member.peer_urls, {}, false});
    }
    return TakePeers(founders);
  }
  if (options_.join != nullptr) return TakePeers(options_.join->members);
  inquiry_ = std::make_unique<Inquiry>(
      env_, options_.secure_ports->peer_network(), *options_.config, options_.log,
      Inquiry::Purpose::kJoin, options_.self.member_id, [this](absl::StatusOr<JoinPoint> point) {
        if (!point.ok()) return Finish(point.status());
        TakePeers(point->members);
      });
}

void Repair::TakePeers(const std::vector<membership::Member>& members) {
  PeerList list;
  for (const membership::Member& member : members) {
    list.Set(member.id, member.peer_urls);
    if (member.id != options_.self.member_id) peers_.push_back(member.id);
  }
  if (peers_.size() < kLeastQuorum) {
    return Finish(absl::UnavailableError("the others are no quorum without this member"));
  }
  if (port_ != nullptr) port_->transport()->SetPeers(list.Without(options_.self.member_id));
  give_up_ = env_.loop->Now() + kGiveUp;
  Ask();
}

void Repair::Ask() {
  if (env_.loop->Now() >= give_up_) {
    return Finish(absl::UnavailableError("no other member answers for the cluster"));
  }
  const MemberId peer = peers_[next_++ % peers_.size()];
  AskAgainIn(kAnswerPatience);
  transport_->Forward(
      peer, engine::RequestKind::kPeerRepair,
      engine::RepairRequest{options_.self.member_id}.Encode(),
      [weak = std::weak_ptr<Repair*>(self_), peer](const absl::Status& status, const Bytes& body) {
        if (const std::shared_ptr<Repair*> self = weak.lock()) {
          (*self)->OnAnswer(peer, status, body);
        }
      });
}

void Repair::AskAgainIn(Duration wait) { timer_->Set(env_.loop->Now() + wait); }

void Repair::OnAnswer(MemberId peer, const absl::Status& status, const Bytes& body) {
  if (done_ == nullptr) return;
  if (status.code() == absl::StatusCode::kFailedPrecondition) return Finish(status);
  const std::optional<engine::RepairAnswer> answer =
      status.ok() ? engine::RepairAnswer::Decode(body) : std::nullopt;
  if (!answer.has_value()) {
    LOG_WARN(options_.log, "a member cannot give this one its state",
             {"remote-peer-id", config::HexId(peer)}, {status});
    return AskAgainIn(kRetryInterval);
  }
  barrier_ = std::min(barrier_.value_or(answer->barrier), answer->barrier);
  give_up_ = env_.loop->Now() + kGiveUp + patience_;
  AskAgainIn(patience_);
  patience_ = std::min(patience_ * 2, kMaxStatePatience);
  Settle();
}

void Repair::OnSnapshot(raft::Message message, engine::StateImage image) {
  const bool usable = message.type == raft::MessageType::kSnap &&
                      message.to == options_.self.member_id && engine::DecodeImageMeta(image).ok();
  if (done_ == nullptr || !usable) return;
  if (arrived_.has_value() && arrived_->image.index >= image.index) return;
  arrived_ = {std::move(image), message.term};
  Settle();
}

// A snapshot that was sent for another reason may be from before the barrier.
void Repair::Settle() {
  if (!barrier_.has_value() || !arrived_.has_value() || arrived_->image.index < *barrier_) return;
  Finish(*std::move(arrived_));
}

void Repair::Finish(absl::StatusOr<storage::RepairState> result) {
  if (done_ == nullptr) return;
  timer_->Cancel();
  // Not from inside the transport's call, which the callback may destroy.
  env_.loop->Defer([weak = std::weak_ptr<Repair*>(self_), done = std::exchange(done_, nullptr),
                    result = std::move(result)]() mutable {
    if (!weak.expired()) done(std::move(result));
  });
}

// What others want of this member, it has not.
engine::RequestToken Repair::OnForwarded(engine::RequestKind, Bytes, Duration,
                                         node::ForwardCallback done) {
  ++last_token_;
  refused_[last_token_] = std::move(done);
  env_.loop->Defer([weak = std::weak_ptr<Repair*>(self_), token = last_token_] {
    if (const std::shared_ptr<Repair*> self = weak.lock()) (*self)->Refuse(token);
  });
  return last_token_;
}

void Repair::Refuse(engine::RequestToken request) {
  const auto refused = refused_.extract(request);
  if (refused.empty()) return;
  refused.mapped()(absl::UnavailableError("the member has lost its data"), Bytes());
}

void Repair::Abandon(engine::RequestToken request) { refused_.erase(request); }

}  // namespace quorate::server
