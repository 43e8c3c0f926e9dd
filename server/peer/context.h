// What the parts of one member's peer transport share.
#ifndef QUORATE_SERVER_PEER_CONTEXT_H_
#define QUORATE_SERVER_PEER_CONTEXT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/replica/statistics.h"
#include "io/env.h"
#include "server/http1/client.h"
#include "server/log/logger.h"
#include "server/node/peer_transport.h"
#include "server/peer/headers.h"

namespace quorate::peer {

struct Options {
  // A stream on which no byte came for so long is given up and dialled anew.
  Duration silence_timeout = Seconds(5);
  // How often a stream that we send on shows that it is alive.
  Duration link_heartbeat_interval = Milliseconds(5000 / 3);
  Duration dial_timeout = Seconds(2);
  // Between two attempts to dial; doubles from the first to the second.
  Duration redial_min = Milliseconds(100);
  Duration redial_max = Milliseconds(1000);
  // How often the round trip to a peer is measured.
  Duration probe_interval = Seconds(4);
  // Bytes that may wait for one peer; what does not fit is dropped and reported.
  size_t max_queued_bytes = 16 * limits::kMiB;
  // Single POSTs, used while no stream is up.
  size_t max_posts = 4;
  size_t max_queued_posts = 64;
  size_t max_post_bytes = 64 * limits::kMiB;
  // Lease requests passed on to a peer: at once, waiting, and how long a peer's request may
  // take us (etcd's).
  size_t max_forwards = 16;
  size_t max_queued_forwards = 10000;
  Duration forward_timeout = Seconds(1);
  // A promotion waits for its entry to be applied.
  Duration promote_timeout = Seconds(7);
  // A hash is computed over the whole store.
  Duration hash_timeout = Seconds(60);
  // Questions for our hash that may wait while one is being answered.
  size_t max_queued_hashes = 8;
  // Senders of this cluster that are no members, as far as this one knows: those of a later
  // configuration, whom one that is behind must hear to learn of it.
  size_t max_remotes = 16;
  // A lease's keys may be many.
  size_t max_forward_answer_bytes = 512 * limits::kMiB;
  // A snapshot leaves no faster than this, whatever the network could take.
  uint64_t snapshot_bytes_per_second = 100 * limits::kMiB;
};

// Counters of one peer, for metrics.
struct PeerStats {
  uint64_t sent_bytes = 0;
  uint64_t sent_messages = 0;
  uint64_t sent_failures = 0;
  uint64_t received_bytes = 0;
  uint64_t received_messages = 0;
  uint64_t received_failures = 0;  // malformed streams and messages
  uint64_t disconnects = 0;        // of the stream that we receive on
  // Snapshots; the times are those of successes.
  using SnapshotTimes = engine::DurationCounts<100'000'000, 10>;
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_not_sent = 0;
  SnapshotTimes snapshot_send_times;
  uint64_t snapshots_received = 0;
  uint64_t snapshots_not_received = 0;
  SnapshotTimes snapshot_receive_times;
};

struct Context {
  io::Env env;
  log::Logger* log = nullptr;
  Identity self;
  Options options;
  // For addresses that ask for TLS; null if there are none. Borrowed.
  io::Network* secure_network = nullptr;
  // Set by RaftHttp::Start; null before it.
  node::PeerSink* sink = nullptr;
  // A peer says that this member has been removed from the cluster.
  std::function<void(const absl::Status&)> on_removed;
  // A round trip to a peer was measured; for metrics.
  std::function<void(MemberId, Duration)> on_round_trip;
};

// Requests to one of a peer's addresses: "host:port", or "https://host:port" for TLS.
std::unique_ptr<http1::Client> NewClient(const Context& context, const std::string& address,
                                         const http1::ClientOptions& options);

// One for each of a peer's addresses.
std::vector<std::unique_ptr<http1::Client>> NewClients(const Context& context,
                                                       const std::vector<std::string>& addresses,
                                                       const http1::ClientOptions& options);

// Decodes a message of `peer` (0: of whoever it says) and hands it to the sink.
// InvalidArgument if it cannot be decoded or is not from that peer to this member. A
// link heartbeat is none of the node's business and is swallowed.
absl::Status Deliver(const Context& context, MemberId peer, const Bytes& encoded, PeerStats* stats);

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_CONTEXT_H_
