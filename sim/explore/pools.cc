#include "sim/explore/pools.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/raft/codec.h"

namespace quorate::sim::explore {

namespace {

constexpr uint64_t kMessageKind = 1;
constexpr uint64_t kMemberKind = 2;

// Rough sizes of what hangs off a container's element, for the bound on memory.
constexpr size_t kBytesAMessage = 400;
constexpr size_t kBytesAMember = 4000;
constexpr size_t kBytesAReaction = 160;
constexpr size_t kBytesAHashEntry = 40;

constexpr uint64_t kArgumentBits = 28;
constexpr uint64_t kKindBits = 4;

}  // namespace

size_t DigestIndex::MemoryBytes() const {
  return digests_.capacity() * sizeof(Digest) + numbers_.size() * kBytesAHashEntry;
}

uint32_t MessagePool::Add(raft::Message message) {
  const auto append = [&](raft::CanonicalState::Renaming rename, std::string* out) {
    raft::Message renamed = message;
    renamed.to = rename(message.to);
    renamed.from = rename(message.from);
    renamed.vote = rename(message.vote);
    out->append(raft::EncodeToBytes(renamed).view().data(), raft::EncodedSize(renamed));
  };
  const auto [number, fresh] = index_.Add(symmetry_, kMessageKind, append);
  if (fresh) {
    CHECK_LT(number, uint32_t{1} << kArgumentBits);
    infos_.push_back({message.type, static_cast<uint8_t>(message.to.value()),
                      static_cast<uint8_t>(message.from.value()), message.term, message.index});
    messages_.push_back(std::move(message));
  }
  return number;
}

size_t MessagePool::MemoryBytes() const {
  return index_.MemoryBytes() + messages_.size() * kBytesAMessage;
}

MemberPool::MemberPool(const Bounds* bounds, const PlantedFaults* faults, const Symmetry* symmetry,
                       MessagePool* messages, bool audit)
    : bounds_(bounds), faults_(faults), symmetry_(*symmetry), messages_(*messages), audit_(audit) {}

uint32_t MemberPool::AddFresh(MemberId id) {
  return Add(std::make_unique<Member>(id, bounds_, faults_));
}

uint32_t MemberPool::Add(std::unique_ptr<Member> member) {
  const auto append = [&](raft::CanonicalState::Renaming rename, std::string* out) {
    member->AppendCanonical(rename, out);
  };
  const auto [number, fresh] = index_.Add(symmetry_, kMemberKind, append);
  if (fresh) {
    views_.push_back(member->View());
    members_.push_back(std::move(member));
  } else if (audit_) {
    members_[number] = std::move(member);
  }
  return number;
}

const Reaction& MemberPool::React(uint32_t member, Input input) {
  CHECK_LT(input.argument, uint32_t{1} << kArgumentBits);
  const uint64_t key = (uint64_t{member} << (kArgumentBits + kKindBits)) |
                       (static_cast<uint64_t>(input.kind) << kArgumentBits) | input.argument;
  const auto [known, fresh] = known_.emplace(key, static_cast<uint32_t>(reactions_.size()));
  if (!fresh) {
    const Reaction& reaction = reactions_[known->second];
    if (audit_) Audit(member, input, reaction);
    return reaction;
  }
  reactions_.push_back(Compute(member, input));
  if (!reactions_.back().reads.empty()) ++reads_served_;
  return reactions_.back();
}

Reaction MemberPool::Compute(uint32_t number, Input input) {
  std::unique_ptr<Member> member = members_[number]->Clone();
  Outcome outcome;
  switch (input.kind) {
    case InputKind::kDeliver:
    case InputKind::kDeliverLate:
      member->Deliver(messages_.message(input.argument), input.kind == InputKind::kDeliverLate,
                      &outcome);
      break;
    case InputKind::kElectionTimer:
      member->FireElectionTimer(&outcome);
      break;
    case InputKind::kHeartbeatTimer:
      member->FireHeartbeatTimer(&outcome);
      break;
    case InputKind::kPropose:
      member->Propose(input.argument, &outcome);
      break;
    case InputKind::kRead:
      member->Read(input.argument, &outcome);
      break;
    case InputKind::kTransfer:
      member->Transfer(MemberId(input.argument), &outcome);
      break;
    case InputKind::kCompleteUnit:
      member->CompleteUnit(&outcome);
      break;
    case InputKind::kCrash:
      member->Crash(input.argument / 2, input.argument % 2 != 0, &outcome);
      break;
  }
  Reaction reaction;
  for (raft::Message& message : outcome.sent) {
    reaction.sent.push_back(messages_.Add(std::move(message)));
  }
  std::sort(reaction.sent.begin(), reaction.sent.end());
  reaction.reads = std::move(outcome.reads);
  reaction.violation = std::move(outcome.violation);
  reaction.next = Add(std::move(member));
  return reaction;
}

void MemberPool::Audit(uint32_t member, Input input, const Reaction& known) {
  const Reaction again = Compute(member, input);
  CHECK_EQ(again.next, known.next);
  CHECK(again.sent == known.sent);
  CHECK_EQ(again.reads.size(), known.reads.size());
  CHECK_EQ(again.violation.has_value(), known.violation.has_value());
}

size_t MemberPool::MemoryBytes() const {
  return index_.MemoryBytes() + members_.size() * kBytesAMember +
         reactions_.size() * (kBytesAReaction + kBytesAHashEntry);
}

}  // namespace quorate::sim::explore
