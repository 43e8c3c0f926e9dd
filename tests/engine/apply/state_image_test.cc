// The state to bytes and back: nothing is lost, nothing local shows, and a store that was
// loaded goes on exactly like the one that it was taken of.
#include "engine/apply/state_image.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/membership.pb.h"
#include "api/rpc.pb.h"
#include "base/prng.h"
#include "engine/apply/applier.h"

namespace quorate::apply {
namespace {

constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();
// Small, so that cleaning rewrites some segments and leaves others.
constexpr size_t kSegmentBytes = 200;

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

void Run(Applier* applier, const std::pair<Operation, std::string>& command) {
  Outcome outcome;
  RC_ASSERT(applier
                ->Apply({1, command.first, command.second}, mvcc::Identity(),
                        /*respond=*/false, &outcome)
                .ok());
}

void AddMember(Applier* applier, uint64_t id) {
  membership::Change change;
  change.member = {MemberId(id), "m", {"http://h:" + std::to_string(id)}, {}, false};
  Outcome outcome;
  applier->ApplyMembershipChange(change, &outcome);
}

// As a checkpoint takes it: the segments are shared.
engine::StateImage Share(const Applier& applier) {
  ImageRun run(applier, engine::StateImage());
  for (uint64_t units = 1;; ++units) {
    mvcc::Work work(units);
    if (run.Step(&work)) return std::move(run).Take();
  }
}

// What members are compared by.
std::string Canonical(const Applier& applier) {
  engine::StateImage image = Share(applier);
  image.segments = mvcc::KeptSegments(applier.store());
  return std::string(engine::EncodeImage(image).view());
}

std::unique_ptr<Applier> Load(const engine::StateImage& image, size_t step) {
  auto applier = std::make_unique<Applier>(kSegmentBytes);
  ImageLoader loader(image, applier.get());
  while (!loader.Step(step)) {
  }
  RC_ASSERT(loader.status().ok());
  applier->store().index().CheckInvariants();
  return applier;
}

void ExpectSame(const Applier& a, const Applier& b) {
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

RC_GTEST_PROP(StateImage, LoadedEqualsReplayedAndGoesOnLikeIt, ()) {
  Commands commands(*rc::gen::arbitrary<uint64_t>());
  const auto steps = *rc::gen::inRange<int>(0, 120);
  const auto more = *rc::gen::inRange<int>(0, 40);
  Applier original(kSegmentBytes);
  Applier replayed(kSegmentBytes);  // the same entries, cleaned at another pace
  AddMember(&original, 7);
  AddMember(&replayed, 7);
  for (int i = 0; i < steps; ++i) {
    const auto command = commands.Next(original.store().revision());
    Run(&original, command);
    Run(&replayed, command);
    original.compactor().Step(commands.prng().Below(3));
    if (commands.prng().Chance(1, 5)) replayed.compactor().Step(kUnbounded);
  }
  ExpectSame(original, replayed);
  const engine::StateImage image = Share(original);
  const std::string before = Canonical(original);
  const auto loaded = Load(image, 1 + commands.prng().Below(9));
  ExpectSame(original, *loaded);
  ExpectSame(*Load(Share(*loaded), kUnbounded), original);
  // In one piece, as another member could send it.
  const auto decoded = engine::DecodeImage(Bytes::Copy(before));
  RC_ASSERT(decoded.ok());
  ExpectSame(*Load(*decoded, kUnbounded), original);
  for (int i = 0; i < more; ++i) {
    const auto command = commands.Next(original.store().revision());
    Run(&original, command);
    Run(loaded.get(), command);
    loaded->compactor().Step(commands.prng().Below(3));
  }
  original.compactor().Step(kUnbounded);
  ExpectSame(original, *loaded);
  loaded->compactor().Step(kUnbounded);
  ExpectSame(original, *loaded);
  // The image taken before did not change under all this.
  ExpectSame(*Load(image, kUnbounded), *Load(*decoded, kUnbounded));
}

// The tombstone lies in a segment that cleaning rewrote, the record before it in one that
// was not worth it: the record must not come back to life.
TEST(StateImage, AKeyStaysDeletedWhoseTombstoneWasCleanedAway) {
  Applier original(kSegmentBytes);
  const auto run = [&](Operation operation, const std::string& body) {
    Outcome outcome;
    ASSERT_TRUE(
        original.Apply({1, operation, body}, mvcc::Identity(), /*respond=*/false, &outcome).ok());
  };
  const auto put = [&](const char* key, size_t size) {
    etcdserverpb::PutRequest r;
    r.set_key(key);
    r.set_value(std::string(size, 'v'));
    run(Operation::kPut, r.SerializeAsString());
  };
  put("gone", 1);
  put("kept", 150);
  etcdserverpb::DeleteRangeRequest remove;
  remove.set_key("gone");
  run(Operation::kDeleteRange, remove.SerializeAsString());
  put("x", 60);
  put("x", 60);
  put("x", 60);
  put("end", 150);
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(original.store().revision().value());
  run(Operation::kCompaction, compact.SerializeAsString());
  original.compactor().Step(kUnbounded);
  ASSERT_GT(original.store().log().garbage_bytes(), 0u);
  Applier loaded;
  ImageLoader loader(Share(original), &loaded);
  ASSERT_TRUE(loader.Step(kUnbounded));
  ASSERT_TRUE(loader.status().ok()) << loader.status();
  EXPECT_FALSE(loaded.store().index().Find("gone"));
  EXPECT_EQ(loaded.Digest(), original.Digest());
}

RC_GTEST_PROP(StateImage, DamageIsRefused, ()) {
  Commands commands(*rc::gen::arbitrary<uint64_t>());
  Applier original(kSegmentBytes);
  AddMember(&original, 7);
  for (int i = 0; i < 20; ++i) Run(&original, commands.Next(original.store().revision()));
  std::string bytes = Canonical(original);
  const size_t bit = commands.prng().Below(bytes.size() * 8);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  RC_ASSERT(!engine::DecodeImage(Bytes::Copy(bytes)).ok());
  const std::string whole = Canonical(original);
  const size_t cut = commands.prng().Below(whole.size());
  RC_ASSERT(!engine::DecodeImage(Bytes::Copy(whole.substr(0, cut))).ok());
}

// Records that fit their checksum and are still none: a peer of another making.
TEST(StateImage, SegmentsThatMakeNoSenseAreRefused) {
  Applier original(kSegmentBytes);
  engine::StateImage image = Share(original);
  for (const std::string& records :
       {std::string("short"), std::string(12, '\xff'), std::string(12, '\0'),
        std::string("\x08\0\0\0\0\0\0\0\0\0\0\0abcd", 16)}) {
    image.segments = {{0, Revision(1), Bytes::Copy(records)}};
    Applier applier;
    ImageLoader loader(image, &applier);
    while (!loader.Step(1)) {
    }
    EXPECT_TRUE(absl::IsDataLoss(loader.status())) << loader.status();
  }
}

// The sections of an image, one of them left out.
Bytes Without(engine::Section left_out, const Bytes& all) {
  engine::SectionWriter sections;
  engine::SectionReader in(all);
  while (in.Next()) {
    if (in.tag() != left_out) sections.Begin(in.tag())->Append(in.body());
  }
  EXPECT_TRUE(in.status().ok());
  return std::move(sections).Finish();
}

TEST(StateImage, AKeyOfALeaseThatIsNotThereIsRefused) {
  Applier original;
  const auto run = [&](Operation operation, const std::string& body) {
    Outcome outcome;
    ASSERT_TRUE(
        original.Apply({1, operation, body}, mvcc::Identity(), /*respond=*/false, &outcome).ok());
    ASSERT_TRUE(outcome.status.ok());
  };
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_id(7);
  grant.set_ttl(5);
  run(Operation::kLeaseGrant, grant.SerializeAsString());
  etcdserverpb::PutRequest put;
  put.set_key("a");
  put.set_lease(7);
  run(Operation::kPut, put.SerializeAsString());
  engine::StateImage image = Share(original);
  image.sections = Without(engine::Section::kLease, image.sections);
  Applier applier;
  ImageLoader loader(image, &applier);
  while (!loader.Step(1)) {
  }
  EXPECT_TRUE(absl::IsDataLoss(loader.status())) << loader.status();
}

TEST(StateImage, UnknownSectionIsOfANewerVersion) {
  Applier empty;
  ImageRun run(empty, engine::StateImage());
  engine::PutU64(run.BeginSection(static_cast<engine::Section>(99)), 1);
  mvcc::Work work = mvcc::Work::Unlimited();
  ASSERT_TRUE(run.Step(&work));
  Applier applier;
  ImageLoader loader(std::move(run).Take(), &applier);
  EXPECT_TRUE(loader.Step(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(loader.status())) << loader.status();
}

}  // namespace
}  // namespace quorate::apply
