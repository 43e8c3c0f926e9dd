// Cuts a failing run down to what breaks the rule: fewer members and clients, less time, fewer
// faults and requests, by trying, as delta debugging does (Zeller and Hildebrandt, 2002).
//
// A candidate counts if it breaks the same rule first. Actions and requests have draws of their
// own, so leaving one out does not change what the others are.
#ifndef QUORATE_SIM_SHRINK_H_
#define QUORATE_SIM_SHRINK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/schedule.h"
#include "sim/world.h"

namespace quorate::sim {

struct ShrinkOptions {
  // Runs a schedule; must survive whatever the run does.
  std::function<SeedReport(const Schedule&)> run;
  // False: end with what there is.
  std::function<bool()> may_go_on;
  // Told whenever it got smaller.
  std::function<void(const Schedule&)> on_progress;
};

class Shrinker {
 public:
  explicit Shrinker(ShrinkOptions options) : options_(std::move(options)) {}

  // The schedule that is left, with what to expect of it; as it was given if its run breaks no
  // rule, in which case `broken()` is false.
  Schedule Shrink(const Schedule& whole);

  bool broken() const { return broken_; }
  uint64_t runs() const { return runs_; }

 private:
  // One thing that can be left out.
  struct Atom {
    bool request = false;
    size_t who = 0;  // class of faults, or client
    uint64_t number = 0;
  };

  bool Try(const Schedule& candidate);
  void ShrinkTime();
  void ShrinkWorld();
  void ShrinkClasses();
  void ListAtoms();
  bool ShrinkAtoms(bool requests);

  const ShrinkOptions options_;
  Rule rule_ = Rule::kAssertion;
  Schedule best_;
  SeedReport report_;  // of best_
  bool broken_ = false;
  uint64_t runs_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SHRINK_H_
