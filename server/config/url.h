// URLs as etcd's flags write them: scheme://host:port with http or https, or unix://PATH and
// unixs://PATH (over TLS) for a socket in the file system. A path without a leading slash is
// relative to the working directory, even if it looks like host:port.
#ifndef QUORATE_SERVER_CONFIG_URL_H_
#define QUORATE_SERVER_CONFIG_URL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::config {

struct Url {
  std::string scheme;
  std::string host;  // without the brackets of an IPv6 address; or the path
  uint16_t port = 0;

  // "scheme://host:port", an IPv6 address in brackets; "unix://PATH".
  std::string ToString() const;
  // "host:port" or "unix:PATH", as io::Network wants it.
  std::string Address() const;
  // As peer::NewClient wants it: the address, after "https://" if TLS is spoken.
  std::string PeerAddress() const { return secure() ? "https://" + Address() : Address(); }
  // Spoken over TLS.
  bool secure() const { return scheme == "https" || scheme == "unixs"; }
  bool is_unix() const { return scheme == "unix" || scheme == "unixs"; }

  friend auto operator<=>(const Url&, const Url&) = default;
};

// One URL. Errors name what is wrong with which text.
absl::StatusOr<Url> ParseUrl(absl::string_view text);
// Comma-separated URLs, at least one; sorted, as etcd keeps them.
absl::StatusOr<std::vector<Url>> ParseUrls(absl::string_view text);
// Comma-separated again.
std::string JoinUrls(const std::vector<Url>& urls);
std::vector<std::string> UrlStrings(const std::vector<Url>& urls);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_URL_H_
