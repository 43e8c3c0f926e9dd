// Releases: what we announce, and what we accept from other members.
#ifndef QUORATE_SERVER_CONFIG_VERSION_H_
#define QUORATE_SERVER_CONFIG_VERSION_H_

#include <compare>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace quorate::config {

// The etcd release whose API, peer protocol and entries are ours: clients' and members'
// version checks look at it.
inline constexpr char kServerVersion[] = "3.7.1";
// The oldest cluster that such a member works in.
inline constexpr char kMinClusterVersion[] = "3.0.0";
// Our own release.
inline constexpr char kQuorateVersion[] = "0.1.0";

// The part of a version that decides compatibility.
struct MajorMinor {
  int major = 0;
  int minor = 0;

  // "3.7.0", the form of a cluster version.
  std::string ToString() const;
  friend auto operator<=>(const MajorMinor&, const MajorMinor&) = default;
};

// "3.7.1", "3.8.0-alpha.0"; nullopt if it does not begin with two numbers.
std::optional<MajorMinor> ParseVersion(absl::string_view text);

// The answer of GET /version on both ports; an empty cluster version is "not_decided".
std::string VersionJson(absl::string_view cluster_version);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_VERSION_H_
