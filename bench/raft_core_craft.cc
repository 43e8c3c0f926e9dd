// C-Raft's core (libraft) over a raft_io of ours that only queues: sends, appends and
// their completions. Its interface is C's: callbacks find their way back by `impl`.
extern "C" {
#include <raft.h>
}

#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/raft_core.h"

namespace quorate::bench {

namespace {

class CRaftCore;

// In C a struct and a function share these names.
using ApplyRequest = struct raft_apply;
using TransferRequest = struct raft_transfer;
using BarrierRequest = struct raft_barrier;

struct Server {
  CRaftCore* core = nullptr;
  size_t index = 0;
  std::string address;
  raft_io io{};
  raft_fsm fsm{};
  struct raft raft {};
  raft_io_tick_cb tick = nullptr;
  raft_io_recv_cb receive = nullptr;
  // Milliseconds. Moves only when an election is wanted; not from 0, since a new leader
  // sends to those first to whom it has not sent for a heartbeat's time.
  raft_time now = 1'000'000;
};

Server* ServerOf(raft_io* io) { return static_cast<Server*>(io->impl); }

// Completed or arrived, and not yet handed over. One of the four.
struct Event {
  size_t server = 0;
  raft_io_send* sent = nullptr;
  raft_io_append* appended = nullptr;
  raft_io_snapshot_put* stored = nullptr;
  bool is_message = false;
  raft_message message{};
};

raft_id IdOf(size_t index) { return index + 1; }

class CRaftCore : public RaftCore {
 public:
  CRaftCore(size_t members, Followers followers)
      : members_(members), stand_in_(followers == Followers::kStandIn) {
    for (size_t i = 0; i < (stand_in_ ? 1 : members); ++i) {
      servers_.push_back(std::make_unique<Server>());
      Start(i);
    }
  }

  ~CRaftCore() override {
    Exchange();
    for (auto& server : servers_) raft_close(&server->raft, nullptr);
    for (Event& event : events_) Release(&event.message);
  }

  bool ElectFirst() override {
    Server& server = *servers_[0];
    server.now += 60'000;  // far past its election timeout
    server.tick(&server.io);
    Exchange();
    return raft_state(&server.raft) == RAFT_LEADER;
  }

  bool Transfer(size_t from, size_t to) override {
    CHECK_EQ(raft_transfer(&servers_[from]->raft, &transfer_, IdOf(to), [](TransferRequest*) {}),
             0);
    Exchange();
    if (raft_state(&servers_[to]->raft) != RAFT_LEADER) return false;
    // A new leader of C-Raft writes no entry of its own term: asked to, it does.
    CHECK_EQ(raft_barrier(&servers_[to]->raft, &barrier_, [](BarrierRequest*, int) {}), 0);
    Exchange();
    return true;
  }

  void Propose(size_t calls, size_t entries) override {
    buffers_.resize(entries);
    for (size_t i = 0; i < calls; ++i) {
      for (raft_buffer& buffer : buffers_) {
        buffer.base = raft_malloc(kPayloadBytes);
        buffer.len = kPayloadBytes;
        std::memset(buffer.base, 0, kPayloadBytes);
      }
      ++leader_steps_;
      CHECK_EQ(raft_apply(&servers_[0]->raft, TakeRequest(), buffers_.data(),
                          static_cast<unsigned>(entries), OnApplied),
               0);
    }
  }

  void Exchange() override {
    while (!events_.empty()) {
      Event event = events_.front();
      events_.pop_front();
      Server& server = *servers_[event.server];
      if (event.sent != nullptr) {
        if (event.sent->cb != nullptr) event.sent->cb(event.sent, 0);
        continue;  // the network took it: not a step of raft
      }
      if (event.server == 0) ++leader_steps_;
      if (event.appended != nullptr) event.appended->cb(event.appended, 0);
      if (event.stored != nullptr) event.stored->cb(event.stored, 0);
      if (event.is_message) server.receive(&server.io, &event.message);
    }
  }

  uint64_t Applied(size_t member) const override {
    return raft_last_applied(&servers_[member]->raft);
  }
  uint64_t leader_steps() const override { return leader_steps_; }

