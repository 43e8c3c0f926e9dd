#include "server/config/discovery.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace quorate::config {
namespace {

struct Service {
  absl::string_view scheme;
  absl::string_view name;
};
constexpr Service kServices[] = {{"https", "etcd-server-ssl"}, {"http", "etcd-server"}};

// Whether this member advertises that place.
bool IsOwn(const Config& config, const Resolver& resolver, const Url& url) {
  return std::any_of(config.initial_advertise_peer_urls.begin(),
                     config.initial_advertise_peer_urls.end(), [&](const Url& own) {
                       return absl::EqualsIgnoreCase(own.Address(), url.Address()) ||
                              (!own.is_unix() && resolver.same_place(own.Address(), url.Address()));
                     });
}

void AddUrl(const std::string& name, Url url, std::vector<InitialMember>* members) {
  const auto at = std::find_if(members->begin(), members->end(),
                               [&](const InitialMember& m) { return m.name == name; });
  if (at == members->end()) {
    members->push_back({name, {std::move(url)}});
  } else {
    at->peer_urls.push_back(std::move(url));
  }
}

}  // namespace

absl::StatusOr<std::vector<InitialMember>> MembersFromDns(const Config& config,
                                                          const Resolver& resolver) {
  const std::string suffix =
      config.discovery_srv_name.empty() ? "" : absl::StrCat("-", config.discovery_srv_name);
  std::vector<InitialMember> members;
  std::vector<std::string> failures;
  int number = 0;
  bool own = false;
  for (const Service& service : kServices) {
    const std::string name =
        absl::StrCat("_", service.name, suffix, "._tcp.", config.discovery_srv);
    const absl::StatusOr<std::vector<io::SrvRecord>> records = resolver.srv(name);
    if (!records.ok()) {
      failures.emplace_back(records.status().message());
      continue;
    }
    for (const io::SrvRecord& record : *records) {
      Url url{std::string(service.scheme), record.target, record.port};
      const bool is_own = IsOwn(config, resolver, url);
      own |= is_own;
      AddUrl(is_own ? config.name : absl::StrCat(number), std::move(url), &members);
      if (!is_own) ++number;
    }
  }
  if (members.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--discovery-srv: ", failures.front(), "; ", failures.back()));
  }
  if (!own) {
    return absl::FailedPreconditionError(
        absl::StrCat("--discovery-srv: cannot find local etcd member \"", config.name,
                     "\" in SRV records (--initial-advertise-peer-urls ",
                     JoinUrls(config.initial_advertise_peer_urls), ")"));
  }
  for (InitialMember& member : members) {
    std::sort(member.peer_urls.begin(), member.peer_urls.end(),
              [](const Url& a, const Url& b) { return a.ToString() < b.ToString(); });
  }
  return members;
}

}  // namespace quorate::config
