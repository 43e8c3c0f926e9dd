#include "server/peer_list.h"

#include <utility>

#include "absl/status/statusor.h"
#include "server/config/url.h"

namespace quorate::server {

void PeerList::Set(MemberId id, const std::vector<std::string>& peer_urls) {
  peer::PeerAddresses peer{id, {}};
  for (const std::string& text : peer_urls) {
    const absl::StatusOr<config::Url> url = config::ParseUrl(text);
    if (!url.ok()) continue;
    peer.addresses.push_back(url->PeerAddress());
  }
  if (!peer.addresses.empty()) peers_[id] = std::move(peer);
}

std::vector<peer::PeerAddresses> PeerList::Without(MemberId self) const {
  std::vector<peer::PeerAddresses> list;
  for (const auto& [id, peer] : peers_) {
    if (id != self) list.push_back(peer);
  }
  return list;
}

}  // namespace quorate::server
