#include <algorithm>
#include <cstdlib>
#include <deque>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "bench/raft_core.h"
#include "engine/raft/raft.h"

namespace quorate::bench {

namespace {

using raft::Message;
using raft::MessageType;

class QuorateCore : public RaftCore {
 public:
  QuorateCore(size_t members, Followers followers) : stand_in_(followers == Followers::kStandIn) {
    raft::ConfState voters;
    for (uint64_t id = 1; id <= members; ++id) voters.voters.push_back(MemberId(id));
    for (uint64_t id = 1; id <= (stand_in_ ? 1 : members); ++id) {
      raft::Config config;
      config.id = MemberId(id);
      config.pre_vote = false;
      config.check_quorum = false;
      config.async_storage_writes = true;
      config.max_inflight_messages = 4096;
      config.max_uncommitted_bytes = 0;
      config.seed = id;
      raft::DurableLog log;
      log.snapshot.conf_state = voters;
      members_.push_back(std::make_unique<Member>(config, std::move(log)));
    }
  }

  bool ElectFirst() override {
    members_[0]->raft.Campaign(Instant());
    Collect(0);
    Exchange();
    return members_[0]->raft.role() == raft::Role::kLeader;
  }

  bool Transfer(size_t from, size_t to) override {
    members_[from]->raft.TransferLeader(MemberId(to + 1), Instant());
    Collect(from);
    Exchange();
    return members_[to]->raft.role() == raft::Role::kLeader;
  }

  void Propose(size_t calls, size_t entries) override {
    static constexpr char kPayload[kPayloadBytes] = {};
    for (size_t i = 0; i < calls; ++i) {
      batch_.clear();
      for (size_t n = 0; n < entries; ++n) {
        batch_.push_back(Bytes::Copy(absl::string_view(kPayload, sizeof(kPayload))));
      }
      ++leader_steps_;
      CHECK(members_[0]->raft.Propose(batch_, Instant()).ok());
      Collect(0);
    }
  }

  void Exchange() override {
    while (!events_.empty()) {
      Event event = std::move(events_.front());
      events_.pop_front();
      if (event.to == 0) ++leader_steps_;
      raft::Raft& to = members_[event.to]->raft;
      if (event.from_disk) {
        for (Message& m : event.messages) Route(event.to, std::move(m));
      } else {
        to.Step(std::move(event.messages[0]), Instant()).IgnoreError();
      }
      lists_.push_back(std::move(event.messages));
      lists_.back().clear();
      Collect(event.to);
    }
  }

  uint64_t Applied(size_t member) const override {
    return members_[member]->raft.log().applied().value();
  }
  uint64_t leader_steps() const override { return leader_steps_; }

 private:
  struct Member {
    Member(const raft::Config& config, raft::DurableLog log)
        : raft(config, std::move(log), Instant()) {}
    raft::Raft raft;
    raft::Ready ready;
  };

  // A message that arrives, or a write that is durable with what waited for it.
  struct Event {
    size_t to = 0;
    bool from_disk = false;
    std::vector<Message> messages;
  };

  std::vector<Message> TakeList() {
    if (lists_.empty()) return {};
    std::vector<Message> list = std::move(lists_.back());
    lists_.pop_back();
    return list;
  }

  // What the member wants done after a step.
  void Collect(size_t i) {
    Member& member = *members_[i];
    while (member.raft.HasReady()) {
      member.raft.TakeReady(&member.ready);
      for (Message& m : member.ready.messages) Send(&m);
      if (member.ready.HasUnit()) {
        Event& done = events_.emplace_back(Event{i, true, TakeList()});
        done.messages.swap(member.ready.responses);
      }
      if (member.ready.committed_entries.empty()) continue;
      const LogIndex applied = member.ready.committed_entries.last_index();
      member.raft.AppliedTo(applied, Instant());
      if (applied.value() >= member.raft.log().first_index().value() + kCompactionEntries) {
        const LogIndex durable = std::min(applied, member.raft.log().stable());
        CHECK(member.raft.Compact(durable).ok());
      }
    }
  }

  // What waited for the disk: to the member itself, or to others.
  void Route(size_t from, Message m) {
    const bool local = m.to == MemberId(from + 1);
    if (!local) return Send(&m);
    CHECK(members_[from]->raft.StepLocal(std::move(m), Instant()).ok());
  }

  void Send(Message* m) {
    if (stand_in_) return Answer(*m);
    CopyPayloads(m);
    Event& event = events_.emplace_back(Event{m->to.value() - 1, false, TakeList()});
    event.messages.push_back(std::move(*m));
  }

  // As a transport does: one buffer for a message that arrives, its entries slices of it.
  static void CopyPayloads(Message* m) {
    if (m->entries.empty()) return;
    size_t size = 0;
    for (const raft::Entry& entry : m->entries) size += entry.data.size();
    BytesBuilder builder(size);
    for (const raft::Entry& entry : m->entries) builder.Append(entry.data.view());
    const Bytes buffer = std::move(builder).Finish();
    size_t at = 0;
    for (raft::Entry& entry : m->entries) {
      const size_t length = entry.data.size();
      entry.data = buffer.Slice(at, length);
      at += length;
    }
  }

  void Answer(const Message& m) {
    Message answer;
    answer.from = m.to;
    answer.to = m.from;
    answer.term = m.term;
    switch (m.type) {
      case MessageType::kVote:
        answer.type = MessageType::kVoteResp;
        break;
      case MessageType::kApp:
        answer.type = MessageType::kAppResp;
        answer.index = m.index + m.entries.size();
        break;
      default:
        return;
    }
    Event& event = events_.emplace_back(Event{0, false, TakeList()});
    event.messages.push_back(std::move(answer));
  }

  bool stand_in_;
  std::vector<std::unique_ptr<Member>> members_;
  std::deque<Event> events_;
  std::vector<std::vector<Message>> lists_;  // emptied, for the next events
  std::vector<Bytes> batch_;
  uint64_t leader_steps_ = 0;
};

}  // namespace

std::unique_ptr<RaftCore> NewQuorateCore(size_t members, RaftCore::Followers followers) {
  return std::make_unique<QuorateCore>(members, followers);
}

}  // namespace quorate::bench
