#include "server/peer/hash_json.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "google/protobuf/util/json_util.h"

namespace quorate::peer {
namespace {

template <typename Message>
Message Decode(const Bytes& bytes) {
  Message message;
  const bool parsed = ParseMessage(bytes, &message);
  CHECK_MSG(parsed, "the replica gave or got a malformed message");
  return message;
}

absl::StatusOr<Bytes> FromJson(absl::string_view json, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const google::protobuf::util::Status status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), message, options);
  if (status.ok()) return SerializeMessage(*message);
  return absl::InvalidArgumentError(
      absl::StrCat("error unmarshalling request: ", std::string(status.message())));
}

// An object of those members that are not zero.
template <typename... Pairs>
std::string Numbers(const Pairs&... pairs) {
  std::vector<std::string> members;
  const auto add = [&members](const auto& pair) {
    if (pair.second != 0) members.push_back(absl::StrCat("\"", pair.first, "\":", pair.second));
  };
  (add(pairs), ...);
  return absl::StrCat("{", absl::StrJoin(members, ","), "}");
}

}  // namespace

std::string HashQuestion(const Bytes& request) {
  const auto question = Decode<etcdserverpb::HashKVRequest>(request);
  return Numbers(std::make_pair("revision", question.revision()));
}

absl::StatusOr<Bytes> ParseHashQuestion(absl::string_view json) {
  etcdserverpb::HashKVRequest request;
  return FromJson(json, &request);
}

std::string HashAnswer(const Bytes& response) {
  const auto answer = Decode<etcdserverpb::HashKVResponse>(response);
  const std::string header = Numbers(std::make_pair("cluster_id", answer.header().cluster_id()),
                                     std::make_pair("member_id", answer.header().member_id()),
                                     std::make_pair("revision", answer.header().revision()),
                                     std::make_pair("raft_term", answer.header().raft_term()));
  const std::string rest = Numbers(std::make_pair("hash", answer.hash()),
                                   std::make_pair("compact_revision", answer.compact_revision()),
                                   std::make_pair("hash_revision", answer.hash_revision()));
  const absl::string_view members = absl::string_view(rest).substr(1);
  return absl::StrCat("{\"header\":", header, members == "}" ? "" : ",", members);
}

absl::StatusOr<Bytes> ParseHashAnswer(int status, absl::string_view body) {
  body = absl::StripAsciiWhitespace(body);
  if (status != 200) {
    const bool about_revision = absl::StrContains(body, "required revision");
    return absl::Status(
        about_revision ? absl::StatusCode::kOutOfRange : absl::StatusCode::kUnavailable,
        absl::StrCat("HTTP status ", status, ": ", body));
  }
  etcdserverpb::HashKVResponse response;
  absl::StatusOr<Bytes> encoded = FromJson(body, &response);
  if (!encoded.ok()) return absl::UnavailableError(encoded.status().message());
  if (!response.has_header()) return absl::UnavailableError("a hash without a header");
  return encoded;
}

}  // namespace quorate::peer
