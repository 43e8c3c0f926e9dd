#include "engine/replica/replica.h"

#include <algorithm>
#include <utility>

#include "engine/membership/member_json.h"
#include "engine/mvcc/store_loader.h"
#include "engine/raft/codec.h"
#include "engine/replica/impl.h"

namespace quorate::engine {

Recovered Replica::Bootstrap(std::vector<BootstrapMember> members) {
  std::sort(members.begin(), members.end(),
            [](const BootstrapMember& a, const BootstrapMember& b) { return a.id < b.id; });
  constexpr Term kFirstTerm{1};
  Recovered recovered;
  for (BootstrapMember& founder : members) {
    membership::Member member;
    member.id = founder.id;
    member.name = std::move(founder.name);
    member.peer_urls = std::move(founder.peer_urls);
    raft::ConfChange change;
    change.type = raft::ConfChangeType::kAddNode;
    change.node_id = founder.id;
    change.context = Bytes::Copy(membership::EncodeMemberJson(member));
    raft::Entry entry;
    entry.term = kFirstTerm;
    entry.index = LogIndex(recovered.entries.size() + 1);
    entry.type = raft::EntryType::kConfChange;
    entry.data = raft::EncodeToBytes(change);
    recovered.entries.push_back(std::move(entry));
  }
  recovered.hard_state.term = kFirstTerm;
  recovered.hard_state.commit = LogIndex(recovered.entries.size());
  return recovered;
}

std::shared_ptr<PreparedSegment> Replica::PrepareSegment(const LogSegment& segment) {
  return mvcc::PrepareSegment(segment);
}

Replica::Replica(const Config& config, Recovered recovered, Instant now)
    : impl_(std::make_unique<Impl>(config, std::move(recovered), now)) {}

Replica::~Replica() = default;

void Replica::Step(Input&& input, Output* out) { impl_->Step(std::move(input), out); }
ReplicaStatus Replica::status() const { return impl_->status(); }
std::vector<MemberInfo> Replica::members() const { return impl_->members(); }
uint64_t Replica::members_version() const { return impl_->members_version(); }
bool Replica::IsRemoved(MemberId id) const { return impl_->IsRemoved(id); }
bool Replica::OutlivesTimeout(RequestToken token) const {
  return impl_->OutlivesTimeout(token);
}
LogIndex Replica::MatchOf(MemberId id) const { return impl_->MatchOf(id); }
std::vector<alarm::Alarm> Replica::alarms() const { return impl_->alarms(); }
const LeaseTtls& Replica::lease_ttls() const { return impl_->lease_ttls(); }
Statistics Replica::statistics() const { return impl_->statistics(); }
const DoneCounts& Replica::done() const { return impl_->done(); }
std::string Replica::cluster_version() const { return impl_->cluster_version(); }
std::string Replica::downgrade_target() const { return impl_->downgrade_target(); }
uint64_t Replica::StateDigest() const { return impl_->StateDigest(); }

absl::StatusOr<Replica::HashKvResult> Replica::HashKv(Revision revision) const {
  return impl_->HashKv(revision);
}

const ReplicaInspector& Replica::inspector() const { return *impl_; }

}  // namespace quorate::engine
