// What the simulated network is made of inside: hosts, edges, connections.
#ifndef QUORATE_SIM_NETWORK_IMPL_H_
#define QUORATE_SIM_NETWORK_IMPL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "sim/network.h"

namespace quorate::sim {

class HostNetwork;
class SimStream;
class SimListener;
struct ConnectState;

// One end of a connection, by number: harmless once the connection is gone.
struct EndRef {
  uint32_t slot = 0;
  uint32_t generation_and_side = 0;
  uint32_t side() const { return generation_and_side & 1; }
};

// Bytes that travel together, or the end of the stream.
struct Segment {
  absl::InlinedVector<Bytes, 1> pieces;
  size_t bytes = 0;
  VirtualTime arrival;
  bool fin = false;    // nothing comes after these bytes
  bool reset = false;  // the stream is reset after these bytes
};

// One direction of a connection, from the process that writes to the one that reads.
struct Pipe {
  std::deque<Bytes> queue;  // not yet taken by the writer's system
  size_t queued_bytes = 0;
  bool flush_deferred = false;
  bool above_high_water = false;
  bool fin_wanted = false;
  bool fin_sent = false;

  std::deque<Segment> flying;    // by arrival
  std::deque<Segment> received;  // arrived, not yet read
  size_t in_flight = 0;          // taken by the system, not known to be read
  size_t hidden_acks = 0;        // read, but the acknowledgement is held up by a partition
  VirtualTime last_arrival;
  bool stalled = false;  // the head of `flying` has arrived nowhere
  VirtualTime stalled_since;
  EventId arrival;
  EventId acknowledged;
  EventId give_up;
};

// One end as its host's system sees it.
enum class EndState : uint8_t {
  kOpen,
  kClosed,    // the process let go, or the stream failed: bytes are answered by a reset
  kVanished,  // the machine lost its power: bytes are answered by nobody until it is back
};

struct End {
  HostId host;
  Loop* loop = nullptr;
  EndState state = EndState::kOpen;
  SimStream* stream = nullptr;  // null before it is accepted and after it is destroyed
  bool unclaimed = false;       // not yet handed to the process
  io::Stream::Handler* handler = nullptr;
  bool paused = false;
  bool read_scheduled = false;
  absl::Status failure;  // told once the stream has a handler
  bool failure_told = false;
};

struct Connection {
  uint32_t generation = 1;
  bool in_use = false;
  End ends[2];    // 0 connected, 1 accepted
  Pipe pipes[2];  // pipes[i] carries what ends[i] writes
};

struct Edge {
  LinkOptions options;
  bool blocked = false;
  uint64_t dropped_types = 0;
  Prng datagram_prng;
  Prng stream_prng;
  VirtualTime line_free;  // when the last byte has left (limited bandwidth)
  // Of datagrams of one type: the latest arrival, and the latest of those that keep their order.
  struct Arrivals {
    DatagramType type = 0;
    VirtualTime last;
    VirtualTime last_in_order;
  };
  std::vector<Arrivals> arrivals;  // of the few types that come this way

  Arrivals& arrivals_of(DatagramType type);

  Edge(const LinkOptions& link, uint64_t datagram_seed, uint64_t stream_seed)
      : options(link), datagram_prng(datagram_seed), stream_prng(stream_seed) {}
};

struct HostState {
  std::string name;
  Loop* loop = nullptr;  // of the process that runs there
  // Without power nobody answers; with it, the kernel refuses what no process listens to.
  bool powered = false;
  absl::btree_map<uint16_t, SimListener*> listeners;
  uint16_t next_port = 0;
  size_t max_streams = ~size_t{0};
};

struct Network::Impl {
  Impl(const Context& c, const StreamOptions& s) : context(c), stream_options(s) {}

  // --- hosts and edges (network.cc) ---
  HostState& host(HostId id) { return hosts[id.value()]; }
  // Made when first asked for.
  Edge& edge(HostId from, HostId to) {
    Edge* const found = FindEdge(from, to);
    return found != nullptr ? *found : NewEdge(from, to);
  }
  // Null if nobody has asked for it.
  Edge* FindEdge(HostId from, HostId to) {
    if (from.value() >= edges.size() || to.value() >= edges[from.value()].size()) return nullptr;
    return edges[from.value()][to.value()].get();
  }
  Edge& NewEdge(HostId from, HostId to);
  bool Block(HostId from, HostId to);  // false if it was
  bool blocked(HostId from, HostId to) { return edge(from, to).blocked; }
  Duration Latency(const LinkOptions& link, Prng* prng);
  // When a copy of a datagram that is sent now arrives.
  VirtualTime DatagramArrival(HostId from, HostId to, DatagramType type, size_t bytes, bool again);
  // When `bytes` that are sent now have left.
  VirtualTime LineTime(Edge* edge, size_t bytes);
  absl::StatusOr<HostId> Resolve(HostId self, const std::string& name) const;
  uint16_t FreePort(HostId host);

