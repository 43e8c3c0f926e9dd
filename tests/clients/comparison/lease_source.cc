#include "tests/clients/comparison/lease_source.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "api/rpc.pb.h"

namespace quorate::differential {
namespace {

constexpr int64_t kIds = 30;
constexpr size_t kMaxLeases = 40;
// Leases that are to run out are granted for less than the servers' minimum.
constexpr int64_t kExpiringId = 77;

template <typename Request>
Request* Make(Type type, Step* step) {
  auto request = std::make_shared<Request>();
  step->type = type;
  step->request = request;
  return request.get();
}

}  // namespace

int64_t LeaseSource::KnownId() {
  if (known_.leases().empty() || draw_.Percent(15)) {
    return draw_.Of<int64_t>({0, 1, 999, -1, -7, kMinInt64, kMaxInt64});
  }
  return draw_.Member(known_.leases());
}

// Long enough to outlive a run, or refused.
int64_t LeaseSource::Ttl() {
  if (draw_.Percent(5)) {
    return draw_.Of<int64_t>({9000000000, 9000000001, kMaxInt64, kMaxInt64 / 1000000000 + 1});
  }
  return draw_.Between(40000, 2000000);
}

Step LeaseSource::Grant() {
  Step step;
  auto* request = Make<etcdserverpb::LeaseGrantRequest>(Type::kLeaseGrant, &step);
  request->set_ttl(Ttl());
  if (draw_.Percent(20) && known_.leases().size() < kMaxLeases) {
    step.names_lease = next_name_++;
  } else if (draw_.OneIn(50)) {
    request->set_id(draw_.Of<int64_t>({-1, kMinInt64, kMaxInt64}));
  } else {
    request->set_id(draw_.Between(1, kIds));
  }
  return step;
}

std::vector<Step> LeaseSource::Expiry() {
  std::vector<Step> steps(4);
  auto* grant = Make<etcdserverpb::LeaseGrantRequest>(Type::kLeaseGrant, &steps[0]);
  grant->set_id(kExpiringId);
  grant->set_ttl(draw_.Of<int64_t>({1, 0, -1, kMinInt64}));
  for (int i : {1, 2}) {
    auto* put = Make<etcdserverpb::PutRequest>(Type::kPut, &steps[static_cast<size_t>(i)]);
    put->set_key(absl::StrCat("k/", i));
    put->set_lease(kExpiringId);
  }
  auto* look = Make<etcdserverpb::LeaseTimeToLiveRequest>(Type::kLeaseTimeToLive, &steps[3]);
  look->set_id(kExpiringId);
  look->set_keys(true);
  steps[3].awaits_expiry = kExpiringId;
  return steps;
}

Step LeaseSource::Revoke() {
  Step step;
  Make<etcdserverpb::LeaseRevokeRequest>(Type::kLeaseRevoke, &step)->set_id(KnownId());
  return step;
}

Step LeaseSource::KeepAlive() {
  Step step;
  Make<etcdserverpb::LeaseKeepAliveRequest>(Type::kLeaseKeepAlive, &step)->set_id(KnownId());
  return step;
}

Step LeaseSource::TimeToLive() {
  Step step;
  auto* request = Make<etcdserverpb::LeaseTimeToLiveRequest>(Type::kLeaseTimeToLive, &step);
  request->set_id(KnownId());
  request->set_keys(draw_.Percent(60));
  return step;
}

Step LeaseSource::Leases() {
  Step step;
  Make<etcdserverpb::LeaseLeasesRequest>(Type::kLeaseLeases, &step);
  return step;
}

}  // namespace quorate::differential
