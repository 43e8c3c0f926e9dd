// Every distinct part of a cluster once, by number, with its digest under each renaming
// of the members; so a cluster is a handful of numbers, and what raft does with an input
// in a state is computed once, however many clusters hold that state.
#ifndef QUORATE_SIM_EXPLORE_POOLS_H_
#define QUORATE_SIM_EXPLORE_POOLS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/raft/message.h"
#include "sim/explore/digest.h"
#include "sim/explore/member.h"
#include "sim/explore/symmetry.h"

namespace quorate::sim::explore {

// Numbers of things by their digest, and their digests under each renaming.
class DigestIndex {
 public:
  // `append` writes the thing as it is under a renaming; called for all of them if the
  // thing is new. Gives its number, counted from 0, and whether it is new.
  template <typename AppendRenamed>
  std::pair<uint32_t, bool> Add(const Symmetry& symmetry, uint64_t kind,
                                const AppendRenamed& append);

  size_t size() const { return numbers_.size(); }
  // One for each renaming, in the order of Symmetry.
  const Digest* digests(uint32_t number) const { return &digests_[number * stride_]; }
  size_t MemoryBytes() const;

 private:
  absl::flat_hash_map<Digest, uint32_t> numbers_;  // lookup only
  std::vector<Digest> digests_;
  size_t stride_ = 1;
  std::string scratch_;
};

class MessagePool {
 public:
  struct Info {
    raft::MessageType type = raft::MessageType::kHup;
    uint8_t to = 0;
    uint8_t from = 0;
    Term term;
    LogIndex index;
  };

  explicit MessagePool(const Symmetry* symmetry) : symmetry_(*symmetry) {}

  uint32_t Add(raft::Message message);
  const raft::Message& message(uint32_t number) const { return messages_[number]; }
  const Info& info(uint32_t number) const { return infos_[number]; }
  const Digest* digests(uint32_t number) const { return index_.digests(number); }
  size_t size() const { return messages_.size(); }
  size_t MemoryBytes() const;

 private:
  const Symmetry& symmetry_;
  DigestIndex index_;
  std::deque<raft::Message> messages_;
  std::vector<Info> infos_;
};

enum class InputKind : uint8_t {
  kDeliver,         // argument: the message
  kDeliverLate,     // the same, an election timeout after the last word of the leader
  kElectionTimer,   // none
  kHeartbeatTimer,  // none
  kPropose,         // which proposal
  kRead,            // which read
  kTransfer,        // to which member
  kCompleteUnit,    // none
  kCrash,           // writes kept * 2 + (1 if an unsynced commit index is kept)
};

struct Input {
  InputKind kind = InputKind::kDeliver;
  uint32_t argument = 0;

  friend bool operator==(const Input&, const Input&) = default;
};

// What an input does to a member.
struct Reaction {
  uint32_t next = 0;           // the member afterwards
  std::vector<uint32_t> sent;  // messages, ascending
  std::vector<ReadAnswer> reads;
  std::optional<Violation> violation;

  // Nobody can tell that it happened.
  bool IsNothing(uint32_t before) const {
    return next == before && sent.empty() && reads.empty() && !violation.has_value();
  }
};

class MemberPool {
 public:
  // With `audit` every reaction is computed each time it is asked for, on the member
  // that reached its state last and by whichever way, and CHECKed to be the same: shows
  // that a member's canonical bytes leave nothing out. All pointers outlive the pool.
  MemberPool(const Bounds* bounds, const PlantedFaults* faults, const Symmetry* symmetry,
             MessagePool* messages, bool audit);

  uint32_t AddFresh(MemberId id);
  // The reference holds for ever.
  const Reaction& React(uint32_t member, Input input);
  const MemberView& view(uint32_t number) const { return views_[number]; }
  const Digest* digests(uint32_t number) const { return index_.digests(number); }
  size_t size() const { return views_.size(); }
  size_t reactions() const { return reactions_.size(); }
  // Reactions in which a read may be served.
  size_t reads_served() const { return reads_served_; }
  size_t MemoryBytes() const;

 private:
  uint32_t Add(std::unique_ptr<Member> member);
  Reaction Compute(uint32_t member, Input input);
  void Audit(uint32_t member, Input input, const Reaction& known);

  const Bounds* const bounds_;
  const PlantedFaults* const faults_;
  const Symmetry& symmetry_;
  MessagePool& messages_;
  const bool audit_;
  DigestIndex index_;
  std::vector<std::unique_ptr<Member>> members_;
  std::deque<MemberView> views_;
  absl::flat_hash_map<uint64_t, uint32_t> known_;  // lookup only
  std::deque<Reaction> reactions_;
  size_t reads_served_ = 0;
};

template <typename AppendRenamed>
std::pair<uint32_t, bool> DigestIndex::Add(const Symmetry& symmetry, uint64_t kind,
                                           const AppendRenamed& append) {
  stride_ = symmetry.size();
  const auto digest_under = [&](size_t renaming) {
    scratch_.clear();
    append([&](MemberId id) { return symmetry.Rename(renaming, id); }, &scratch_);
    return DigestOf(kind, scratch_);
  };
  const Digest plain = digest_under(0);
  const auto number = static_cast<uint32_t>(numbers_.size());
  const auto [known, fresh] = numbers_.emplace(plain, number);
  if (!fresh) return {known->second, false};
  digests_.push_back(plain);
  for (size_t i = 1; i < symmetry.size(); ++i) digests_.push_back(digest_under(i));
  return {number, true};
}

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_POOLS_H_
