#include "sim/faults.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/config/version.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kAction("nemesis", "class", "number");

constexpr uint32_t kMillion = 1'000'000;
// A storm's strength over that of ordinary weather.
constexpr uint32_t kStormFactor = 8;
constexpr uint32_t kStormPpmMax = 500'000;

constexpr FaultClass kWeather[] = {FaultClass::kLoss,       FaultClass::kDuplicate,
                                   FaultClass::kDelay,      FaultClass::kReorder,
                                   FaultClass::kCorruption, FaultClass::kStreamReset};

// The longest that an operation on a slow disk usually takes.
constexpr Duration kSlowDiskMargin = Seconds(3);
// How long a member may take to notice that there is space again, and to say so to all.
constexpr Duration kFullDiskMargin = Seconds(6);

bool IsWeather(FaultClass c) {
  return std::find(std::begin(kWeather), std::end(kWeather), c) != std::end(kWeather);
}

}  // namespace

Nemesis::Nemesis(const Context& context, Cluster* cluster, Network* network, Operator* membership,
                 Caretaker* caretaker, const Options& options, std::vector<HostId> clients)
    : context_(context),
      cluster_(cluster),
      network_(network),
      membership_(membership),
      caretaker_(caretaker),
      options_(options),
      clients_(std::move(clients)),
      hosts_(network->hosts() + 1) {
  for (size_t i = 0; i < kFaultClasses; ++i) {
    const absl::string_view name = FaultClassName(static_cast<FaultClass>(i));
    prngs_.emplace_back(NamedDraw(context.seed, HashName("nemesis"), HashName(name), 0));
  }
  cuts_.resize(hosts_ * hosts_);
}

Nemesis::~Nemesis() {
  for (const EventId event : next_) context_.scheduler->Cancel(event);
}

void Nemesis::Start() {
  active_ = true;
  SetWeather(false);
  for (size_t i = 0; i < kFaultClasses; ++i) {
    if (options_.faults[i].on) Plan(static_cast<FaultClass>(i));
  }
}

void Nemesis::Heal() {
  active_ = false;
  for (const EventId event : next_) context_.scheduler->Cancel(event);
  network_->UnblockAll();
  network_->SetAllLinks(options_.link);
  for (size_t a = 1; a <= cluster_->size(); ++a) {
    for (size_t b = 1; b <= cluster_->size(); ++b) {
      network_->SetTypeFilter(cluster_->host_id(a), cluster_->host_id(b), 0);
    }
  }
  cluster_->SetCorruption(0);
  caretaker_->PutOutAll();
  GiveDirectoriesBack();
  RepairAllRot();
  for (size_t m = 1; m <= cluster_->size(); ++m) {
    Host& host = cluster_->host(m);
    host.disk().SetSlowdownPercent(100);
    host.disk().StallUntil(context_.now());
    host.disk().FailNextSyncs(0);
    GiveDescriptorsBack(m);
    GiveSpaceBack(&host);
    MendDisk(m);
    cluster_->AnnounceVersion(m, config::kServerVersion);
    cluster_->HinderNoLonger(m);
    if (!host.running()) continue;
    host.loop()->SetDrift(0);
    if (host.loop()->paused()) host.loop()->Resume();
  }
  cluster_->StartAll();
}

Duration Nemesis::Lasts(FaultClass c) {
  return plan(c).duration_min + prng(c).Exponential(plan(c).duration_mean);
}

void Nemesis::Plan(FaultClass c) {
  Prng pause(NamedDraw(context_.seed, HashName("pause"), HashName(FaultClassName(c)), actions(c)));
  const Duration wait = Milliseconds(50) + pause.Exponential(plan(c).interval);
  next_[static_cast<size_t>(c)] = context_.scheduler->After(wait, [this, c] {
    const uint64_t number = ++actions_[static_cast<size_t>(c)];
    const uint64_t stream =
        NamedDraw(context_.seed, HashName("nemesis"), HashName(FaultClassName(c)), number);
    prng(c) = Prng(stream);
    if (options_.reduction.Keeps(c, number)) Act(c);
    Plan(c);
  });
}

