// The header fields by which members recognise each other, and
// the checks on them. Pure functions.
#ifndef QUORATE_SERVER_PEER_HEADERS_H_
#define QUORATE_SERVER_PEER_HEADERS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "server/http1/message.h"

namespace quorate::peer {

// Who we are to our peers.
struct Identity {
  MemberId member;
  ClusterId cluster;
  std::vector<std::string> peer_urls;
};

// What every request to a peer carries.
http1::Fields RequestFields(const Identity& self);
// Besides, what a stream's request carries: which member it is meant for.
void AddStreamFields(MemberId receiver, http1::Fields* fields);
// What every answer to a peer carries.
http1::Fields ResponseFields(const Identity& self);

// Why a request or an answer of a peer is refused; nullopt if it is not. The text is the
// body of the 412 that says so.
std::optional<absl::string_view> CheckCompatible(const Identity& self, const http1::Fields& fields);

// The member that a peer's request comes from; 0 if it does not say.
MemberId SenderOf(const http1::Fields& fields);

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_HEADERS_H_
