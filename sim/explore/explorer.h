// Walks every state of a small cluster of real raft members, breadth first: the first
// broken rule that it finds is at the end of a shortest way to break one.
//
//   Explorer explorer(bounds, {});
//   const Findings& findings = explorer.Run();
//   if (findings.exhaustive) ...     // nothing within the bounds was left out
//
// Same bounds, same counts, in every build.
#ifndef QUORATE_SIM_EXPLORE_EXPLORER_H_
#define QUORATE_SIM_EXPLORE_EXPLORER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/explore/bounds.h"
#include "sim/explore/model.h"
#include "sim/explore/visited.h"

namespace quorate::sim::explore {

// What has been seen so far, or in all.
struct Findings {
  // Every state within the bounds was seen, and no rule was broken.
  bool exhaustive = false;
  // With the steps that lead to it as evidence.
  std::optional<Violation> violation;
  uint64_t visited = 0;   // states, counted each time one was reached
  uint64_t distinct = 0;  // different ones, up to symmetry
  uint64_t renamed = 0;   // different ones without regard to symmetry
  uint64_t depth = 0;     // steps from the start to the last ones
  uint64_t frontier = 0;  // states whose successors are not yet known
  // How much happened: latest term with a leader, most entries committed, ways in which
  // a member was told that it may serve a read.
  uint64_t latest_leader = 0;
  uint64_t committed = 0;
  uint64_t reads_served = 0;
  uint64_t member_states = 0;  // different states of a single member
  uint64_t messages = 0;       // different messages
  uint64_t reactions = 0;      // steps that raft itself computed
  uint64_t memory = 0;         // bytes, roughly
};

struct ExploreOptions {
  // For tests of the explorer itself.
  PlantedFaults faults;
  // See MemberPool; slow.
  bool audit = false;
  // Ends the walk, not exhaustive. 0: no bound.
  uint64_t max_states = 0;
  uint64_t max_memory_bytes = 0;
  // Called now and then; false ends the walk.
  std::function<bool(const Findings&)> on_progress;
};

class Explorer {
 public:
  Explorer(const Bounds& bounds, ExploreOptions options);

  // Once.
  const Findings& Run();

  // An assertion failed in the step that is being tried: from within a crash hook.
  const Findings& FailedAssertion(absl::string_view text);

 private:
  // Encoded clusters in the order in which they were found, freed as they are read.
  class Level {
   public:
    void Add(absl::string_view encoded);
    // The next cluster, encoded; empty at the end.
    absl::string_view Next();
    uint64_t left() const { return left_; }
    size_t MemoryBytes() const { return blocks_.size() * kBlock; }

   private:
    static constexpr size_t kBlock = size_t{1} << 20;
    std::deque<std::string> blocks_;  // of records: length, bytes
    size_t read_ = 0;
    uint64_t left_ = 0;
  };
  // What one of the choices leads to.
  struct Successor {
    Cluster cluster;
    Digest digest;
    uint64_t renamings = 0;
    size_t choice = 0;
  };

  void Found(const Successor& successor, uint64_t parent);
  bool Expand(uint64_t number);
  bool Broken(uint64_t number, size_t choice);
  bool GoOn();
  void Count();
  std::vector<std::string> Trace(uint64_t number, size_t choice);

  Model model_;
  const ExploreOptions options_;
  Findings findings_;
  Visited visited_;
  Level present_;
  Level next_;
  // How each state was first reached: from which one, by which of its choices. States
  // are numbered in the order in which they were found.
  std::deque<uint32_t> parents_;
  std::deque<uint16_t> choices_;
  // Scratch, and what is being tried.
  Cluster cluster_;
  std::vector<Successor> successors_;
  std::vector<Choice> list_;
  std::string encoded_;
  uint64_t number_ = 0;
  size_t choice_ = 0;
};

}  // namespace quorate::sim::explore

#endif  // QUORATE_SIM_EXPLORE_EXPLORER_H_
