// The JSON by which members describe each other, byte for byte as etcd writes it.
#include "engine/membership/member_json.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quorate::membership {
namespace {

Member Full() {
  Member member;
  member.id = MemberId(15301972154275966837u);
  member.name = "n1 \"<&>\" \n";
  member.peer_urls = {"http://127.0.0.1:39401", "http://[::1]:2380"};
  member.client_urls = {"http://127.0.0.1:39400"};
  member.is_learner = true;
  return member;
}

TEST(MemberJson, EmptyFieldsAreLeftOutButPeerUrls) {
  Member member;
  member.id = MemberId(7);
  EXPECT_EQ(EncodeMemberJson(member), R"({"id":7,"peerURLs":[]})");
  member.peer_urls = {"http://h:1"};
  member.is_learner = true;
  EXPECT_EQ(EncodeMemberJson(member), R"({"id":7,"peerURLs":["http://h:1"],"isLearner":true})");
  EXPECT_EQ(EncodePromotionJson(MemberId(7)), R"({"id":7,"peerURLs":null,"isPromote":true})");
}

TEST(MemberJson, WhatIsWrittenIsReadBack) {
  const auto one = ParseMemberJson(EncodeMemberJson(Full()));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->member, Full());
  EXPECT_FALSE(one->is_promote);
  const auto promotion = ParseMemberJson(EncodePromotionJson(MemberId(7)));
  ASSERT_TRUE(promotion.ok()) << promotion.status();
  EXPECT_TRUE(promotion->is_promote);
  EXPECT_EQ(promotion->member.id, MemberId(7));
  Member other;
  other.id = MemberId(7);
  for (const std::vector<Member>& list :
       {std::vector<Member>{}, std::vector<Member>{Full()}, std::vector<Member>{Full(), other}}) {
    const auto members = ParseMembersJson(EncodeMembersJson(list));
    ASSERT_TRUE(members.ok()) << members.status();
    EXPECT_EQ(*members, list);
  }
}

TEST(MemberJson, ListsOfOtherReleasesAreUnderstood) {
  const auto members = ParseMembersJson(
      R"( [ {"id":1,"peerURLs":["http://a:1"],"name":"a","new":{"x":[1,{}]}} ,
            {"id":2,"peerURLs":null,"clientURLs":null} ] )");
  ASSERT_TRUE(members.ok()) << members.status();
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ(members->at(0).name, "a");
  EXPECT_TRUE(members->at(1).peer_urls.empty());
}

TEST(MemberJson, GarbageIsRefusedWithItsPlace) {
  for (const char* garbage : {"", "{", "[", "[{}", "[{},]", "[{}]]", "{}", "[1]", "null",
                              R"([{"id":"1"}])", R"([{"id":99999999999999999999}])"}) {
    const auto members = ParseMembersJson(garbage);
    EXPECT_FALSE(members.ok()) << garbage;
    EXPECT_NE(members.status().message().find("at byte"), absl::string_view::npos) << garbage;
  }
}

}  // namespace
}  // namespace quorate::membership
