#include "tests/peer_cases/node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "engine/raft/invariants.h"
#include "tests/peer_cases/describe.h"

namespace quorate::peer_cases {

using raft::Entry;
using raft::Message;
using raft::MessageType;
using raft::Snapshot;

Node::Node(raft::Config config, const Snapshot& snapshot)
    : raft_(config, raft::DurableLog{.snapshot = snapshot.meta}, Instant()),
      last_state_(raft_.hard_state()),
      snapshot_(std::make_shared<Snapshot>(snapshot)),
      stored_first_(snapshot.meta.index + 1) {
  if (!snapshot.empty()) raft_.SetSnapshot(snapshot_);
}

namespace {

// A response that waited for this member's own storage. (What it asked others to pass on
// can come back in its name, too.)
bool IsLocal(const Message& m) {
  switch (m.type) {
    case MessageType::kStorageAppendResp:
    case MessageType::kStorageApplyResp:
      return true;
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      return m.from == m.to;
    default:
      return false;
  }
}

}  // namespace

absl::Status Node::Step(Message message) {
  const bool local = IsLocal(message);
  const raft::StateView before = raft::ViewOf(raft_);
  const absl::Status status =
      local ? raft_.StepLocal(std::move(message), now_) : raft_.Step(std::move(message), now_);
  Complain(raft::CheckTransition(before, raft_));
  Complain(raft::CheckState(raft_));
  return status;
}

void Node::Complain(const absl::Status& status) {
  if (!status.ok() && complaint_.ok()) complaint_ = status;
}

std::string Node::ProcessReady(std::vector<Message>* sent) {
  raft_.TakeReady(&ready_);
  const bool async = raft_.config().async_storage_writes;
  std::vector<Message> messages = ready_.messages;
  if (async) {
    for (Message& work : QueueWork(ready_)) messages.push_back(std::move(work));
  }
  const raft::HardState state = ready_.hard_state.value_or(last_state_);
  const bool must_sync =
      !ready_.entries.empty() || state.term != last_state_.term || state.vote != last_state_.vote;
  last_state_ = state;
  std::string text = DescribeReady(ready_, must_sync, messages);
  if (!async) {
    std::vector<Entry> entries;
    ready_.entries.CopyTo(&entries);
    Store(entries, ready_.snapshot);
    for (const Entry& entry : ready_.committed_entries) Apply(entry);
  }
  for (Message& m : ready_.messages) sent->push_back(std::move(m));
  if (!async) raft_.Advance(now_);
  return text;
}

std::vector<Message> Node::QueueWork(const raft::Ready& ready) {
  std::vector<Message> work;
  if (ready.HasUnit()) {
    Message m;
    m.type = MessageType::kStorageAppend;
    m.from = raft_.id();
    m.to = raft::kLocalAppendThread;
    if (ready.hard_state.has_value()) {
      m.term = ready.hard_state->term;
      m.vote = ready.hard_state->vote;
      m.commit = ready.hard_state->commit;
    }
    ready.entries.CopyTo(&m.entries);
    m.snapshot = ready.snapshot;
    m.responses = ready.responses;
    append_work_.push_back(m);
    work.push_back(std::move(m));
  }
  if (!ready.committed_entries.empty()) {
    Message response;
    response.type = MessageType::kStorageApplyResp;
    response.from = raft::kLocalApplyThread;
    response.to = raft_.id();
    ready.committed_entries.CopyTo(&response.entries);
    Message m;
    m.type = MessageType::kStorageApply;
    m.from = raft_.id();
    m.to = raft::kLocalApplyThread;
    m.entries = response.entries;
    m.responses.push_back(std::move(response));
    apply_work_.push_back(m);
    work.push_back(std::move(m));
  }
  return work;
}

namespace {

std::string DescribeWork(const Message& work) {
  Message request = work;
  request.responses.clear();
  std::string text = absl::StrCat("Processing:\n", DescribeMessage(request), "\nResponses:\n");
  for (const Message& response : work.responses) {
    absl::StrAppend(&text, DescribeMessage(response), "\n");
  }
  return text;
}

}  // namespace

std::string Node::ProcessAppendWork(std::vector<Message>* sent) {
  if (append_work_.empty()) return "no append work to perform";
  Message work = std::move(append_work_.front());
  append_work_.pop_front();
  Store(work.entries, work.snapshot);
  std::string text = DescribeWork(work);
  for (Message& response : work.responses) sent->push_back(std::move(response));
  return text;
}

std::string Node::ProcessApplyWork(std::vector<Message>* sent) {
  if (apply_work_.empty()) return "no apply work to perform";
  Message work = std::move(apply_work_.front());
  apply_work_.pop_front();
  for (const Entry& entry : work.entries) Apply(entry);
  std::string text = DescribeWork(work);
  for (Message& response : work.responses) sent->push_back(std::move(response));
  return text;
}

void Node::Store(const std::vector<Entry>& entries,
                 const std::shared_ptr<const Snapshot>& snapshot) {
  if (snapshot != nullptr) {
    stored_.clear();
    stored_first_ = snapshot->meta.index + 1;
    snapshot_ = snapshot;
    raft_.SetSnapshot(snapshot);
  }
  for (const Entry& entry : entries) {
    if (entry.index < stored_first_) continue;
    const size_t at = entry.index - stored_first_;
    CHECK_LE(at, stored_.size());
    stored_.resize(at);
    stored_.push_back(entry);
  }
}

void Node::Apply(const Entry& entry) {
  Snapshot next = *snapshot_;
  absl::string_view update = entry.data.view();
  if (entry.type != raft::EntryType::kNormal) {
    const absl::StatusOr<raft::ConfChangeV2> change = raft::DecodeChange(entry);
    if (!change.ok()) return Complain(change.status());
    const absl::StatusOr<raft::ConfState> config = raft_.ApplyConfChange(*change, now_);
    if (!config.ok()) return Complain(config.status());
    next.meta.conf_state = *config;
    update = change->context.view();
  }
  next.meta.index = entry.index;
  next.meta.term = entry.term;
  next.data = Bytes::Copy(absl::StrCat(next.data.view(), update));
  snapshot_ = std::make_shared<Snapshot>(std::move(next));
  raft_.SetSnapshot(snapshot_);
}

absl::Status Node::Compact(LogIndex index) {
  if (index < stored_first_) {
    return absl::OutOfRangeError("requested index is unavailable due to compaction");
  }
  const absl::Status status = raft_.Compact(index);
  if (!status.ok()) return status;
  stored_.erase(stored_.begin(),
                stored_.begin() + static_cast<ptrdiff_t>(index + 1 - stored_first_));
  stored_first_ = index + 1;
  return absl::OkStatus();
}

std::string Node::DescribeLog() const {
  if (stored_.empty()) {
    return absl::StrCat("log is empty: first index=", stored_first_.value(),
                        ", last index=", stored_first_.value() - 1);
  }
  std::string text;
  for (const Entry& entry : stored_) absl::StrAppend(&text, DescribeEntry(entry), "\n");
  return text;
}

}  // namespace quorate::peer_cases