void Nemesis::Act(FaultClass c) {
  context_.Record(HostId(), kAction, static_cast<uint64_t>(c), actions(c));
  if (IsWeather(c)) return Storm(c);
  switch (c) {
    case FaultClass::kPartition:
      return Partition();
    case FaultClass::kOneWay:
      return OneWay();
    case FaultClass::kKill:
    case FaultClass::kPowerLoss:
      return CrashSome(c);
    case FaultClass::kPause:
      return Pause();
    case FaultClass::kClock:
      return SkewClocks();
    case FaultClass::kSlowDisk:
      return SlowDisk();
    case FaultClass::kSyncFailure:
      return FailSync();
    case FaultClass::kFullDisk:
      return FillDisk();
    case FaultClass::kDiskError:
      return FailDisk();
    case FaultClass::kTransfer:
      return Transfer();
    case FaultClass::kUsurp:
      return Usurp();
    case FaultClass::kTypeDrop:
      return DropTypes();
    case FaultClass::kBitRot:
      return RotBits();
    case FaultClass::kMembership:
      return membership_->Begin(prng(c).Next());
    case FaultClass::kRolling:
      return RestartAll();
    case FaultClass::kBandwidth:
      return LimitBandwidth();
    case FaultClass::kUpkeep: {
      const Duration lasts = Lasts(c);  // apart: the order of arguments is the compiler's choice
      return caretaker_->Begin(prng(c).Next(), lasts);
    }
    case FaultClass::kWrongDirectory:
      return MisplaceDirectories();
    case FaultClass::kVersions:
      return AnnounceVersion();
    case FaultClass::kSettings:
      return ChangeSettings();
    case FaultClass::kAmnesia:
      return LoseDirectory();
    case FaultClass::kHindrance:
      return Hinder();
    case FaultClass::kDescriptors:
      return TakeDescriptors();
    case FaultClass::kAgedDirectory:
      return AgeDirectory();
    case FaultClass::kUnderstatedDrift:
      return;  // nothing but what the cluster is told of its clocks
    default:
      UNREACHABLE("every class acts");
  }
}

size_t Nemesis::Victim(FaultClass c) {
  const bool leader = prng(c).Chance(plan(c).ppm, kMillion);
  const size_t any = cluster_->PickActive(&prng(c));
  const size_t leads = cluster_->Leader();
  return leader && leads != 0 ? leads : any;
}

void Nemesis::UndoLater(FaultClass c, Task undo) {
  context_.scheduler->After(Lasts(c), [this, undo = std::move(undo)]() mutable {
    if (active_) undo();
  });
}

LinkOptions Nemesis::Weather(bool storm, bool to_client) const {
  LinkOptions link = options_.link;
  const auto ppm = [&](FaultClass c) -> uint32_t {
    if (!plan(c).on) return 0;
    return storm ? std::min(plan(c).ppm * kStormFactor, kStormPpmMax) : plan(c).ppm;
  };
  link.loss_ppm = ppm(FaultClass::kLoss);
  link.duplicate_ppm = to_client ? 0 : ppm(FaultClass::kDuplicate);
  link.tail_ppm = ppm(FaultClass::kDelay);
  // Up to ten elections late.
  if (link.tail_ppm > 0) link.tail_max = options_.election_timeout * (storm ? 10 : 2);
  if (storm && plan(FaultClass::kReorder).on) link.ordered = false;
  link.reset_ppm = ppm(FaultClass::kStreamReset);
  // Nothing but TCP's checksum guards bytes on streams: only what clients send is ever wrong
  // there, and only in worlds that do not believe what clients are told (World).
  if (to_client && options_.streams) link.corrupt_ppm = ppm(FaultClass::kCorruption);
  return link;
}

void Nemesis::SetWeather(bool storm) {
  network_->SetAllLinks(Weather(storm, false));
  for (const HostId client : clients_) {
    for (size_t m = 1; m <= cluster_->size(); ++m) {
      network_->SetLink(client, cluster_->host_id(m), Weather(false, true));
      network_->SetLink(cluster_->host_id(m), client, Weather(false, true));
    }
  }
  ApplyLimits();
  const FaultPlan& corruption = plan(FaultClass::kCorruption);
  if (corruption.on) cluster_->SetCorruption(corruption.ppm * (storm ? kStormFactor : 1));
}

// Bad weather gets worse for a while, for some of the links.
void Nemesis::Storm(FaultClass c) {
  if (c == FaultClass::kStreamReset) return ResetStreams();
  const uint64_t storm = ++storms_;
  if (c == FaultClass::kCorruption) {
    cluster_->SetCorruption(std::min(plan(c).ppm * kStormFactor, kStormPpmMax));
  } else {
    for (size_t a = 1; a <= cluster_->size(); ++a) {
      for (size_t b = 1; b <= cluster_->size(); ++b) {
        if (a == b || !prng(c).Chance(1, 2)) continue;
        network_->SetLink(cluster_->host_id(a), cluster_->host_id(b), Weather(true, false));
      }
    }
    ApplyLimits();
  }
  UndoLater(c, [this, storm] {
    if (storm == storms_) SetWeather(false);
  });
}

