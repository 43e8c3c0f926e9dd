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

#include "api/auth_rpc.pb.h"
#include "api/membership.pb.h"
#include "api/rpc.pb.h"
#include "engine/apply/applier.h"
#include "tests/engine/apply/drawn_state.h"

namespace quorate::apply {
namespace {

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

// Neither taking nor loading one had a piece that grew with them: not the text of users, nor the
// checksum of all leases.
TEST(StateImage, UsersAndLeasesGoInPieces) {
  constexpr int kMany = 5000;
  Applier original;
  etcdserverpb::AuthUserAddRequest user;
  user.mutable_options()->set_no_password(true);
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(5);
  for (int i = 1; i <= kMany; ++i) {
    user.set_name("user" + std::to_string(i));
    apply::Run(&original, {Operation::kAuthUserAdd, user.SerializeAsString()});
    grant.set_id(i);
    apply::Run(&original, {Operation::kLeaseGrant, grant.SerializeAsString()});
  }
  ImageRun run(original, engine::StateImage());
  int pieces = 1;
  for (mvcc::Work work(10); !run.Step(&work); ++pieces) work = mvcc::Work(10);
  // Leases have 24 bytes each, users at least ten.
  const size_t sections = kMany * (24 + 10) / engine::kSectionPartBytes;
  EXPECT_GT(pieces, static_cast<int>(sections));
  const engine::StateImage image = std::move(run).Take();
  engine::SectionReader in(image.sections);
  while (in.Next()) EXPECT_LE(in.body().size(), engine::kSectionPartBytes + 100);
  Applier loaded;
  ImageLoader loader(image, &loaded);
  for (pieces = 1; !loader.Step(1); ++pieces) {
  }
  ASSERT_TRUE(loader.status().ok()) << loader.status();
  EXPECT_GT(pieces, static_cast<int>(sections));
  EXPECT_EQ(loaded.Digest(), original.Digest());
  EXPECT_EQ(loaded.leases().all().size(), size_t{kMany});
  EXPECT_EQ(loaded.auth().users().size(), size_t{kMany});
}

// One that knows only version 1 would take the last of several sections for all leases.
TEST(StateImage, ItsVersionIsTwoAndOneIsReadAsWell) {
  Commands commands(1);
  Applier original(kSegmentBytes);
  for (int i = 0; i < 50; ++i) apply::Run(&original, commands.Next(original.store().revision()));
  engine::StateImage image = Share(original);
  std::string sections(image.sections.view());
  constexpr size_t kVersionAt = 8;
  ASSERT_EQ(sections.substr(kVersionAt, 4), std::string("\2\0\0\0", 4));
  sections[kVersionAt] = 1;
  image.sections = Bytes::Copy(sections);
  ExpectSame(*Load(image, kUnbounded), original);
  for (const char version : {0, 3}) {
    sections[kVersionAt] = version;
    image.sections = Bytes::Copy(sections);
    Applier applier;
    ImageLoader loader(image, &applier);
    while (!loader.Step(1)) continue;
    EXPECT_TRUE(absl::IsFailedPrecondition(loader.status())) << loader.status();
  }
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
