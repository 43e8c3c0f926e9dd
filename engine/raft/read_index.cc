#include "engine/raft/read_index.h"

#include <algorithm>

#include "base/coding.h"

namespace quorate::raft {

namespace {

constexpr size_t kNumberBytes = 8;

// Keeps the largest value for each member.
template <typename Value>
void KeepLargest(MemberId from, Value value, std::vector<std::pair<MemberId, Value>>* acked) {
  for (auto& [member, largest] : *acked) {
    if (member != from) continue;
    largest = std::max(largest, value);
    return;
  }
  acked->emplace_back(from, value);
}

template <typename Value>
std::optional<Value> ValueOf(MemberId id, const std::vector<std::pair<MemberId, Value>>& acked) {
  for (const auto& [member, value] : acked) {
    if (member == id) return value;
  }
  return std::nullopt;
}

}  // namespace

Bytes HeartbeatTag::Encode() const {
  if (read == 0 && !sent.has_value()) return Bytes();
  char text[2 * kNumberBytes];
  StoreLe64(text, read);
  if (!sent.has_value()) return Bytes::Copy(absl::string_view(text, kNumberBytes));
  StoreLe64(text + kNumberBytes, static_cast<uint64_t>(sent->nanos()));
  return Bytes::Copy(absl::string_view(text, sizeof(text)));
}

std::optional<HeartbeatTag> HeartbeatTag::Decode(const Bytes& context) {
  HeartbeatTag tag;
  if (context.size() != kNumberBytes && context.size() != 2 * kNumberBytes) return std::nullopt;
  tag.read = LoadLe64(context.data());
  if (context.size() == 2 * kNumberBytes) {
    tag.sent = Instant::FromNanos(static_cast<int64_t>(LoadLe64(context.data() + kNumberBytes)));
  }
  return tag;
}

void ReadQueue::Acknowledge(MemberId from, uint64_t number) { KeepLargest(from, number, &acked_); }

void ReadQueue::TakeConfirmed(const QuorumRule& rule, const JointVoters& voters,
                              std::vector<ReadRequest>* out) {
  const LogIndex acked =
      CommittedIndex(rule, voters, [this](MemberId id) -> std::optional<LogIndex> {
        const std::optional<uint64_t> number = ValueOf(id, acked_);
        return number.has_value() ? std::make_optional(LogIndex(*number)) : std::nullopt;
      });
  const uint64_t number = std::min<uint64_t>(acked.value(), last_number());
  for (; confirmed_ < number; ++confirmed_) {
    out->push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void ReadQueue::Clear() {
  waiting_.clear();
  acked_.clear();
  confirmed_ = 0;
}

void Lease::Acknowledge(MemberId from, Instant sent) { KeepLargest(from, sent, &acked_); }

std::optional<Instant> Lease::QuorumHeardAt(const QuorumRule& rule, const JointVoters& voters,
                                            MemberId self, Instant now) const {
  // A moment is "committed" once a quorum has acknowledged it; 0 stands for never.
  const LogIndex heard = CommittedIndex(rule, voters, [&](MemberId id) -> std::optional<LogIndex> {
    const std::optional<Instant> sent = id == self ? now : ValueOf(id, acked_);
    if (!sent.has_value() || *sent < Instant()) return std::nullopt;
    return LogIndex(static_cast<uint64_t>(sent->nanos()) + 1);
  });
  if (heard == LogIndex(0) || heard == kEverythingCommitted) return std::nullopt;
  return Instant::FromNanos(static_cast<int64_t>(heard.value() - 1));
}

}  // namespace quorate::raft
