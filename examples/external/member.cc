#include "member.h"

#include <utility>

#include "base/check.h"
#include "base/prng.h"

namespace tickets {

using quorate::Bytes;
using quorate::LogIndex;
using quorate::Term;
namespace engine = quorate::engine;
namespace raft = quorate::raft;
namespace storage = quorate::storage;

namespace {

constexpr quorate::ClusterId kCluster{7};
constexpr uint64_t kSegmentBytes = 64 * 1024;

}  // namespace

Member::Member(const quorate::io::Env& env, MemberOptions options)
    : env_(env), options_(std::move(options)) {}

void Member::Start() {
  storage::OpenOptions open;
  open.data_dir = "/tickets";
  open.cluster_id = kCluster;
  open.member_id = options_.id;
  open.create = true;
  open.segment_bytes = kSegmentBytes;
  open.first_segment_bytes = kSegmentBytes;
  opening_ = storage::OpenStorage(
      env_, open,
      [this](absl::StatusOr<storage::OpenedStorage> opened) { OnOpened(std::move(opened)); });
}

void Member::OnOpened(absl::StatusOr<storage::OpenedStorage> opened) {
  opening_.reset();
  if (!opened.ok()) return options_.on_failure(opened.status());
  lock_ = std::move(opened->lock);
  wal_ = std::move(opened->wal);
  raft::Config config;
  config.id = options_.id;
  config.election_timeout = options_.election_timeout;
  config.heartbeat_interval = options_.heartbeat_interval;
  config.async_storage_writes = true;
  config.seed = options_.seed;
  raft::DurableLog log;
  log.hard_state = opened->state.hard_state;
  log.entries = std::move(opened->state.entries);
  log.snapshot.conf_state.voters = options_.voters;
  const absl::Status fits = raft::Raft::CheckRecovered(config, log);
  if (!fits.ok()) return options_.on_failure(fits);
  raft_ = std::make_unique<raft::Raft>(config, std::move(log), now());
  timer_ = env_.loop->NewTimer([this] {
    raft_->Tick(now());
    Work();
  });
  Work();
}

void Member::Receive(raft::Message message) {
  if (!started()) return;
  // What raft refuses concerns the sender, who will try again.
  raft_->Step(std::move(message), now()).IgnoreError();
  Work();
}

void Member::Take(const Wish& wish, Callback done) {
  if (!started() || raft_->role() != raft::Role::kLeader) {
    return done(absl::UnavailableError("this member does not lead"));
  }
  const Bytes command = Bytes::Copy(Encode(wish));
  const absl::Status proposed = raft_->Propose({command}, now());
  if (!proposed.ok()) return done(proposed);
  if (options_.answer_before_commit) {
    done(Dispenser(dispenser_).Apply(wish));
  } else {
    waiting_[raft_->log().last_index()] = Waiting{raft_->term(), std::move(done)};
  }
  Work();
}

void Member::Work() {
  while (raft_->HasReady()) {
    raft_->TakeReady(&ready_);
    if (ready_.HasUnit()) Write(&ready_);
    for (const raft::Message& message : ready_.messages) options_.send(message);
    if (ready_.committed_entries.empty()) continue;
    for (const raft::Entry& entry : ready_.committed_entries) Apply(entry);
    raft_->AppliedTo(applied_, now());
  }
  ArmTimer();
}

// The log's callbacks come in the order of the calls: what waits for the disk goes with them.
void Member::Write(raft::Ready* ready) {
  std::vector<raft::Entry> entries;
  ready->entries.CopyTo(&entries);
  const raft::HardState* const hard_state =
      ready->hard_state.has_value() ? &*ready->hard_state : nullptr;
  wal_->Append(entries, hard_state, ready->must_sync,
               [this, responses = std::move(ready->responses)](const absl::Status& status) {
                 OnDurable(status, responses);
               });
  ready->responses.clear();
}

void Member::OnDurable(const absl::Status& status, std::vector<raft::Message> responses) {
  // A log that failed once is never trusted again.
  if (!status.ok()) return options_.on_failure(status);
  for (raft::Message& message : responses) {
    if (message.to == options_.id) {
      raft_->StepLocal(std::move(message), now()).IgnoreError();
    } else {
      options_.send(message);
    }
  }
  Work();
}

void Member::Apply(const raft::Entry& entry) {
  applied_ = entry.index;
  applied_chain_ = quorate::NamedDraw(applied_chain_, entry.term.value(), entry.index.value(),
                                      quorate::HashName(entry.data));
  uint64_t ticket = 0;
  if (const std::optional<Wish> wish = Decode(entry.data)) ticket = dispenser_.Apply(*wish);
  const auto waiting = waiting_.find(entry.index);
  if (waiting == waiting_.end()) return;
  const Waiting waited = std::move(waiting->second);
  waiting_.erase(waiting);
  // Another leader's entry may have taken its place.
  if (waited.term == entry.term) {
    waited.done(ticket);
  } else {
    waited.done(absl::UnavailableError("the lead was lost meanwhile"));
  }
}

void Member::ArmTimer() {
  const quorate::Instant next = raft_->NextDeadline();
  if (next == quorate::Instant::Infinite()) {
    timer_->Cancel();
  } else {
    timer_->Set(next);
  }
}

std::optional<Term> Member::TermAt(LogIndex index) const { return raft_->log().TermAt(index); }

std::optional<raft::Entry> Member::EntryAt(LogIndex index) const {
  if (index < first_index() || index > last_index()) return std::nullopt;
  return raft_->log().EntryAt(index);
}

engine::Role Member::role() const {
  switch (raft_->role()) {
    case raft::Role::kFollower:
      return engine::Role::kFollower;
    case raft::Role::kPreCandidate:
      return engine::Role::kPreCandidate;
    case raft::Role::kCandidate:
      return engine::Role::kCandidate;
    case raft::Role::kLeader:
      return engine::Role::kLeader;
  }
  UNREACHABLE("every role is handled");
}

}  // namespace tickets
