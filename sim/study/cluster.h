// A few real raft members in virtual time: links with delays, disks that take their time,
// crashes. No servers, no clients, no bytes: a trial of a study takes microseconds.
//
//   Cluster cluster(options);
//   cluster.AddMember(MemberId(1), std::move(durable_log));   // each member
//   cluster.Campaign(MemberId(1));
//   cluster.RunUntil(Milliseconds(500));
//
// Deterministic: the seed decides everything. Each draw has a name (member, link, count),
// so that what one member does shifts no draw of another.
#ifndef QUORATE_SIM_STUDY_CLUSTER_H_
#define QUORATE_SIM_STUDY_CLUSTER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/raft/raft.h"
#include "sim/study/delay.h"

namespace quorate::sim::study {

// Ids of members are 1 .. kMaxMembers.
inline constexpr uint64_t kMaxMembers = 15;

// Waits for an election are drawn uniformly from [low, high], in nanoseconds.
struct WaitRange {
  Duration low;
  Duration high;
  friend bool operator==(const WaitRange&, const WaitRange&) = default;
};

struct ClusterOptions {
  WaitRange timeout{Milliseconds(150), Milliseconds(300)};
  // The wait of a candidate, and of one that has lost, before it stands again, if it
  // differs ("Raft Refloated").
  std::optional<WaitRange> candidate_timeout;
  // Half of the least timeout, as in the Raft paper's section 9.3, if 0.
  Duration heartbeat;
  // Added to member i+1's waits (raft::Config::election_delay). May be shorter than the
  // membership; the rest have none.
  std::vector<Duration> delays;
  bool pre_vote = false;
  bool check_quorum = false;
  // A candidate's requests leave while its own vote is being written (the environment
  // guards them: here nobody restarts with lost writes), or after it.
  bool parallel_vote = true;
  bool step_down_on_removal = true;
  bool check_conf_changes = true;
  // Configuration changes take effect when they are appended, as in the Raft paper,
  // not when they are applied. For studies of what that costs: members never go back.
  bool activate_on_append = false;
  raft::QuorumRule quorum;
  DelayModel latency;  // one way
  // Answers (votes, acknowledgements) take this long instead.
  std::optional<DelayModel> answer_latency;
  DelayModel write;  // until a write is durable; writes queued meanwhile go together
  // Bytes a second of snapshots and entries on each link; 0 = no bound.
  uint64_t bandwidth = 0;
  uint64_t seed = 1;
};

// Is told what happens, in order.
class Observer {
 public:
  virtual ~Observer() = default;
  // `arrival` is Infinite() for a message that is lost on its way.
  virtual void OnSent(const raft::Message& /*message*/, Instant /*at*/, Instant /*arrival*/) {}
  // Role or term changed, or the member began (all begin as followers).
  virtual void OnState(const raft::Raft& /*member*/, Instant /*at*/) {}
  virtual void OnCommitted(MemberId /*member*/, const raft::Entry& /*entry*/, Instant /*at*/) {}
  virtual void OnConfig(const raft::Raft& /*member*/, Instant /*at*/) {}
  virtual void OnCrashed(MemberId /*member*/, Instant /*at*/) {}
  // What a study did to the cluster.
  virtual void OnNote(absl::string_view /*text*/, Instant /*at*/) {}
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Told from now on; must outlive the cluster.
  void AddObserver(Observer* observer) { observers_.push_back(observer); }

  // A member that begins now with this log.
  void AddMember(MemberId id, raft::DurableLog log);
  // Members 1 .. voters, with one configuration and nothing in their logs.
  void AddVoters(uint64_t voters);

  // ---- time ----
  Instant now() const { return now_; }
  void RunUntil(Instant end);
  // Until `done` or `end`; whether it was done.
  bool RunUntil(Instant end, const std::function<bool()>& done);
  // Runs `action` at that moment of RunUntil.
  void Schedule(Instant at, std::function<void()> action);

