// Named limits with their units and how they relate. Every queue, batch, window
// and retry of the system has its bound here or in a Config with a default here.
#ifndef QUORATE_BASE_LIMITS_H_
#define QUORATE_BASE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace quorate::limits {

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;

// Largest client request, as etcd's --max-request-bytes.
inline constexpr size_t kMaxRequestBytes = 3 * kMiB / 2;
// gRPC's receive limit is that plus room for framing.
inline constexpr size_t kGrpcOverheadBytes = 512 * kKiB;
inline constexpr size_t kMaxGrpcReceiveBytes = kMaxRequestBytes + kGrpcOverheadBytes;
// Operations in one list of a transaction, as etcd's --max-txn-ops.
inline constexpr size_t kMaxTxnOps = 128;

// Entries' bytes in one append message; a single larger entry still goes alone.
inline constexpr size_t kMaxAppendBytes = 1 * kMiB;
// Unacknowledged append messages to one follower.
inline constexpr size_t kMaxInflightAppends = 512;
// Largest message that is accepted on a peer's stream.
inline constexpr size_t kMaxPeerMessageBytes = 512 * kMiB;

// Members that vote in one cluster.
inline constexpr size_t kMaxVoters = 9;

static_assert(kMaxAppendBytes < kMaxPeerMessageBytes);
static_assert(kMaxRequestBytes < kMaxGrpcReceiveBytes);

}  // namespace quorate::limits

#endif  // QUORATE_BASE_LIMITS_H_
