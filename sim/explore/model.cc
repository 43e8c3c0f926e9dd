#include "sim/explore/model.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::sim::explore {

namespace {

constexpr uint64_t kHistoryKind = 3;
constexpr uint64_t kSpentKind = 4;

bool IsVoteRequest(raft::MessageType type) {
  return type == raft::MessageType::kVote || type == raft::MessageType::kPreVote;
}

std::optional<uint8_t> Limit(std::optional<uint64_t> bound) {
  if (!bound.has_value()) return std::nullopt;
  return static_cast<uint8_t>(*bound);
}

}  // namespace

uint32_t HistoryPool::Add(const History& history) {
  const auto append = [&](raft::CanonicalState::Renaming rename, std::string* out) {
    history.AppendCanonical(rename, out);
  };
  const auto [number, fresh] = index_.Add(symmetry_, kHistoryKind, append);
  if (fresh) {
    histories_.push_back(history);
    latest_leader_ = std::max(latest_leader_, history.leaders.size());
    committed_ = std::max(committed_, history.chosen.size());
  }
  return number;
}

Model::Model(const Bounds& bounds, PlantedFaults faults, bool audit)
    : bounds_(bounds),
      faults_(std::move(faults)),
      symmetry_(bounds.members, bounds.symmetry),
      limits_{Limit(bounds.entries), Limit(bounds.crashes),    Limit(bounds.duplicates),
              Limit(bounds.drops),   Limit(bounds.heartbeats), Limit(bounds.timeouts),
              Limit(bounds.reads),   Limit(bounds.transfers)},
      messages_(&symmetry_),
      members_(&bounds_, &faults_, &symmetry_, &messages_, audit),
      histories_(&symmetry_) {
  CHECK_MSG(bounds.Validate().ok(), bounds.Validate().ToString());
}

Cluster Model::Start() {
  Cluster cluster;
  for (size_t i = 0; i < bounds_.members; ++i) {
    cluster.members[i] = members_.AddFresh(MemberId(i + 1));
  }
  cluster.history = histories_.Add(History());
  return cluster;
}

bool Model::IsLeft(const Cluster& cluster, Count count) const {
  const std::optional<uint8_t> limit = limits_[static_cast<size_t>(count)];
  return !limit.has_value() || Spent(cluster, count) < *limit;
}

Digest Model::SpentDigest(const Cluster& cluster) const {
  return DigestOf(kSpentKind,
                  absl::string_view(reinterpret_cast<const char*>(cluster.spent.data()), kCounts));
}

void Model::Spend(Count count, Cluster* cluster) const {
  if (!limits_[static_cast<size_t>(count)].has_value()) return;
  ++cluster->spent[static_cast<size_t>(count)];
}

void Model::ListChoices(const Cluster& cluster, std::vector<Choice>* out) {
  out->clear();
  CanonicalOf(cluster);
  sums_before_ = sums_;
  for (uint8_t member = 0; member < bounds_.members; ++member) {
    ListInputs(cluster, member, out);
  }
  ListDeliveries(cluster, out);
}

