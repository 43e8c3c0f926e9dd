#include "engine/raft/canonical_state.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::raft {

class CanonicalState::Writer {
 public:
  Writer(Renaming rename, std::string* out) : rename_(rename), out_(*out) {}

  void Number(uint64_t value) {
    char bytes[kMaxVarint64Bytes];
    out_.append(bytes, static_cast<size_t>(StoreVarint(bytes, value) - bytes));
  }
  void Text(absl::string_view text) {
    Number(text.size());
    out_.append(text.data(), text.size());
  }
  void Id(MemberId id) { Number(Renamed(id).value()); }
  void Ids(const std::vector<MemberId>& ids) {
    std::vector<MemberId> renamed;
    renamed.reserve(ids.size());
    for (const MemberId id : ids) renamed.push_back(Renamed(id));
    std::sort(renamed.begin(), renamed.end());
    Number(renamed.size());
    for (const MemberId id : renamed) Number(id.value());
  }
  MemberId Renamed(MemberId id) const { return rename_(id); }

 private:
  const Renaming rename_;
  std::string& out_;
};

void CanonicalState::Append(const Raft& raft, Renaming rename, std::string* out) {
  CHECK(raft.config_.async_storage_writes);
  CHECK(raft.config_.read_only == ReadOnlyMode::kSafe);
  // So there is nothing in the lists of what is to be handed out, and the states handed
  // out last are the present ones.
  CHECK(!raft.HasReady());
  Writer writer(rename, out);
  writer.Id(raft.config_.id);
  writer.Number(raft.term_.value());
  writer.Id(raft.vote_);
  writer.Number(static_cast<uint64_t>(raft.role_));
  writer.Id(raft.leader_);
  writer.Id(raft.transferee_);
  writer.Number(raft.LeaderIsHeard() ? 1 : 0);
  AppendLog(raft.log_, &writer);
  AppendTracker(raft, &writer);
  writer.Number(raft.snapshot_ == nullptr ? 0 : raft.snapshot_->meta.index.value());
  writer.Number(raft.pending_conf_index_.value());
  writer.Number(raft.uncommitted_bytes_);
  AppendReads(raft, &writer);
}

void CanonicalState::AppendLog(const Log& log, Writer* writer) {
  writer->Number(log.prev_index().value());
  writer->Number(log.prev_term_.value());
  writer->Number(log.store_.size());
  for (LogIndex at = log.first_index(); at <= log.last_index(); ++at) {
    const Entry& entry = log.EntryAt(at);
    writer->Number(entry.term.value());
    writer->Number(static_cast<uint64_t>(entry.type));
    writer->Text(entry.data);
  }
  writer->Number(log.stable_.value());
  writer->Number(log.in_progress_.value());
  // At most one is pending, with the log's previous index and term.
  writer->Number(log.snapshot_ == nullptr ? 0 : 1);
  if (log.snapshot_ != nullptr) AppendConfig(log.snapshot_->meta.conf_state, writer);
  writer->Number(log.snapshot_in_progress_ ? 1 : 0);
  writer->Number(log.committed_.value());
  writer->Number(log.applying_.value());
  writer->Number(log.applied_.value());
  writer->Number(log.applying_bytes_);
  writer->Number(log.applying_paused_ ? 1 : 0);
}

void CanonicalState::AppendConfig(const ConfState& config, Writer* writer) {
  writer->Ids(config.voters);
  writer->Ids(config.learners);
  writer->Ids(config.voters_outgoing);
  writer->Ids(config.learners_next);
  writer->Number(config.auto_leave ? 1 : 0);
}

void CanonicalState::AppendTracker(const Raft& raft, Writer* writer) {
  const Tracker& tracker = raft.tracker_;
  AppendConfig(tracker.config_, writer);
  // Of the votes only who cast which counts, not the order in which they came.
  std::vector<std::pair<uint64_t, bool>> votes;
  for (const auto& [voter, granted] : tracker.votes_) {
    votes.emplace_back(writer->Renamed(voter).value(), granted);
  }
  std::sort(votes.begin(), votes.end());
  writer->Number(votes.size());
  for (const auto& [voter, granted] : votes) writer->Number(voter << 1 | (granted ? 1 : 0));
  // Everybody else's tracker waits for the reset with which a leadership begins.
  if (raft.role_ != Role::kLeader) return;
  std::vector<std::pair<uint64_t, const Progress*>> members;
  for (const Member& member : tracker.members_) {
    members.emplace_back(writer->Renamed(member.id).value(), &member.progress);
  }
  std::sort(members.begin(), members.end());
  writer->Number(members.size());
  for (const auto& [id, progress] : members) {
    writer->Number(id);
    AppendProgress(*progress, writer);
  }
}

void CanonicalState::AppendProgress(const Progress& progress, Writer* writer) {
  writer->Number(progress.match.value());
  writer->Number(progress.next.value());
  writer->Number(progress.sent_commit.value());
  writer->Number(static_cast<uint64_t>(progress.state));
  writer->Number(progress.pending_snapshot.value());
  writer->Number(progress.recent_active ? 1 : 0);
  writer->Number(progress.paused_appends ? 1 : 0);
  const Inflights& inflights = progress.inflights;
  writer->Number(inflights.count_);
  for (size_t i = 0; i < inflights.count_; ++i) {
    const Inflights::Slot& slot = inflights.ring_[(inflights.start_ + i) % inflights.ring_.size()];
    writer->Number(slot.last.value());
    writer->Number(slot.bytes);
  }
}

void CanonicalState::AppendReads(const Raft& raft, Writer* writer) {
  const ReadQueue& reads = raft.reads_;
  writer->Number(reads.confirmed_);
  writer->Number(reads.waiting_.size());
  for (const ReadRequest& request : reads.waiting_) AppendRequest(request, writer);
  std::vector<std::pair<uint64_t, uint64_t>> acked;
  for (const auto& [member, number] : reads.acked_) {
    acked.emplace_back(writer->Renamed(member).value(), number);
  }
  std::sort(acked.begin(), acked.end());
  writer->Number(acked.size());
  for (const auto& [member, number] : acked) {
    writer->Number(member);
    writer->Number(number);
  }
  writer->Number(raft.early_reads_.size());
  for (const ReadRequest& request : raft.early_reads_) AppendRequest(request, writer);
}

void CanonicalState::AppendRequest(const ReadRequest& request, Writer* writer) {
  writer->Id(request.from);
  writer->Number(request.index.value());
  writer->Number(request.entries.size());
  for (const Entry& entry : request.entries) writer->Text(entry.data);
}

}  // namespace quorate::raft
