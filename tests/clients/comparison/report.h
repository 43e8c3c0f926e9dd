// What a run has covered.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_REPORT_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_REPORT_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/clients/comparison/types.h"
#include "tests/clients/comparison/watch_judge.h"

namespace quorate::differential {

struct RunReport {
  // A type must succeed for at least so many of a hundred requests.
  static constexpr uint64_t kLeastSuccess = 20;

  struct Tally {
    uint64_t sent = 0;
    uint64_t succeeded = 0;
    std::map<std::string, uint64_t> refusals;  // by text
  };

  // A request that both servers answered alike; without a refusal it succeeded.
  void Count(Type type, absl::string_view refusal);
  // One line a type, with the refusals if asked for, and the sums.
  std::string Text(bool refusals) const;
  // The wanted types that are missing or succeed too rarely; empty if there are none.
  std::string Shortcomings(const std::set<Type>& wanted) const;

  std::map<Type, Tally> by_type;
  uint64_t requests = 0;
  uint64_t hashes = 0;
  WatchJudge::Sums watches;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_REPORT_H_
