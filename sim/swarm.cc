#include "sim/swarm.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/prng.h"
#include "sim/profile.h"

namespace quorate::sim {
namespace {

constexpr uint32_t kMillion = 1'000'000;
// Hosts beyond the founders', where the membership changes.
constexpr size_t kSpares = 6;

// Draws of one seed, each by name.
class Draw {
 public:
  explicit Draw(uint64_t seed) : seed_(seed) {}

  Prng For(absl::string_view purpose) const {
    return Prng(NamedDraw(seed_, HashName("swarm"), HashName(purpose), 0));
  }
  bool Percent(absl::string_view purpose, uint32_t percent) const {
    return For(purpose).Chance(percent, 100);
  }
  uint64_t Between(absl::string_view purpose, uint64_t low, uint64_t high) const {
    return static_cast<uint64_t>(
        For(purpose).Between(static_cast<int64_t>(low), static_cast<int64_t>(high)));
  }
  template <typename T>
  T OneOf(absl::string_view purpose, const std::vector<T>& items) const {
    return items[For(purpose).Below(items.size())];
  }

 private:
  uint64_t seed_;
};

// What a member lets wait, and lets be on its way to another one: so little, in some seeds, that it
// is often full.
void DrawQueues(const Draw& draw, Options* out) {
  out->max_inflight_messages =
      draw.OneOf("inflight-messages", std::vector<size_t>{1, 4, 512, 512, 512});
  out->max_inflight_bytes =
      draw.OneOf("inflight-bytes", std::vector<uint64_t>{500, 4'000, 0, 0, 0, 0});
  // What followers pass on is dropped where it does not fit: less would starve their clients.
  out->max_uncommitted_bytes =
      draw.OneOf("uncommitted-bytes", std::vector<uint64_t>{20'000, 100'000, 1 << 28, 1 << 28});
  out->max_pending_proposals =
      draw.OneOf("pending-proposals", std::vector<size_t>{4, 20, 5'000, 5'000, 5'000});
  out->max_pending_lease_calls =
      draw.OneOf("pending-lease-calls", std::vector<size_t>{2, 20'000, 20'000, 20'000});
}

void DrawCluster(const Draw& draw, const Profile& profile, Options* out) {
  out->members = draw.OneOf("members", profile.sizes);
  out->streams = draw.Percent("streams", profile.streams_percent);
  const std::vector<int64_t> elections = {100, 150, 300, 300, 500, 1000};
  out->election_timeout = Milliseconds(draw.OneOf("election", elections));
  out->heartbeat_interval =
      out->election_timeout / draw.OneOf("heartbeat", std::vector<int64_t>{5, 10, 10, 10});
  out->pre_vote = !draw.Percent("no-pre-vote", 15);
  const std::vector<uint64_t> segments = {16 * 1024, 64 * 1024, 256 * 1024};
  out->wal_segment_bytes = draw.OneOf("segment", segments);
  out->wal_first_segment_bytes = draw.OneOf("first-segment", std::vector<uint64_t>{4096, 65'536});
  // Mostly so small that a seed takes many checkpoints, cuts logs and sends snapshots.
  out->snapshot_count = draw.OneOf("snapshot-count", std::vector<size_t>{5, 20, 50, 200, 10'000});
  out->snapshot_catchup_entries =
      draw.OneOf("snapshot-catchup", std::vector<size_t>{0, 5, 50, 5'000});
  out->checkpoint_interval =
      Milliseconds(draw.OneOf("checkpoint-interval", std::vector<int64_t>{0, 0, 700}));
  out->checkpoint_pack_bytes = draw.OneOf("pack", std::vector<uint64_t>{4096, 65'536, 1 << 26});
  out->store_segment_bytes = draw.OneOf("store-segment", std::vector<size_t>{512, 4096, 1 << 18});
  // One entry a message, a few, many.
  out->max_append_bytes = draw.OneOf("append", std::vector<uint64_t>{0, 256, 4096, 1 << 20});
  if (draw.Percent("one-entry", profile.one_entry_percent)) out->max_append_bytes = 0;
  const std::vector<int64_t> checkpoints = {200, 700, 2000, 300'000};
  out->lease_checkpoint_interval = Milliseconds(draw.OneOf("lease-checkpoint", checkpoints));
  out->auth_token_ttl = Seconds(draw.OneOf("auth-token-ttl", std::vector<int64_t>{1, 5, 300}));
  out->max_apply_entries = draw.OneOf("apply", std::vector<size_t>{1, 16, 4096});
  DrawQueues(draw, out);
  out->watch_reply_bytes = draw.OneOf("watch-reply", std::vector<size_t>{1, 500, 1 << 20, 1 << 20});
  // Answers of a few keys are long ones then, and one segment is too much to keep for them.
  out->copied_answer_bytes =
      draw.OneOf("copied-answer", std::vector<uint64_t>{0, 200, 1 << 20, 1 << 20});
  out->max_dead_answer_bytes = draw.OneOf("dead-answer", std::vector<uint64_t>{1, 10'000, 1 << 28});
  out->watch_progress_interval =
      Milliseconds(draw.OneOf("watch-progress", std::vector<int64_t>{200, 2000, 600'000}));
  out->corrupt_check_interval =
      Milliseconds(draw.OneOf("corrupt-check", std::vector<int64_t>{0, 0, 100, 2000}));
  out->lease_reads = draw.Percent("lease-reads", profile.lease_reads_percent);
  // The least ones take any command, read and image apart.
  out->max_turn_work = draw.OneOf("turn-work", std::vector<uint64_t>{32, 300, 2000});
  // Ten hashes of everything a second, in the least turns, would leave nothing for anybody else.
  if (out->max_turn_work == 32 && out->corrupt_check_interval > Duration()) {
    out->corrupt_check_interval = Seconds(2);
  }
  if (draw.Percent("busy", 50)) {
    out->turns.busy_min = Microseconds(2);
    out->turns.busy_max = Microseconds(draw.OneOf("busy-max", std::vector<int64_t>{20, 200, 2000}));
  }
  out->turns.timer_late_max =
      Microseconds(draw.OneOf("timer-late", std::vector<int64_t>{0, 100, 1000, 10'000}));
  const std::vector<int64_t> latencies = {20, 100, 200, 1000, 3000};
  out->link.latency_min = Microseconds(draw.OneOf("latency-min", latencies));
  out->link.latency_mean = Microseconds(draw.OneOf("latency-mean", latencies));
  out->link.split_ppm = draw.Percent("split", 50) ? 100'000 : 5'000;
  // Members talk over one connection each for appends and for the rest.
  out->link.ordered = true;
  out->link.cuts_in_flight = draw.Percent("cuts-in-flight", 50);
  const std::vector<int64_t> syncs = {50, 200, 1000, 5000};
  out->disk.sync_min = Microseconds(draw.OneOf("sync-min", syncs));
  out->disk.sync_mean = Microseconds(draw.OneOf("sync-mean", syncs));
  out->disk.capacity_bytes = uint64_t{4} << 30;
  out->stream.connect_timeout = Seconds(2);
  out->stream.give_up_timeout = Seconds(draw.OneOf("give-up", std::vector<int64_t>{1, 3, 5}));
}

// How a class behaves once it is on.
FaultPlan UsualPlan(FaultClass fault_class, const Draw& draw) {
  const std::string name(FaultClassName(fault_class));
  const auto ppm = [&](const std::vector<uint32_t>& choices) {
    return draw.OneOf(absl::StrCat(name, "-ppm"), choices);
  };
  FaultPlan plan;
  plan.on = true;
  plan.interval = Milliseconds(
      draw.OneOf(absl::StrCat(name, "-interval"), std::vector<int64_t>{1500, 3000, 6000, 12'000}));
  plan.duration_min = Milliseconds(10);
  plan.duration_mean = Milliseconds(
      draw.OneOf(absl::StrCat(name, "-duration"), std::vector<int64_t>{100, 500, 2000}));
  switch (fault_class) {
    case FaultClass::kLoss:
      plan.ppm = ppm({2'000, 20'000, 100'000, 400'000});
      break;
    case FaultClass::kDuplicate:
      plan.ppm = ppm({5'000, 20'000, 200'000});
      break;
    case FaultClass::kDelay:
      plan.ppm = ppm({5'000, 20'000, 100'000});
      break;
    case FaultClass::kCorruption:
      plan.ppm = ppm({20, 200, 2'000});
      break;
    case FaultClass::kStreamReset:
      plan.ppm = ppm({50, 500});
      break;
    case FaultClass::kClock:
      // Off by so much at most.
      plan.ppm = ppm({100, 10'000, 200'000, 400'000, 400'000});
      plan.duration_mean = Seconds(4);
      break;
    case FaultClass::kSyncFailure:
    case FaultClass::kFullDisk:
    case FaultClass::kDiskError:
    case FaultClass::kWrongDirectory:
      plan.interval = plan.interval * 2;
      break;
    case FaultClass::kBandwidth:
      plan.bytes_per_second =
          draw.OneOf("bandwidth", std::vector<uint64_t>{64'000, 256'000, 1'000'000, 16'000'000});
      break;
    default:
      break;
  }
  return plan;
}

void DrawFaults(const Draw& draw, const Profile& profile, Options* out) {
  for (size_t i = 0; i < kFaultClasses; ++i) {
    const auto fault_class = static_cast<FaultClass>(i);
    const std::string name(FaultClassName(fault_class));
    if (!draw.Percent(absl::StrCat(name, "-on"), profile.on_percent[i])) continue;
    FaultPlan plan = UsualPlan(fault_class, draw);
    plan.interval = plan.interval * 100 / profile.tempo_percent;
    switch (fault_class) {
      case FaultClass::kPartition:
      case FaultClass::kOneWay:
        if (out->members < 2) plan.on = false;
        [[fallthrough]];
      case FaultClass::kKill:
      case FaultClass::kPowerLoss:
      case FaultClass::kPause:
      case FaultClass::kSlowDisk:
      case FaultClass::kSyncFailure:
      case FaultClass::kBitRot:
      case FaultClass::kFullDisk:
      case FaultClass::kDiskError:
      case FaultClass::kAmnesia:
      case FaultClass::kHindrance:
      case FaultClass::kDescriptors:
      case FaultClass::kAgedDirectory:
        plan.ppm = profile.leader_percent * (kMillion / 100);
        break;
      case FaultClass::kTransfer:
        if (out->members < 2) plan.on = false;
        break;
      case FaultClass::kUsurp:
        if (out->members < 3) plan.on = false;
        break;
      case FaultClass::kTypeDrop:
        if (out->members < 2 || out->streams) plan.on = false;
        break;
      case FaultClass::kMembership:
        out->spares = kSpares;
        out->strict_reconfig_check = draw.Percent("strict-reconfig-check", 70);
        out->reconfig_health_window =
            Milliseconds(draw.OneOf("health-window", std::vector<int64_t>{100, 1000, 5000}));
        break;
      case FaultClass::kRolling:
      case FaultClass::kSettings:
        plan.interval = plan.interval * 2;
        break;
      case FaultClass::kWrongDirectory:
        if (out->members < 2) plan.on = false;
        break;
      case FaultClass::kClock:
        if (profile.clock_ppm != 0) plan.ppm = profile.clock_ppm;
        break;
      case FaultClass::kBandwidth:
        plan.ppm = profile.leader_percent * (kMillion / 100);
        // A window of each connection waits when the faults end; datagrams are few bytes, and
        // a link that carries more holds up none of them.
        plan.bytes_per_second = out->streams ? std::max<uint64_t>(plan.bytes_per_second, 256'000)
                                             : std::min<uint64_t>(plan.bytes_per_second, 256'000);
        out->link.line_queue_max =
            Milliseconds(draw.OneOf("line-queue", std::vector<int64_t>{5, 50, 1000}));
        break;
      case FaultClass::kVersions:
        // Over streams a member says its own, in every request.
        if (out->streams) plan.on = false;
        break;
      case FaultClass::kDuplicate:
      case FaultClass::kReorder:
        // TCP delivers once and in order, and its checksum is all that etcd's protocols rely on.
        if (out->streams) plan.on = false;
        break;
      case FaultClass::kCorruption:
        if (out->streams) plan.on = profile.garbled_clients;
        break;
      case FaultClass::kStreamReset:
        if (!out->streams) plan.on = false;
        break;
      default:
        break;
    }
    if (plan.on) out->faults[i] = plan;
  }
}

void DrawWorkload(const Draw& draw, const Profile& profile, Options* out) {
  WorkloadOptions& w = out->workload;
  // Each waits for its answers: only where there are many do logs grow tails while a leader
  // is cut off.
  w.clients = draw.Percent("many-clients", profile.many_clients_percent)
                  ? 40
                  : draw.Between("clients", 3, 12);
  w.rate = draw.OneOf("rate", std::vector<uint64_t>{60, 120, 120, 200, 400});
  w.groups = draw.Between("groups", 3, 10);
  w.keys = draw.Between("keys", 1, 6);
  w.value_bytes_max = draw.OneOf("value-bytes", std::vector<size_t>{16, 64, 64, 1000});
  w.request_timeout = Milliseconds(draw.OneOf("timeout", std::vector<int64_t>{300, 1000, 3000}));
  w.put = static_cast<uint32_t>(draw.Between("put", 10, 60));
  w.get = static_cast<uint32_t>(draw.Between("get", 10, 60));
  w.serializable = static_cast<uint32_t>(draw.Between("serializable", 2, 20));
  w.remove = static_cast<uint32_t>(draw.Between("remove", 2, 15));
  w.txn = static_cast<uint32_t>(draw.Between("txn", 5, 40));
  w.compact = draw.Percent("compact", 50) ? 1 : 0;
  w.watchers = draw.Between("watchers", 1, 3);
  if (draw.Percent("lease", 60)) w.lease = static_cast<uint32_t>(draw.Between("lease", 10, 60));
  w.lease_ttl_max = static_cast<int64_t>(draw.Between("lease-ttl", 1, 6));
  w.auth = draw.Percent("auth", 20);
  w.administrator = !w.auth && draw.Percent("administrator", 30);
  const bool quiet = profile.on_percent == AllClasses(0);
  w.cancel_percent = quiet ? 0 : draw.OneOf("cancel", std::vector<uint32_t>{0, 0, 1, 10});
  w.hedge_percent = quiet ? 0 : draw.OneOf("hedge", std::vector<uint32_t>{0, 0, 5, 40});
  w.slow_reader_percent =
      quiet ? 0 : draw.OneOf("slow-reader", std::vector<uint32_t>{0, 0, 10, 40});
  if (draw.Percent("many-watchers", 8)) w.watchers = draw.Between("watchers-many", 15, 40);
  if (draw.Percent("lease-storm", 8)) {
    w.lease = 300;
    w.lease_ttl_max = 1;
    w.lease_ids = 100;
  }
  w.kinds_percent = draw.OneOf("kinds-share", std::vector<uint32_t>{0, 30, 60, 90});
  if (profile.garbled_clients) {
    // A lease could be granted for years, and nobody learns what its watch is told.
    w.lease = 0;
    w.watchers = 0;
    w.kinds_percent = 0;
    w.auth = w.administrator = false;
  }
  for (size_t i = 0; i < kWorkloadKinds; ++i) {
    const std::string name(WorkloadName(static_cast<WorkloadKind>(i)));
    w.kinds[i] = draw.Percent(absl::StrCat("kind-", name), 35);
  }
}

// Raft answers an append that came too early by sending a window anew. Members talk over one
// connection, so they see that once a connection; where appends overtake each other all the
// while, those of one entry multiply behind a long tail, or on the way to somebody who joins and
// needs thousands of them.
void BoundResends(Options* out) {
  if (!out->plan(FaultClass::kDelay).on && !out->plan(FaultClass::kReorder).on) return;
  if (out->max_append_bytes == 0) {
    out->workload.clients = std::min<size_t>(out->workload.clients, 12);
  }
  if (out->plan(FaultClass::kMembership).on && out->snapshot_catchup_entries > 50) {
    out->max_append_bytes = std::max<uint64_t>(out->max_append_bytes, 4096);
  }
}

// A message must fit. And where so little may be on its way that each entry, or so, waits for an
// answer to the one before, many clients would have theirs just after they had given up.
void BoundQueues(Options* out) {
  if (out->max_inflight_bytes > 0) {
    out->max_inflight_bytes = std::max(out->max_inflight_bytes, out->max_append_bytes);
  }
  const bool few = out->max_inflight_messages <= 4 ||
                   (out->max_inflight_bytes > 0 && out->max_inflight_bytes <= 4'000);
  if (few && (out->max_append_bytes == 0 || out->plan(FaultClass::kSettings).on)) {
    out->workload.clients = std::min<size_t>(out->workload.clients, 12);
  }
}

void DrawAftermath(const Draw& draw, Options* out) {
  // Who is in the cluster is known; and nobody of the majority needs the others to repair its disk.
  const bool all_whole =
      !out->plan(FaultClass::kMembership).on && !out->plan(FaultClass::kBitRot).on &&
      !out->plan(FaultClass::kDiskError).on && !out->plan(FaultClass::kAmnesia).on;
  // Killing the others is a fault, too.
  const bool faults = std::any_of(out->faults.begin(), out->faults.end(),
                                  [](const FaultPlan& plan) { return plan.on; });
  out->core_first = out->members >= 3 && all_whole && faults && draw.Percent("core-first", 40);
  // Without PreVote its higher term does depose the leader, by what it answers.
  out->cut_from_leader = out->members >= 3 && out->pre_vote &&
                         !out->plan(FaultClass::kSettings).on &&
                         !out->plan(FaultClass::kMembership).on && draw.Percent("cut-leader", 25);
}

const Profile* Find(const std::vector<Profile>& profiles, absl::string_view name) {
  for (const Profile& profile : profiles) {
    if (name == profile.name) return &profile;
  }
  return nullptr;
}

const char* DefaultProfileOf(const Draw& draw) {
  uint32_t total = 0;
  for (const auto& [name, weight] : DefaultMix()) total += weight;
  uint64_t at = draw.For("profile").Below(total);
  for (const auto& [name, weight] : DefaultMix()) {
    if (at < weight) return name;
    at -= weight;
  }
  UNREACHABLE("the weights add up to the total");
}

}  // namespace

std::vector<ProfileInfo> Profiles() {
  std::vector<ProfileInfo> out = {
      {"default", "a mixture of the others, drawn by the seed; mostly swarm"}};
  for (const Profile& profile : MakeProfiles()) out.push_back({profile.name, profile.about});
  return out;
}

absl::StatusOr<Options> DrawOptions(absl::string_view profile, uint64_t seed) {
  const Draw draw(seed);
  const std::vector<Profile> profiles = MakeProfiles();
  const absl::string_view name = profile == "default" ? DefaultProfileOf(draw) : profile;
  const Profile* const found = Find(profiles, name);
  if (found == nullptr) {
    const std::string names = absl::StrJoin(
        Profiles(), ", ", [](std::string* out, const auto& p) { out->append(p.name); });
    return absl::InvalidArgumentError(
        absl::StrCat("unknown profile '", profile, "'; there are: ", names));
  }
  Options out;
  out.seed = seed;
  out.profile = std::string(name);
  DrawCluster(draw, *found, &out);
  DrawFaults(draw, *found, &out);
  DrawWorkload(draw, *found, &out);
  BoundResends(&out);
  BoundQueues(&out);
  DrawAftermath(draw, &out);
  return out;
}

std::string Describe(const Options& options) {
  std::vector<std::string> faults;
  for (size_t i = 0; i < kFaultClasses; ++i) {
    const FaultPlan& plan = options.faults[i];
    if (!plan.on) continue;
    faults.push_back(absl::StrCat(
        FaultClassName(static_cast<FaultClass>(i)), " ", plan.ppm, "ppm/", plan.interval.millis(),
        "ms/", plan.duration_mean.millis(), "ms",
        plan.bytes_per_second == 0 ? "" : absl::StrCat("/", plan.bytes_per_second, "B/s")));
  }
  const WorkloadOptions& w = options.workload;
  std::vector<std::string> kinds;
  for (size_t i = 0; i < kWorkloadKinds; ++i) {
    if (w.kinds[i]) kinds.emplace_back(WorkloadName(static_cast<WorkloadKind>(i)));
  }
  return absl::StrCat(
      "profile=", options.profile, " members=", options.members,
      " mode=", options.streams ? "streams" : "typed",
      " election=", options.election_timeout.millis(),
      "ms heartbeat=", options.heartbeat_interval.millis(),
      "ms latency=", options.link.latency_min.micros(), "+", options.link.latency_mean.micros(),
      "us sync=", options.disk.sync_min.micros(), "+", options.disk.sync_mean.micros(),
      "us busy=", options.turns.busy_max.micros(),
      "us late=", options.turns.timer_late_max.micros(), "us append=", options.max_append_bytes,
      " apply=", options.max_apply_entries, "/", options.max_turn_work,
      " queues=", options.max_inflight_messages, "/", options.max_inflight_bytes, "/",
      options.max_uncommitted_bytes, "/", options.max_pending_proposals, "/",
      options.max_pending_lease_calls, options.lease_reads ? " lease-reads" : "",
      " watch=", options.watch_reply_bytes, "/", options.watch_progress_interval.millis(),
      "ms answers=", options.copied_answer_bytes, "/", options.max_dead_answer_bytes,
      " segment=", options.wal_segment_bytes, " checkpoint=", options.snapshot_count, "+",
      options.snapshot_catchup_entries, "/", options.checkpoint_interval.millis(),
      "ms packs=", options.checkpoint_pack_bytes, "/", options.store_segment_bytes,
      options.pre_vote ? "" : " no-pre-vote",
      options.spares == 0             ? ""
      : options.strict_reconfig_check ? " strict-reconfig"
                                      : " lax-reconfig",
      " clients=", w.clients, " rate=", w.rate, " keys=", w.groups, "x", w.keys,
      " timeout=", w.request_timeout.millis(), "ms watchers=", w.watchers, "/",
      w.slow_reader_percent, "% cancel=", w.cancel_percent, "% hedge=", w.hedge_percent,
      "% leases=", w.lease, "x", w.lease_ids, "/", w.lease_ttl_max, "s/",
      options.lease_checkpoint_interval.millis(),
      "ms corrupt-check=", options.corrupt_check_interval.millis(), "ms",
      options.core_first ? " core-first" : "", options.cut_from_leader ? " cut-from-leader" : "",
      w.administrator ? " administrator" : "",
      w.auth ? absl::StrCat(" auth=", options.auth_token_ttl.millis(), "ms") : "",
      " workloads=", w.kinds_percent, "%[", absl::StrJoin(kinds, ", "), "] faults=[",
      absl::StrJoin(faults, ", "), "]");
}

}  // namespace quorate::sim