void Model::ListInputs(const Cluster& cluster, uint8_t member, std::vector<Choice>* out) const {
  const MemberView& view = members_.view(cluster.members[member]);
  const auto add = [&](InputKind kind, uint64_t argument = 0) {
    out->push_back(Choice{.member = member, .input = {kind, static_cast<uint32_t>(argument)}});
  };
  const bool leads = view.role == raft::Role::kLeader;
  const bool election_armed = leads ? bounds_.check_quorum || view.transferee != raft::kNobody
                                    : view.promotable && view.term.value() < bounds_.terms;
  if (election_armed && IsLeft(cluster, Count::kTimeouts)) add(InputKind::kElectionTimer);
  if (leads && bounds_.members > 1 && IsLeft(cluster, Count::kHeartbeats)) {
    add(InputKind::kHeartbeatTimer);
  }
  if (view.units > 0) add(InputKind::kCompleteUnit);
  if (leads && IsLeft(cluster, Count::kEntries)) {
    add(InputKind::kPropose, Spent(cluster, Count::kEntries));
  }
  if (view.leader != raft::kNobody && IsLeft(cluster, Count::kReads)) {
    add(InputKind::kRead, Spent(cluster, Count::kReads));
  }
  if (leads && IsLeft(cluster, Count::kTransfers)) {
    for (uint64_t id = 1; id <= bounds_.members; ++id) {
      if (MemberId(id) != view.id) add(InputKind::kTransfer, id);
    }
  }
  if (!IsLeft(cluster, Count::kCrashes)) return;
  for (size_t kept = 0; kept <= view.units; ++kept) {
    add(InputKind::kCrash, kept * 2);
    if (kept > 0 || view.unsynced_commit) add(InputKind::kCrash, kept * 2 + 1);
  }
}

void Model::ListDeliveries(const Cluster& cluster, std::vector<Choice>* out) const {
  const bool duplicates = bounds_.duplicates.has_value() && IsLeft(cluster, Count::kDuplicates);
  const bool drops = IsLeft(cluster, Count::kDrops);
  for (size_t i = 0; i < cluster.flight.size(); ++i) {
    const uint32_t message = cluster.flight[i];
    if (i > 0 && cluster.flight[i - 1] == message) continue;
    const MessagePool::Info& info = messages_.info(message);
    const auto member = static_cast<uint8_t>(info.to - 1);
    const MemberView& view = members_.view(cluster.members[member]);
    Choice choice{.member = member, .input = {InputKind::kDeliver, message}};
    const bool may_be_late = bounds_.check_quorum && IsVoteRequest(info.type) &&
                             view.leader != raft::kNobody && view.role != raft::Role::kLeader;
    for (const bool late : {false, true}) {
      if (late && !may_be_late) break;
      choice.input.kind = late ? InputKind::kDeliverLate : InputKind::kDeliver;
      choice.keep = !bounds_.duplicates.has_value();
      out->push_back(choice);
      if (!duplicates) continue;
      choice.keep = true;
      out->push_back(choice);
    }
    if (drops) out->push_back(Choice{.member = member, .drop = true, .input = choice.input});
  }
}

void Model::SpendFor(const Choice& choice, Cluster* cluster) {
  const Digest before = SpentDigest(*cluster);
  SpendOn(choice, cluster);
  const Digest after = SpentDigest(*cluster);
  for (size_t i = 0; i < symmetry_.size(); ++i) (sums_[i] -= before) += after;
}

void Model::SpendOn(const Choice& choice, Cluster* cluster) const {
  switch (choice.input.kind) {
    case InputKind::kDeliver:
    case InputKind::kDeliverLate:
      if (choice.drop) {
        Spend(Count::kDrops, cluster);
      } else if (choice.keep) {
        Spend(Count::kDuplicates, cluster);
      }
      break;
    case InputKind::kElectionTimer:
      Spend(Count::kTimeouts, cluster);
      break;
    case InputKind::kHeartbeatTimer:
      Spend(Count::kHeartbeats, cluster);
      break;
    case InputKind::kPropose:
      Spend(Count::kEntries, cluster);
      break;
    case InputKind::kRead:
      Spend(Count::kReads, cluster);
      break;
    case InputKind::kTransfer:
      Spend(Count::kTransfers, cluster);
      break;
    case InputKind::kCompleteUnit:
      break;
    case InputKind::kCrash:
      Spend(Count::kCrashes, cluster);
      break;
  }
}