  // ---- what happens to the cluster ----
  void Crash(MemberId id);
  // Messages on a link that is closed are lost, also those already on their way.
  void SetLink(MemberId from, MemberId to, bool open);
  bool IsOpen(MemberId from, MemberId to) const { return open_[from.value()][to.value()]; }
  void OpenAllLinks();
  // All links of a member, both ways.
  void Isolate(MemberId id);
  // Leaves only links within the groups.
  void Partition(const std::vector<std::vector<MemberId>>& groups);
  // This member's messages (its disk) take so much longer from now on.
  void SetSlowness(MemberId id, int64_t factor);
  void Note(absl::string_view text);

  // ---- what members are asked ----
  void Campaign(MemberId id);
  absl::Status Propose(MemberId id, Bytes payload);
  absl::Status ProposeChange(MemberId id, const raft::ConfChangeV2& change);
  void Deliver(raft::Message message);  // now, as if it had arrived
  void SetSnapshot(MemberId id, std::shared_ptr<const raft::Snapshot> snapshot);
  void Compact(MemberId id, LogIndex index);

  // ---- what they are ----
  bool IsUp(MemberId id) const;
  const raft::Raft& member(MemberId id) const;
  const std::vector<MemberId>& ids() const { return ids_; }
  // The leader of the latest term among members that are up; 0 = none.
  MemberId Leader() const;
  Term LatestTerm() const;
  uint64_t messages_sent() const { return messages_sent_; }
  // Messages that arrived (at closed links, too), writes that ended, timers that fired, actions.
  uint64_t events_run() const { return events_run_; }

 private:
  enum class Kind : uint8_t { kTimer, kMessage, kDisk, kAction };
  struct Event {
    int64_t at;
    uint64_t sequence;
    Kind kind;
    uint32_t what;  // member, or slot of the message or action
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };
  struct Member {
    std::unique_ptr<raft::Raft> raft;
    bool up = false;
    int64_t slowness = 1;
    Instant timer = Instant::Infinite();  // of the earliest timer event
    Duration wait;                        // as we set it
    uint64_t waits_drawn = 0;
    uint64_t writes_drawn = 0;
    bool writing = false;
    std::vector<raft::Message> written;  // when the write under way is done
    std::vector<raft::Message> queued;   // of units that wait for the disk
    raft::Role role = raft::Role::kFollower;
    Term term;
  };

  Member& At(MemberId id) { return members_[id.value()]; }
  const Member& At(MemberId id) const { return members_[id.value()]; }
  void Push(Instant at, Kind kind, uint32_t what);
  void Handle(const Event& event);
  // After every call of a member: its waits, its messages, its disk, its timer.
  void Settle(MemberId id);
  void TakeReady(MemberId id);
  void DrawWait(MemberId id);
  void Write(MemberId id, bool must_sync);
  void StartWrite(MemberId id);
  void Written(MemberId id);
  void Release(MemberId id, std::vector<raft::Message>* responses);
  void Apply(MemberId id, const raft::EntryRange& entries);
  void Activate(MemberId id, const raft::Entry& entry);
  void Send(raft::Message message);
  Duration Delay(const raft::Message& message);

  const ClusterOptions options_;
  Instant now_;
  uint64_t sequence_ = 0;
  uint64_t messages_sent_ = 0;
  uint64_t events_run_ = 0;
  std::vector<MemberId> ids_;
  std::vector<Member> members_;  // by id
  bool open_[kMaxMembers + 1][kMaxMembers + 1];
  uint64_t sent_on_[kMaxMembers + 1][kMaxMembers + 1] = {};
  Instant link_free_[kMaxMembers + 1][kMaxMembers + 1] = {};
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  std::vector<raft::Message> messages_;
  std::vector<uint32_t> free_messages_;
  std::vector<std::function<void()>> actions_;
  std::vector<raft::Message> released_;  // scratch
  raft::Ready ready_;                    // scratch
  std::vector<Observer*> observers_;
};

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_CLUSTER_H_
