// Everything that can happen to a replica: the closed set of inputs.
//
// Inputs are plain data. A member's inputs, recorded in order, replay to the same
// outputs bit for bit.
#ifndef QUORATE_ENGINE_REPLICA_INPUT_H_
#define QUORATE_ENGINE_REPLICA_INPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/image/image.h"
#include "engine/raft/message.h"

namespace quorate::engine {

// Names one client request until it is answered; chosen by the caller, never
// reused within one run of the replica. 0 is the replica's own.
using RequestToken = StrongInt<struct RequestTokenTag, uint64_t>;
// Names one client's watch stream until it is closed; chosen like a RequestToken.
using StreamToken = StrongInt<struct StreamTokenTag, uint64_t>;
// Names one unit of work for the disk; given out by the replica, counting up from 1.
using PersistTicket = StrongInt<struct PersistTicketTag, uint64_t>;

// What a client asks for. `body` of the request is the encoded etcdserverpb message
// named here, and so is the body of a successful response.
enum class RequestKind : uint8_t {
  kRange,        // RangeRequest -> RangeResponse
  kPut,          // PutRequest -> PutResponse
  kDeleteRange,  // DeleteRangeRequest -> DeleteRangeResponse
  kTxn,          // TxnRequest -> TxnResponse
  kCompact,      // CompactionRequest -> CompactionResponse
  kMemberList,   // MemberListRequest -> MemberListResponse
  // Changes of the membership. The new member of kMemberAdd comes with its id, which is a
  // hash that no engine computes.
  kMemberAdd,      // Member -> MemberAddResponse
  kMemberRemove,   // MemberRemoveRequest -> MemberRemoveResponse
  kMemberUpdate,   // MemberUpdateRequest -> MemberUpdateResponse
  kMemberPromote,  // MemberPromoteRequest -> MemberPromoteResponse, decided by the leader
  // The last from another member that took us for the leader. If we are not,
  // FailedPrecondition.
  kPeerMemberPromote,
  kMoveLeader,   // MoveLeaderRequest -> MoveLeaderResponse, of the leader alone
  kStatus,       // StatusRequest -> StatusResponse (local, no quorum)
  kAdminStatus,  // the same, for an administrator only
  kHashKv,       // HashKVRequest -> HashKVResponse (local)
  kLeaseGrant,   // LeaseGrantRequest -> LeaseGrantResponse
  kLeaseRevoke,  // LeaseRevokeRequest -> LeaseRevokeResponse
  kLeaseList,    // LeaseLeasesRequest -> LeaseLeasesResponse (local)
  kAlarm,        // AlarmRequest -> AlarmResponse
  // Answered by the leader alone, wherever they arrive (see Forward in output.h). A lease
  // that does not exist is no error: its TTL is 0 and -1, as in etcd.
  kLeaseKeepAlive,   // LeaseKeepAliveRequest -> LeaseKeepAliveResponse
  kLeaseTimeToLive,  // LeaseTimeToLiveRequest -> LeaseTimeToLiveResponse
  // The same two from another member that took us for the leader. If we are not,
  // FailedPrecondition; responses have no header, and NotFound says that there is no
  // such lease.
  kPeerLeaseKeepAlive,
  kPeerLeaseTimeToLive,
  // From a member that has lost what it had acknowledged, to any other (repair.cc).
  kPeerRepair,  // RepairRequest -> RepairAnswer, and a state that is sent to that member
  // Internal, proposed by the server itself; responses have no body.
  kMemberAttributes,  // membershippb.ClusterMemberAttrSetRequest
  kClusterVersion,    // membershippb.ClusterVersionSetRequest
  // The two internal steps of Downgrade: first what the cluster has agreed on, for an
  // administrator only, then what follows from it.
  kClusterStatus,  // StatusRequest -> StatusResponse (linearizable)
  kDowngradeInfo,  // membershippb.DowngradeInfoSetRequest, no body in the response
  // The Auth service; requests and responses are named like their kinds. Passwords come
  // hashed, as they are to be replicated.
  kAuthEnable,
  kAuthDisable,
  kAuthStatus,
  kAuthUserAdd,
  kAuthUserGet,
  kAuthUserList,
  kAuthUserDelete,
  kAuthUserChangePassword,
  kAuthUserGrantRole,
  kAuthUserRevokeRole,
  kAuthRoleAdd,
  kAuthRoleGet,
  kAuthRoleList,
  kAuthRoleDelete,
  kAuthRoleGrantPermission,
  kAuthRoleRevokePermission,
  // Its two internal steps of Authenticate: first the hash to compare a password with,
  // then, if that matched, a token.
  kAuthPassword,  // a user's name -> PasswordHash
  kAuthenticate,  // InternalAuthenticateRequest -> AuthenticateResponse
};

// Who a request says it comes from. Counts only while authentication is enabled. What the
// server asks for by itself (probes, compaction by the clock) it asks as "root", by kName.
struct Credentials {
  enum class Kind : uint8_t {
    kNone,
    // A simple token, as the client sent it.
    kToken,
    // A user's name that the shell has verified by other means, such as a client
    // certificate or a signed token.
    kName,
  };
  Kind kind = Kind::kNone;
  std::string text;  // the token or the name
  // kName: the auth revision that was vouched for; 0 = whichever is the present one.
  uint64_t auth_revision = 0;
};

// The server's own.
inline Credentials OwnCredentials() { return {Credentials::Kind::kName, "root", 0}; }

// The answer to kAuthPassword.
struct PasswordHash {
  // At which the hash is this. A token is given out only if it is still the present one
  // then.
  uint64_t auth_revision = 0;
  std::string hash;  // bcrypt's text