Model::Effect Model::Take(const Cluster& cluster, const Choice& choice, Cluster* next) {
  next->members = cluster.members;
  next->history = cluster.history;
  next->spent = cluster.spent;
  std::copy_n(sums_before_.begin(), symmetry_.size(), sums_.begin());
  if (choice.drop) {
    next->flight = cluster.flight;
    const auto at = std::find(next->flight.begin(), next->flight.end(), choice.input.argument);
    next->flight.erase(at);
    Change(messages_.digests(choice.input.argument), nullptr);
    SpendFor(choice, next);
    return Effect::kStep;
  }
  const uint32_t before = cluster.members[choice.member];
  const Reaction& reaction = members_.React(before, choice.input);
  if (reaction.violation.has_value()) {
    violation_ = reaction.violation;
    return Effect::kBroken;
  }
  if (reaction.IsNothing(before)) return Effect::kNothing;
  if (members_.view(reaction.next).term.value() > bounds_.terms) return Effect::kNothing;
  next->members[choice.member] = reaction.next;
  Change(members_.digests(before), members_.digests(reaction.next));
  SpendFor(choice, next);
  if (!EnterHistory(choice, reaction, next)) return Effect::kBroken;
  UpdateFlight(cluster, choice, reaction, next);
  return Effect::kStep;
}

std::array<const MemberView*, kMaxMembers> Model::ViewsOf(const Cluster& cluster) const {
  std::array<const MemberView*, kMaxMembers> views = {};
  for (size_t i = 0; i < bounds_.members; ++i) views[i] = &members_.view(cluster.members[i]);
  return views;
}

bool Model::EnterHistory(const Choice& choice, const Reaction& reaction, Cluster* next) {
  const auto views = ViewsOf(*next);
  const Rules rules(absl::MakeConstSpan(views.data(), bounds_.members));
  const bool asked = choice.input.kind == InputKind::kRead;
  // A reference, since the history changes rarely.
  const History& known = histories_.history(next->history);
  if (!asked && reaction.reads.empty() && !rules.IsNews(choice.member, known)) return true;
  History history = known;
  if (asked) history.reads_from.push_back(LogIndex(known.chosen.size()));
  violation_ = rules.OnReaction(choice.member, reaction.reads, &history);
  if (violation_.has_value()) return false;
  const uint32_t before = next->history;
  next->history = histories_.Add(history);
  Change(histories_.digests(before), histories_.digests(next->history));
  return true;
}

bool Model::IsSound(const Cluster& next, const Choice& choice) {
  const auto views = ViewsOf(next);
  const Rules rules(absl::MakeConstSpan(views.data(), bounds_.members));
  violation_ = rules.OnState(choice.member, histories_.history(next.history));
  return !violation_.has_value();
}

// Whether what the message is about is over for its receiver, also if that crashes now.
bool Model::IsOver(const MessagePool::Info& info, const MemberView& receiver) const {
  if (info.term == Term(0) || info.term > receiver.durable_term) return false;
  if (info.term < receiver.durable_term) return true;
  // The term is on the disk. Who follows in it will neither stand nor lead in it again,
  // who leads it stands in it no more.
  const bool follows = receiver.role == raft::Role::kFollower;
  const bool leads = receiver.role == raft::Role::kLeader && receiver.term == info.term;
  switch (info.type) {
    case raft::MessageType::kVoteResp:
      return follows || leads;
    case raft::MessageType::kHeartbeatResp:
      return follows;
    case raft::MessageType::kAppResp:
      // What a follower is known to match only grows; but any word of it counts when a
      // leader looks for its quorum.
      return follows ||
             (leads && !bounds_.check_quorum && info.index < receiver.match[info.from - 1]);
    default:
      return false;
  }
}

bool Model::IsDead(const Cluster& cluster, uint32_t message) {
  const MessagePool::Info& info = messages_.info(message);
  const uint32_t receiver = cluster.members[info.to - 1];
  if (!IsOver(info, members_.view(receiver))) return false;
  return members_.React(receiver, {InputKind::kDeliver, message}).IsNothing(receiver);
}

