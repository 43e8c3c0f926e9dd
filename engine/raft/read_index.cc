#include "engine/raft/read_index.h"

#include <algorithm>
#include <optional>

#include "base/coding.h"

namespace quorate::raft {

namespace {
constexpr size_t kContextBytes = 8;
}  // namespace

Bytes ReadQueue::Context() const {
  if (waiting_.empty()) return Bytes();
  char number[kContextBytes];
  StoreLe64(number, confirmed_ + waiting_.size());
  return Bytes::Copy(absl::string_view(number, sizeof(number)));
}

bool ReadQueue::Acknowledge(MemberId from, const Bytes& context) {
  if (context.size() != kContextBytes) return false;
  const uint64_t number = LoadLe64(context.data());
  if (number > confirmed_ + waiting_.size()) return false;
  for (auto& [member, acked] : acked_) {
    if (member != from) continue;
    acked = std::max(acked, number);
    return true;
  }
  acked_.emplace_back(from, number);
  return true;
}

void ReadQueue::TakeConfirmed(const QuorumRule& rule, const JointVoters& voters,
                              std::vector<ReadRequest>* out) {
  const LogIndex acked =
      CommittedIndex(rule, voters, [this](MemberId id) -> std::optional<LogIndex> {
        for (const auto& [member, number] : acked_) {
          if (member == id) return LogIndex(number);
        }
        return std::nullopt;
      });
  const uint64_t number = std::min<uint64_t>(acked.value(), confirmed_ + waiting_.size());
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

}  // namespace quorate::raft