void Nemesis::Cut(const Edges& edges, bool both) {
  for (const auto& [from, to] : edges) {
    const bool fresh = cuts_[from.value() * hosts_ + to.value()]++ == 0;
    const bool fresh_back = both && cuts_[to.value() * hosts_ + from.value()]++ == 0;
    if (fresh && fresh_back) {
      network_->BlockBoth(from, to);
    } else if (fresh) {
      network_->Block(from, to);
    } else if (fresh_back) {
      network_->Block(to, from);
    }
  }
}

void Nemesis::Restore(const Edges& edges, bool both) {
  for (const auto& [from, to] : edges) {
    if (--cuts_[from.value() * hosts_ + to.value()] == 0) network_->Unblock(from, to);
    if (both && --cuts_[to.value() * hosts_ + from.value()] == 0) network_->Unblock(to, from);
  }
}

void Nemesis::CutFor(FaultClass c, Edges edges, bool both) {
  if (edges.empty()) return;
  Cut(edges, both);
  UndoLater(c, [this, edges = std::move(edges), both] { Restore(edges, both); });
}

// Shapes: one alone; two halves; a bridge (two halves with one member that sees both);
// a star (everybody sees one member only); a chain (each sees its neighbours only); three parts.
// Clients sometimes share the fate of those whom the first side holds.
void Nemesis::Partition() {
  Prng& draw = prng(FaultClass::kPartition);
  const size_t n = cluster_->size();
  const size_t victim = Victim(FaultClass::kPartition);
  const uint64_t shape = draw.Below(6);
  std::vector<bool> left(n + 1, false);
  left[victim] = true;
  if (shape == 1 || shape == 2) {
    for (size_t m = 1; m <= n; ++m) {
      if (draw.Chance(1, 2)) left[m] = true;
    }
  }
  const auto hub = static_cast<size_t>(draw.Below(n)) + 1;
  const bool clients_too = draw.Chance(1, 3);
  // Where each stands in the chain, or in which part.
  std::vector<size_t> place(n + 1, 0);
  for (size_t m = 1; m <= n; ++m) {
    place[m] = shape == 5 ? draw.Below(3) : m;
    if (shape == 4) std::swap(place[m], place[1 + draw.Below(m)]);
  }
  Edges edges;
  for (size_t a = 1; a <= n; ++a) {
    for (size_t b = a + 1; b <= n; ++b) {
      const bool at_hub = a == hub || b == hub;
      const size_t distance = place[a] < place[b] ? place[b] - place[a] : place[a] - place[b];
      const bool apart = shape == 3   ? !at_hub
                         : shape == 4 ? distance > 1
                         : shape == 5 ? distance > 0
                                      : left[a] != left[b] && !(shape == 2 && at_hub);
      if (apart) edges.emplace_back(cluster_->host_id(a), cluster_->host_id(b));
    }
  }
  if (clients_too) {
    for (const HostId client : clients_) {
      const bool client_left = draw.Chance(1, 2);
      for (size_t m = 1; m <= n; ++m) {
        if (left[m] != client_left) edges.emplace_back(client, cluster_->host_id(m));
      }
    }
  }
  CutFor(FaultClass::kPartition, std::move(edges), true);
}

// One member hears nobody, or nobody hears it, or any subset of the directions is cut.
void Nemesis::OneWay() {
  Prng& draw = prng(FaultClass::kOneWay);
  const size_t victim = Victim(FaultClass::kOneWay);
  const uint64_t shape = draw.Below(3);
  Edges edges;
  for (size_t a = 1; a <= cluster_->size(); ++a) {
    for (size_t b = 1; b <= cluster_->size(); ++b) {
      if (a == b) continue;
      const bool apart = shape == 0 ? a == victim : shape == 1 ? b == victim : draw.Chance(1, 4);
      if (apart) edges.emplace_back(cluster_->host_id(a), cluster_->host_id(b));
    }
  }
  CutFor(FaultClass::kOneWay, std::move(edges), false);
}

// One member usually, sometimes some, now and then everybody at once.
void Nemesis::CrashSome(FaultClass c) {
  Prng& draw = prng(c);
  const CrashKind kind = c == FaultClass::kKill ? CrashKind::kKill : CrashKind::kPowerLoss;
  const size_t victim = Victim(c);
  const uint64_t how = draw.Below(10);
  for (size_t m = 1; m <= cluster_->size(); ++m) {
    const bool other = how == 0 || (how == 1 && draw.Chance(1, 2));
    const Duration downtime = Lasts(c);
    if (m == victim || other) cluster_->Crash(m, kind, downtime);
  }
}

