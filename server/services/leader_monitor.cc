#include "server/services/leader_monitor.h"

#include <vector>

namespace quorate::services {
namespace {

absl::Status NoLeader() { return absl::UnavailableError("etcdserver: no leader"); }

bool AsksForLeader(const grpc::Call& call) { return call.Metadata("hasleader") == "true"; }

}  // namespace

LeaderMonitor::LeaderMonitor(io::Loop* loop, grpc::Server* server, const node::Node* node,
                             Duration patience)
    : server_(server),
      node_(node),
      patience_(patience),
      loop_(loop),
      timer_(loop->NewTimer([this] { OnTimer(); })) {}

absl::Status LeaderMonitor::Check(const grpc::Call& call) const {
  if (!AsksForLeader(call) || node_->status().leader != MemberId(0)) return absl::OkStatus();
  return NoLeader();
}

void LeaderMonitor::AddStream(const grpc::Call& call) {
  if (AsksForLeader(call)) streams_.insert(call.id());
}

void LeaderMonitor::RemoveStream(uint64_t call_id) { streams_.erase(call_id); }

void LeaderMonitor::OnLeadershipChange() {
  const bool leaderless = node_->status().leader == MemberId(0);
  if (leaderless == waiting_) return;
  waiting_ = leaderless;
  if (leaderless) {
    timer_->Set(loop_->Now() + patience_);
  } else {
    timer_->Cancel();
  }
}

void LeaderMonitor::OnTimer() {
  waiting_ = false;
  if (node_->status().leader != MemberId(0)) return;
  const std::vector<uint64_t> ending(streams_.begin(), streams_.end());
  streams_.clear();
  for (const uint64_t id : ending) {
    if (grpc::Call* call = server_->Find(id)) call->Finish(NoLeader());
  }
}

}  // namespace quorate::services
