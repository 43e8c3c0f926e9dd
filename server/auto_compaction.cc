#include "server/auto_compaction.h"

#include <algorithm>
#include <utility>

#include "api/messages.h"
#include "api/rpc.pb.h"

namespace quorate::server {
namespace {

constexpr Duration kLongestWait = Seconds(3600);
// A period is looked at in so many steps.
constexpr int64_t kLooksPerWait = 10;
constexpr Duration kRevisionInterval = Seconds(300);

}  // namespace

CompactionSchedule::CompactionSchedule(const config::AutoCompaction& config, Instant now)
    : config_(config), interval_(kRevisionInterval), compacted_at_(now), wait_(config.period) {
  if (config.period == Duration()) return;
  interval_ = std::max(std::min(config.period, kLongestWait) / kLooksPerWait, Nanoseconds(1));
  samples_ = static_cast<size_t>(config.period.nanos() / interval_.nanos()) + 1;
}

std::optional<Revision> CompactionSchedule::Look(Instant now, Revision present, bool leads) {
  if (config_.period == Duration()) {
    const Revision at = present - config_.revisions;
    if (!leads || at <= Revision(0) || at == last_) return std::nullopt;
    return at;
  }
  const std::optional<Revision> at = LookPeriodic(now, leads);
  seen_.push_back(present);
  if (seen_.size() > samples_) seen_.pop_front();
  return at;
}

// The oldest sample was the present revision a period and a look ago, once there are
// enough: so etcd counts.
std::optional<Revision> CompactionSchedule::LookPeriodic(Instant now, bool leads) {
  if (!leads || seen_.empty() || seen_.front() == last_) return std::nullopt;
  if (now - compacted_at_ < wait_) return std::nullopt;
  wait_ = std::min(config_.period, kLongestWait);
  return seen_.front();
}

void CompactionSchedule::Compacted(Instant now, Revision revision) {
  compacted_at_ = now;
  last_ = revision;
}

AutoCompactor::AutoCompactor(io::Loop* loop, log::Logger* log, node::Node* node,
                             const config::AutoCompaction& config)
    : loop_(loop),
      log_(log),
      node_(node),
      schedule_(config, loop->Now()),
      timer_(loop->NewTimer([this] { OnTimer(); })) {
  // What is there now is the first sample.
  schedule_.Look(loop->Now(), node->status().revision, /*leads=*/false);
  timer_->Set(loop_->Now() + schedule_.interval());
}

AutoCompactor::~AutoCompactor() { node_->Abandon(call_); }

void AutoCompactor::OnTimer() {
  if (!node_->halted().ok()) return;
  timer_->Set(loop_->Now() + schedule_.interval());
  const engine::ReplicaStatus status = node_->status();
  const bool leads = status.role == engine::Role::kLeader && call_ == node::CallId(0);
  const std::optional<Revision> at = schedule_.Look(loop_->Now(), status.revision, leads);
  if (at.has_value()) Compact(*at);
}

void AutoCompactor::Compact(Revision revision) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision.value());
  const auto done = [this, revision](const absl::Status& status, const Bytes&) {
    call_ = node::CallId(0);
    // One that is behind an earlier compaction is as good.
    if (status.ok() || absl::IsOutOfRange(status)) {
      schedule_.Compacted(loop_->Now(), revision);
      LOG_INFO(log_, "completed auto compaction", {"revision", revision.value()});
    } else {
      LOG_WARN(log_, "failed auto compaction", {"revision", revision.value()}, {status});
    }
  };
  call_ = node_->Call(engine::RequestKind::kCompact, SerializeMessage(request),
                      node_->request_timeout(), done, {engine::Credentials::Kind::kName, "root"});
}

}  // namespace quorate::server
