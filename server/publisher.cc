#include "server/publisher.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "api/membership.pb.h"
#include "api/messages.h"

namespace quorate::server {
namespace {

constexpr Duration kPublishRetryDelay = Milliseconds(100);
constexpr Duration kVersionCheckInterval = Seconds(4);

Bytes AttributesRequest(MemberId member, const config::Config& config) {
  membershippb::ClusterMemberAttrSetRequest request;
  request.set_member_id(member.value());
  membershippb::Attributes* attributes = request.mutable_member_attributes();
  attributes->set_name(config.name);
  for (const config::Url& url : config.advertise_client_urls) {
    attributes->add_client_urls(url.ToString());
  }
  return SerializeMessage(request);
}

}  // namespace

AttributesPublisher::AttributesPublisher(io::Loop* loop, log::Logger* log, node::Node* node,
                                         const config::Config& config, std::function<void()> done)
    : loop_(loop),
      log_(log),
      node_(node),
      body_(AttributesRequest(node->member_id(), config)),
      // Short: what is proposed while there is no leader is lost.
      attempt_timeout_(config.election_timeout * 2),
      done_(std::move(done)),
      retry_timer_(loop->NewTimer([this] { Propose(); })) {}

AttributesPublisher::~AttributesPublisher() { node_->Abandon(call_); }

void AttributesPublisher::Propose() {
  call_ = node_->Call(engine::RequestKind::kMemberAttributes, body_, attempt_timeout_,
                      [this](const absl::Status& status, const Bytes&) { OnAnswer(status); });
}

void AttributesPublisher::OnAnswer(const absl::Status& status) {
  call_ = node::CallId(0);
  if (status.ok()) return done_();
  if (!node_->halted().ok()) return;
  LOG_DEBUG(log_, "failed to publish local member to cluster through raft; retrying", {status});
  retry_timer_->Set(loop_->Now() + kPublishRetryDelay);
}

VersionMonitor::VersionMonitor(io::Loop* loop, log::Logger* log, node::Node* node,
                               const node::PeerTransport* transport)
    : loop_(loop),
      log_(log),
      node_(node),
      transport_(transport),
      timer_(loop->NewTimer([this] { Check(); })) {}

VersionMonitor::~VersionMonitor() { node_->Abandon(call_); }

void VersionMonitor::Check() {
  if (!node_->halted().ok() || node_->status().role != engine::Role::kLeader) {
    timer_->Cancel();
    return;
  }
  timer_->Set(loop_->Now() + kVersionCheckInterval);
  if (call_ != node::CallId(0)) return;
  const config::MajorMinor allowed = Allowed();
  const std::optional<config::MajorMinor> current = config::ParseVersion(node_->cluster_version());
  const std::optional<config::MajorMinor> target = config::ParseVersion(node_->downgrade_target());
  if (!current.has_value()) {
    Propose(allowed);
  } else if (target.has_value()) {
    // One step down, and only what all members still are above.
    const config::MajorMinor below{current->major, current->minor - 1};
    if (*target == below && *target < allowed) Propose(*target);
  } else if (*current < allowed) {
    Propose(allowed);
  }
}

config::MajorMinor VersionMonitor::Allowed() const {
  const config::MajorMinor lowest = *config::ParseVersion(config::kMinClusterVersion);
  config::MajorMinor allowed = *config::ParseVersion(config::kServerVersion);
  for (const engine::MemberInfo& member : node_->members()) {
    if (member.id == node_->member_id()) continue;
    const auto version = config::ParseVersion(transport_->PeerVersion(member.id));
    allowed = std::min(allowed, version.value_or(lowest));
  }
  return allowed;
}

void VersionMonitor::Propose(const config::MajorMinor& version) {
  membershippb::ClusterVersionSetRequest request;
  request.set_ver(version.ToString());
  LOG_INFO(log_, "setting up the cluster version", {"cluster-version", version.ToString()});
  call_ = node_->Call(engine::RequestKind::kClusterVersion, SerializeMessage(request),
                      node_->request_timeout(), [this](const absl::Status& status, const Bytes&) {
                        call_ = node::CallId(0);
                        if (!status.ok()) {
                          LOG_WARN(log_, "failed to update cluster version", {status});
                        }
                      });
}

}  // namespace quorate::server
