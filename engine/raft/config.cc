#include "engine/raft/config.h"

#include "absl/strings/str_cat.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

namespace {

// Waits are added to instants and doubled: far from overflow.
constexpr Duration kLongestWait = Seconds(3600LL * 24 * 365);

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("raft: ", what));
}

}  // namespace

absl::Status Config::Validate() const {
  if (id == kNobody) return Invalid("id must not be 0");
  if (id == kLocalAppendThread || id == kLocalApplyThread) {
    return Invalid("id is one of the two that stand for the local storage");
  }
  if (heartbeat_interval <= Duration()) return Invalid("heartbeat_interval must be above 0");
  if (election_timeout <= heartbeat_interval) {
    return Invalid("election_timeout must be longer than heartbeat_interval");
  }
  if (election_timeout > kLongestWait) return Invalid("election_timeout must not exceed a year");
  if (election_delay < Duration()) return Invalid("election_delay must not be negative");
  if (election_delay > kLongestWait) return Invalid("election_delay must not exceed a year");
  if (max_inflight_messages == 0) return Invalid("max_inflight_messages must be above 0");
  if (max_inflight_bytes != 0 && max_inflight_bytes < max_append_bytes) {
    return Invalid("max_inflight_bytes must not be below max_append_bytes");
  }
  if (read_only == ReadOnlyMode::kLeaseBased && !check_quorum) {
    return Invalid("lease-based reads need check_quorum");
  }
  if (max_clock_drift < Duration()) return Invalid("max_clock_drift must not be negative");
  if (read_only == ReadOnlyMode::kLeaseBased && max_clock_drift == Duration()) {
    return Invalid("lease-based reads need max_clock_drift: no two clocks agree");
  }
  if (read_only == ReadOnlyMode::kLeaseBased &&
      election_timeout - heartbeat_interval <= max_clock_drift) {
    return Invalid("max_clock_drift leaves no lease between two heartbeats");
  }
  return absl::OkStatus();
}

}  // namespace quorate::raft
