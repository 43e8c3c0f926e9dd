// raftpb bytes <-> structs.
//
// Written by hand, since every byte between members passes here: payloads of decoded
// entries are slices of the input buffer, and an encoded append can refer to the
// entries' payloads instead of copying them.
//
// Decoding accepts what any etcd release emits: all scalars, zeros included (3.6 and
// earlier), or only those set (3.7); unknown fields are skipped; repeated numbers
// packed or not; of a single field that comes twice the last wins, and messages merge,
// as protobuf has it. Malformed input gets InvalidArgument that names the message.
//
// Encoding emits what is set (not zero), in ascending field order; a message's type,
// a snapshot's metadata and a conf state in it are always there, since older readers
// want them.
#ifndef QUORATE_ENGINE_RAFT_CODEC_H_
#define QUORATE_ENGINE_RAFT_CODEC_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "engine/raft/message.h"
#include "engine/raft/types.h"

namespace quorate::raft {

// Messages nested in `responses` deeper than this are refused.
inline constexpr int kMaxMessageDepth = 2;

absl::StatusOr<Message> DecodeMessage(const Bytes& in);
absl::StatusOr<Entry> DecodeEntry(const Bytes& in);
absl::StatusOr<Snapshot> DecodeSnapshot(const Bytes& in);
absl::StatusOr<HardState> DecodeHardState(absl::string_view in);
// Lists come out sorted and unique.
absl::StatusOr<ConfState> DecodeConfState(absl::string_view in);
absl::StatusOr<ConfChange> DecodeConfChange(const Bytes& in);
absl::StatusOr<ConfChangeV2> DecodeConfChangeV2(const Bytes& in);

// Exact sizes, so that a buffer can be reserved.
size_t EncodedSize(const Message& message);
size_t EncodedSize(const Entry& entry);
size_t EncodedSize(const Snapshot& snapshot);

// Append to *out.
void EncodeMessage(const Message& message, BytesBuilder* out);
void EncodeEntry(const Entry& entry, BytesBuilder* out);
void EncodeSnapshot(const Snapshot& snapshot, BytesBuilder* out);
void EncodeHardState(const HardState& state, BytesBuilder* out);
void EncodeConfState(const ConfState& state, BytesBuilder* out);
void EncodeConfChange(const ConfChange& change, BytesBuilder* out);
void EncodeConfChangeV2(const ConfChangeV2& change, BytesBuilder* out);

// The same into a buffer of its own.
Bytes EncodeToBytes(const Message& message);
Bytes EncodeToBytes(const Entry& entry);
Bytes EncodeToBytes(const HardState& state);
Bytes EncodeToBytes(const ConfState& state);
Bytes EncodeToBytes(const ConfChange& change);
Bytes EncodeToBytes(const ConfChangeV2& change);

// Payloads of at least this many bytes are referred to, smaller ones copied: a piece
// costs a reference count and an element of a gathered write.
inline constexpr size_t kSharedPayloadBytes = 1024;

// Appends the encoding of `message` to *pieces; written one after the other they are
// what EncodeMessage gives. `head` (may be empty) comes before it, in the first piece,
// for a frame's length.
void EncodeMessagePieces(const Message& message, absl::string_view head,
                         std::vector<Bytes>* pieces);

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_CODEC_H_
