// An operator who changes the membership: adds voters, adds learners and promotes them,
// removes members, and replaces one that was lost with its disk. One change at a time, each
// repeated until it is known to have been made, as somebody with a run book does; or, in half of
// the cases, hasty: whoever replaces a member asks for both changes at once, and the cluster has to
// see to it that they come one after another.
//
// What a repetition finds already done counts as done: ids are never used twice, so that a
// request which comes late changes nothing.
#ifndef QUORATE_SIM_OPERATOR_H_
#define QUORATE_SIM_OPERATOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "base/strong_int.h"
#include "engine/replica/input.h"
#include "sim/cluster.h"
#include "sim/fault.h"

namespace quorate::sim {

class Operator {
 public:
  // All borrowed.
  Operator(const Context& context, Cluster* cluster);
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;
  ~Operator();

  // Begins a change, unless one is under way or none is possible; `draws` says which one, and
  // how.
  void Begin(uint64_t draws);
  bool idle() const { return steps_.empty(); }
  // Whether a voter is on its way out: the ones that are left must all have their data.
  bool removing() const;

 private:
  struct Step {
    Fault fault = Fault::kMemberAdd;  // its name, and what is counted once it is made
    size_t member = 0;
    MemberId id;
  };

  void Plan(Fault change);
  // Sends the request for a step to a member; its answer, unless the step has been asked for again.
  void Ask(size_t member, const Step& step, bool heed);
  void AskForNext();
  // Asks some member for the first step, now and again until it is made.
  void Try();
  void TryAgainAfter(Duration wait);
  void OnAnswer(const absl::Status& status);
  bool IsSettled() const;
  bool Made(const absl::Status& status) const;
  bool IsListed(const Step& step) const;
  bool WouldStrandARepair(const Step& step) const;
  void Complete();
  size_t VoterToLose();

  const Context context_;
  Cluster* const cluster_;
  Prng prng_{0};
  Prng hasty_prng_{0};
  bool hasty_ = false;
  VirtualTime changed_;  // when a change was last made
  std::deque<Step> steps_;
  uint64_t attempt_ = 0;
  EventId next_try_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_OPERATOR_H_
