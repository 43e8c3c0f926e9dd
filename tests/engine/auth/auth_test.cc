// The auth store by itself: rules that an operator would recognise.
#include "engine/auth/auth.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "engine/auth/errors.h"
#include "engine/image/image.h"

namespace quorate::auth {
namespace {

using mvcc::KeyRange;

const std::string kFrom(1, '\0');  // NOLINT: a constant

KeyRange Range(absl::string_view key, absl::string_view end = "") {
  return KeyRange::FromRequest(key, end);
}

std::string Hash(const std::string& text) { return absl::Base64Escape(text); }

// Of an image, made in pieces of so much work; of how many, if that is asked for.
std::vector<std::string> Sections(const Auth& auth, uint64_t piece = 1000, int* pieces = nullptr) {
  std::vector<std::string> sections;
  Auth::ImagePlace place;
  auto encoded = Auth::Encoded::kSection;
  mvcc::Work work(piece);
  while (encoded != Auth::Encoded::kAll) {
    BytesBuilder out;
    while ((encoded = auth.EncodeSome(&place, &work, &out)) == Auth::Encoded::kWorkSpent) {
      work = mvcc::Work(piece);
      if (pieces != nullptr) ++*pieces;
    }
    sections.emplace_back(out.view());
  }
  return sections;
}

// Root with its role, and alice with role "r"; enabled.
class AuthTest : public ::testing::Test {
 protected:
  AuthTest() {
    EXPECT_TRUE(auth_.AddUser("root", Hash("$2a$root"), false).ok());
    EXPECT_TRUE(auth_.GrantRole("root", "root").ok());
    EXPECT_TRUE(auth_.AddUser("alice", Hash("$2a$alice"), false).ok());
    EXPECT_TRUE(auth_.AddRole("r").ok());
    EXPECT_TRUE(auth_.GrantRole("alice", "r").ok());
    EXPECT_TRUE(auth_.Enable().ok());
  }
  Subject As(absl::string_view user) const { return {user, auth_.revision()}; }
  void Grant(const std::string& key, const std::string& end, int32_t type) {
    EXPECT_TRUE(auth_.GrantPermission("r", {type, key, end}).ok());
  }
  bool MayRead(const KeyRange& range) const {
    return auth_.CheckAccess(As("alice"), Access::kRead, range).ok();
  }
  bool MayWrite(const KeyRange& range) const {
    return auth_.CheckAccess(As("alice"), Access::kWrite, range).ok();
  }

