// What the members of a running cluster tell one that starts without data. A new member
// (--initial-cluster-state existing) was added to the cluster before it starts, and asks the others
// who it is. A founder (new) asks whether there is a cluster already and it is one of its members:
// then it has lost what it had acknowledged, and would vote twice.
#ifndef QUORATE_SERVER_JOIN_H_
#define QUORATE_SERVER_JOIN_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "engine/membership/membership.h"
#include "io/env.h"
#include "server/config/config.h"
#include "server/http1/client.h"
#include "server/log/logger.h"

namespace quorate::server {

// What the cluster told.
struct JoinPoint {
  MemberId member_id;
  ClusterId cluster_id;
  std::vector<membership::Member> members;  // this one too
};

// Which of the cluster's members the configuration's names are: as many, each with the very
// peer URLs. FailedPrecondition says what does not fit.
absl::StatusOr<MemberId> FindSelf(const config::Config& config,
                                  const std::vector<membership::Member>& members);

// FailedPrecondition, in etcd's words, if one of the members is this founder and has announced
// itself: a directory without data is then not that of a founder who has yet to begin.
absl::Status CheckNotFoundedBefore(MemberId founder,
                                   const std::vector<membership::Member>& members);

// Asks the other members of --initial-cluster, one after another, for the cluster's members.
// kJoin: until one answers what fits the flags (etcd believes the first that answers, which may be
// behind); then, whether a server of this version may take part. kFound: all of them, each for a
// second as etcd does; that nobody answers is what a founder expects. Destroying it gives up.
class Inquiry {
 public:
  enum class Purpose : uint8_t { kJoin, kFound };
  using Callback = std::function<void(absl::StatusOr<JoinPoint>)>;

  // All borrowed. `done` comes once, later, and may destroy this object. FailedPrecondition
  // if the cluster is another than the flags say, Unavailable if nobody answers. kFound: the point
  // has nothing; FailedPrecondition if the founder, who is `self`, has founded before.
  Inquiry(const io::Env& env, io::Network* secure_network, const config::Config& config,
          log::Logger* log, Purpose purpose, MemberId self, Callback done);
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

 private:
  using Answer = absl::StatusOr<http1::Client::WholeResponse>;

  void Ask(const std::string& address, const std::string& target,
           std::function<void(const Answer&)> then);
  void AskNextForMembers();
  void OnMembers(const Answer& answer);
  void OnMembersOfOld(const Answer& answer);
  absl::Status TakeMembers(const http1::Client::WholeResponse& response);
  void AskNextForVersion();
  void OnVersion(const Answer& answer);

  const io::Env env_;
  io::Network* const secure_network_;  // for members with https URLs
  const config::Config& config_;
  log::Logger* const log_;
  const Purpose purpose_;
  const MemberId self_;
  const Callback done_;
  std::vector<std::string> addresses_;
  size_t next_ = 0;
  absl::Status misfit_;  // the last answer that did not fit the flags
  JoinPoint point_;
  bool compatible_ = false;  // somebody is
  std::unique_ptr<http1::Client> client_;
  std::unique_ptr<http1::ClientExchange> exchange_;
  std::unique_ptr<io::Timer> founders_patience_;
  std::unique_ptr<io::Timer> begin_;
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_JOIN_H_
