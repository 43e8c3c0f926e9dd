// The sequence of requests of one seed. It follows from the seed, the types and the
// reference's answers alone.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_GENERATOR_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_GENERATOR_H_

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "tests/clients/comparison/auth_source.h"
#include "tests/clients/comparison/draw.h"
#include "tests/clients/comparison/known.h"
#include "tests/clients/comparison/kv_source.h"
#include "tests/clients/comparison/lease_source.h"
#include "tests/clients/comparison/release.h"
#include "tests/clients/comparison/watch_source.h"

namespace quorate::differential {

class Generator {
 public:
  // Requests that a reference of this release can be sent.
  Generator(uint64_t seed, const std::set<Type>& types, const Release& release);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  Step Next();
  // What the reference said to that step, and every change of its store before the next.
  void Learn(const Step& step, const Answer& answer) { known_.Learn(step, answer); }
  void Observe(const mvccpb::Event& event) { known_.Observe(event); }

  const Known& known() const { return known_; }

 private:
  Type DrawType();
  Step Make(Type type);
  void PlanLarge();
  void ChooseUser(Step* step);

  const std::set<Type> types_;
  Draw draw_;
  Known known_;
  KvSource kv_;
  WatchSource watch_;
  LeaseSource lease_;
  AuthSource auth_;
  uint64_t total_weight_ = 0;
  std::deque<Step> planned_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_GENERATOR_H_
