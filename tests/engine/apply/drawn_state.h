// Drawn commands, and what makes two states equal, for properties of the state machine.
#ifndef QUORATE_TESTS_ENGINE_APPLY_DRAWN_STATE_H_
#define QUORATE_TESTS_ENGINE_APPLY_DRAWN_STATE_H_

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "api/membership.pb.h"
#include "api/rpc.pb.h"
#include "base/prng.h"
#include "engine/apply/applier.h"
#include "engine/apply/state_image.h"

namespace quorate::apply {

inline constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();
// Small, so that cleaning rewrites some segments and leaves others.
inline constexpr size_t kSegmentBytes = 200;

// Commands over few keys, so that they meet; compactions among them.
class Commands {
 public:
  explicit Commands(uint64_t seed) : prng_(seed) {}

  // An operation and its body.
  std::pair<Operation, std::string> Next(Revision revision) {
    switch (prng_.Below(17)) {
      case 0: {
        etcdserverpb::CompactionRequest r;
        r.set_revision(prng_.Between(-1, revision.value() + 1));
        return {Operation::kCompaction, r.SerializeAsString()};
      }
      case 1:
      case 2: {
        etcdserverpb::DeleteRangeRequest r;
        r.set_key(Key());
        if (prng_.Chance(1, 3)) r.set_range_end(Key());
        return {Operation::kDeleteRange, r.SerializeAsString()};
      }
      case 3:
      case 4: {
        etcdserverpb::TxnRequest r;
        for (const char* key : {"a", "b", "e"}) {
          if (prng_.Chance(1, 2)) continue;
          r.add_success()->mutable_request_put()->set_key(key);
        }
        r.add_success()->mutable_request_delete_range()->set_key("d");
        return {Operation::kTxn, r.SerializeAsString()};
      }
      case 6:
      case 7: {
        etcdserverpb::LeaseGrantRequest r;
        r.set_id(Lease());
        r.set_ttl(prng_.Between(1, 100));
        return {Operation::kLeaseGrant, r.SerializeAsString()};
      }
      case 8: {
        etcdserverpb::LeaseRevokeRequest r;
        r.set_id(Lease());
        return {Operation::kLeaseRevoke, r.SerializeAsString()};
      }
      case 9: {
        etcdserverpb::LeaseCheckpointRequest r;
        etcdserverpb::LeaseCheckpoint* checkpoint = r.add_checkpoints();
        checkpoint->set_id(Lease());
        checkpoint->set_remaining_ttl(prng_.Between(0, 100));
        return {Operation::kLeaseCheckpoint, r.SerializeAsString()};
      }
      case 10: {
        // Of a type that refuses nothing.
        etcdserverpb::AlarmRequest r;
        r.set_action(static_cast<etcdserverpb::AlarmRequest::AlarmAction>(prng_.Between(1, 2)));
        r.set_memberid(prng_.Below(3));
        r.set_alarm(static_cast<etcdserverpb::AlarmType>(7));
        return {Operation::kAlarm, r.SerializeAsString()};
      }
      case 5: {
        if (prng_.Chance(1, 2)) {
          membershippb::DowngradeInfoSetRequest r;
          r.set_enabled(prng_.Chance(1, 2));
          r.set_ver("3.6.0");
          return {Operation::kDowngradeInfoSet, r.SerializeAsString()};
        }
        membershippb::ClusterVersionSetRequest r;
        r.set_ver("3." + std::to_string(prng_.Below(8)) + ".0");
        return {Operation::kClusterVersionSet, r.SerializeAsString()};
      }
      default: {
        etcdserverpb::PutRequest r;
        r.set_key(Key());
        r.set_value(std::string(prng_.Below(40), 'v'));
        if (prng_.Chance(1, 2)) r.set_lease(Lease());
        return {Operation::kPut, r.SerializeAsString()};
      }
    }
  }
  Prng& prng() { return prng_; }

 private:
  int64_t Lease() { return prng_.Between(-1, 3); }
  std::string Key() { return std::string(1, static_cast<char>('a' + prng_.Below(6))); }
  Prng prng_;
};

inline void Run(Applier* applier, const std::pair<Operation, std::string>& command) {
  Outcome outcome;
  RC_ASSERT(applier
                ->Apply({1, command.first, command.second}, mvcc::Identity(),
                        /*respond=*/false, &outcome)
                .ok());
}

inline void AddMember(Applier* applier, uint64_t id) {
  membership::Change change;
  change.member = {MemberId(id), "m", {"http://h:" + std::to_string(id)}, {}, false};
  Outcome outcome;
  applier->ApplyMembershipChange(change, &outcome);
}

// As a checkpoint takes it: the segments are shared.
inline engine::StateImage Share(const Applier& applier) {
  ImageRun run(applier, engine::StateImage());
  for (uint64_t units = 1;; ++units) {
    mvcc::Work work(units);
    if (run.Step(&work)) return std::move(run).Take();
  }
}

// What members are compared by.
inline std::string Canonical(const Applier& applier) {
  engine::StateImage image = Share(applier);
  image.segments = mvcc::KeptSegments(applier.store());
  return std::string(engine::EncodeImage(image).view());
}

inline std::unique_ptr<Applier> Load(const engine::StateImage& image, size_t step) {
  auto applier = std::make_unique<Applier>(kSegmentBytes);
  ImageLoader loader(image, applier.get());
  while (!loader.Step(step)) {
  }
  RC_ASSERT(loader.status().ok());
  applier->store().index().CheckInvariants();
  return applier;
}

inline void ExpectSame(const Applier& a, const Applier& b) {
  RC_ASSERT(Canonical(a) == Canonical(b));
  RC_ASSERT(a.Digest() == b.Digest());
  RC_ASSERT(a.store().index().live_keys() == b.store().index().live_keys());
  for (const auto& [id, lease] : a.leases().all()) {
    RC_ASSERT(a.leases().Keys(id) == b.leases().Keys(id));
  }
  const Revision compacted = a.store().compact_revision();
  // At the compact revision itself the hash that a compaction stored is local.
  for (Revision at = std::max(compacted + 1, Revision(1)); at <= a.store().revision(); ++at) {
    const auto mine = a.compactor().HashKv(at);
    const auto theirs = b.compactor().HashKv(at);
    RC_ASSERT(mine.ok() && theirs.ok());
    RC_ASSERT(mine->hash == theirs->hash);
  }
}

}  // namespace quorate::apply

#endif  // QUORATE_TESTS_ENGINE_APPLY_DRAWN_STATE_H_
