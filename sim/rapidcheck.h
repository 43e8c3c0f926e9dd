// RapidCheck generators for clusters, client traffic and schedules of partitions and crashes,
// with native shrinking: a property over whole servers is a few lines of a test.
//
//   RC_GTEST_PROP(Cluster, KeepsItsPromises, ()) {
//     const sim::Schedule schedule = *sim::AnySchedule();
//     const sim::SeedReport report = sim::RunSchedule(schedule);
//     RC_ASSERT(report.violations.empty());
//   }
//
// What is shrunk: members, clients and watchers to few, time to little, workloads and classes of
// faults to none, single actions to fewer. The seed stays, since it says what each of them is.
#ifndef QUORATE_SIM_RAPIDCHECK_H_
#define QUORATE_SIM_RAPIDCHECK_H_

#include <rapidcheck.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sim/schedule.h"
#include "sim/world.h"

namespace quorate::sim {

// How large what is generated may be.
struct ScheduleSize {
  size_t members = 5;
  size_t clients = 6;
  size_t watchers = 2;
  Duration duration = Seconds(3);
  // Actions of each class, by number; those that come up within the time happen.
  uint64_t actions = 10;
};

// Shown when a property fails; the text can be saved and replayed.
inline void showValue(const Schedule& schedule, std::ostream& out) { out << ToText(schedule); }

inline rc::Gen<Schedule> AnySchedule(const ScheduleSize& size = ScheduleSize()) {
  using Actions = std::vector<std::vector<uint64_t>>;
  const auto seeds = rc::gen::noShrink(rc::gen::arbitrary<uint64_t>());
  const auto members = rc::gen::inRange<size_t>(1, size.members + 1);
  const auto clients = rc::gen::inRange<size_t>(1, size.clients + 1);
  const auto watchers = rc::gen::inRange<size_t>(0, size.watchers + 1);
  const auto millis = rc::gen::inRange<int64_t>(100, size.duration.millis() + 1);
  const auto kinds =
      rc::gen::container<std::vector<bool>>(kWorkloadKinds, rc::gen::arbitrary<bool>());
  // Numbers may come twice: what counts is which there are.
  const auto actions = rc::gen::container<Actions>(
      kFaultClasses,
      rc::gen::container<std::vector<uint64_t>>(rc::gen::inRange<uint64_t>(1, size.actions + 1)));
  return rc::gen::map(
      rc::gen::tuple(seeds, members, clients, watchers, millis, kinds, actions),
      [](const std::tuple<uint64_t, size_t, size_t, size_t, int64_t, std::vector<bool>, Actions>&
             drawn) {
        // A profile in which every class is on, where the seed's cluster can have
        // it.
        absl::StatusOr<Schedule> out = WholeSchedule("uniform", std::get<0>(drawn));
        CHECK(out.ok());
        out->members = std::get<1>(drawn);
        out->clients = std::get<2>(drawn);
        out->watchers = std::get<3>(drawn);
        out->duration = Milliseconds(std::get<4>(drawn));
        for (size_t i = 0; i < kWorkloadKinds; ++i) out->kinds[i] = std::get<5>(drawn)[i];
        for (size_t i = 0; i < kFaultClasses; ++i) {
          const std::set<uint64_t> kept(std::get<6>(drawn)[i].begin(), std::get<6>(drawn)[i].end());
          out->classes[i] = out->classes[i] && !kept.empty();
          if (out->classes[i]) out->reduction.actions[i] = kept;
        }
        return *std::move(out);
      });
}

// Runs it to its end and tells what came of it.
inline SeedReport RunSchedule(const Schedule& schedule) {
  const absl::StatusOr<Options> options = OptionsOf(schedule);
  CHECK_MSG(options.ok(), options.status().ToString());
  return World(*options).Run();
}

}  // namespace quorate::sim

#endif  // QUORATE_SIM_RAPIDCHECK_H_