  // --- connections (connection.cc) ---
  Connection* Find(EndRef ref);
  EndRef NewConnection(HostId from, Loop* from_loop, HostId to, Loop* to_loop);
  static EndRef OtherEnd(EndRef ref) { return {ref.slot, ref.generation_and_side ^ 1}; }
  void FreeIfUnused(EndRef ref);
  void DeferFlush(EndRef writer);
  void Flush(EndRef writer);
  void CutSegments(Pipe* pipe, Edge* edge, EndRef writer, size_t bytes);
  void Launch(Pipe* pipe, Edge* edge, EndRef writer, Segment segment);
  void ScheduleArrival(Pipe* pipe, EndRef writer);
  void Arrive(EndRef writer);
  void Receive(EndRef reader, Pipe* pipe, Segment segment);
  void ScheduleRead(EndRef reader);
  void ReadAll(EndRef reader);
  bool ReadOne(EndRef reader);
  void Acknowledge(EndRef writer, size_t bytes);
  void ArmGiveUp(EndRef writer);
  void GiveUp(EndRef writer);
  void TellWritable(EndRef writer);
  // The end's system forgets the stream and tells its process, after `delay`.
  void FailLater(EndRef end, Duration delay, absl::Status status);
  void Fail(EndRef end, absl::Status status);
  void TellFailure(EndRef end);
  // The process destroyed its stream, or died.
  void Close(EndRef end);
  void Vanish(EndRef end);
  void EdgeOpened(HostId from, HostId to);
  template <typename Visit>
  void ForEachEnd(Visit visit);
  size_t OpenStreams(HostId host);
  // Whether the process there has descriptors for fewer streams than so many more.
  bool Exhausted(HostId host, size_t more) {
    const size_t most = this->host(host).max_streams;
    return most != ~size_t{0} && OpenStreams(host) + more > most;
  }

  const Context context;
  const StreamOptions stream_options;
  uint64_t segments_told = 0;  // for the story
  LinkOptions default_link;
  std::vector<HostState> hosts = std::vector<HostState>(1);  // [0] is nobody
  std::vector<std::vector<std::unique_ptr<Edge>>> edges;
  absl::flat_hash_map<std::string, HostId> names;
  std::vector<std::unique_ptr<Connection>> connections;
  std::vector<uint32_t> free_connections;
  std::string scratch;  // pieces put together for one OnData
};

template <typename Visit>
void Network::Impl::ForEachEnd(Visit visit) {
  for (uint32_t slot = 0; slot < connections.size(); ++slot) {
    for (uint32_t side = 0; side < 2; ++side) {
      Connection& connection = *connections[slot];
      if (!connection.in_use) break;
      visit(EndRef{slot, connection.generation << 1 | side}, connection.ends[side]);
    }
  }
}

// What the owner of a stream holds.
class SimStream final : public io::Stream {
 public:
  SimStream(Network::Impl* network, EndRef end, Loop* loop, std::string peer_address);
  SimStream(const SimStream&) = delete;
  SimStream& operator=(const SimStream&) = delete;
  ~SimStream() override;

  void Start(Handler* handler) override;
  void Write(Bytes data) override;
  size_t write_queue_bytes() const override;
  void PauseReading() override;
  void ResumeReading() override;
  void CloseAfterFlush() override;
  const std::string& peer_address() const override { return peer_address_; }

 private:
  Network::Impl* const network_;
  const EndRef end_;
  Loop* const loop_;
  const std::string peer_address_;
};

// Accepts connections for one process on one port.
class SimListener final : public io::Listener {
 public:
  SimListener(Network::Impl* network, HostId host, Loop* loop, uint16_t port, std::string address,
              io::Network::AcceptCallback accept);
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;
  ~SimListener() override;

  const std::string& address() const override { return address_; }
  const std::shared_ptr<io::Network::AcceptCallback>& accept() const { return accept_; }

 private:
  Network::Impl* const network_;
  const HostId host_;
  Loop* const loop_;
  const uint16_t port_;
  const std::string address_;
  const std::shared_ptr<io::Network::AcceptCallback> accept_;
};

// One process's view of the network.
class HostNetwork final : public io::Network {
 public:
  HostNetwork(quorate::sim::Network::Impl* network, HostId host, Loop* loop)
      : network_(network), host_(host), loop_(loop) {}

  absl::StatusOr<std::unique_ptr<io::Listener>> Listen(const std::string& address,
                                                       AcceptCallback accept) override;
  std::unique_ptr<io::PendingConnect> Connect(const std::string& address,
                                              ConnectCallback callback) override;

 private:
  quorate::sim::Network::Impl* const network_;
  const HostId host_;
  Loop* const loop_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_NETWORK_IMPL_H_
