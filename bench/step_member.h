// A member by itself, and what its steps take: CPU time of single calls of Replica::Step, so that
// other work on the machine does not count.
#ifndef QUORATE_BENCH_STEP_MEMBER_H_
#define QUORATE_BENCH_STEP_MEMBER_H_

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/prng.h"
#include "bench/cpu_time.h"
#include "engine/image/image.h"
#include "engine/replica/image_meta.h"
#include "engine/replica/replica.h"

namespace quorate::engine {

inline constexpr uint64_t kKeys = 1'000'000;
inline constexpr int64_t kLease = 77;

inline std::string Key(uint64_t i) {
  static constexpr char kDigits[] = "0123456789abcdef";
  uint64_t x = Mix64(i);
  std::string key(16, '0');
  for (char& c : key) {
    c = kDigits[x & 15];
    x >>= 4;
  }
  return key;
}

inline Config MemberConfig() {
  Config config;
  config.cluster_id = ClusterId(1);
  config.member_id = MemberId(1);
  config.raft.seed = 1;
  config.server_version = "3.7.1";
  config.run_id = 1;
  config.background_pause = Duration();
  return config;
}

// A cluster of one, whose disk is done at once; or a follower of somebody who says nothing.
class Member {
 public:
  explicit Member(uint64_t members = 1) {
    std::vector<BootstrapMember> founders;
    for (uint64_t i = 1; i <= members; ++i) {
      founders.push_back({MemberId(i), "m", {"http://127.0.0.1:" + std::to_string(i)}});
    }
    replica_ = std::make_unique<Replica>(MemberConfig(), Replica::Bootstrap(founders), now_);
    Step(TimePassed{});
    Settle();  // one who is alone leads at once
    if (members > 1) return;
    CHECK(replica_->status().role == Role::kLeader);
    grant_.set_id(kLease);
    grant_.set_ttl(100'000);
    Call(RequestKind::kLeaseGrant, grant_.SerializeAsString());
  }

  void Fill(bool attached) {
    etcdserverpb::PutRequest put;
    put.set_value(std::string(256, 'v'));
    if (attached) put.set_lease(kLease);
    for (uint64_t i = 0; i < kKeys; ++i) {
      put.set_key(Key(i));
      Send(RequestKind::kPut, put.SerializeAsString());
      if (i % 1000 == 999) Settle();
    }
    Settle();
    CHECK_EQ(replica_->status().keys, kKeys);
  }

  void OpenWatch(const std::string& request) {
    Step(WatchOpen{StreamToken(1), {}});
    SendWatch(request);
  }
  void SendWatch(const std::string& request) {
    Step(WatchRequestBytes{StreamToken(1), Bytes::Copy(request)});
  }
  void CloseWatch() { Step(WatchClose{StreamToken(1)}); }
  uint64_t events_bytes() const { return events_bytes_; }
  void Pass(Duration span) {
    now_ = now_ + span;
    Step(TimePassed{});
    Settle();
  }

  void Send(RequestKind kind, const std::string& body) {
    Step(ClientRequest{RequestToken(++token_), kind, Bytes::Copy(body), {}});
  }
  // Until nothing is left to do.
  void Settle() {
    while (out_.turn_end_wanted) Step(TurnEnd{});
  }
  void Call(RequestKind kind, const std::string& body) {
    answered_ = false;
    Send(kind, body);
    Settle();
    CHECK(answered_);
  }
  // The last answer, once.
  Answer TakeAnswer() { return std::exchange(answer_, Answer()); }

  // The newest checkpoint.
  const StateImage& image() const { return image_; }
  // A leader's state, said to be of so many entries later.
  void Receive(const StateImage& state, uint64_t later) {
    StateImage image;
    image.index = state.index + later;
    image.term = state.term;
    image.segments = state.segments;
    SectionWriter sections(state.sections.size());
    EncodeImageMeta({{image.index, image.term, {{MemberId(1), MemberId(2)}, {}, {}, {}, false}}, 1},
                    sections.Begin(Section::kRaft));
    for (SectionReader in(state.sections); in.Next();) {
      if (in.tag() != Section::kRaft) sections.Begin(in.tag())->Append(in.body());
    }
    image.sections = std::move(sections).Finish();
    raft::Message message;
    message.type = raft::MessageType::kSnap;
    message.from = MemberId(2);
    message.to = MemberId(1);
    message.term = image.term;
    Step(SnapshotReceived{message, std::move(image)});
    Settle();
  }

  struct Steps {
    int64_t longest = 0;
    size_t longest_input = 0;  // which alternative of Input::event that was
    int64_t total = 0;
    uint64_t count = 0;
    uint64_t over_2ms = 0;
  };
  Steps Take() { return std::exchange(steps_, Steps()); }
  const Replica& replica() const { return *replica_; }

 private:
  void Step(decltype(Input::event) event) {
    Input input{now_, WallTime(), std::move(event)};
    const size_t kind = input.event.index();
    const int64_t begin = CpuNanos();
    replica_->Step(std::move(input), &out_);
    const int64_t took = CpuNanos() - begin;
    if (took > steps_.longest) steps_.longest_input = kind;
    steps_.longest = std::max(steps_.longest, took);
    steps_.total += took;
    ++steps_.count;
    if (took > 2'000'000) ++steps_.over_2ms;
    CHECK_MSG(out_.fatal.ok(), out_.fatal.ToString());
    for (Response& response : out_.responses) {
      CHECK_MSG(response.status.ok(), response.status.ToString());
      answered_ = true;
      answer_ = std::move(response.body);
    }
    for (const WatchReply& reply : out_.watch_replies) events_bytes_ += reply.events.size();
    if (out_.checkpoint.has_value()) image_ = *out_.checkpoint;
    const PersistTicket ticket =
        out_.persists.empty() ? PersistTicket() : out_.persists.back().ticket;
    const LogIndex checkpoint = out_.checkpoint.has_value() ? out_.checkpoint->index : LogIndex();
    const bool turn = out_.turn_end_wanted;
    out_.Clear();
    out_.turn_end_wanted = turn;
    if (ticket != PersistTicket()) Step(Persisted{ticket});
    if (checkpoint != LogIndex()) Step(Checkpointed{checkpoint, true});
  }

  etcdserverpb::LeaseGrantRequest grant_;
  Instant now_ = Instant::FromNanos(1'000'000'000);
  std::unique_ptr<Replica> replica_;
  Output out_;
  uint64_t token_ = 0;
  bool answered_ = false;
  Answer answer_;
  uint64_t events_bytes_ = 0;
  StateImage image_;
  Steps steps_;
};

inline void Report(Member* member, benchmark::State& state) {
  const Member::Steps steps = member->Take();
  state.counters["target_us"] = 2000;
  state.counters["longest_us"] = static_cast<double>(steps.longest) / 1e3;
  state.counters["longest_input"] = static_cast<double>(steps.longest_input);
  state.counters["cpu_ms"] = static_cast<double>(steps.total) / 1e6;
  state.counters["over_2ms"] = static_cast<double>(steps.over_2ms);
  state.counters["steps"] = static_cast<double>(steps.count);
}

}  // namespace quorate::engine

#endif  // QUORATE_BENCH_STEP_MEMBER_H_