 private:
  void Start(size_t i) {
    Server& server = *servers_[i];
    server.core = this;
    server.index = i;
    server.address = std::to_string(IdOf(i));
    SetUpIo(&server);
    SetUpStateMachine(&server);
    CHECK_EQ(raft_init(&server.raft, &server.io, &server.fsm, IdOf(i), server.address.c_str()), 0);
    raft_set_snapshot_threshold(&server.raft, kCompactionEntries);
    raft_set_snapshot_trailing(&server.raft, 1);
    CHECK_EQ(raft_start(&server.raft), 0);
  }

  static void SetUpIo(Server* server) {
    raft_io& io = server->io;
    io.version = 1;
    io.impl = server;
    io.init = [](raft_io*, raft_id, const char*) { return 0; };
    io.close = [](raft_io* self, raft_io_close_cb done) { done(self); };
    io.load = Load;
    io.start = [](raft_io* self, unsigned, raft_io_tick_cb tick, raft_io_recv_cb receive) {
      ServerOf(self)->tick = tick;
      ServerOf(self)->receive = receive;
      return 0;
    };
    io.bootstrap = [](raft_io*, const raft_configuration*) { return 0; };
    io.recover = [](raft_io*, const raft_configuration*) { return 0; };
    io.set_term = [](raft_io*, raft_term) { return 0; };
    io.set_vote = [](raft_io*, raft_id) { return 0; };
    io.send = [](raft_io* self, raft_io_send* request, const raft_message* m,
                 raft_io_send_cb done) {
      request->cb = done;
      return ServerOf(self)->core->Send(ServerOf(self)->index, request, *m);
    };
    io.append = [](raft_io* self, raft_io_append* request, const raft_entry*, unsigned,
                   raft_io_append_cb done) {
      request->cb = done;
      ServerOf(self)->core->NewEvent(ServerOf(self)->index).appended = request;
      return 0;
    };
    io.truncate = [](raft_io*, raft_index) { return 0; };
    io.snapshot_put = [](raft_io* self, unsigned, raft_io_snapshot_put* request,
                         const raft_snapshot*, raft_io_snapshot_put_cb done) {
      request->cb = done;
      ServerOf(self)->core->NewEvent(ServerOf(self)->index).stored = request;
      return 0;
    };
    io.snapshot_get = [](raft_io*, raft_io_snapshot_get*, raft_io_snapshot_get_cb) {
      return RAFT_NOTFOUND;  // nobody falls behind here
    };
    io.time = [](raft_io* self) { return ServerOf(self)->now; };
    io.random = [](raft_io*, int min, int) { return min; };
  }

  static void SetUpStateMachine(Server* server) {
    raft_fsm& fsm = server->fsm;
    fsm.version = 1;
    fsm.apply = [](raft_fsm*, const raft_buffer*, void** result) {
      *result = nullptr;
      return 0;
    };
    fsm.snapshot = [](raft_fsm*, raft_buffer** buffers, unsigned* count) {
      *count = 1;
      *buffers = static_cast<raft_buffer*>(raft_malloc(sizeof(raft_buffer)));
      (*buffers)[0] = {raft_malloc(8), 8};
      return 0;
    };
    fsm.restore = [](raft_fsm*, raft_buffer* buffer) {
      raft_free(buffer->base);
      return 0;
    };
  }

  // The first entry is the configuration.
  static int Load(raft_io* self, raft_term* term, raft_id* vote, raft_snapshot** snapshot,
                  raft_index* start, raft_entry** entries, size_t* count) {
    raft_configuration configuration;
    raft_configuration_init(&configuration);
    for (size_t i = 0; i < ServerOf(self)->core->members_; ++i) {
      const std::string address = std::to_string(IdOf(i));
      CHECK_EQ(raft_configuration_add(&configuration, IdOf(i), address.c_str(), RAFT_VOTER), 0);
    }
    *term = 1;
    *vote = 0;
    *snapshot = nullptr;
    *start = 1;
    *count = 1;
    *entries = static_cast<raft_entry*>(raft_calloc(1, sizeof(raft_entry)));
    raft_entry& first = (*entries)[0];
    first.term = 1;
    first.type = RAFT_CHANGE;
    const int status = raft_configuration_encode(&configuration, &first.buf);
    first.batch = first.buf.base;
    raft_configuration_close(&configuration);
    return status;
  }

