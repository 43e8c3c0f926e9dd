#include <utility>

#include "base/wire.h"
#include "engine/raft/codec.h"
#include "engine/raft/wire.h"

namespace quorate::raft {

namespace {

using wire::BytesFieldSize;
using wire::VarintFieldSize;

template <typename Sink>
void WriteVarint(uint32_t field, uint64_t value, Sink* sink) {
  if (value == 0) return;
  sink->Varint(VarintTag(field));
  sink->Varint(value);
}

template <typename Sink>
void WriteLength(uint32_t field, size_t size, Sink* sink) {
  sink->Varint(LenTag(field));
  sink->Varint(size);
}

template <typename Sink>
void WriteBytes(uint32_t field, const Bytes& bytes, Sink* sink) {
  if (bytes.empty()) return;
  WriteLength(field, bytes.size(), sink);
  sink->Payload(bytes);
}

size_t OptionalBytesSize(const Bytes& bytes) {
  return bytes.empty() ? 0 : BytesFieldSize(bytes.size());
}

size_t IdsSize(const std::vector<MemberId>& ids) {
  size_t size = 0;
  for (const MemberId id : ids) size += 1 + VarintSize(id.value());
  return size;
}

size_t SizeOf(const ConfState& state) {
  return IdsSize(state.voters) + IdsSize(state.learners) + IdsSize(state.voters_outgoing) +
         IdsSize(state.learners_next) + (state.auto_leave ? 2 : 0);
}

size_t SizeOf(const SnapshotMeta& meta) {
  return BytesFieldSize(SizeOf(meta.conf_state)) + VarintFieldSize(meta.index.value()) +
         VarintFieldSize(meta.term.value());
}

size_t SizeOf(const ConfChangeSingle& change) {
  return VarintFieldSize(static_cast<uint64_t>(change.type)) +
         VarintFieldSize(change.node_id.value());
}

template <typename Sink>
void WriteIds(uint32_t field, const std::vector<MemberId>& ids, Sink* sink) {
  for (const MemberId id : ids) {  // one field each, zero or not
    sink->Varint(VarintTag(field));
    sink->Varint(id.value());
  }
}

template <typename Sink>
void Write(const ConfState& state, Sink* sink) {
  WriteIds(1, state.voters, sink);
  WriteIds(2, state.learners, sink);
  WriteIds(3, state.voters_outgoing, sink);
  WriteIds(4, state.learners_next, sink);
  WriteVarint(5, state.auto_leave ? 1 : 0, sink);
}

template <typename Sink>
void Write(const Snapshot& snapshot, Sink* sink) {
  WriteBytes(1, snapshot.data, sink);
  WriteLength(2, SizeOf(snapshot.meta), sink);
  WriteLength(1, SizeOf(snapshot.meta.conf_state), sink);
  Write(snapshot.meta.conf_state, sink);
  WriteVarint(2, snapshot.meta.index.value(), sink);
  WriteVarint(3, snapshot.meta.term.value(), sink);
}

template <typename Sink>
void Write(const Entry& entry, Sink* sink) {
  WriteVarint(1, static_cast<uint64_t>(entry.type), sink);
  WriteVarint(2, entry.term.value(), sink);
  WriteVarint(3, entry.index.value(), sink);
  WriteBytes(4, entry.data, sink);
}

template <typename Sink>
void Write(const Message& m, Sink* sink) {
  sink->Varint(VarintTag(1));
  sink->Varint(static_cast<uint64_t>(m.type));
  WriteVarint(2, m.to.value(), sink);
  WriteVarint(3, m.from.value(), sink);
  WriteVarint(4, m.term.value(), sink);
  WriteVarint(5, m.log_term.value(), sink);
  WriteVarint(6, m.index.value(), sink);
  for (const Entry& entry : m.entries) {
    WriteLength(7, EncodedSize(entry), sink);
    Write(entry, sink);
  }
  WriteVarint(8, m.commit.value(), sink);
  if (m.snapshot != nullptr) {
    WriteLength(9, EncodedSize(*m.snapshot), sink);
    Write(*m.snapshot, sink);
  }
  WriteVarint(10, m.reject ? 1 : 0, sink);
  WriteVarint(11, m.reject_hint.value(), sink);
  WriteBytes(12, m.context, sink);
  WriteVarint(13, m.vote.value(), sink);
  for (const Message& response : m.responses) {
    WriteLength(14, EncodedSize(response), sink);
    Write(response, sink);
  }
}

template <typename T>
Bytes ToBytes(const T& value, size_t reserve, void (*encode)(const T&, BytesBuilder*)) {
  BytesBuilder out(reserve);
  encode(value, &out);
  return std::move(out).Finish();
}

// More than any hard state or change without its context needs.
constexpr size_t kSmallReserve = 64;

}  // namespace

size_t EncodedSize(const Entry& entry) {
  return VarintFieldSize(static_cast<uint64_t>(entry.type)) + VarintFieldSize(entry.term.value()) +
         VarintFieldSize(entry.index.value()) + OptionalBytesSize(entry.data);
}

size_t EncodedSize(const Snapshot& snapshot) {
  return OptionalBytesSize(snapshot.data) + BytesFieldSize(SizeOf(snapshot.meta));
}

size_t EncodedSize(const Message& m) {
  size_t size = 1 + VarintSize(static_cast<uint64_t>(m.type));
  for (const uint64_t value :
       {m.to.value(), m.from.value(), m.term.value(), m.log_term.value(), m.index.value(),
        m.commit.value(), m.reject_hint.value(), m.vote.value()}) {
    size += VarintFieldSize(value);
  }
  for (const Entry& entry : m.entries) size += BytesFieldSize(EncodedSize(entry));
  if (m.snapshot != nullptr) size += BytesFieldSize(EncodedSize(*m.snapshot));
  size += (m.reject ? 2 : 0) + OptionalBytesSize(m.context);
  for (const Message& response : m.responses) size += BytesFieldSize(EncodedSize(response));
  return size;
}

void EncodeMessage(const Message& message, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  Write(message, &sink);
}

void EncodeEntry(const Entry& entry, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  Write(entry, &sink);
}

void EncodeSnapshot(const Snapshot& snapshot, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  Write(snapshot, &sink);
}

void EncodeHardState(const HardState& state, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  WriteVarint(1, state.term.value(), &sink);
  WriteVarint(2, state.vote.value(), &sink);
  WriteVarint(3, state.commit.value(), &sink);
}

void EncodeConfState(const ConfState& state, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  Write(state, &sink);
}

void EncodeConfChange(const ConfChange& change, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  WriteVarint(1, change.id, &sink);
  WriteVarint(2, static_cast<uint64_t>(change.type), &sink);
  WriteVarint(3, change.node_id.value(), &sink);
  WriteBytes(4, change.context, &sink);
}

void EncodeConfChangeV2(const ConfChangeV2& change, BytesBuilder* out) {
  wire::BuilderSink sink(out);
  WriteVarint(1, static_cast<uint64_t>(change.transition), &sink);
  for (const ConfChangeSingle& single : change.changes) {
    WriteLength(2, SizeOf(single), &sink);
    WriteVarint(1, static_cast<uint64_t>(single.type), &sink);
    WriteVarint(2, single.node_id.value(), &sink);
  }
  WriteBytes(3, change.context, &sink);
}

Bytes EncodeToBytes(const Message& message) {
  return ToBytes<Message>(message, EncodedSize(message), EncodeMessage);
}
Bytes EncodeToBytes(const Entry& entry) {
  return ToBytes<Entry>(entry, EncodedSize(entry), EncodeEntry);
}
Bytes EncodeToBytes(const HardState& state) {
  return ToBytes<HardState>(state, kSmallReserve, EncodeHardState);
}
Bytes EncodeToBytes(const ConfState& state) {
  return ToBytes<ConfState>(state, SizeOf(state), EncodeConfState);
}
Bytes EncodeToBytes(const ConfChange& change) {
  return ToBytes<ConfChange>(change, kSmallReserve + change.context.size(), EncodeConfChange);
}
Bytes EncodeToBytes(const ConfChangeV2& change) {
  return ToBytes<ConfChangeV2>(change, kSmallReserve + change.context.size(), EncodeConfChangeV2);
}

void EncodeMessagePieces(const Message& message, absl::string_view head,
                         std::vector<Bytes>* pieces) {
  size_t small = head.size() + EncodedSize(message);
  for (const Entry& entry : message.entries) {
    if (entry.data.size() >= kSharedPayloadBytes) small -= entry.data.size();
  }
  if (message.snapshot != nullptr && message.snapshot->data.size() >= kSharedPayloadBytes) {
    small -= message.snapshot->data.size();
  }
  wire::PieceSink sink(small, kSharedPayloadBytes);
  sink.Raw(head);
  Write(message, &sink);
  std::move(sink).Finish(pieces);
}

}  // namespace quorate::raft
