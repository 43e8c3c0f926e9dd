#include "tests/engine/replica/cluster.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"

namespace quorate::engine {
namespace {

constexpr int kMaxRounds = 100000;

}  // namespace

Cluster::Cluster(int size, std::function<void(Config*)> configure)
    : configure_(std::move(configure)) {
  std::vector<BootstrapMember> founders;
  for (int i = 1; i <= size; ++i) {
    founders.push_back({MemberId(static_cast<uint64_t>(i)),
                        "m" + std::to_string(i),
                        {"http://10.0.0." + std::to_string(i) + ":2380"}});
  }
  for (int i = 1; i <= size; ++i) {
    nodes_[i].disk = Replica::Bootstrap(founders);
    Start(i);
  }
  Settle();
}

void Cluster::Start(int member) {
  Node& node = nodes_[member];
  Config config;
  config.cluster_id = ClusterId(77);
  config.member_id = MemberId(static_cast<uint64_t>(member));
  config.raft.seed = static_cast<uint64_t>(member) * 1000 + node.run;
  config.server_version = "3.7.1";
  config.run_id = ++node.run;
  config.background_pause = Duration();  // the cluster comes to rest while time stands still
  if (configure_) configure_(&config);
  node.replica = std::make_unique<Replica>(config, node.disk, now_);
  node.out = Output();
  Step(member, TimePassed{});
}

void Cluster::Step(int member, decltype(Input::event) event) {
  Node& node = nodes_.at(member);
  CHECK(node.replica != nullptr);
  node.replica->Step({now_, WallTime(), std::move(event)}, &node.out);
  Collect(member);
}

// Moves what a step gave to where it belongs.
void Cluster::Collect(int member) {
  Node& node = nodes_.at(member);
  for (raft::Message& message : node.out.messages) network_.push_back(std::move(message));
  for (Persist& persist : node.out.persists) {
    ++persists_;
    largest_unit_ = std::max(largest_unit_, persist.entries.size());
    node.unwritten.push_back(std::move(persist));
  }
  for (Forward& forward : node.out.forwards) {
    forwards_.emplace_back(member, std::move(forward));
  }
  for (SnapshotToSend& snapshot : node.out.snapshots) snapshots_.push_back(std::move(snapshot));
  if (node.out.checkpoint.has_value()) {
    EXPECT_FALSE(node.checkpoint.has_value()) << "one at a time";
    node.checkpoint = std::move(node.out.checkpoint);
  }
  if (node.out.log_cut > LogIndex(0)) Cut(&node, node.out.log_cut);
  for (Response& response : node.out.responses) {
    const auto passed = passed_.find(response.token);
    if (passed != passed_.end()) {
      if (!node.isolated) passed_answers_.emplace_back(passed->second, response);
      passed_.erase(passed);
      continue;
    }
    EXPECT_TRUE(responses_.emplace(response.token, response).second) << "answered twice";
  }
  for (const WatchReply& reply : node.out.watch_replies) {
    etcdserverpb::WatchResponse response;
    EXPECT_TRUE(response.ParseFromString(std::string(reply.head.view()) +
                                         std::string(reply.events.view())));
    watched_[reply.stream.value()].push_back(response);
  }
  node.out.Clear();
}

void Cluster::Write(Node* node, const Persist& unit) {
  if (unit.install.has_value()) {
    Keep(node, *unit.install);
    node->disk.base = unit.install->index;
    node->disk.base_term = unit.install->term;
    node->disk.entries.clear();
  }
  if (unit.hard_state.has_value()) node->disk.hard_state = *unit.hard_state;
  for (const raft::Entry& entry : unit.entries) {
    node->disk.entries.resize(entry.index - node->disk.base - 1);
    node->disk.entries.push_back(entry);
  }
}

// As storage does: what the disk gives back at a start is committed up to the checkpoint.
void Cluster::Keep(Node* node, const StateImage& image) {
  node->disk.checkpoint = image;
  raft::HardState& state = node->disk.hard_state;
  if (image.term > state.term) state = {image.term, MemberId(0), state.commit};
  state.commit = std::max(state.commit, image.index);
}

void Cluster::Cut(Node* node, LogIndex index) {
  std::vector<raft::Entry>& entries = node->disk.entries;
  const auto end = entries.begin() + static_cast<ptrdiff_t>(index - node->disk.base);
  node->disk.base_term = (end - 1)->term;
  node->disk.base = index;
  entries.erase(entries.begin(), end);
}

bool Cluster::WorkOnce(int member) {
  Node& node = nodes_.at(member);
  if (node.replica == nullptr) return false;
  if (node.out.turn_end_wanted) {
    Step(member, TurnEnd{});
    return true;
  }
  if (node.checkpoint.has_value() && !node.checkpoints_held) {
    const LogIndex index = node.checkpoint->index;
    const bool ok = !node.checkpoints_fail;
    // Storage writes them in order: a leader's state that came since has taken its place.
    const std::optional<StateImage>& kept = node.disk.checkpoint;
    if (ok && (!kept.has_value() || kept->index < index)) Keep(&node, *node.checkpoint);
    node.checkpoint.reset();
    Step(member, Checkpointed{index, ok});
    return true;
  }
  return WriteOnce(member);
}

bool Cluster::WriteOnce(int member) {
  Node& node = nodes_.at(member);
  if (node.unwritten.empty() || node.disk_held) return false;
  PersistTicket last;
  for (const Persist& unit : node.unwritten) {
    Write(&node, unit);
    last = unit.ticket;
  }
  node.unwritten.clear();
  Step(member, Persisted{last});
  return true;
}

// Carries requests that members pass on to each other. What does not get through is lost.
bool Cluster::PassOn() {
  const bool busy = !forwards_.empty() || !passed_answers_.empty();
  while (!forwards_.empty()) {
    const auto [from, forward] = std::move(forwards_.front());
    forwards_.pop_front();
    const int to = static_cast<int>(forward.to.value());
    if (Apart(from, to)) continue;
    const RequestToken token(++last_token_);
    passed_[token] = {from, forward.token, forward.attempt};
    Step(to, ClientRequest{token, PeerKindOf(forward.kind), forward.body});
  }
  while (!passed_answers_.empty()) {
    const auto [passed, response] = std::move(passed_answers_.front());
    passed_answers_.pop_front();
    if (nodes_.at(passed.from).isolated || !alive(passed.from)) continue;
    Step(passed.from, Forwarded{passed.token, passed.attempt, response.status, response.body});
  }
  return busy;
}

bool Cluster::WorkAll() {
  bool busy = false;
  for (auto& [member, node] : nodes_) busy |= WorkOnce(member);
  busy |= PassOn();
  while (!network_.empty()) {
    const raft::Message message = std::move(network_.front());
    network_.pop_front();
    busy = true;
    const int from = static_cast<int>(message.from.value());
    const int to = static_cast<int>(message.to.value());
    if (Apart(from, to)) continue;
    Step(to, PeerMessage{message});
  }
  return Carry() || busy;
}

void Cluster::Settle() {
  for (int round = 0; round < kMaxRounds; ++round) {
    if (!WorkAll()) return;
  }
  FAIL() << "the cluster does not come to rest";
}

// Takes one snapshot to where it is to go, and says so.
bool Cluster::Carry() {
  if (snapshots_.empty()) return false;
  SnapshotToSend snapshot = std::move(snapshots_.front());
  snapshots_.pop_front();
  const int from = static_cast<int>(snapshot.message.from.value());
  const int to = static_cast<int>(snapshot.message.to.value());
  const bool ok = !Apart(from, to);
  if (ok) Step(to, SnapshotReceived{std::move(snapshot.message), std::move(snapshot.image)});
  if (alive(from)) Step(from, SnapshotSent{MemberId(static_cast<uint64_t>(to)), ok});
  return true;
}

void Cluster::Run(Duration span) {
  const Instant end = now_ + span;
  Settle();
  while (now_ < end) {
    Instant next = end;
    for (const auto& [member, node] : nodes_) {
      if (node.replica != nullptr) next = std::min(next, node.out.next_wake);
    }
    now_ = std::max(next, now_ + Microseconds(1));
    for (auto& [member, node] : nodes_) {
      if (node.replica != nullptr && node.out.next_wake <= now_) Step(member, TimePassed{});
    }
    Settle();
  }
}

int Cluster::leader() const {
  for (const auto& [member, node] : nodes_) {
    if (node.replica == nullptr || node.replica->status().role != Role::kLeader) continue;
    size_t followers = 0;
    for (const auto& [other, peer] : nodes_) {
      if (peer.replica != nullptr &&
          peer.replica->status().leader == MemberId(static_cast<uint64_t>(member))) {
        ++followers;
      }
    }
    if (followers > nodes_.size() / 2) return member;
  }
  return 0;
}

int Cluster::Elect() {
  for (int i = 0; i < 1000 && leader() == 0; ++i) Run(Milliseconds(50));
  EXPECT_NE(leader(), 0);
  return leader();
}

RequestToken Cluster::Send(int member, RequestKind kind, const std::string& body,
                           const Credentials& credentials) {
  const RequestToken token(++last_token_);
  Step(member, ClientRequest{token, kind, Bytes::Copy(body), credentials});
  return token;
}

const Response* Cluster::Find(RequestToken token) const {
  const auto it = responses_.find(token);
  return it == responses_.end() ? nullptr : &it->second;
}

Response Cluster::Call(int member, RequestKind kind, const std::string& body,
                       const Credentials& credentials) {
  const RequestToken token = Send(member, kind, body, credentials);
  Settle();
  const Response* response = Find(token);
  EXPECT_NE(response, nullptr);
  return response == nullptr ? Response() : *response;
}

void Cluster::Abandon(int member, RequestToken token) { Step(member, AbandonRequest{token}); }

void Cluster::OpenWatch(int member, uint64_t stream, const Credentials& credentials) {
  Step(member, WatchOpen{StreamToken(stream), credentials});
}

void Cluster::Watch(int member, uint64_t stream, const etcdserverpb::WatchRequest& request) {
  Step(member, WatchRequestBytes{StreamToken(stream), Bytes::Copy(request.SerializeAsString())});
}

void Cluster::SetWritable(int member, uint64_t stream, bool writable) {
  Step(member, WatchWritable{StreamToken(stream), writable});
}

std::vector<etcdserverpb::WatchResponse> Cluster::TakeWatched(uint64_t stream) {
  return std::exchange(watched_[stream], {});
}

void Cluster::Crash(int member) {
  Node& node = nodes_.at(member);
  node.replica.reset();
  node.unwritten.clear();
  node.checkpoint.reset();
  node.out = Output();
}

void Cluster::Restart(int member) { Start(member); }
void Cluster::Join(int member) { Start(member); }
void Cluster::Forget(int member) { nodes_.erase(member); }
bool Cluster::Apart(int from, int to) const {
  const auto a = nodes_.find(from);
  const auto b = nodes_.find(to);
  if (a == nodes_.end() || b == nodes_.end()) return true;
  return a->second.isolated || b->second.isolated || b->second.replica == nullptr;
}
void Cluster::HoldDisk(int member, bool held) { nodes_.at(member).disk_held = held; }
void Cluster::Isolate(int member, bool isolated) { nodes_.at(member).isolated = isolated; }

std::string Put(const std::string& key, const std::string& value, bool prev_kv) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  request.set_prev_kv(prev_kv);
  return request.SerializeAsString();
}

std::string Get(const std::string& key, bool serializable) {
  etcdserverpb::RangeRequest request;
  request.set_key(key);
  request.set_serializable(serializable);
  return request.SerializeAsString();
}

std::string GetPrefix(const std::string& begin, const std::string& end) {
  etcdserverpb::RangeRequest request;
  request.set_key(begin);
  request.set_range_end(end);
  return request.SerializeAsString();
}

std::string Grant(int64_t id, int64_t ttl) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(ttl);
  return request.SerializeAsString();
}

std::string Revoke(int64_t id) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  return request.SerializeAsString();
}

std::string KeepAlive(int64_t id) {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(id);
  return request.SerializeAsString();
}

std::string TimeToLive(int64_t id, bool keys) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(id);
  request.set_keys(keys);
  return request.SerializeAsString();
}

std::string PutWithLease(const std::string& key, const std::string& value, int64_t lease) {
  etcdserverpb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  request.set_lease(lease);
  return request.SerializeAsString();
}

std::string Delete(const std::string& key, const std::string& end) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(key);
  request.set_range_end(end);
  return request.SerializeAsString();
}

}  // namespace quorate::engine
