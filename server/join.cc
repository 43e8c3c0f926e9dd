#include "server/join.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/membership/member_json.h"
#include "server/config/ids.h"
#include "server/config/version.h"

namespace quorate::server {
namespace {

// etcd's, with each member.
constexpr Duration kPatience = Seconds(10);
constexpr Duration kFoundersPatience = Seconds(1);
constexpr size_t kMaxAnswerBytes = 1024 * 1024;

http1::ClientOptions Patient() {
  http1::ClientOptions options;
  options.connect_timeout = kPatience;
  options.response_timeout = kPatience;
  options.read_timeout = kPatience;
  options.max_idle_connections = 0;
  return options;
}

// The value of "etcdcluster" in the answer of GET /version; empty if it is not there.
absl::string_view ClusterVersionIn(absl::string_view json) {
  constexpr absl::string_view kName = "\"etcdcluster\"";
  const size_t name = json.find(kName);
  if (name == absl::string_view::npos) return "";
  const size_t begin = json.find('"', name + kName.size());
  if (begin == absl::string_view::npos) return "";
  const size_t end = json.find('"', begin + 1);
  return end == absl::string_view::npos ? "" : json.substr(begin + 1, end - begin - 1);
}

std::vector<std::string> Sorted(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  return texts;
}

}  // namespace

absl::StatusOr<MemberId> FindSelf(const config::Config& config,
                                  const std::vector<membership::Member>& members) {
  const std::vector<config::InitialMember> named = config.Members();
  if (named.size() != members.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("error validating peerURLs: member count is unequal (--initial-cluster has ",
                     named.size(), " members, the cluster ", members.size(),
                     "); add this member to the cluster before it starts, and name all of them"));
  }
  MemberId self;
  for (const membership::Member& member : members) {
    const std::vector<std::string> urls = Sorted(member.peer_urls);
    const auto found = std::find_if(named.begin(), named.end(), [&](const auto& candidate) {
      return Sorted(config::UrlStrings(candidate.peer_urls)) == urls;
    });
    if (found == named.end()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "error validating peerURLs: no match found for existing member (",
          config::HexId(member.id), ", [", absl::StrJoin(urls, " "), "]) in --initial-cluster"));
    }
    if (found->name == config.name) self = member.id;
  }
  if (self != MemberId(0)) return self;
  return absl::FailedPreconditionError(
      absl::StrCat("couldn't find local name \"", config.name,
                   "\" in the initial cluster configuration (--name, --initial-cluster)"));
}

absl::Status CheckNotFoundedBefore(MemberId founder,
                                   const std::vector<membership::Member>& members) {
  for (const membership::Member& member : members) {
    if (member.id != founder || member.client_urls.empty()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("member ", config::HexId(founder),
                     " has already been bootstrapped, but its data directory has no identity "
                     "(member/meta). Give it its directory back, or that file; if what it had "
                     "acknowledged is lost, remove it from the cluster and add it anew"));
  }
  return absl::OkStatus();
}

Inquiry::Inquiry(const io::Env& env, io::Network* secure_network, const config::Config& config,
                 log::Logger* log, Purpose purpose, MemberId self, Callback done)
    : env_(env),
      secure_network_(secure_network),
      config_(config),
      log_(log),
      purpose_(purpose),
      self_(self),
      done_(std::move(done)) {
  for (const config::InitialMember& member : config.Members()) {
    if (member.name == config.name) continue;
    for (const config::Url& url : member.peer_urls) {
      addresses_.push_back(url.PeerAddress());
    }
  }
  std::sort(addresses_.begin(), addresses_.end());
  founders_patience_ = env_.loop->NewTimer([this] {
    exchange_.reset();
    OnMembersOfOld(absl::DeadlineExceededError("it does not answer"));
  });
  begin_ = env_.loop->NewTimer([this] { AskNextForMembers(); });
  begin_->Set(env_.loop->Now());
}

void Inquiry::Ask(const std::string& address, const std::string& target,
                  std::function<void(const Answer&)> then) {
  exchange_.reset();
  absl::string_view host_port = address;
  const bool secure = absl::ConsumePrefix(&host_port, "https://");
  client_ = std::make_unique<http1::Client>(env_.loop, secure ? secure_network_ : env_.network,
                                            std::string(host_port), Patient());
  http1::ClientRequest request;
  request.target = target;
  exchange_ = client_->Fetch(std::move(request), kMaxAnswerBytes, std::move(then));
}