  Auth auth_;
};

TEST(Auth, EnablingNeedsRootWithItsRole) {
  Auth auth;
  EXPECT_EQ(auth.Enable(), RootUserNotExistError());
  ASSERT_TRUE(auth.AddUser("root", Hash("x"), false).ok());
  EXPECT_EQ(auth.Enable(), RootRoleNotExistError());
  ASSERT_TRUE(auth.GrantRole("root", "root").ok());
  EXPECT_TRUE(auth.Enable().ok());
  EXPECT_TRUE(auth.enabled());
}

TEST(Auth, TheRevisionCountsChangesAndNothingElse) {
  Auth auth;
  EXPECT_EQ(auth.revision(), 1u);
  auth.Disable();
  EXPECT_EQ(auth.revision(), 1u);
  ASSERT_TRUE(auth.AddUser("root", Hash("x"), false).ok());
  EXPECT_EQ(auth.revision(), 2u);
  EXPECT_FALSE(auth.AddUser("root", Hash("x"), false).ok());
  EXPECT_EQ(auth.revision(), 2u);
  ASSERT_TRUE(auth.GrantRole("root", "root").ok());
  EXPECT_EQ(auth.revision(), 3u);
  ASSERT_TRUE(auth.GrantRole("root", "root").ok());  // has it already
  EXPECT_EQ(auth.revision(), 3u);
  ASSERT_TRUE(auth.Enable().ok());
  EXPECT_EQ(auth.revision(), 3u);
  auth.Disable();
  EXPECT_EQ(auth.revision(), 4u);
}

TEST(Auth, PasswordsAreBase64OfWhateverBcryptSaid) {
  Auth auth;
  ASSERT_TRUE(auth.AddUser("a", Hash("$2a$10$abc"), false).ok());
  EXPECT_EQ(auth.users().at("a").password_hash, "$2a$10$abc");
  ASSERT_TRUE(auth.AddUser("b", Hash("ignored"), true).ok());
  EXPECT_EQ(auth.users().at("b").password_hash, "");
  ASSERT_TRUE(auth.ChangePassword("b", Hash("ignored too")).ok());
  EXPECT_EQ(auth.users().at("b").password_hash, "");
  ASSERT_TRUE(auth.ChangePassword("a", "").ok());
  EXPECT_EQ(auth.users().at("a").password_hash, "");
  for (const char* odd : {"QQ", "QQ=", "Q===", "Q Q=", "QQ==QQ==", "Q-_=", "=", "===="}) {
    EXPECT_EQ(auth.AddUser("c", odd, false), NoPasswordUserError()) << odd;
  }
  EXPECT_TRUE(auth.AddUser("c", "Q\r\nQ==\n", false).ok());
  EXPECT_EQ(auth.users().at("c").password_hash, "A");
}

TEST_F(AuthTest, RootStaysWhileAuthenticationIsEnabled) {
  EXPECT_EQ(auth_.DeleteUser("root"), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.RevokeRole("root", "root"), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.DeleteRole("root"), InvalidAuthMgmtError());
  auth_.Disable();
  EXPECT_EQ(auth_.DeleteRole("root"), RoleNotFoundError());  // granted, but never added
  EXPECT_TRUE(auth_.RevokeRole("root", "root").ok());
  EXPECT_TRUE(auth_.DeleteUser("root").ok());
}

TEST_F(AuthTest, ADeletedRoleIsTakenFromItsUsers) {
  Grant("a", "", Permission::kRead);
  EXPECT_TRUE(MayRead(Range("a")));
  ASSERT_TRUE(auth_.DeleteRole("r").ok());
  EXPECT_FALSE(MayRead(Range("a")));
  ASSERT_TRUE(auth_.AddRole("r").ok());
  EXPECT_FALSE(auth_.UserHasRole("alice", "r"));
}

TEST_F(AuthTest, SubjectsThatAreNobodyOrTooOldOrUnknown) {
  EXPECT_EQ(auth_.CheckAccess({}, Access::kRead, Range("a")), UserEmptyError());
  EXPECT_EQ(auth_.CheckAccess({"root", auth_.revision() - 1}, Access::kRead, Range("a")),
            AuthOldRevisionError());
  EXPECT_EQ(auth_.CheckAccess(As("zoe"), Access::kRead, Range("a")), PermissionDeniedError());
  EXPECT_EQ(auth_.CheckAccess(As("alice"), Access::kRead, Range("a")), PermissionDeniedError());
  EXPECT_TRUE(auth_.CheckAccess(As("root"), Access::kWrite, Range("a", kFrom)).ok());
  EXPECT_EQ(auth_.CheckAdmin({}), UserEmptyError());
  EXPECT_EQ(auth_.CheckAdmin(As("zoe")), UserNotFoundError());
  EXPECT_EQ(auth_.CheckAdmin(As("alice")), PermissionDeniedError());
  EXPECT_TRUE(auth_.CheckAdmin(As("root")).ok());
}

TEST_F(AuthTest, EverybodyMayEverythingWhileDisabled) {
  auth_.Disable();
  EXPECT_TRUE(auth_.CheckAdmin({}).ok());
  EXPECT_TRUE(auth_.CheckAccess({}, Access::kWrite, Range("a", kFrom)).ok());
}

TEST_F(AuthTest, SingleKeysAndTypes) {
  Grant("k", "", Permission::kRead);
  EXPECT_TRUE(MayRead(Range("k")));
  EXPECT_FALSE(MayWrite(Range("k")));
  EXPECT_FALSE(MayRead(Range("k0")));
  EXPECT_FALSE(MayRead(Range("j")));
  EXPECT_TRUE(MayRead(Range("k", std::string("k\0", 2))));
  EXPECT_FALSE(MayRead(Range("k", "k0")));
  Grant("k", "", Permission::kWrite);
  EXPECT_FALSE(MayRead(Range("k")));
  EXPECT_TRUE(MayWrite(Range("k")));
  Grant("k", "", Permission::kReadWrite);
  EXPECT_TRUE(MayRead(Range("k")));
  EXPECT_TRUE(MayWrite(Range("k")));
  EXPECT_EQ(auth_.roles().at("r").permissions.size(), 1u);
}

TEST_F(AuthTest, RangesThatTouchOrOverlapCountTogether) {
  Grant("a", "c", Permission::kRead);
  Grant("c", "e", Permission::kReadWrite);
  Grant("d", "g", Permission::kRead);
  Grant("h", "z", Permission::kRead);
  EXPECT_TRUE(MayRead(Range("a", "g")));
  EXPECT_TRUE(MayRead(Range("b", "f")));
  EXPECT_FALSE(MayRead(Range("a", "h")));  // "g" is missing
  EXPECT_FALSE(MayRead(Range("f", "i")));
  EXPECT_FALSE(MayRead(Range("a", kFrom)));
  EXPECT_TRUE(MayWrite(Range("c", "e")));
  EXPECT_FALSE(MayWrite(Range("c", "f")));
  // The key "g" closes the gap only up to its successor.
  Grant("g", "", Permission::kRead);
  EXPECT_FALSE(MayRead(Range("a", "z")));
  Grant(std::string("g\0", 2), "h", Permission::kRead);
  EXPECT_TRUE(MayRead(Range("a", "z")));
}

TEST_F(AuthTest, FromAKeyOnAndAllKeys) {
  Grant("m", kFrom, Permission::kRead);
  EXPECT_TRUE(MayRead(Range("m", kFrom)));
  EXPECT_TRUE(MayRead(Range("\xff\xff\xff", kFrom)));
  EXPECT_TRUE(MayRead(Range("x", "z")));
  EXPECT_FALSE(MayRead(Range("l", kFrom)));
  Grant(kFrom, kFrom, Permission::kRead);
  EXPECT_TRUE(MayRead(Range(kFrom, kFrom)));
  EXPECT_TRUE(MayRead(Range("a")));
}

TEST_F(AuthTest, ARangeWithoutKeysCountsAsItsFirst) {
  Grant("b", "d", Permission::kRead);
  EXPECT_TRUE(MayRead(Range("c", "a")));
  EXPECT_TRUE(MayRead(Range("c", "c")));
  EXPECT_FALSE(MayRead(Range("e", "c")));
  EXPECT_FALSE(MayRead(Range("d", "d")));
}

TEST_F(AuthTest, PermissionsOnNoKeyAreRefused) {
  EXPECT_EQ(auth_.GrantPermission("r", {0, "", ""}), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.GrantPermission("r", {0, "", "b"}), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.GrantPermission("r", {0, "b", "b"}), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.GrantPermission("r", {0, "b", "a"}), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.GrantPermission("none", {0, "b", "a"}), InvalidAuthMgmtError());
  EXPECT_EQ(auth_.GrantPermission("none", {0, "b", "c"}), RoleNotFoundError());
}

TEST_F(AuthTest, UnknownTypesAreKeptAndPermitNothing) {
  Grant("a", "", 7);
  EXPECT_EQ(auth_.roles().at("r").permissions.begin()->type, 7);
  EXPECT_FALSE(MayRead(Range("a")));
  EXPECT_FALSE(MayWrite(Range("a")));
}

// As in etcd, where the first permission of a key is the only one that a second grant can
// change: a member that did otherwise would permit what others refuse.
TEST_F(AuthTest, OnlyTheFirstPermissionOfAKeyIsReplaced) {
  Grant("a", "b", Permission::kReadWrite);
  Grant("a", "c", Permission::kReadWrite);
  Grant("a", "c", Permission::kRead);
  ASSERT_EQ(auth_.roles().at("r").permissions.size(), 3u);
  EXPECT_TRUE(MayWrite(Range("a", "c")));
  Grant("a", "b", Permission::kRead);
  EXPECT_EQ(auth_.roles().at("r").permissions.size(), 3u);
  ASSERT_TRUE(auth_.RevokePermission("r", "a", "c").ok());
  EXPECT_EQ(auth_.roles().at("r").permissions.size(), 1u);
  EXPECT_FALSE(MayWrite(Range("a")));
  EXPECT_EQ(auth_.RevokePermission("r", "a", "c"), PermissionNotGrantedError());
  EXPECT_EQ(auth_.RevokePermission("none", "a", "c"), RoleNotFoundError());
}

TEST_F(AuthTest, SeveralRolesAddUp) {
  Grant("a", "b", Permission::kRead);
  ASSERT_TRUE(auth_.AddRole("s").ok());
  ASSERT_TRUE(auth_.GrantPermission("s", {Permission::kRead, "b", "c"}).ok());
  EXPECT_FALSE(MayRead(Range("a", "c")));
  ASSERT_TRUE(auth_.GrantRole("alice", "s").ok());
  EXPECT_TRUE(MayRead(Range("a", "c")));
  ASSERT_TRUE(auth_.RevokeRole("alice", "s").ok());
  EXPECT_FALSE(MayRead(Range("a", "c")));
  EXPECT_EQ(auth_.RevokeRole("alice", "s"), RoleNotGrantedError());
}

TEST_F(AuthTest, TheDigestTellsEveryDifference) {
  uint64_t last = auth_.Digest(0);
  const auto changed = [&] {
    const uint64_t before = last;
    last = auth_.Digest(0);
    return last != before;
  };
  EXPECT_FALSE(changed());
  EXPECT_TRUE(auth_.ChangePassword("alice", Hash("other")).ok() && changed());
  EXPECT_TRUE(auth_.AddUser("bob", Hash("p"), true).ok() && changed());
  EXPECT_TRUE(auth_.GrantRole("bob", "r").ok() && changed());
  Grant("a", "b", Permission::kRead);
  EXPECT_TRUE(changed());
  Grant("a", "b", Permission::kWrite);
  EXPECT_TRUE(changed());
  auth_.Disable();
  EXPECT_TRUE(changed());
}

// However many they are: their grants are not gone through.
TEST_F(AuthTest, ARoleThatIsDeletedIsGoneFromAllUsersAndStaysSo) {
  Grant("a", "b", Permission::kReadWrite);
  EXPECT_TRUE(MayRead(Range("a")));
  ASSERT_TRUE(auth_.DeleteRole("r").ok());
  EXPECT_FALSE(MayRead(Range("a")));
  EXPECT_FALSE(auth_.UserHasRole("alice", "r"));
  EXPECT_EQ(auth_.RevokeRole("alice", "r"), RoleNotGrantedError());
  // Another role of that name is not hers.
  ASSERT_TRUE(auth_.AddRole("r").ok());
  Grant("a", "b", Permission::kReadWrite);
  EXPECT_FALSE(auth_.UserHasRole("alice", "r"));
  EXPECT_FALSE(MayRead(Range("a")));
  Auth loaded;
  for (const std::string& section : Sections(auth_)) ASSERT_TRUE(loaded.Decode(section).ok());
  EXPECT_FALSE(loaded.UserHasRole("alice", "r"));
  EXPECT_EQ(loaded.Digest(0), auth_.Digest(0));
  ASSERT_TRUE(auth_.GrantRole("alice", "r").ok());
  EXPECT_TRUE(MayRead(Range("a")));
  ASSERT_TRUE(auth_.RevokeRole("alice", "r").ok());
  EXPECT_FALSE(MayRead(Range("a")));
}

// It can be granted without being there, and counts only as long as it was not deleted.
TEST_F(AuthTest, TheRootRoleThatIsDeletedIsGoneFromAllUsers) {
  auth_.Disable();
  ASSERT_TRUE(auth_.AddRole("root").ok());
  EXPECT_TRUE(auth_.UserHasRole("root", "root"));
  ASSERT_TRUE(auth_.DeleteRole("root").ok());
  EXPECT_FALSE(auth_.UserHasRole("root", "root"));
  EXPECT_EQ(auth_.Enable(), RootRoleNotExistError());
  ASSERT_TRUE(auth_.GrantRole("root", "root").ok());
  EXPECT_TRUE(auth_.Enable().ok());
}

TEST_F(AuthTest, GrantsOfDeletedRolesDoNotPileUp) {
  for (int i = 0; i < 1000; ++i) {
    const std::string role = "role" + std::to_string(i);
    ASSERT_TRUE(auth_.AddRole(role).ok());
    ASSERT_TRUE(auth_.GrantRole("alice", role).ok());
    ASSERT_TRUE(auth_.DeleteRole(role).ok());
  }
  EXPECT_LT(auth_.users().at("alice").roles.size(), 10u);
  EXPECT_TRUE(auth_.UserHasRole("alice", "r"));
}

// A user with very many roles and a role with very many permissions, too, are no long section; and
// where sections end does not tell whether roles were deleted.
TEST_F(AuthTest, AnImageIsOfManySmallSections) {
  for (int i = 10'000; i < 13'000; ++i) {
    const std::string name = "a name of some length, the number of which is " + std::to_string(i);
    ASSERT_TRUE(auth_.AddRole(name).ok());
    ASSERT_TRUE(auth_.GrantRole("alice", name).ok());
    ASSERT_TRUE(auth_.AddUser(name, Hash("password"), false).ok());
    ASSERT_TRUE(auth_.GrantRole(name, "r").ok());
    Grant(name, "", Permission::kRead);
    if (i % 3 == 0) {
      ASSERT_TRUE(auth_.DeleteRole(name).ok());
    }
  }
  const std::vector<std::string> sections = Sections(auth_);
  EXPECT_GT(sections.size(), 30u);
  Auth loaded;
  for (const std::string& section : sections) {
    EXPECT_LT(section.size(), engine::kSectionPartBytes + 10'000);
    ASSERT_TRUE(loaded.Decode(section).ok());
  }
  EXPECT_EQ(loaded.Digest(0), auth_.Digest(0));
  EXPECT_EQ(Sections(loaded), sections);
  EXPECT_EQ(Sections(auth_, 1), sections);
  EXPECT_EQ(loaded.roles().at("r").permissions.size(), 3000u);
  EXPECT_EQ(loaded.users().at("alice").roles.size(), 2001u);
  int pieces = 1;
  for (mvcc::Work work(100); !loaded.Release(&work); ++pieces) work = mvcc::Work(100);
  EXPECT_GT(pieces, 40);
}

// However many of a user's roles were deleted since he was granted one.
TEST_F(AuthTest, AUserWithDeletedRolesIsEncodedInPieces) {
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(auth_.AddRole(std::to_string(i)).ok());
    ASSERT_TRUE(auth_.GrantRole("alice", std::to_string(i)).ok());
  }
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(auth_.DeleteRole(std::to_string(i)).ok());
  int pieces = 0;
  const std::vector<std::string> sections = Sections(auth_, 1000, &pieces);
  EXPECT_EQ(sections.size(), 1u);
  EXPECT_GE(pieces, 20);
}

// Whoever lists much does not take it along at once.
TEST_F(AuthTest, WhatADeletedUserOrRoleListedIsGivenBackInPieces) {
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(auth_.AddRole(std::to_string(i)).ok());
    ASSERT_TRUE(auth_.GrantRole("alice", std::to_string(i)).ok());
    Grant(std::to_string(i), "", Permission::kRead);
  }
  EXPECT_FALSE(auth_.has_deleted());
  ASSERT_TRUE(auth_.DeleteUser("alice").ok());
  ASSERT_TRUE(auth_.DeleteRole("r").ok());
  EXPECT_TRUE(auth_.has_deleted());
  int pieces = 1;
  for (mvcc::Work work(1000); !auth_.ReleaseDeleted(&work); ++pieces) work = mvcc::Work(1000);
  EXPECT_GE(pieces, 5);
  EXPECT_FALSE(auth_.has_deleted());
}

TEST_F(AuthTest, AnImageHoldsAllOfIt) {
  Grant("a", "b", Permission::kReadWrite);
  Grant("a", "c", Permission::kRead);
  Grant("m", kFrom, 7);
  ASSERT_TRUE(auth_.AddUser("cert", "", true).ok());
  const std::vector<std::string> sections = Sections(auth_);
  ASSERT_EQ(sections.size(), 1u);
  Auth other;
  ASSERT_TRUE(other.Decode(sections[0]).ok());
  EXPECT_EQ(other.Digest(0), auth_.Digest(0));
  EXPECT_TRUE(other.CheckAccess(As("alice"), Access::kWrite, Range("a", "b")).ok());
  EXPECT_EQ(Sections(other), sections);

  Auth fresh;
  ASSERT_TRUE(fresh.Decode(Sections(Auth())[0]).ok());
  EXPECT_EQ(fresh.Digest(0), Auth().Digest(0));
}

TEST_F(AuthTest, ADamagedImageIsRefused) {
  Grant("a", "b", Permission::kReadWrite);
  const std::string image = Sections(auth_)[0];
  int refused = 0;
  for (size_t size = 0; size < image.size(); ++size) {
    Auth other;
    const absl::Status status = other.Decode(absl::string_view(image).substr(0, size));
    if (status.ok()) continue;  // cut between two users: one of a smaller state
    ++refused;
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_GT(refused, static_cast<int>(image.size()) - 10);
  // Users out of order, twice, or without a name; roles of one out of order; no revision;
  // something unknown.
  const std::string start("\x10\x01", 2);
  for (const std::string& odd :
       {image + image, std::string("\x10\x00", 2), start + std::string("\x1a\x00", 2),
        start + "\x1a\x03\x0a\x01z\x1a\x03\x0a\x01y", start + "\x1a\x03\x0a\x01z\x1a\x03\x0a\x01z",
        start + "\x1a\x09\x0a\x01z\x1a\x01t\x1a\x01s", std::string("\x08\x01"),
        start + "\x28\x01"}) {
    Auth other;
    EXPECT_EQ(other.Decode(odd).code(), absl::StatusCode::kDataLoss) << absl::CHexEscape(odd);
  }
}

}  // namespace
}  // namespace quorate::auth
