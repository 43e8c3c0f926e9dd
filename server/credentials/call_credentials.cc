#include "server/credentials/call_credentials.h"

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace quorate::credentials {
namespace {

constexpr absl::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr size_t kPrefixLetters = 16;
// Random bytes from here on would make some letters more likely.
constexpr size_t kUnfair = 256 / kLetters.size() * kLetters.size();

}  // namespace

engine::Credentials CredentialsOf(const grpc::Call& call) {
  std::optional<absl::string_view> token = call.Metadata("token");
  if (!token.has_value()) token = call.Metadata("authorization");
  if (!token.has_value()) {
    const bool gateway = call.Metadata("grpcgateway-accept").has_value();
    if (call.peer_name().empty() || gateway) return {};
    return {engine::Credentials::Kind::kName, call.peer_name()};
  }
  absl::ConsumePrefix(&*token, "Bearer ");
  return {engine::Credentials::Kind::kToken, std::string(*token)};
}

std::string NewTokenPrefix(io::Random* random) {
  std::string prefix;
  while (prefix.size() < kPrefixLetters) {
    unsigned char byte = 0;
    random->Fill(&byte, 1);
    if (byte < kUnfair) prefix += kLetters[byte % kLetters.size()];
  }
  return prefix;
}

}  // namespace quorate::credentials
