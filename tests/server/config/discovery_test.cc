// --discovery-srv: which members DNS names.
#include "server/config/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace quorate::config {
namespace {

using ::testing::HasSubstr;

// A zone, and names that are the same place.
struct Zone {
  std::map<std::string, std::vector<io::SrvRecord>> records;
  std::map<std::string, std::string> same;
  std::vector<std::string> asked;

  Resolver resolver() {
    Resolver resolver;
    resolver.srv = [this](const std::string& name) -> absl::StatusOr<std::vector<io::SrvRecord>> {
      asked.push_back(name);
      const auto at = records.find(name);
      if (at == records.end()) return absl::NotFoundError("look up " + name + ": Unknown host");
      return at->second;
    };
    resolver.same_place = [this](const std::string& a, const std::string& b) {
      const auto at = same.find(a);
      return at != same.end() && at->second == b;
    };
    return resolver;
  }
};

Config ConfigOf(const std::string& advertised) {
  Config config;
  config.name = "infra1";
  config.discovery_srv = "example.com";
  config.initial_advertise_peer_urls = *ParseUrls(advertised);
  return config;
}

TEST(DiscoveryTest, TheMembersAreTheRecordsAndThisOneIsAmongThem) {
  Zone zone;
  zone.records["_etcd-server._tcp.example.com"] = {
      {0, 0, 2380, "infra0.example.com"},
      {0, 0, 2380, "infra1.example.com"},
      {0, 0, 2380, "infra2.example.com"},
  };
  Config config = ConfigOf("http://infra1.example.com:2380");
  const auto members = MembersFromDns(config, zone.resolver());
  ASSERT_TRUE(members.ok()) << members.status();
  EXPECT_EQ(JoinInitialCluster(*members),
            "0=http://infra0.example.com:2380,infra1=http://infra1.example.com:2380,"
            "1=http://infra2.example.com:2380");
  EXPECT_EQ(zone.asked, std::vector<std::string>({"_etcd-server-ssl._tcp.example.com",
                                                  "_etcd-server._tcp.example.com"}));
  config.initial_cluster = *members;
  EXPECT_TRUE(config.ValidateBootstrap().ok());
}

TEST(DiscoveryTest, SecureMembersAndANamedService) {
  Zone zone;
  zone.records["_etcd-server-ssl-blue._tcp.example.com"] = {{1, 5, 2381, "a.example.com"},
                                                            {1, 5, 2382, "b.example.com"}};
  zone.same["10.0.0.7:2381"] = "a.example.com:2381";
  Config config = ConfigOf("https://10.0.0.7:2381");
  config.discovery_srv_name = "blue";
  const auto members = MembersFromDns(config, zone.resolver());
  ASSERT_TRUE(members.ok()) << members.status();
  EXPECT_EQ(JoinInitialCluster(*members),
            "infra1=https://a.example.com:2381,0=https://b.example.com:2382");
}

TEST(DiscoveryTest, WithoutRecordsOrWithoutThisMemberThereIsNoCluster) {
  Zone zone;
  const Config config = ConfigOf("http://infra1.example.com:2380");
  const auto none = MembersFromDns(config, zone.resolver());
  EXPECT_TRUE(absl::IsFailedPrecondition(none.status()));
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("_etcd-server._tcp.example.com"));
  zone.records["_etcd-server._tcp.example.com"] = {{0, 0, 2380, "other.example.com"}};
  const auto absent = MembersFromDns(config, zone.resolver());
  EXPECT_TRUE(absl::IsFailedPrecondition(absent.status()));
  EXPECT_THAT(std::string(absent.status().message()),
              HasSubstr("cannot find local etcd member \"infra1\" in SRV records"));
}

TEST(DiscoveryTest, OneWayToNameTheMembersIsEnough) {
  Config config = ConfigOf("http://infra1.example.com:2380");
  EXPECT_TRUE(config.Validate().ok()) << config.Validate();
  config.initial_cluster = *ParseInitialCluster("infra1=http://infra1.example.com:2380");
  EXPECT_THAT(std::string(config.Validate().message()),
              HasSubstr("multiple discovery or bootstrap flags are set"));
}

}  // namespace
}  // namespace quorate::config