void Inquiry::AskNextForMembers() {
  if (next_ == addresses_.size()) {
    const Callback done = done_;
    if (purpose_ == Purpose::kFound) return done(JoinPoint());
    if (!misfit_.ok()) return done(misfit_);
    return done(absl::UnavailableError(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from "
        "the given URLs (--initial-cluster)"));
  }
  if (purpose_ == Purpose::kFound) founders_patience_->Set(env_.loop->Now() + kFoundersPatience);
  Ask(addresses_[next_], "/members", [this](const Answer& answer) {
    purpose_ == Purpose::kFound ? OnMembersOfOld(answer) : OnMembers(answer);
  });
}

void Inquiry::OnMembersOfOld(const Answer& answer) {
  founders_patience_->Cancel();
  ++next_;
  if (answer.ok() && TakeMembers(*answer).ok()) {
    const absl::Status founds = CheckNotFoundedBefore(self_, point_.members);
    if (!founds.ok()) {
      const Callback done = done_;
      return done(founds);
    }
  }
  AskNextForMembers();
}

void Inquiry::OnMembers(const Answer& answer) {
  const std::string& address = addresses_[next_++];
  const absl::Status taken = answer.ok() ? TakeMembers(*answer) : answer.status();
  if (!taken.ok()) {
    LOG_WARN(log_, "failed to get cluster response", {"address", absl::StrCat(address, "/members")},
             {taken});
    return AskNextForMembers();
  }
  // A member that is behind does not know yet that this one was added, and without this one's
  // vote it may never learn it: what one member says is no reason to give up.
  const absl::StatusOr<MemberId> self = FindSelf(config_, point_.members);
  if (!self.ok()) {
    LOG_WARN(log_, "a member's answer does not fit this configuration",
             {"address", absl::StrCat(address, "/members")}, {self.status()});
    misfit_ = self.status();
    return AskNextForMembers();
  }
  point_.member_id = *self;
  next_ = 0;
  AskNextForVersion();
}

absl::Status Inquiry::TakeMembers(const http1::Client::WholeResponse& response) {
  if (response.head.status != 200) {
    return absl::UnavailableError(absl::StrCat("HTTP status ", response.head.status));
  }
  ASSIGN_OR_RETURN(point_.members,
                   membership::ParseMembersJson(absl::StripAsciiWhitespace(response.body)));
  if (point_.members.empty()) {
    return absl::UnavailableError("failed to get raft cluster member(s) from the given URLs");
  }
  uint64_t cluster = 0;
  if (!config::ParseHexId(response.head.fields.Get("X-Etcd-Cluster-ID"), &cluster)) {
    return absl::UnavailableError("failed to parse cluster ID");
  }
  point_.cluster_id = ClusterId(cluster);
  return absl::OkStatus();
}

// Who does not answer is no hindrance, as long as somebody does.
void Inquiry::AskNextForVersion() {
  if (next_ < addresses_.size()) {
    return Ask(addresses_[next_], "/version", [this](const Answer& answer) { OnVersion(answer); });
  }
  const Callback done = done_;
  if (!compatible_) {
    return done(absl::FailedPreconditionError("incompatible with current running cluster"));
  }
  JoinPoint point = std::move(point_);
  done(std::move(point));
}

void Inquiry::OnVersion(const Answer& answer) {
  const std::string& address = addresses_[next_++];
  const bool answered = answer.ok() && answer->head.status == 200;
  const absl::string_view text = answered ? ClusterVersionIn(answer->body) : "";
  const std::optional<config::MajorMinor> version = config::ParseVersion(text);
  if (!version.has_value()) {
    LOG_WARN(log_, "failed to get the cluster version of a remote member", {"address", address},
             {"remote-member-cluster-version", text});
    return AskNextForVersion();
  }
  if (*version < *config::ParseVersion(config::kMinClusterVersion) ||
      *version > *config::ParseVersion(config::kServerVersion)) {
    LOG_WARN(log_, "cluster version of remote member is not compatible", {"address", address},
             {"remote-member-cluster-version", version->ToString()});
    const Callback done = done_;
    return done(absl::FailedPreconditionError("incompatible with current running cluster"));
  }
  compatible_ = true;
  AskNextForVersion();
}

}  // namespace quorate::server
