#include "server/peer/headers.h"

#include "absl/strings/str_join.h"
#include "server/config/ids.h"
#include "server/config/version.h"

namespace quorate::peer {
namespace {

using config::HexId;
using config::MajorMinor;

// A missing version counts as 2.0 (servers that old sent none).
std::optional<MajorMinor> AnnouncedVersion(const http1::Fields& fields, absl::string_view name) {
  const std::optional<absl::string_view> text = fields.Find(name);
  if (!text.has_value()) return MajorMinor{2, 0};
  return config::ParseVersion(*text);
}

bool VersionsFit(const http1::Fields& fields) {
  const auto server = AnnouncedVersion(fields, "X-Server-Version");
  const auto min_cluster = AnnouncedVersion(fields, "X-Min-Cluster-Version");
  if (!server.has_value() || !min_cluster.has_value()) return false;
  return *server >= *config::ParseVersion(config::kMinClusterVersion) &&
         *min_cluster <= *config::ParseVersion(config::kServerVersion);
}

}  // namespace

http1::Fields RequestFields(const Identity& self) {
  return {{"X-Server-From", HexId(self.member)},
          {"X-Server-Version", config::kServerVersion},
          {"X-Min-Cluster-Version", config::kMinClusterVersion},
          {"X-Etcd-Cluster-ID", HexId(self.cluster)},
          {"X-PeerURLs", absl::StrJoin(self.peer_urls, ",")}};
}

void AddStreamFields(MemberId receiver, http1::Fields* fields) {
  fields->Add("X-Raft-To", HexId(receiver));
}

http1::Fields ResponseFields(const Identity& self) {
  return {{"X-Etcd-Cluster-ID", HexId(self.cluster)}, {"X-Server-Version", config::kServerVersion}};
}

std::optional<absl::string_view> CheckCompatible(const Identity& self,
                                                 const http1::Fields& fields) {
  if (!VersionsFit(fields)) return "incompatible version";
  if (fields.Get("X-Etcd-Cluster-ID") != HexId(self.cluster)) return "cluster ID mismatch";
  return std::nullopt;
}

MemberId SenderOf(const http1::Fields& fields) {
  uint64_t id = 0;
  return config::ParseHexId(fields.Get("X-Server-From"), &id) ? MemberId(id) : MemberId(0);
}

}  // namespace quorate::peer
