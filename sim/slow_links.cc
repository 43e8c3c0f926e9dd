// Links that carry little: the bytes of one edge leave one after another, at so many a second. A
// stream falls behind and its window fills; datagrams wait, and are lost where too many do
// (sim/network). A snapshot holds up what is sent after it.
#include <algorithm>
#include <utility>

#include "sim/faults.h"

namespace quorate::sim {
namespace {

// Until what waits on a link has arrived, too.
constexpr Duration kSlowLinkMargin = Seconds(6);

}  // namespace

// Of one member: what it sends, what it is sent, or both; clients' links, too, in one case of
// three. It may be better again in the same second.
void Nemesis::LimitBandwidth() {
  Prng& draw = prng(FaultClass::kBandwidth);
  const size_t victim = Victim(FaultClass::kBandwidth);
  const uint64_t shape = draw.Below(3);
  const bool clients_too = draw.Chance(1, 3);
  const Duration wanted = Lasts(FaultClass::kBandwidth) * 2;
  const Duration left = VirtualTime() + options_.duration - kSlowLinkMargin - context_.now();
  const Duration time = std::min(wanted, left);
  if (time <= Duration()) return;
  std::vector<HostId> others = clients_too ? clients_ : std::vector<HostId>();
  for (size_t m = 1; m <= cluster_->size(); ++m) {
    if (m != victim) others.push_back(cluster_->host_id(m));
  }
  const HostId host = cluster_->host_id(victim);
  Edges edges;
  for (const HostId other : others) {
    if (shape != 1) edges.emplace_back(host, other);
    if (shape != 0) edges.emplace_back(other, host);
  }
  const uint64_t limit = plan(FaultClass::kBandwidth).bytes_per_second;
  context_.Inject(Fault::kSlowLink, host, limit);
  for (const auto& edge : edges) limits_[edge] = limit;
  ApplyLimits();
  context_.scheduler->After(time, [this, edges = std::move(edges)] {
    if (!active_) return;
    for (const auto& edge : edges) limits_[edge] = 0;
    ApplyLimits();
  });
}

void Nemesis::ApplyLimits() {
  for (const auto& [edge, limit] : limits_) {
    LinkOptions link = network_->link(edge.first, edge.second);
    link.bytes_per_second = limit;
    network_->SetLink(edge.first, edge.second, link);
  }
}

}  // namespace quorate::sim
