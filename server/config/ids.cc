#include "server/config/ids.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/coding.h"

namespace quorate::config {
namespace {

uint64_t HashPrefix(absl::string_view data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(data.data(), data.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  CHECK_EQ(size, 20u);
  return LoadBe64(reinterpret_cast<const char*>(digest));
}

}  // namespace

MemberId FounderId(const std::vector<Url>& peer_urls, absl::string_view token) {
  std::vector<std::string> texts = UrlStrings(peer_urls);
  std::sort(texts.begin(), texts.end());
  std::string data;
  for (const std::string& text : texts) data += text;
  absl::StrAppend(&data, token);
  return MemberId(HashPrefix(data));
}

MemberId AddedMemberId(const std::vector<Url>& peer_urls, int64_t unix_seconds) {
  return FounderId(peer_urls, absl::StrCat(unix_seconds));
}

ClusterId FoundedClusterId(std::vector<MemberId> members) {
  std::sort(members.begin(), members.end());
  std::string data(members.size() * 8, '\0');
  for (size_t i = 0; i < members.size(); ++i) StoreBe64(&data[i * 8], members[i].value());
  return ClusterId(HashPrefix(data));
}

std::string HexId(uint64_t id) { return absl::StrFormat("%x", id); }

bool ParseHexId(absl::string_view text, uint64_t* id) {
  if (text.empty() || text.size() > 16) return false;
  uint64_t value = 0;
  for (const char c : text) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (digit < 0) return false;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  *id = value;
  return true;
}

}  // namespace quorate::config
