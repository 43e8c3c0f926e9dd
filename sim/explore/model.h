// The state graph that is walked: clusters, what can happen to one, and what it becomes.
//
// Reductions, all of which keep every reachable state of the members, so that no broken
// rule is missed:
//   - A message that is lost is one that is never delivered (see Bounds::drops).
//   - A crash and the restart are one step (see Bounds::crashes).
//   - A delivery that nobody can notice (the member is unchanged and says nothing) is no
//     step: all that could follow can also follow with the message still in flight.
//   - A message that has no effect now and never will have, since what it is about is
//     over for its receiver (a term, a candidacy, a leadership, the match that it tells
//     of), is taken out of the network.
//   - Clusters that differ by a renaming of the members count as one.
#ifndef QUORATE_SIM_EXPLORE_MODEL_H_
#define QUORATE_SIM_EXPLORE_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/explore/bounds.h"
#include "sim/explore/digest.h"
#include "sim/explore/pools.h"
#include "sim/explore/rules.h"
#include "sim/explore/symmetry.h"

namespace quorate::sim::explore {

// What is counted along a run; see Bounds.
enum class Count : uint8_t {
  kEntries,
  kCrashes,
  kDuplicates,
  kDrops,
  kHeartbeats,
  kTimeouts,
  kReads,
  kTransfers,
};
inline constexpr size_t kCounts = static_cast<size_t>(Count::kTransfers) + 1;
inline constexpr size_t kMaxRenamings = 120;
static_assert(kMaxMembers == 5, "5! renamings");

// A cluster, by numbers from the pools.
struct Cluster {
  std::array<uint32_t, kMaxMembers> members = {};
  uint32_t history = 0;
  std::array<uint8_t, kCounts> spent = {};
  std::vector<uint32_t> flight;  // messages, ascending; the same may be there twice
};

// Something that can happen.
struct Choice {
  uint8_t member = 0;  // counted from 0; to whom
  bool keep = false;   // a delivery that leaves the message in flight
  bool drop = false;   // the message (input.argument) is lost
  Input input;
};

class HistoryPool {
 public:
  explicit HistoryPool(const Symmetry* symmetry) : symmetry_(*symmetry) {}

  uint32_t Add(const History& history);
  const History& history(uint32_t number) const { return histories_[number]; }
  const Digest* digests(uint32_t number) const { return index_.digests(number); }
  // Over all of them: the latest term with a leader, the most entries committed.
  size_t latest_leader() const { return latest_leader_; }
  size_t committed() const { return committed_; }

 private:
  const Symmetry& symmetry_;
  DigestIndex index_;
  std::deque<History> histories_;
  size_t latest_leader_ = 0;
  size_t committed_ = 0;
};

class Model {
 public:
  // Of valid bounds.
  Model(const Bounds& bounds, PlantedFaults faults, bool audit);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  Cluster Start();
  // All that can happen to a cluster, always in the same order. Take() is about this
  // cluster until the next call.
  void ListChoices(const Cluster& cluster, std::vector<Choice>* out);

  enum class Effect : uint8_t {
    kNothing,  // it has no effect, or leads out of the bounds
    kStep,     // *next is the cluster afterwards
    kBroken,   // it breaks a rule: violation()
  };
  Effect Take(const Cluster& cluster, const Choice& choice, Cluster* next);
  // The rules about states, of a cluster that Take() gave for this choice.
  bool IsSound(const Cluster& next, const Choice& choice);
  const Violation& violation() const { return *violation_; }

  // Of a cluster, and the same for all its renamings. Of the one that Take() just gave:
  Digest Canonical();
  // Of one given to ListChoices.
  Digest CanonicalOf(const Cluster& cluster);
  // Of the cluster last asked about: how many different ones the renamings give.
  uint64_t CountRenamings() const;

  // Compact, and without loss.
  void Encode(const Cluster& cluster, std::string* out) const;
  // Takes one cluster off the front.
  void Decode(absl::string_view* in, Cluster* out) const;

  // In words: what a choice is; with what comes of it; how the members stand.
  std::string Describe(const Choice& choice) const;
  std::string Describe(const Cluster& before, const Choice& choice);
  std::string Describe(const Cluster& cluster) const;

  const Bounds& bounds() const { return bounds_; }
  const MemberPool& members() const { return members_; }
  const MessagePool& messages() const { return messages_; }
  const HistoryPool& histories() const { return histories_; }
  size_t MemoryBytes() const { return members_.MemoryBytes() + messages_.MemoryBytes(); }

 private:
  uint8_t Spent(const Cluster& cluster, Count count) const {
    return cluster.spent[static_cast<size_t>(count)];
  }
  bool IsLeft(const Cluster& cluster, Count count) const;
  void Spend(Count count, Cluster* cluster) const;
  void ListInputs(const Cluster& cluster, uint8_t member, std::vector<Choice>* out) const;
  void ListDeliveries(const Cluster& cluster, std::vector<Choice>* out) const;
  Digest SpentDigest(const Cluster& cluster) const;
  void SpendOn(const Choice& choice, Cluster* cluster) const;
  void SpendFor(const Choice& choice, Cluster* cluster);
  bool EnterHistory(const Choice& choice, const Reaction& reaction, Cluster* next);
  void UpdateFlight(const Cluster& cluster, const Choice& choice, const Reaction& reaction,
                    Cluster* next);
  bool IsOver(const MessagePool::Info& info, const MemberView& receiver) const;
  bool IsDead(const Cluster& cluster, uint32_t message);
  void Change(const Digest* gone, const Digest* come);
  std::array<const MemberView*, kMaxMembers> ViewsOf(const Cluster& cluster) const;
  std::string DescribeMember(uint32_t member) const;

  const Bounds bounds_;
  const PlantedFaults faults_;
  const Symmetry symmetry_;
  // What may be spent of each kind; nullopt: not counted.
  std::array<std::optional<uint8_t>, kCounts> limits_;
  MessagePool messages_;
  MemberPool members_;
  HistoryPool histories_;
  std::optional<Violation> violation_;

  // Under each renaming the sum of the digests of all parts: of the cluster given to
  // ListChoices, and of the one that Take() just gave.
  using Sums = std::array<Digest, kMaxRenamings>;
  Sums sums_before_;
  Sums sums_;
  Digest canonical_;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_MODEL_H_
