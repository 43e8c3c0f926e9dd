#include "sim/caretaker.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/messages.h"
#include "api/rpc.pb.h"

namespace quorate::sim {
namespace {

using engine::RequestKind;

constexpr Duration kTimeout = Seconds(2);
constexpr Duration kLookEvery = Milliseconds(200);
// Whose alarms these are: no member's, so that none is put out here that a member has raised.
constexpr MemberId kNobody{0xca7e};

}  // namespace

// What members answered to one question for their hashes.
struct Caretaker::Hashes {
  struct Answer {
    size_t member = 0;
    uint32_t hash = 0;
  };
  // By the revisions where the hashed history begins and ends.
  std::map<std::pair<int64_t, int64_t>, Answer> answers;
};

Caretaker::Caretaker(const Context& context, Cluster* cluster, Judge* judge)
    : context_(context), cluster_(cluster), judge_(judge) {}

Caretaker::~Caretaker() { context_.scheduler->Cancel(look_); }

void Caretaker::Begin(uint64_t draws, Duration lasts) {
  prng_ = Prng(draws);
  switch (prng_.Below(4)) {
    case 0:
      return Raise(lasts);
    case 1:
      return Defragment();
    case 2:
      return CompareHashes();
    default:
      break;
  }
  const size_t member = Drawn();
  if (member == 0) return;
  context_.Inject(Fault::kCheckpointOutOfTurn, cluster_->host_id(member));
  cluster_->host(member).Run([this, member] {
    if (node::Node* const node = cluster_->node(member)) node->WantCheckpoint();
  });
}

size_t Caretaker::Drawn() {
  const size_t member = cluster_->PickActive(&prng_);
  return cluster_->ready(member) && cluster_->node(member) != nullptr ? member : 0;
}

void Caretaker::Raise(Duration lasts) {
  const bool corrupt = prng_.Chance(1, 3);
  const Alarm alarm = corrupt ? etcdserverpb::CORRUPT : etcdserverpb::NOSPACE;
  raised_[alarm] = context_.now() + lasts;
  Ask(alarm, /*raise=*/true);
  if (!context_.scheduler->pending(look_)) Look();
}

void Caretaker::Look() {
  for (const auto& [alarm, until] : raised_) {
    const bool over = finishing_ || context_.now() >= until;
    if (over && Stands(alarm)) Ask(alarm, /*raise=*/false);
  }
  look_ = context_.scheduler->After(kLookEvery, [this] { Look(); });
}

bool Caretaker::Stands(Alarm alarm) const {
  const std::vector<size_t>& active = cluster_->active();
  return std::any_of(active.begin(), active.end(), [&](size_t m) {
    node::Node* const node = cluster_->node(m);
    if (node == nullptr) return false;
    const std::vector<alarm::Alarm> all = node->alarms();
    return std::any_of(all.begin(), all.end(), [alarm](const alarm::Alarm& a) {
      return a.type == alarm && a.member == kNobody;
    });
  });
}

void Caretaker::Ask(Alarm alarm, bool raise) {
  const size_t member = Drawn();
  if (member == 0) return;
  etcdserverpb::AlarmRequest request;
  request.set_action(raise ? etcdserverpb::AlarmRequest::ACTIVATE
                           : etcdserverpb::AlarmRequest::DEACTIVATE);
  request.set_memberid(kNobody.value());
  request.set_alarm(alarm);
  const Fault fault = raise ? Fault::kAlarmRaise : Fault::kAlarmDisarm;
  cluster_->host(member).Run([this, member, fault, body = SerializeMessage(request)] {
    node::Node* const node = cluster_->node(member);
    if (node == nullptr) return;
    node->Call(
        RequestKind::kAlarm, body, kTimeout,
        [this, member, fault](const absl::Status& status, const Bytes&) {
          if (status.ok()) context_.Inject(fault, cluster_->host_id(member));
        },
        engine::OwnCredentials());
  });
}

void Caretaker::PutOutAll() { finishing_ = true; }

bool Caretaker::all_out() const {
  return std::none_of(raised_.begin(), raised_.end(),
                      [this](const auto& raised) { return Stands(raised.first); });
}

// What etcd's Defragment comes to here: a member's own word that it serves (server/services).
void Caretaker::Defragment() {
  const size_t member = Drawn();
  if (member == 0) return;
  cluster_->host(member).Run([this, member] {
    node::Node* const node = cluster_->node(member);
    if (node == nullptr) return;
    node->Call(
        RequestKind::kAdminStatus, Bytes(), kTimeout,
        [this, member](const absl::Status& status, const Bytes&) {
          if (status.ok()) context_.Inject(Fault::kDefragment, cluster_->host_id(member));
        },
        engine::OwnCredentials());
  });
}

// All at once, whatever else happens: members that have hashed the same history have the same hash.
void Caretaker::CompareHashes() {
  const size_t first = Drawn();
  if (first == 0) return;
  const int64_t revision = cluster_->node(first)->status().revision.value();
  etcdserverpb::HashKVRequest request;
  request.set_revision(std::max<int64_t>(0, revision - prng_.Between(0, 10)));
  context_.Inject(Fault::kHashCheck, cluster_->host_id(first),
                  static_cast<uint64_t>(request.revision()));
  const auto hashes = std::make_shared<Hashes>();
  for (const size_t member : cluster_->active()) {
    if (!cluster_->running(member)) continue;
    cluster_->host(member).Run([this, member, hashes, body = SerializeMessage(request)] {
      node::Node* const node = cluster_->node(member);
      if (node == nullptr) return;
      node->Call(
          RequestKind::kHashKv, body, kTimeout,
          [this, member, hashes](const absl::Status& status, const Bytes& answer) {
            if (status.ok()) OnHash(hashes.get(), member, answer);
          },
          engine::OwnCredentials());
    });
  }
}

void Caretaker::OnHash(Hashes* hashes, size_t member, const Bytes& body) {
  etcdserverpb::HashKVResponse response;
  if (!ParseMessage(body, &response)) return;
  const std::pair<int64_t, int64_t> history{response.compact_revision(), response.hash_revision()};
  const auto [known, fresh] = hashes->answers.try_emplace(history);
  if (fresh) {
    known->second = {member, response.hash()};
    return;
  }
  judge_->Checked(Rule::kEqualState);
  if (known->second.hash == response.hash()) return;
  judge_->Report(
      Rule::kEqualState, context_.now(),
      absl::StrCat("members ", known->second.member, " and ", member,
                   " hash the history from revision ", history.first, " to ", history.second,
                   " differently: ", known->second.hash, " and ", response.hash()));
}

}  // namespace quorate::sim
