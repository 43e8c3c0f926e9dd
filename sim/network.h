// A network of hosts that delays, loses, repeats, splits, stalls and resets.
//
// It carries two things between hosts that are registered by name:
//
//   - byte streams (io::Network, io::Stream) with TCP's semantics: bytes arrive in
//     order, in pieces cut anywhere, or the stream ends. A partition stalls them
//     and, when it lasts, times them out on the side that has unacknowledged bytes
//     while the other side notices nothing; a power loss leaves the peers
//     half-open; a killed process resets them; a window bounds what is in flight,
//     so that a reader that pauses stops its writer;
//   - datagrams: typed messages handed over without bytes, each lost, repeated and
//     delayed on its own; overtaken by later ones, unless the link keeps their order.
//
// Every directed edge between two hosts has its own options and its own
// generators, keyed by (seed, edge, purpose): what happens on one edge does not
// shift the draws of another. A host's edge to itself never fails.
#ifndef QUORATE_SIM_NETWORK_H_
#define QUORATE_SIM_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "base/time.h"
#include "io/network.h"
#include "sim/fault.h"
#include "sim/loop.h"
#include "sim/scheduler.h"
#include "sim/task.h"

namespace quorate::sim {

// How long something takes from one host to another, and what may happen to it.
// Chances are in parts per million.
struct LinkOptions {
  // Delay = latency_min + an exponential of mean latency_mean.
  Duration latency_min = Microseconds(100);
  Duration latency_mean = Microseconds(200);
  // With this chance, up to tail_max more (uniform).
  uint32_t tail_ppm = 0;
  Duration tail_max;
  // 0 = unlimited. Bytes of one edge leave one after another; a datagram that would wait for
  // more than line_queue_max is lost.
  uint64_t bytes_per_second = 0;
  Duration line_queue_max = Seconds(1);

  // Datagrams: lost, delivered twice. Streams: a lost segment is sent again after a
  // retransmission timeout, and everything behind it waits.
  uint32_t loss_ppm = 0;
  uint32_t duplicate_ppm = 0;
  // Datagrams of one type arrive in the order in which they were sent, as what peers say over
  // one connection does. Left behind all the same: those with a tail, and second copies.
  bool ordered = false;
  // Where the cut of a partition is: at the receiver, so that datagrams on their way are lost, or
  // at the sender, so that they arrive, however late.
  bool cuts_in_flight = true;

  // Streams only.
  uint32_t split_ppm = 0;  // a write is cut into up to max_pieces segments
  uint32_t max_pieces = 8;
  uint32_t reset_ppm = 0;    // per segment: the stream is reset at a drawn byte of it
  uint32_t corrupt_ppm = 0;  // per segment: a bit flips
};

// TCP's constants, for the whole network.
struct StreamOptions {
  // Bytes accepted by the system and not yet read by the peer's process.
  size_t window_bytes = 256 * 1024;
  Duration retransmit_timeout = Milliseconds(200);
  Duration connect_timeout = Seconds(5);
  // Without progress for so long, a side with unacknowledged bytes gives up.
  Duration give_up_timeout = Seconds(15);
};

// What a datagram is, for per-type filters and orders: below kDatagramTypes, the world's choice.
using DatagramType = uint8_t;
inline constexpr size_t kDatagramTypes = 64;

class Network {
 public:
  Network(const Context& context, const StreamOptions& streams);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network();

  // Registers a host. `name` is what addresses say ("m1", "10.0.0.1"); hosts are
  // numbered 1, 2, ... in the order of the calls.
  HostId AddHost(const std::string& name);
  const std::string& host_name(HostId host) const;
  // Hosts registered so far.
  size_t hosts() const;

  // A process begins to run on a host: from now on `loop` gets what arrives there.
  // The io::Network is that process's and goes before the loop does.
  std::unique_ptr<io::Network> Attach(HostId host, Loop* loop);

  // How the process went away.
  enum class Ending {
    kProcess,    // exited or killed: the kernel lives and ends or resets its streams
    kPowerLoss,  // the machine is gone: peers are not told
  };
  // The process's listeners and streams vanish; none of its callbacks comes any more.
  void Detach(HostId host, Ending ending);

  // --- The links ---
  void SetLink(HostId from, HostId to, const LinkOptions& options);
  void SetAllLinks(const LinkOptions& options);
  const LinkOptions& link(HostId from, HostId to) const;

  // Partitions: one directed edge (a one-way partition) or both. Streams stall,
  // datagrams are lost.
  void Block(HostId from, HostId to);
  void BlockBoth(HostId a, HostId b);
  void Unblock(HostId from, HostId to);
  void UnblockAll();
  bool blocked(HostId from, HostId to) const;

  // Drops datagrams of the types whose bit is set.
  void SetTypeFilter(HostId from, HostId to, uint64_t dropped_types);

  // Resets every stream between the two hosts now.
  void ResetStreams(HostId a, HostId b);
  // Open streams that have an end at this host.
  size_t StreamCount(HostId host) const;
  // The process there has descriptors for so many: what it accepts beyond is closed at once, and it
  // connects to nobody.
  void SetMaxStreams(HostId host, size_t most);

  // --- Datagrams ---
  // `deliver` (copyable, small) runs on the receiving host's loop, as a turn of
  // whatever process runs there at that time; not at all if it is lost or nobody
  // runs there; twice if it is duplicated. `bytes` is what it would weigh on the
  // wire. It must not refer to the receiving process directly.
  template <typename F>
  void Send(HostId from, HostId to, DatagramType type, size_t bytes, F deliver) {
    const Fate fate = DrawFate(from, to, type, bytes);
    if (fate.copies == 2) {
      context_.scheduler->After(fate.delay[1], Datagram<F>{this, from, to, type, deliver});
    }
    if (fate.copies >= 1) {
      context_.scheduler->After(fate.delay[0],
                                Datagram<F>{this, from, to, type, std::move(deliver)});
    }
  }

  struct Impl;  // network_impl.h

 private:
  struct Fate {
    int copies = 0;
    Duration delay[2];
  };

  // One on its way; small enough to be an event without an allocation when F takes at
  // most 24 bytes.
  template <typename F>
  struct Datagram {
    Network* network;
    HostId from;
    HostId to;
    DatagramType type;
    F deliver;

    void operator()() {
      if (Loop* loop = network->Receiver(from, to)) {
        loop->Enter(kDatagramKind, from.value(), type, Task(std::move(deliver)));
      }
    }
  };
  static constexpr TraceKind kDatagramKind{"datagram", "from", "type"};

  Fate DrawFate(HostId from, HostId to, DatagramType type, size_t bytes);
  // Who gets a datagram that arrives now; null if nobody does.
  Loop* Receiver(HostId from, HostId to);

  const Context context_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_NETWORK_H_
