#include "server/peer/context.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/raft/codec.h"
#include "server/config/ids.h"
#include "server/peer/frame.h"

namespace quorate::peer {
namespace {

// Messages that only ever pass between the parts of one member.
bool IsLocal(raft::MessageType type) {
  using raft::MessageType;
  switch (type) {
    case MessageType::kHup:
    case MessageType::kBeat:
    case MessageType::kUnreachable:
    case MessageType::kSnapStatus:
    case MessageType::kCheckQuorum:
    case MessageType::kStorageAppend:
    case MessageType::kStorageAppendResp:
    case MessageType::kStorageApply:
    case MessageType::kStorageApplyResp:
    case MessageType::kForgetLeader:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::Status Deliver(const Context& context, MemberId peer, const Bytes& encoded,
                     PeerStats* stats) {
  ASSIGN_OR_RETURN(raft::Message message, raft::DecodeMessage(encoded));
  if (IsLinkHeartbeat(message)) return absl::OkStatus();
  if (IsLocal(message.type)) {
    return absl::InvalidArgumentError(
        absl::StrCat("message type ", static_cast<int>(message.type), " does not travel"));
  }
  if (message.to != context.self.member) {
    return absl::InvalidArgumentError(
        absl::StrCat("message for member ", config::HexId(message.to)));
  }
  if (peer != MemberId(0) && message.from != peer) {
    return absl::InvalidArgumentError(
        absl::StrCat("message from member ", config::HexId(message.from)));
  }
  ++stats->received_messages;
  if (context.sink != nullptr) context.sink->OnPeerMessage(std::move(message));
  return absl::OkStatus();
}

}  // namespace quorate::peer
