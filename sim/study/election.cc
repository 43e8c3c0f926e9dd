#include "sim/study/election.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "base/status.h"
#include "engine/raft/quorum.h"

namespace quorate::sim::study {
namespace {

constexpr MemberId kOldLeader{1};
constexpr Term kOldTerm{1};
constexpr uint64_t kCrashDraw = HashName("crash");

raft::VoterSet Voters(uint64_t members) {
  raft::VoterSet voters;
  for (uint64_t id = 1; id <= members; ++id) voters.push_back(MemberId(id));
  return voters;
}

// Everybody has entry 1; entry 2, not committed, makes a log the longer one.
raft::DurableLog LogAfter(const raft::VoterSet& voters, bool complete) {
  raft::DurableLog log;
  log.snapshot.conf_state.voters = voters;
  log.hard_state = {kOldTerm, kOldLeader, LogIndex(1)};
  log.entries.push_back({.term = kOldTerm, .index = LogIndex(1)});
  if (complete) log.entries.push_back({.term = kOldTerm, .index = LogIndex(2)});
  return log;
}

}  // namespace

std::vector<Column> ElectionColumns() {
  return {{"downtime", Unit::kSpan},   {"elected", Unit::kFlag},   {"terms", Unit::kCount},
          {"campaigns", Unit::kCount}, {"messages", Unit::kCount}, {"leader", Unit::kCount},
          {"silence", Unit::kSpan}};
}

absl::Status Validate(const ElectionSetup& setup) {
  const auto refuse = [](const auto&... parts) {
    return absl::InvalidArgumentError(absl::StrCat(parts...));
  };
  if (setup.members < 2 || setup.members > kMaxMembers) {
    return refuse("--members ", setup.members, ": an election takes 2 to ", kMaxMembers);
  }
  if (setup.failed < 1 || setup.failed >= setup.members) {
    return refuse("--failed ", setup.failed, " of ", setup.members,
                  " members: the leader fails, and somebody must be left");
  }
  const raft::VoterSet voters = Voters(setup.members);
  RETURN_IF_ERROR(setup.cluster.quorum.Validate(voters));
  uint64_t alive = 0;
  for (uint64_t id = 2; id <= setup.members - setup.failed + 1; ++id) {
    alive += setup.cluster.quorum.WeightOf(MemberId(id));
  }
  const uint64_t total = setup.cluster.quorum.TotalWeight(voters);
  if (alive < setup.cluster.quorum.ElectionWeight(total)) {
    return refuse("--failed ", setup.failed, " of ", setup.members,
                  " members: those that are left weigh ", alive, ", an election needs ",
                  setup.cluster.quorum.ElectionWeight(total), " of ", total);
  }
  if (setup.short_logs >= setup.members - setup.failed) {
    return refuse("--short-logs ", setup.short_logs, ": nobody could win among ",
                  setup.members - setup.failed, " survivors");
  }
  return absl::OkStatus();
}

Row RunElection(const ElectionSetup& setup, uint64_t seed, Observer* observer) {
  ClusterOptions options = setup.cluster;
  options.seed = seed;
  const Duration heartbeat =
      options.heartbeat > Duration() ? options.heartbeat : options.timeout.low / 2;
  Cluster cluster(std::move(options));
  if (observer != nullptr) cluster.AddObserver(observer);
  const raft::VoterSet voters = Voters(setup.members);
  const uint64_t survivors = setup.members - setup.failed;
  for (uint64_t id = 2; id <= survivors + 1; ++id) {
    const bool complete = id + setup.short_logs <= survivors + 1;
    cluster.AddMember(MemberId(id), LogAfter(voters, complete));
  }
  for (const MemberId id : cluster.ids()) {
    raft::Message message;
    message.type = raft::MessageType::kHeartbeat;
    message.from = kOldLeader;
    message.to = id;
    message.term = kOldTerm;
    message.commit = LogIndex(1);
    cluster.Deliver(std::move(message));
  }
  Prng prng(NamedDraw(seed, 0, kCrashDraw, 0));
  const Instant crash = Instant() + prng.Between(Duration(), heartbeat);
  cluster.Schedule(crash, [&] {
    for (const MemberId id : cluster.ids()) cluster.SetLink(id, kOldLeader, false);
    cluster.Note("the leader, member 1, fails");
    if (observer != nullptr) observer->OnCrashed(kOldLeader, cluster.now());
  });
  MemberId leader = raft::kNobody;
  const bool elected = cluster.RunUntil(crash + setup.limit, [&] {
    leader = cluster.Leader();
    return leader != raft::kNobody;
  });
  int64_t campaigns = 0;
  for (const MemberId id : cluster.ids()) {
    campaigns += static_cast<int64_t>(cluster.member(id).counters().campaigns);
  }
  Row row{};
  row[kDowntime] = elected ? (cluster.now() - crash).nanos() : setup.limit.nanos();
  row[kElected] = elected ? 1 : 0;
  row[kTerms] = static_cast<int64_t>(cluster.LatestTerm() - kOldTerm);
  row[kCampaigns] = campaigns;
  row[kMessages] = static_cast<int64_t>(cluster.messages_sent());
  row[kLeader] = static_cast<int64_t>(leader.value());
  row[kSilence] = (cluster.now() - Instant()).nanos();
  return row;
}

}  // namespace quorate::sim::study