void Nemesis::Pause() {
  const size_t victim = Victim(FaultClass::kPause);
  const Duration time = Lasts(FaultClass::kPause);
  if (cluster_->running(victim)) cluster_->host(victim).PauseFor(time);
}

// One clock, the leader's more often than others, or each: what counts is how far they run
// apart.
void Nemesis::SkewClocks() {
  Prng& draw = prng(FaultClass::kClock);
  const bool all = draw.Chance(1, 3);
  const bool leaders = draw.Chance(2, 5);
  const size_t any = cluster_->PickActive(&draw);
  const size_t leader = cluster_->Leader();
  const size_t victim = leaders && leader != 0 ? leader : any;
  for (size_t m = 1; m <= cluster_->size(); ++m) {
    if (all ? cluster_->IsActive(m) : m == victim) SkewClock(m);
  }
}

// As wrong as may be, in half of the cases: there the margins end.
void Nemesis::SkewClock(size_t victim) {
  Prng& draw = prng(FaultClass::kClock);
  const auto most = static_cast<int64_t>(plan(FaultClass::kClock).ppm);
  const bool slowest = draw.Chance(1, 4);
  const bool fastest = draw.Chance(1, 3);
  const int64_t least = -SlowestClockPpm(most);
  const int64_t between = draw.Between(least, most);
  const int64_t drift = slowest ? least : fastest ? most : between;
  // By milliseconds, an hour, a year at most.
  static constexpr int64_t kFarthest[] = {1, 3'600'000, 366 * 86'400'000LL};
  const Duration farthest = Milliseconds(kFarthest[draw.Below(3)]);
  const Duration jump = draw.Between(Duration() - farthest, farthest);
  if (!cluster_->running(victim)) return;
  Host& host = cluster_->host(victim);
  if (draw.Chance(1, 2)) {
    context_.Inject(Fault::kClockWallJump, host.id(), static_cast<uint64_t>(jump.nanos()));
    host.loop()->JumpWall(jump);
  }
  SetDrift(victim, drift);
}

void Nemesis::SetDrift(size_t member, int64_t ppm) {
  Host& host = cluster_->host(member);
  context_.Inject(Fault::kClockDrift, host.id(), static_cast<uint64_t>(ppm));
  host.loop()->SetDrift(ppm);
  UndoLater(FaultClass::kClock, [this, member] {
    if (cluster_->running(member)) cluster_->host(member).loop()->SetDrift(0);
  });
}

// What time-outs and leases that are measured on different members fear most.
void Nemesis::RunClocksApart(size_t slow) {
  const auto most = static_cast<int64_t>(plan(FaultClass::kClock).ppm);
  for (size_t m = 1; m <= cluster_->size(); ++m) {
    const int64_t drift = m == slow ? -SlowestClockPpm(most) : most;
    if (cluster_->IsActive(m) && cluster_->running(m)) SetDrift(m, drift);
  }
}

// Ends some time before the safety phase does: an operation that is under way then keeps
// the time that it was given when it began.
void Nemesis::SlowDisk() {
  Prng& draw = prng(FaultClass::kSlowDisk);
  const size_t victim = Victim(FaultClass::kSlowDisk);
  const Duration wanted = Lasts(FaultClass::kSlowDisk);
  const uint64_t how = draw.Below(3);
  const Duration left = VirtualTime() + options_.duration - kSlowDiskMargin - context_.now();
  const Duration time = std::min(wanted, left);
  if (time <= Duration()) return;
  Host& host = cluster_->host(victim);
  if (how == 0) {
    host.disk().StallUntil(context_.now() + time);
    return;
  }
  const uint32_t percent = how == 1 ? 1000 : 10'000;
  context_.Inject(Fault::kDiskSlow, host.id(), percent);
  host.disk().SetSlowdownPercent(percent);
  context_.scheduler->After(
      time, [this, victim] { cluster_->host(victim).disk().SetSlowdownPercent(100); });
}

void Nemesis::FailSync() {
  const size_t victim = Victim(FaultClass::kSyncFailure);
  if (cluster_->running(victim)) cluster_->host(victim).disk().FailNextSyncs(1);
}

