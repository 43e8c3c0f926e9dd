// Any bytes through the codec of peer messages, and what comes out of them into a member.
//
// What must hold: decoders never crash or read beyond their input; what they accept,
// the library accepts; a decoded message encodes to its exact size and decodes again to
// the same; and a member that steps it keeps its invariants.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "api/raft.pb.h"
#include "base/check.h"
#include "engine/raft/codec.h"
#include "engine/raft/invariants.h"
#include "engine/raft/raft.h"

namespace quorate::raft {
namespace {

void CheckRoundTrip(const Message& message) {
  const Bytes encoded = EncodeToBytes(message);
  CHECK_EQ(encoded.size(), EncodedSize(message));
  const auto again = DecodeMessage(encoded);
  CHECK_MSG(again.ok(), again.status().ToString());
  CHECK(EncodeToBytes(*again) == encoded);
}

// A follower with some log; the message is its second, after one that made it follow.
void StepIntoMember(Message message) {
  Config config;
  config.id = MemberId(1);
  config.async_storage_writes = true;
  DurableLog log;
  log.snapshot.conf_state.voters = {MemberId(1), MemberId(2), MemberId(3)};
  log.hard_state = {Term(2), MemberId(0), LogIndex(1)};
  for (uint64_t i = 1; i <= 3; ++i) {
    log.entries.push_back({.term = Term(i < 3 ? 1 : 2), .index = LogIndex(i)});
  }
  Raft raft(config, std::move(log), Instant());
  const StateView before = ViewOf(raft);
  raft.Step(std::move(message), Instant()).IgnoreError();
  CHECK(CheckState(raft).ok());
  CHECK(CheckTransition(before, raft).ok());
  Ready ready;
  while (raft.HasReady()) {
    raft.TakeReady(&ready);
    if (ready.committed_entries.empty()) continue;
    raft.AppliedTo(ready.committed_entries.last_index(), Instant());
  }
}

}  // namespace
}  // namespace quorate::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quorate;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const Bytes bytes = Bytes::Copy(text);
  raft::DecodeEntry(bytes).status().IgnoreError();
  raft::DecodeSnapshot(bytes).status().IgnoreError();
  raft::DecodeHardState(text).status().IgnoreError();
  raft::DecodeConfState(text).status().IgnoreError();
  raft::DecodeConfChange(bytes).status().IgnoreError();
  raft::DecodeConfChangeV2(bytes).status().IgnoreError();
  absl::StatusOr<raft::Message> message = raft::DecodeMessage(bytes);
  if (!message.ok()) return 0;
  raftpb::Message library;
  CHECK(library.ParsePartialFromArray(data, static_cast<int>(size)));
  raft::CheckRoundTrip(*message);
  raft::StepIntoMember(*std::move(message));
  return 0;
}
