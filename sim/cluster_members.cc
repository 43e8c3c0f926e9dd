// Who is a member of a simulated cluster, and what members learn of each other before they have
// data.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/cluster.h"

namespace quorate::sim {

// What its administrator tells a new member: who is in the cluster now.
void Cluster::Join(Member* member, server::Options* options) {
  member->config.initial_cluster.clear();
  server::JoinPoint point{member->id, cluster_id_, {}};
  for (const size_t m : configured_) {
    const std::vector<config::Url>& urls = peer_urls(m);
    member->config.initial_cluster.push_back({HostName(m), urls});
    point.members.push_back({At(m).id, HostName(m), config::UrlStrings(urls), {}, false});
  }
  // Over streams it asks the others. They may not all know of the last change, and refuse who does
  // not name those that they know of: it is started again with these.
  if (!streams_) {
    options->join = std::move(point);
  } else if (const std::vector<engine::MemberInfo> known = KnownWith(*member); !known.empty()) {
    member->config.initial_cluster.clear();
    for (const engine::MemberInfo& info : known) {
      for (size_t m = 1; m <= size(); ++m) {
        if (config::UrlStrings(peer_urls(m)) != info.peer_urls) continue;
        member->config.initial_cluster.push_back({HostName(m), peer_urls(m)});
      }
    }
  }
}

// Who is in the cluster, as the first one knows that runs and knows of this member; empty if none.
std::vector<engine::MemberInfo> Cluster::KnownWith(const Member& member) {
  for (const size_t m : active_) {
    if (m == member.number || node(m) == nullptr) continue;
    std::vector<engine::MemberInfo> members = node(m)->members();
    for (const engine::MemberInfo& info : members) {
      if (info.id == member.id) return members;
    }
  }
  return {};
}

// What a founder would hear that asks who is in the cluster: nothing, as long as nobody serves.
server::JoinPoint Cluster::WhatOthersTell(size_t number) {
  server::JoinPoint point;
  for (const size_t m : active_) {
    if (m == number || !ready(m)) continue;
    for (const engine::MemberInfo& told : node(m)->members()) {
      point.members.push_back(
          {told.id, told.name, told.peer_urls, told.client_urls, told.is_learner});
    }
  }
  return point;
}

bool Cluster::KnownToAll(size_t number) {
  return std::all_of(active_.begin(), active_.end(), [&](size_t m) {
    if (!ready(m)) return false;
    const std::vector<engine::MemberInfo>& members = node(m)->members();
    return std::any_of(members.begin(), members.end(), [&](const engine::MemberInfo& told) {
      return told.id == At(number).id && !told.client_urls.empty();
    });
  });
}

bool Cluster::IsActive(size_t member) const {
  return std::binary_search(active_.begin(), active_.end(), member);
}

size_t Cluster::FindSpare() const {
  for (const auto& member : members_) {
    if (member->id == MemberId(0)) return member->number;
  }
  return 0;
}

void Cluster::Admit(size_t number, MemberId id) {
  Member& member = At(number);
  CHECK(member.id == MemberId(0));
  member.id = id;
  oracle_->SetId(number, id);
  configured_.insert(number);
  active_.insert(std::upper_bound(active_.begin(), active_.end(), number), number);
  Start(number);
}

void Cluster::Lose(size_t number) {
  Member& member = At(number);
  if (std::exchange(member.retired, true)) return;
  active_.erase(std::find(active_.begin(), active_.end(), number));
  CHECK(!active_.empty());
  context_.scheduler->Cancel(member.restart);
  Crash(number, CrashKind::kPowerLoss, Duration::Infinite());
}

void Cluster::Retire(size_t number, Duration after) {
  configured_.erase(number);
  Member& member = At(number);
  if (std::exchange(member.retired, true)) return;
  active_.erase(std::find(active_.begin(), active_.end(), number));
  CHECK(!active_.empty());
  context_.scheduler->Cancel(member.restart);
  context_.scheduler->After(
      after, [this, number] { Crash(number, CrashKind::kKill, Duration::Infinite()); });
}

}  // namespace quorate::sim
