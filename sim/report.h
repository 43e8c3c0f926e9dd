// Reports of seeds as JSON lines, and the tally of a campaign.
#ifndef QUORATE_SIM_REPORT_H_
#define QUORATE_SIM_REPORT_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "sim/world.h"

namespace quorate::sim {

// One line of JSON, and back. InvalidArgument for anything else.
std::string ToJson(const SeedReport& report);
absl::StatusOr<SeedReport> SeedReportFromJson(absl::string_view line);

// "quorate-sim replay --seed 7 --profile default".
std::string ReplayLine(absl::string_view profile, uint64_t seed);

// What a violation is, with its evidence and how to see it again; several lines.
std::string Explain(absl::string_view profile, const SeedReport& report);

// Sums over the seeds of a campaign.
class Tally {
 public:
  explicit Tally(std::string profile) : profile_(std::move(profile)) {}

  void Add(const SeedReport& report);

  uint64_t seeds() const { return seeds_; }
  uint64_t violations() const { return failed_.size(); }
  uint64_t bounds() const { return bounds_; }
  Duration simulated() const { return simulated_; }
  uint64_t events() const { return events_; }
  // Seeds with violations, in the order in which they came in.
  const std::vector<SeedReport>& failed() const { return failed_; }

  // Fault kinds and counters that an enabled class should have moved and that are zero.
  std::vector<std::string> Missing() const;

  // The summary that ends a campaign; `wall` is what it took, `jobs` processes.
  std::string Text(Duration wall, uint64_t jobs) const;
  // Of these, how fast it went and of what mix it was.
  std::string SpeedLines(Duration wall, uint64_t jobs) const;
  std::string Json(Duration wall, uint64_t jobs) const;

 private:
  struct Total {
    const char* name;
    uint64_t value;
    bool must_move;  // zero fails a campaign
  };
  std::vector<Total> Totals() const;
  bool ClientsCount() const;
  bool EndsCount() const;

  const std::string profile_;
  uint64_t seeds_ = 0;
  uint64_t stream_seeds_ = 0;
  uint64_t bounds_ = 0;
  Duration simulated_;
  uint64_t events_ = 0;
  uint64_t trace_events_ = 0;
  std::array<uint64_t, kFaultKinds> faults_ = {};
  std::array<uint64_t, kRules> checks_ = {};
  // Seeds with the class on, by mode.
  std::array<uint64_t, kFaultClasses> on_streams_ = {};
  std::array<uint64_t, kFaultClasses> on_datagrams_ = {};
  uint64_t elections_ = 0;
  uint64_t checkpoints_ = 0;
  uint64_t snapshots_installed_ = 0;
  uint64_t restarts_from_checkpoints_ = 0;
  uint64_t repairs_ = 0;
  uint64_t log_segments_cut_ = 0;
  uint64_t requests_ = 0;
  uint64_t answered_ = 0;
  uint64_t unknown_ = 0;
  uint64_t retries_ = 0;
  uint64_t acknowledged_writes_ = 0;
  uint64_t checked_reads_ = 0;
  uint64_t watch_events_ = 0;
  uint64_t leases_expired_ = 0;
  uint64_t auth_changes_ = 0;
  uint64_t auth_refusals_ = 0;
  uint64_t auth_denials_ = 0;
  uint64_t searches_given_up_ = 0;
  SometimesCounts sometimes_ = {};
  uint64_t self_stops_ = 0;
  uint64_t converged_after_max_ = 0;
  std::map<uint64_t, uint64_t> sizes_;  // seeds by members of their cluster
  std::vector<SeedReport> failed_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_H_
