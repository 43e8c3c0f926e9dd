// Identities of members and clusters: hashes, so that every founder computes the same
// without asking anybody.
#ifndef QUORATE_SERVER_CONFIG_IDS_H_
#define QUORATE_SERVER_CONFIG_IDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "server/config/url.h"

namespace quorate::config {

// A founding member's id: the first 8 bytes, big-endian, of the SHA-1 of its sorted peer
// URLs, without separators, followed by the cluster's token.
MemberId FounderId(const std::vector<Url>& peer_urls, absl::string_view token);

// The id of a member that is added to a running cluster: the same without a token, followed
// by the moment in decimal seconds since 1970.
MemberId AddedMemberId(const std::vector<Url>& peer_urls, int64_t unix_seconds);

// The cluster's id: the same of all founders' ids, ascending, 8 bytes big-endian each.
ClusterId FoundedClusterId(std::vector<MemberId> members);

// An id as etcd writes it: lower-case hexadecimal without leading zeros.
std::string HexId(uint64_t id);
inline std::string HexId(MemberId id) { return HexId(id.value()); }
inline std::string HexId(ClusterId id) { return HexId(id.value()); }
// Its inverse; false unless 1 to 16 hexadecimal digits.
bool ParseHexId(absl::string_view text, uint64_t* id);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_IDS_H_
