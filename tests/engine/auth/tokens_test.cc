#include "engine/auth/tokens.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace quorate::auth {
namespace {

using Kind = TokenChange::Kind;

Instant At(int64_t seconds) { return Instant() + Seconds(seconds); }

TEST(SimpleToken, IsAPrefixAndTheIndexOfItsCommand) {
  EXPECT_EQ(SimpleToken("abcXYZ", LogIndex(42)), "abcXYZ.42");
  EXPECT_EQ(SimpleTokenIndex("abcXYZ.42"), LogIndex(42));
  EXPECT_EQ(SimpleTokenIndex(".0"), LogIndex(0));
  EXPECT_EQ(SimpleTokenIndex("a.18446744073709551615"), LogIndex(~uint64_t{0}));
}

TEST(SimpleToken, WhatClientsMakeUpHasNoIndex) {
  for (const char* text :
       {"", "abc", "abc.", "abc.x", "abc.1x", "abc.+1", "abc.-1", "abc. 1", "abc.1 ", "a.b.1",
        "abc.1.", "abc.18446744073709551616", "abc.0x10", "abc.1e3"}) {
    EXPECT_EQ(SimpleTokenIndex(text), std::nullopt) << text;
  }
  EXPECT_EQ(SimpleTokenIndex(std::string("a.1\0", 4)), std::nullopt);
}

TEST(Tokens, ATokenLastsForItsTimeAfterTheLastUse) {
  Tokens tokens(Seconds(300));
  tokens.Apply({Kind::kAssign, "alice", "t.1"}, At(0));
  EXPECT_EQ(tokens.Use("t.1", At(300)), "alice");
  EXPECT_EQ(tokens.Use("t.1", At(600)), "alice");
  EXPECT_EQ(tokens.Use("t.1", At(901)), std::nullopt);
  EXPECT_EQ(tokens.Use("t.1", At(901)), std::nullopt);
  EXPECT_EQ(tokens.size(), 0u);
}

TEST(Tokens, UnknownOnesAreNobodys) {
  Tokens tokens(Seconds(300));
  tokens.Apply({Kind::kAssign, "alice", "t.1"}, At(0));
  EXPECT_EQ(tokens.Use("t.2", At(0)), std::nullopt);
  EXPECT_EQ(tokens.Use("", At(0)), std::nullopt);
}

TEST(Tokens, AUserWhosePasswordChangesLosesAllOfThem) {
  Tokens tokens(Seconds(300));
  tokens.Apply({Kind::kAssign, "alice", "a.1"}, At(0));
  tokens.Apply({Kind::kAssign, "bob", "b.2"}, At(0));
  tokens.Apply({Kind::kAssign, "alice", "a.3"}, At(0));
  tokens.Apply({Kind::kForgetUser, "alice"}, At(1));
  EXPECT_EQ(tokens.Use("a.1", At(1)), std::nullopt);
  EXPECT_EQ(tokens.Use("a.3", At(1)), std::nullopt);
  EXPECT_EQ(tokens.Use("b.2", At(1)), "bob");
  // One that is given out afterwards counts.
  tokens.Apply({Kind::kAssign, "alice", "a.4"}, At(2));
  EXPECT_EQ(tokens.Use("a.4", At(2)), "alice");
  EXPECT_EQ(tokens.Use("a.1", At(2)), std::nullopt);
  tokens.Apply({Kind::kForgetUser, "nobody"}, At(2));
  EXPECT_EQ(tokens.Use("a.4", At(2)), "alice");
}

TEST(Tokens, ForgettingAllForgetsAll) {
  Tokens tokens(Seconds(300));
  tokens.Apply({Kind::kAssign, "alice", "a.1"}, At(0));
  tokens.Apply({Kind::kForgetAll}, At(0));
  EXPECT_EQ(tokens.Use("a.1", At(0)), std::nullopt);
  EXPECT_EQ(tokens.size(), 0u);
  tokens.Apply({Kind::kAssign, "alice", "a.2"}, At(0));
  EXPECT_EQ(tokens.Use("a.2", At(0)), "alice");
  EXPECT_EQ(tokens.Use("a.1", At(0)), std::nullopt);
}

TEST(Tokens, TheNumberIsBoundedAndTheLeastRecentlyUsedGoes) {
  Tokens tokens(Seconds(300), /*max_tokens=*/3);
  for (const char* token : {"t.1", "t.2", "t.3"}) {
    tokens.Apply({Kind::kAssign, "alice", token}, At(0));
  }
  EXPECT_EQ(tokens.Use("t.1", At(1)), "alice");
  tokens.Apply({Kind::kAssign, "alice", "t.4"}, At(2));
  EXPECT_EQ(tokens.size(), 3u);
  EXPECT_EQ(tokens.Use("t.2", At(2)), std::nullopt);
  EXPECT_EQ(tokens.Use("t.1", At(2)), "alice");
  EXPECT_EQ(tokens.Use("t.4", At(2)), "alice");
}

TEST(Tokens, ExpiredOnesLeaveMemory) {
  Tokens tokens(Seconds(300));
  for (int i = 0; i < 1000; ++i) {
    tokens.Apply({Kind::kAssign, "u" + std::to_string(i), "t." + std::to_string(i)}, At(0));
  }
  for (int i = 0; i < 100; ++i) tokens.Use("none.1", At(301));
  EXPECT_EQ(tokens.size(), 0u);
}

}  // namespace
}  // namespace quorate::auth
