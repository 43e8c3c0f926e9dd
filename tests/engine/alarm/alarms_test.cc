// Which alarms stand, and what they refuse.
#include "engine/alarm/alarms.h"

#include <gtest/gtest.h>

namespace quorate::alarm {
namespace {

constexpr MemberId kOne{1};
constexpr MemberId kTwo{2};

TEST(Alarms, StandUntilTheSameMembersIsPutOut) {
  Alarms alarms;
  EXPECT_TRUE(alarms.Activate({kNoSpace, kOne}));
  EXPECT_FALSE(alarms.Activate({kNoSpace, kOne}));
  EXPECT_TRUE(alarms.Activate({kNoSpace, kTwo}));
  EXPECT_FALSE(alarms.Deactivate({kCorrupt, kOne}));
  EXPECT_TRUE(alarms.Deactivate({kNoSpace, kOne}));
  EXPECT_TRUE(alarms.IsActive(kNoSpace));
  EXPECT_TRUE(alarms.Deactivate({kNoSpace, kTwo}));
  EXPECT_FALSE(alarms.IsActive(kNoSpace));
  EXPECT_FALSE(alarms.Activate({kNone, kOne}));
  EXPECT_TRUE(alarms.all().empty());
}

TEST(Alarms, NoSpaceRefusesAdditionsAndCorruptEverything) {
  Alarms alarms;
  EXPECT_TRUE(alarms.Check(/*adds=*/true).ok());
  alarms.Activate({kNoSpace, kTwo});
  EXPECT_EQ(alarms.Check(/*adds=*/true), NoSpaceError());
  EXPECT_TRUE(alarms.Check(/*adds=*/false).ok());
  alarms.Activate({kCorrupt, kOne});
  EXPECT_EQ(alarms.Check(/*adds=*/true), CorruptError());
  EXPECT_EQ(alarms.Check(/*adds=*/false), CorruptError());
  alarms.Deactivate({kNoSpace, kTwo});
  alarms.Deactivate({kCorrupt, kOne});
  alarms.Activate({99, kOne});
  EXPECT_TRUE(alarms.Check(/*adds=*/true).ok());
  EXPECT_EQ(TypeName(99), "99");
}

}  // namespace
}  // namespace quorate::alarm
