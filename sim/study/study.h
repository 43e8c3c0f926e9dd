// A study: its plan, and the tables that set what came out beside what was expected.
#ifndef QUORATE_SIM_STUDY_STUDY_H_
#define QUORATE_SIM_STUDY_STUDY_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "sim/study/plan.h"
#include "sim/study/report.h"

namespace quorate::sim::study {

struct Study {
  Plan plan;
  uint64_t trials = 1000;  // unless the command line says otherwise
  // May be empty. Cases without trials (small shards) must not upset it.
  std::function<std::vector<NamedTable>(const Results&)> tables;
};

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_STUDY_H_
