// The JSON in which members ask each other for the hash of their data, at /members/hashkv:
// numbers as numbers, zeros left out.
#ifndef QUORATE_SERVER_PEER_HASH_JSON_H_
#define QUORATE_SERVER_PEER_HASH_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"

namespace quorate::peer {

// The body of a request, from an encoded HashKVRequest, and back. InvalidArgument if it cannot be
// understood.
std::string HashQuestion(const Bytes& request);
absl::StatusOr<Bytes> ParseHashQuestion(absl::string_view json);

// The body of an answer with status 200, from an encoded HashKVResponse.
std::string HashAnswer(const Bytes& response);
// And back. What another status says is an error: OutOfRange for revisions that are compacted or
// still to come, else Unavailable.
absl::StatusOr<Bytes> ParseHashAnswer(int status, absl::string_view body);

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_HASH_JSON_H_