// Somebody else takes the space, all of it or nearly so, and gives it back later.
void Nemesis::FillDisk() {
  Prng& draw = prng(FaultClass::kFullDisk);
  const size_t victim = Victim(FaultClass::kFullDisk);
  const Duration wanted = Lasts(FaultClass::kFullDisk) * 4;
  const Duration left = VirtualTime() + options_.duration - kFullDiskMargin - context_.now();
  const Duration time = std::min(wanted, left);
  if (time <= Duration()) return;
  Disk& disk = cluster_->host(victim).disk();
  DiskOptions options = disk.options();
  options.capacity_bytes =
      disk.used_bytes() + (draw.Chance(1, 2) ? 0 : draw.Below(options_.wal_segment_bytes));
  disk.SetOptions(options);
  context_.Inject(Fault::kDiskFull, cluster_->host_id(victim), options.capacity_bytes);
  context_.scheduler->After(time, [this, victim] { GiveSpaceBack(&cluster_->host(victim)); });
}

void Nemesis::GiveSpaceBack(Host* host) {
  DiskOptions options = host->disk().options();
  options.capacity_bytes = options_.disk.capacity_bytes;
  host->disk().SetOptions(options);
}

void Nemesis::ResetStreams() {
  Prng& draw = prng(FaultClass::kStreamReset);
  const size_t victim = cluster_->PickActive(&draw);
  for (uint32_t other = 1; other < hosts_; ++other) {
    const HostId host(other);
    if (host != cluster_->host_id(victim) && draw.Chance(1, 2)) {
      network_->ResetStreams(cluster_->host_id(victim), host);
    }
  }
}

// Any half of raft's types, or those that belong together, from some members to some or from all
// to all.
void Nemesis::DropTypes() {
  using enum raft::MessageType;
  static constexpr uint64_t kTogether[] = {Bit(kVote) | Bit(kVoteResp),
                                           Bit(kPreVote) | Bit(kPreVoteResp),
                                           Bit(kHeartbeat) | Bit(kHeartbeatResp),
                                           Bit(kApp),
                                           Bit(kSnap),
                                           Bit(kAppResp) | Bit(kHeartbeatResp)};
  Prng& draw = prng(FaultClass::kTypeDrop);
  const uint64_t any = draw.Next();
  const uint64_t together = kTogether[draw.Below(std::size(kTogether))];
  const uint64_t types = draw.Chance(1, 2) ? any : together;
  const bool everywhere = draw.Chance(1, 2);
  Edges edges;
  for (size_t a = 1; a <= cluster_->size(); ++a) {
    for (size_t b = 1; b <= cluster_->size(); ++b) {
      if (a != b && (everywhere || draw.Chance(1, 3))) {
        edges.emplace_back(cluster_->host_id(a), cluster_->host_id(b));
      }
    }
  }
  for (const auto& [from, to] : edges) network_->SetTypeFilter(from, to, types);
  UndoLater(FaultClass::kTypeDrop, [this, edges = std::move(edges)] {
    for (const auto& [from, to] : edges) network_->SetTypeFilter(from, to, 0);
  });
}

void Nemesis::Transfer() {
  Prng& draw = prng(FaultClass::kTransfer);
  cluster_->TransferLeadership(cluster_->PickActive(&draw));
}

// A member that is being upgraded, or rolled back: the cluster's version is the lowest announced,
// so this decides it until everybody announces the same.
void Nemesis::AnnounceVersion() {
  static constexpr const char* kVersions[] = {"3.5.21", "3.6.5", "3.7.0", "3.8.0"};
  Prng& draw = prng(FaultClass::kVersions);
  const size_t member = Victim(FaultClass::kVersions);
  const uint64_t at = draw.Below(std::size(kVersions));
  context_.Inject(Fault::kVersionAnnounced, cluster_->host_id(member), at);
  cluster_->AnnounceVersion(member, kVersions[at]);
  UndoLater(FaultClass::kVersions,
            [this, member] { cluster_->AnnounceVersion(member, config::kServerVersion); });
}

void Nemesis::RestartAll() {
  if (std::exchange(rolling_, true)) return;
  context_.Inject(Fault::kRollingRestart, HostId(0), cluster_->active().size());
  RestartNext(cluster_->active(), 0);
}

// The next one once the last serves again, as a careful operator does it.
void Nemesis::RestartNext(std::vector<size_t> rest, size_t last) {
  constexpr Duration kAskAgain = Milliseconds(50);
  const bool back = last == 0 || !cluster_->IsActive(last) || cluster_->ready(last);
  rolling_ = active_ && !(back && rest.empty());
  if (!rolling_) return;
  if (back) {
    last = rest.back();
    rest.pop_back();
    if (cluster_->ready(last)) cluster_->RestartInOrder(last, Lasts(FaultClass::kRolling));
  }
  context_.scheduler->After(kAskAgain,
                            [this, last, rest = std::move(rest)] { RestartNext(rest, last); });
}

}  // namespace quorate::sim
