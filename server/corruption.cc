#include "server/corruption.h"

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "server/config/ids.h"

namespace quorate::server {
namespace {

using engine::RequestKind;

// For how long the others are waited for: a hash takes its time on a large store. Before a member
// serves it waits no longer than for any request.
constexpr Duration kPatience = Seconds(60);

Bytes HashRequest(Revision at) {
  etcdserverpb::HashKVRequest request;
  request.set_revision(at.value());
  return SerializeMessage(request);
}

MemberHash ParseHash(MemberId member, const Bytes& body) {
  etcdserverpb::HashKVResponse response;
  const bool parsed = ParseMessage(body, &response);
  CHECK_MSG(parsed, "a node or a transport gave a malformed message");
  return {member, response.hash(), Revision(response.hash_revision()),
          Revision(response.compact_revision()), Revision(response.header().revision())};
}

bool AreOfOneHistory(const MemberHash& a, const MemberHash& b) {
  return a.at == b.at && a.compacted == b.compacted;
}

}  // namespace

HashVerdict JudgeHashes(const std::vector<MemberHash>& hashes, size_t members) {
  CHECK(!hashes.empty());
  const MemberHash& first = hashes.front();
  HashVerdict verdict;
  absl::btree_map<uint32_t, size_t> votes;
  for (const MemberHash& hash : hashes) {
    if (AreOfOneHistory(hash, first)) ++votes[hash.hash];
  }
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  verdict.agreeing = most->second;
  if (votes.size() == 1 || first.empty) return verdict;
  if (most->second * 2 <= members) {
    verdict.undecided = true;
    return verdict;
  }
  for (const MemberHash& hash : hashes) {
    if (AreOfOneHistory(hash, first) && hash.hash != most->first)
      verdict.differing.push_back(hash.member);
  }
  std::sort(verdict.differing.begin(), verdict.differing.end());
  return verdict;
}

HashVerdict JudgeRevisions(const std::vector<MemberHash>& hashes, Revision revision,
                           Revision compacted, size_t members) {
  std::vector<MemberId> ahead;
  std::vector<MemberId> others;
  for (const MemberHash& hash : hashes) {
    const bool is_ahead = hash.current > revision || hash.compacted > compacted;
    (is_ahead ? ahead : others).push_back(hash.member);
  }
  HashVerdict verdict;
  verdict.agreeing = std::max(ahead.size(), others.size());
  if (ahead.empty()) return verdict;
  verdict.undecided = verdict.agreeing * 2 <= members;
  if (!verdict.undecided) {
    verdict.differing = std::move(ahead.size() > others.size() ? others : ahead);
    std::sort(verdict.differing.begin(), verdict.differing.end());
  }
  return verdict;
}

// ---- HashRound ----

HashRound::HashRound(io::Loop* loop, log::Logger* log, node::Node* node,
                     node::PeerTransport* transport, Revision at, Duration patience, Callback done)
    : loop_(loop),
      log_(log),
      node_(node),
      transport_(transport),
      patience_(patience),
      done_(std::move(done)),
      timer_(loop->NewTimer([this] { Finish(); })),
      self_(std::make_shared<HashRound*>(this)) {
  call_ = node_->Call(
      RequestKind::kHashKv, HashRequest(at), kPatience,
      [this](const absl::Status& status, const Bytes& body) { OnOwn(status, body); },
      engine::OwnCredentials());
}

HashRound::~HashRound() { node_->Abandon(call_); }

void HashRound::OnOwn(const absl::Status& status, const Bytes& body) {
  call_ = node::CallId(0);
  if (!status.ok()) {
    const Callback done = done_;
    return done(status);
  }
  hashes_.push_back(ParseHash(node_->member_id(), body));
  const Bytes request = HashRequest(hashes_.front().at);
  for (const engine::MemberInfo& member : node_->members()) {
    if (member.id == node_->member_id() || member.is_learner) continue;
    awaited_.insert(member.id);
    transport_->Forward(member.id, RequestKind::kHashKv, request,
                        [weak = std::weak_ptr<HashRound*>(self_), id = member.id](
                            const absl::Status& answer, const Bytes& reply) {
                          if (const std::shared_ptr<HashRound*> round = weak.lock()) {
                            (*round)->OnOther(id, answer, reply);
                          }
                        });
  }
  timer_->Set(loop_->Now() + (awaited_.empty() ? Duration() : patience_));
}

void HashRound::OnOther(MemberId member, const absl::Status& status, const Bytes& body) {
  if (awaited_.erase(member) == 0) return;  // a network may say it twice
  if (status.ok()) {
    hashes_.push_back(ParseHash(member, body));
  } else {
    LOG_WARN(log_, "failed hash kv request", {"local-member-id", config::HexId(node_->member_id())},
             {"remote-peer-id", config::HexId(member)},
             {"requested-revision", hashes_.front().at.value()}, {status});
  }
  if (awaited_.empty()) timer_->Set(loop_->Now());
}

void HashRound::Finish() {
  awaited_.clear();
  const MemberHash& first = hashes_.front();
  const bool differ = std::any_of(hashes_.begin(), hashes_.end(), [&first](const MemberHash& h) {
    return AreOfOneHistory(h, first) && h.hash != first.hash;
  });
  if (!differ) return Report();
  // Whether the difference tells anything.
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_range_end(std::string(1, '\0'));
  request.set_revision(first.at.value());
  request.set_serializable(true);
  request.set_count_only(true);
  call_ = node_->Call(
      RequestKind::kRange, SerializeMessage(request), kPatience,
      [this](const absl::Status& status, const Bytes& body) {
        call_ = node::CallId(0);
        etcdserverpb::RangeResponse response;
        const bool lives = status.ok() && ParseMessage(body, &response) && response.count() > 0;
        hashes_.front().empty = !lives;
        Report();
      },
      engine::OwnCredentials());
}

void HashRound::Report() {
  const Callback done = done_;
  done(std::move(hashes_));
}

// ---- CorruptionMonitor ----

CorruptionMonitor::CorruptionMonitor(io::Loop* loop, log::Logger* log, node::Node* node,
                                     node::PeerTransport* transport, const config::Config& config)
    : loop_(loop),
      log_(log),
      node_(node),
      transport_(transport),
      config_(config),
      check_timer_(loop->NewTimer([this] { OnCheckTimer(); })),
      compact_timer_(loop->NewTimer([this] { OnCompactTimer(); })),
      self_(std::make_shared<CorruptionMonitor*>(this)) {}

bool CorruptionMonitor::leads() const {
  return node_->status().role == engine::Role::kLeader && node_->halted().ok();
}

size_t CorruptionMonitor::voters() const {
  const std::vector<engine::MemberInfo> members = node_->members();
  return static_cast<size_t>(std::count_if(members.begin(), members.end(),
                                           [](const auto& member) { return !member.is_learner; }));
}

void CorruptionMonitor::Start(std::function<void(const absl::Status&)> done) {
  done_ = std::move(done);
  if (!config_.initial_corrupt_check) return Serve(absl::OkStatus());
  LOG_INFO(log_, "starting initial corruption check",
           {"local-member-id", config::HexId(node_->member_id())});
  initial_ = std::make_unique<HashRound>(
      loop_, log_, node_, transport_, Revision(0), node_->request_timeout(),
      [this](const absl::StatusOr<Hashes>& hashes) { OnInitial(hashes); });
}

void CorruptionMonitor::OnInitial(const absl::StatusOr<Hashes>& hashes) {
  // Without a hash of its own the member has halted, or is a learner, of which nobody asks one.
  if (!hashes.ok()) {
    initial_.reset();
    LOG_WARN(log_, "skipped the initial corruption check", {hashes.status()});
    return Serve(absl::OkStatus());
  }
  const HashVerdict verdict = JudgeHashes(*hashes, voters());
  const bool is_wrong =
      verdict.undecided ||
      std::count(verdict.differing.begin(), verdict.differing.end(), node_->member_id()) > 0;
  LogDifferences(verdict, *hashes);
  initial_.reset();
  if (is_wrong) {
    return Serve(absl::FailedPreconditionError(absl::StrCat(
        config::HexId(node_->member_id()),
        " found data inconsistency with peers; remove this member, delete its data directory and "
        "add it again, or restore the cluster from a backup if it is the others that are wrong")));
  }
  Raise(verdict);
  LOG_INFO(log_, "initial corruption checking passed; no corruption",
           {"local-member-id", config::HexId(node_->member_id())},
           {"compared-members", verdict.agreeing});
  Serve(absl::OkStatus());
}

void CorruptionMonitor::Serve(const absl::Status& status) {
  if (status.ok() && config_.corrupt_check_time > Duration()) {
    LOG_INFO(log_, "enabled corruption checking",
             {"local-member-id", config::HexId(node_->member_id())},
             {"interval", config_.corrupt_check_time});
    check_timer_->Set(loop_->Now() + config_.corrupt_check_time);
  }
  if (status.ok() && config_.compact_hash_check && config_.compact_hash_check_time > Duration()) {
    LOG_INFO(log_, "enabled compaction hash checking",
             {"local-member-id", config::HexId(node_->member_id())},
             {"interval", config_.compact_hash_check_time});
    compact_timer_->Set(loop_->Now() + config_.compact_hash_check_time);
  }
  const std::function<void(const absl::Status&)> done = std::exchange(done_, nullptr);
  done(status);
}

void CorruptionMonitor::OnCheckTimer() {
  check_timer_->Set(loop_->Now() + config_.corrupt_check_time);
  if (!leads() || check_ != nullptr) return;
  check_ = std::make_unique<HashRound>(
      loop_, log_, node_, transport_, Revision(0), kPatience,
      [this](const absl::StatusOr<Hashes>& hashes) { OnChecked(hashes); });
}

HashVerdict CorruptionMonitor::Compare(const Hashes& hashes) {
  HashVerdict verdict = JudgeHashes(hashes, voters());
  LogDifferences(verdict, hashes);
  Raise(verdict);
  return verdict;
}

void CorruptionMonitor::OnChecked(const absl::StatusOr<Hashes>& hashes) {
  if (hashes.ok()) {
    Compare(*hashes);
    CompareRevisions(*hashes);
  }
  check_.reset();
}

// No member can have applied what the leader has not once it has answered a linearizable read that
// began after that member's answer.
void CorruptionMonitor::CompareRevisions(const Hashes& hashes) {
  etcdserverpb::RangeRequest request;
  request.set_key(std::string(1, '\0'));
  request.set_count_only(true);
  node_->Call(
      RequestKind::kRange, SerializeMessage(request), node_->request_timeout(),
      [weak = std::weak_ptr<CorruptionMonitor*>(self_), hashes](const absl::Status& status,
                                                                const Bytes&) {
        const std::shared_ptr<CorruptionMonitor*> self = weak.lock();
        if (self != nullptr && status.ok()) (*self)->OnRevisionsKnown(hashes);
      },
      engine::OwnCredentials());
}

void CorruptionMonitor::OnRevisionsKnown(const Hashes& hashes) {
  const engine::ReplicaStatus own = node_->status();
  const HashVerdict verdict = JudgeRevisions(hashes, own.revision, own.compact_revision, voters());
  if (!verdict.undecided && verdict.differing.empty()) return;
  for (const MemberHash& hash : hashes) {
    LOG_WARN(
        log_, "found members that are ahead of all that is committed",
        {"remote-peer-id", config::HexId(hash.member)}, {"remote-revision", hash.current.value()},
        {"remote-compact-revision", hash.compacted.value()}, {"revision", own.revision.value()},
        {"compact-revision", own.compact_revision.value()});
  }
  Raise(verdict);
}

void CorruptionMonitor::OnCompactTimer() {
  compact_timer_->Set(loop_->Now() + config_.compact_hash_check_time);
  const Revision compacted = node_->status().compact_revision;
  if (!leads() || compact_ != nullptr) return;
  if (compacted <= Revision(0) || compacted <= compaction_checked_) return;
  compact_ = std::make_unique<HashRound>(
      loop_, log_, node_, transport_, compacted, kPatience,
      [this](const absl::StatusOr<Hashes>& hashes) { OnCompactChecked(hashes); });
}

void CorruptionMonitor::OnCompactChecked(const absl::StatusOr<Hashes>& hashes) {
  if (hashes.ok()) {
    const HashVerdict verdict = Compare(*hashes);
    const bool all = verdict.agreeing == voters();
    if (all) compaction_checked_ = hashes->front().at;
    LOG_INFO(log_, "finished compaction hash check",
             {"number-of-hashes-checked", verdict.agreeing + verdict.differing.size()},
             {"revision", hashes->front().at.value()}, {"all-members", all});
  }
  compact_.reset();
}

void CorruptionMonitor::LogDifferences(const HashVerdict& verdict, const Hashes& hashes) {
  if (!verdict.undecided && verdict.differing.empty()) return;
  for (const MemberHash& hash : hashes) {
    LOG_WARN(log_, "found different hash values from remote peer",
             {"remote-peer-id", config::HexId(hash.member)},
             {"local-member-id", config::HexId(node_->member_id())}, {"revision", hash.at.value()},
             {"compact-revision", hash.compacted.value()}, {"hash", hash.hash},
             {"current-revision", hash.current.value()});
  }
}

void CorruptionMonitor::Raise(const HashVerdict& verdict) {
  for (const MemberId member : verdict.differing) Raise(member);
  if (verdict.undecided) Raise(MemberId(0));
}

void CorruptionMonitor::Raise(MemberId member) {
  for (const alarm::Alarm& alarm : node_->alarms()) {
    if (alarm.type == alarm::kCorrupt && alarm.member == member) return;
  }
  LOG_WARN(log_, "raising the CORRUPT alarm", {"member-id", config::HexId(member)});
  etcdserverpb::AlarmRequest request;
  request.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.set_alarm(etcdserverpb::CORRUPT);
  request.set_memberid(member.value());
  node_->Call(
      RequestKind::kAlarm, SerializeMessage(request), node_->request_timeout(),
      [weak = std::weak_ptr<CorruptionMonitor*>(self_), member](const absl::Status& status,
                                                                const Bytes&) {
        const std::shared_ptr<CorruptionMonitor*> self = weak.lock();
        if (self == nullptr || status.ok()) return;
        LOG_WARN((*self)->log_, "failed to raise the CORRUPT alarm",
                 {"member-id", config::HexId(member)}, {status});
      },
      engine::OwnCredentials());
}

}  // namespace quorate::server