void Model::UpdateFlight(const Cluster& cluster, const Choice& choice, const Reaction& reaction,
                         Cluster* next) {
  const bool delivery =
      choice.input.kind == InputKind::kDeliver || choice.input.kind == InputKind::kDeliverLate;
  bool taken = !delivery || choice.keep;
  next->flight.clear();
  auto sent = reaction.sent.begin();
  const auto put_sent = [&] {
    const uint32_t message = *sent++;
    // In a network that duplicates without bound, having it once is having it often.
    const bool again = !bounds_.duplicates.has_value() &&
                       std::binary_search(cluster.flight.begin(), cluster.flight.end(), message);
    if (again || IsDead(*next, message)) return;
    next->flight.push_back(message);
    Change(nullptr, messages_.digests(message));
  };
  for (const uint32_t message : cluster.flight) {
    while (sent != reaction.sent.end() && *sent <= message) put_sent();
    const bool take = !taken && message == choice.input.argument;
    // Nothing else has changed that could take the effect from a message.
    const bool to_changed = messages_.info(message).to == choice.member + 1;
    if (take || (to_changed && IsDead(*next, message))) {
      taken = taken || take;
      Change(messages_.digests(message), nullptr);
    } else {
      next->flight.push_back(message);
    }
  }
  while (sent != reaction.sent.end()) put_sent();
}

Digest Model::CanonicalOf(const Cluster& cluster) {
  std::fill_n(sums_.begin(), symmetry_.size(), SpentDigest(cluster));
  for (size_t i = 0; i < bounds_.members; ++i) {
    Change(nullptr, members_.digests(cluster.members[i]));
  }
  Change(nullptr, histories_.digests(cluster.history));
  for (const uint32_t message : cluster.flight) Change(nullptr, messages_.digests(message));
  return Canonical();
}

Digest Model::Canonical() {
  canonical_ = *std::min_element(sums_.begin(), sums_.begin() + symmetry_.size());
  return canonical_;
}

// Renamings form a group: each different cluster comes up equally often.
uint64_t Model::CountRenamings() const {
  const auto end = sums_.begin() + symmetry_.size();
  const auto times = static_cast<uint64_t>(std::count(sums_.begin(), end, canonical_));
  CHECK(times > 0);
  return symmetry_.size() / times;
}

// A part of the cluster at hand is replaced; null: there is none.
void Model::Change(const Digest* gone, const Digest* come) {
  if (gone != nullptr) {
    for (size_t i = 0; i < symmetry_.size(); ++i) sums_[i] -= gone[i];
  }
  if (come != nullptr) {
    for (size_t i = 0; i < symmetry_.size(); ++i) sums_[i] += come[i];
  }
}

void Model::Encode(const Cluster& cluster, std::string* out) const {
  const auto put = [out](uint64_t value) {
    char bytes[kMaxVarint64Bytes];
    out->append(bytes, static_cast<size_t>(StoreVarint(bytes, value) - bytes));
  };
  for (size_t i = 0; i < bounds_.members; ++i) put(cluster.members[i]);
  put(cluster.history);
  for (size_t i = 0; i < kCounts; ++i) {
    if (limits_[i].value_or(0) > 0) out->push_back(static_cast<char>(cluster.spent[i]));
  }
  put(cluster.flight.size());
  uint32_t last = 0;
  for (const uint32_t message : cluster.flight) {
    put(message - last);
    last = message;
  }
}

void Model::Decode(absl::string_view* in, Cluster* out) const {
  const auto take = [in] {
    uint64_t value = 0;
    CHECK(GetVarint(in, &value));
    return static_cast<uint32_t>(value);
  };
  for (size_t i = 0; i < bounds_.members; ++i) out->members[i] = take();
  out->history = take();
  for (size_t i = 0; i < kCounts; ++i) {
    out->spent[i] = 0;
    if (limits_[i].value_or(0) == 0) continue;
    out->spent[i] = static_cast<uint8_t>(in->front());
    in->remove_prefix(1);
  }
  out->flight.resize(take());
  uint32_t last = 0;
  for (uint32_t& message : out->flight) message = last += take();
}

}  // namespace quorate::sim::explore