  Bytes Encode() const;
  static PasswordHash Decode(absl::string_view bytes);  // of what Encode gave
};

// The question of kPeerRepair: who has lost its data.
struct RepairRequest {
  MemberId member;

  Bytes Encode() const;
  static std::optional<RepairRequest> Decode(absl::string_view bytes);
};

// The answer to it: an entry that was proposed after the question had come, and is committed and
// applied. A state as of this entry or a later one holds everything that the member had
// acknowledged.
struct RepairAnswer {
  LogIndex barrier;

  Bytes Encode() const;
  static std::optional<RepairAnswer> Decode(absl::string_view bytes);
};

// What kLeaseKeepAlive, kLeaseTimeToLive and kMemberPromote become at the member they are
// passed on to. kHashKv, by which members compare their data, and kPeerRepair stay what they are.
constexpr RequestKind PeerKindOf(RequestKind kind) {
  if (kind == RequestKind::kHashKv || kind == RequestKind::kPeerRepair) return kind;
  if (kind == RequestKind::kMemberPromote) return RequestKind::kPeerMemberPromote;
  return kind == RequestKind::kLeaseKeepAlive ? RequestKind::kPeerLeaseKeepAlive
                                              : RequestKind::kPeerLeaseTimeToLive;
}

// A client's request. Answered by exactly one Response with the same token, unless
// it is abandoned first.
struct ClientRequest {
  RequestToken token;
  RequestKind kind = RequestKind::kRange;
  Bytes body;
  Credentials credentials;
};

// The caller no longer wants the answer (time-out, cancelled call). What was
// proposed may still take effect. Unknown tokens are ignored.
struct AbandonRequest {
  RequestToken token;
};

// A client opened a watch stream / sent an encoded WatchRequest on it / its
// connection can or cannot take more bytes / it is gone. While a stream is not
// writable nothing is sent on it; its watchers fall behind by position, not by
// buffered bytes, and catch up later.
struct WatchOpen {
  StreamToken stream;
  Credentials credentials;  // for each watch that is created on it
};
struct WatchRequestBytes {
  StreamToken stream;
  Bytes body;
};
struct WatchWritable {
  StreamToken stream;
  bool writable = true;
};
struct WatchClose {
  StreamToken stream;
};

// A peer's message, decoded. Anything may be in it: it is counted and ignored or
// refused where the protocol says so.
struct PeerMessage {
  raft::Message message;
};

// The transport is connected with this peer from now on, or no longer is.
struct PeerConnected {
  MemberId peer;
  bool up = true;
};

// The transport could not deliver something to this peer lately.
struct PeerUnreachable {
  MemberId peer;
};
// The outcome of sending a snapshot to this peer.
struct SnapshotSent {
  MemberId peer;
  bool ok = false;
};

// A leader's snapshot and the state that goes with it have arrived whole. Anything may
// be in them.
struct SnapshotReceived {
  raft::Message message;
  StateImage image;
};

// The checkpoint of Output::checkpoint is durable, or failed: then the one before it
// holds, and another is tried later.
struct Checkpointed {
  LogIndex index;
  bool ok = false;
};

// All Persist units up to and including this ticket are durable. Tickets complete
// in order. There is no failure form: a member whose log could not be written or
// synced stops, since nobody knows what of it is on the disk.
struct Persisted {
  PersistTicket ticket;
};

// How the disk of the data directory does; given again and again while anything is wrong.
struct DiskState {
  // There is so little space left that nothing more may be added to the store.
  bool low_space = false;
  // Not so little, but not so much more that an alarm for it, raised before a restart, would be
  // put out by a member that had gone on running. Also if nobody knows yet how much there is.
  bool scarce = false;
  // A write of the log has been under way for longer than an election timeout.
  bool stalled = false;
};

// What the newest checkpoint consists of is damaged on the disk: another one is to be taken
// now, even if nothing is new.
struct CheckpointWanted {};

// Time passed; nothing else happened.
struct TimePassed {};

// The turn of the loop ends: hand out what the inputs since the last one gathered
// (one proposal batch, one read-index round, one append per follower, one unit for
// the disk, bounded application of committed entries). Only this input produces
// Persist units.
struct TurnEnd {};

// What the member that a request was forwarded to said (Forward in output.h), or that it
// could not be asked. May come late, twice or never.
struct Forwarded {
  RequestToken token;
  uint64_t attempt = 0;
  absl::Status status;
  Bytes body;
};

// Operator: hand leadership to `target`.
struct TransferLeadership {
  MemberId target;
};

struct Input {
  Instant now;
  WallTime wall;
  std::variant<TimePassed, TurnEnd, ClientRequest, AbandonRequest, WatchOpen, WatchRequestBytes,
               WatchWritable, WatchClose, PeerMessage, PeerConnected, PeerUnreachable, SnapshotSent,
               SnapshotReceived, Checkpointed, Persisted, Forwarded, TransferLeadership, DiskState,
               CheckpointWanted>
      event;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_INPUT_H_
