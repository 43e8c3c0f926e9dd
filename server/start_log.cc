#include "server/start_log.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/config/version.h"
#include "server/log/logger.h"

namespace quorate::server {
namespace {

std::vector<std::string> MemberUrls(const std::vector<config::InitialMember>& members) {
  std::vector<std::string> texts;
  texts.reserve(members.size());
  for (const config::InitialMember& member : members) {
    texts.push_back(absl::StrCat(member.name, "=", config::JoinUrls(member.peer_urls)));
  }
  return texts;
}

}  // namespace

void LogStart(const config::Config& config, log::Logger* log) {
  LOG_INFO(log, "starting Quorate", {"quorate-version", config::kQuorateVersion},
           {"etcd-version", config::kServerVersion}, {"name", config.name},
           {"data-dir", config.DataDir()}, {"heartbeat-interval", config.heartbeat_interval},
           {"election-timeout", config.election_timeout},
           {"initial-cluster", MemberUrls(config.Members())});
  for (const std::string& name : config.environment_used) {
    LOG_INFO(log, "recognized and used environment variable", {"variable-name", name});
  }
  for (const std::string& name : config.environment_unknown) {
    LOG_WARN(log, "unrecognized environment variable", {"environment-variable", name});
  }
  for (const std::string& notice : config.notices) LOG_WARN(log, notice);
  if (static_cast<size_t>(config.BcryptCost()) != config.bcrypt_cost) {
    LOG_WARN(log, "use default bcrypt cost instead of the invalid given cost",
             {"given-cost", config.bcrypt_cost}, {"default-cost", config.BcryptCost()});
  }
}

}  // namespace quorate::server
