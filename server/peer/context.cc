#include "server/peer/context.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
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

std::unique_ptr<http1::Client> NewClient(const Context& context, const std::string& address,
                                         const http1::ClientOptions& options) {
  absl::string_view host_port = address;
  io::Network* network = context.env.network;
  if (absl::ConsumePrefix(&host_port, "https://")) {
    network = context.secure_network;
    CHECK_MSG(network != nullptr, "a peer's address asks for TLS, which was not set up");
  }
  return std::make_unique<http1::Client>(context.env.loop, network, std::string(host_port),
                                         options);
}

std::vector<std::unique_ptr<http1::Client>> NewClients(const Context& context,
                                                       const std::vector<std::string>& addresses,
                                                       const http1::ClientOptions& options) {
  std::vector<std::unique_ptr<http1::Client>> clients;
  clients.reserve(addresses.size());
  for (const std::string& address : addresses) {
    clients.push_back(NewClient(context, address, options));
  }
  return clients;
}

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