  static void OnApplied(ApplyRequest* request, int status, void*) {
    CHECK_EQ(status, 0);
    static_cast<CRaftCore*>(request->data)->requests_.push_back(request);
  }

  ApplyRequest* TakeRequest() {
    if (requests_.empty()) {
      owned_.push_back(std::make_unique<ApplyRequest>());
      requests_.push_back(owned_.back().get());
    }
    ApplyRequest* const request = requests_.back();
    requests_.pop_back();
    request->data = this;
    return request;
  }

  Event& NewEvent(size_t server) { return events_.emplace_back(Event{.server = server}); }

  int Send(size_t from, raft_io_send* request, const raft_message& m) {
    NewEvent(from).sent = request;
    if (stand_in_) {
      Answer(m);
      return 0;
    }
    Event& event = NewEvent(m.server_id - 1);
    event.is_message = true;
    event.message = m;
    event.message.server_id = IdOf(from);
    event.message.server_address = servers_[from]->address.c_str();
    if (m.type == RAFT_IO_APPEND_ENTRIES) CopyEntries(&event.message.append_entries);
    return 0;
  }

  // The receiver owns the entries and the one buffer that holds their payloads, as
  // C-Raft's own transport gives them.
  static void CopyEntries(raft_append_entries* append) {
    if (append->n_entries == 0) {
      append->entries = nullptr;
      return;
    }
    const raft_entry* const source = append->entries;
    size_t size = 0;
    for (unsigned i = 0; i < append->n_entries; ++i) size += source[i].buf.len;
    char* at = static_cast<char*>(raft_malloc(size));
    void* const batch = at;
    append->entries = static_cast<raft_entry*>(raft_malloc(append->n_entries * sizeof(raft_entry)));
    for (unsigned i = 0; i < append->n_entries; ++i) {
      append->entries[i] = source[i];
      append->entries[i].buf.base = at;
      append->entries[i].batch = batch;
      std::memcpy(at, source[i].buf.base, source[i].buf.len);
      at += source[i].buf.len;
    }
  }

  static void Release(raft_message* m) {
    if (m->type != RAFT_IO_APPEND_ENTRIES || m->append_entries.n_entries == 0) return;
    raft_free(m->append_entries.entries[0].batch);
    raft_free(m->append_entries.entries);
  }

  void Answer(const raft_message& m) {
    raft_message answer{};
    answer.server_id = m.server_id;
    answer.server_address = m.server_address;
    if (m.type == RAFT_IO_REQUEST_VOTE) {
      answer.type = RAFT_IO_REQUEST_VOTE_RESULT;
      answer.request_vote_result.term = m.request_vote.term;
      answer.request_vote_result.vote_granted = true;
      answer.request_vote_result.pre_vote = raft_tribool_false;
    } else if (m.type == RAFT_IO_APPEND_ENTRIES) {
      answer.type = RAFT_IO_APPEND_ENTRIES_RESULT;
      answer.append_entries_result.term = m.append_entries.term;
      answer.append_entries_result.last_log_index =
          m.append_entries.prev_log_index + m.append_entries.n_entries;
    } else {
      return;
    }
    Event& event = NewEvent(0);
    event.is_message = true;
    event.message = answer;
  }

  size_t members_;
  bool stand_in_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::deque<Event> events_;
  std::vector<raft_buffer> buffers_;
  std::vector<std::unique_ptr<ApplyRequest>> owned_;
  std::vector<ApplyRequest*> requests_;  // free ones
  TransferRequest transfer_{};
  BarrierRequest barrier_{};
  uint64_t leader_steps_ = 0;
};

}  // namespace

std::unique_ptr<RaftCore> NewCRaftCore(size_t members, RaftCore::Followers followers) {
  return std::make_unique<CRaftCore>(members, followers);
}

}  // namespace quorate::bench
