// The other members as the peers' transport takes them: ids with addresses to call.
#ifndef QUORATE_SERVER_PEER_LIST_H_
#define QUORATE_SERVER_PEER_LIST_H_

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/strong_int.h"
#include "server/peer/rafthttp.h"

namespace quorate::server {

class PeerList {
 public:
  // What a later call says of a member replaces what an earlier one said. URLs that cannot be
  // understood are left out, and so are members without any other.
  void Set(MemberId id, const std::vector<std::string>& peer_urls);
  // In ascending order of ids, `self` left out.
  std::vector<peer::PeerAddresses> Without(MemberId self) const;

 private:
  absl::btree_map<MemberId, peer::PeerAddresses> peers_;
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_PEER_LIST_H_
