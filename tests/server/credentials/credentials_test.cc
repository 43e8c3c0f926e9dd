// Hashes that etcd's members made (Go's bcrypt), ours, and what is no hash.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "io/random.h"
#include "server/credentials/call_credentials.h"
#include "server/credentials/password.h"

namespace quorate::credentials {
namespace {

constexpr Salt kSalt = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST(Password, HashesThatGoMadeMatch) {
  const std::pair<std::string, const char*> made[] = {
      {"root", "$2a$10$CVISu1RzUnbkX38MYQt9QuctkMUD4EiYMqpEcShxL10L6fGU0/JbS"},
      {"", "$2a$04$i3hQ22kbQt12oXQCqbtiw.m2JiT.Bqj.fJv7pFj32b29LeFEPlpNW"},
      {"caf\xc3\xa9", "$2a$04$z1O4Lp.XPCcnzVyNxveQtuxnUwXjlfJgzZwVqlNA/12nedSbxwoeG"},
      {"\xff\xa3"
       "345",
       "$2a$05$FAZLZZ59fVxGDaCmO2bafuA/slB6EK/zdvrJq8234pjx7MIwSnmmC"},
      {std::string(72, 'x'), "$2a$04$fKEEY4dbcP.BSQB7VhBDIermzFREomLfFghwg7osKhleSuTORQlBW"},
      // Only 72 bytes count, as in Go.
      {std::string(600, 'x'), "$2a$04$fKEEY4dbcP.BSQB7VhBDIermzFREomLfFghwg7osKhleSuTORQlBW"},
  };
  for (const auto& [password, hash] : made) {
    EXPECT_TRUE(PasswordMatches(password, hash)) << hash;
    EXPECT_FALSE(PasswordMatches("other", hash)) << hash;
  }
}

TEST(Password, OurHashesHaveTheFormThatGoTakes) {
  const std::string hash = HashPassword("secret", 4, kSalt);
  EXPECT_EQ(hash.size(), 60u);
  EXPECT_EQ(hash.substr(0, 29), "$2a$04$.OGB/.SE/ueHAeqKBO2NC.");
  EXPECT_TRUE(PasswordMatches("secret", hash));
  EXPECT_FALSE(PasswordMatches("secret ", hash));
  EXPECT_FALSE(PasswordMatches("Secret", hash));
  EXPECT_FALSE(PasswordMatches("", hash));
  Salt other = kSalt;
  other[0] = 7;
  EXPECT_NE(HashPassword("secret", 4, other), hash);
  EXPECT_EQ(HashPassword("secret", 5, kSalt).substr(0, 7), "$2a$05$");
}

TEST(Password, WhatCannotBeHashed) {
  EXPECT_EQ(CheckPassword(std::string(73, 'x')),
            absl::UnknownError("bcrypt: password length exceeds 72 bytes"));
  EXPECT_TRUE(CheckPassword(std::string(72, 'x')).ok());
  EXPECT_TRUE(CheckPassword("").ok());
  const std::string with_zero("a\0b", 3);
  EXPECT_FALSE(CheckPassword(with_zero).ok());
  EXPECT_FALSE(PasswordMatches(with_zero, HashPassword("a", 4, kSalt)));
}

TEST(Password, WhatIsNoHashMatchesNothing) {
  const std::string good = HashPassword("a", 4, kSalt);
  for (std::string bad :
       {std::string(), std::string("$2a$"), std::string(60, '$'), good.substr(1),
        good.substr(0, 59), "$1$" + good.substr(3), "$5$" + good.substr(3),
        std::string("$y$j9T$") + std::string(60, 'a'), good.substr(0, 4) + "99" + good.substr(6),
        good.substr(0, 4) + "xx" + good.substr(6), good.substr(0, 7) + "!!!" + good.substr(10)}) {
    EXPECT_FALSE(PasswordMatches("a", bad)) << bad;
    EXPECT_FALSE(PasswordMatches("", bad)) << bad;
  }
  std::string zero = good;
  zero[20] = '\0';
  EXPECT_FALSE(PasswordMatches("a", zero));
  // One changed character of the digest is enough.
  for (size_t i = 29; i < 60; ++i) {
    std::string changed = good;
    changed[i] = changed[i] == 'z' ? 'y' : 'z';
    EXPECT_FALSE(PasswordMatches("a", changed)) << i;
  }
}

// Gives all bytes in turn.
class CountingRandom : public io::Random {
 public:
  void Fill(void* out, size_t size) override {
    for (size_t i = 0; i < size; ++i) static_cast<unsigned char*>(out)[i] = next_++;
  }

 private:
  unsigned char next_ = 0;
};

TEST(TokenPrefix, SixteenLettersEachAsLikely) {
  CountingRandom random;
  std::string all;
  // 208 of 256 bytes become letters: 13 prefixes use up all of them once.
  for (int i = 0; i < 13; ++i) {
    const std::string prefix = NewTokenPrefix(&random);
    EXPECT_EQ(prefix.size(), 16u);
    all += prefix;
  }
  const std::set<char> letters(all.begin(), all.end());
  EXPECT_EQ(letters.size(), 52u);
  for (const char letter : letters) {
    EXPECT_TRUE((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'));
    EXPECT_EQ(std::count(all.begin(), all.end(), letter), 4);
  }
}

}  // namespace
}  // namespace quorate::credentials
