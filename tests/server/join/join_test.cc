// What a founder makes of the others' answers before it founds: of three founders, a asks b and
// then c.
#include "server/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/membership/member_json.h"
#include "tests/server/fakes/memory_world.h"

namespace quorate::server {
namespace {

using fakes::MemoryWorld;
using fakes::RawPeer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr MemberId kSelf(0xa1);

// A member that is there and says nothing by itself.
class Peer {
 public:
  Peer(MemoryWorld* world, const std::string& address) : world_(world) {
    listener_ = *world->Listen(address, [this](std::unique_ptr<io::Stream> stream) {
      calls_.push_back(std::make_unique<RawPeer>(std::move(stream)));
    });
  }
  size_t calls() const { return calls_.size(); }
  RawPeer& call() { return *calls_.back(); }
  void Say(absl::string_view bytes) {
    call().Send(bytes);
    world_->Run();
  }

 private:
  MemoryWorld* const world_;
  std::vector<std::unique_ptr<RawPeer>> calls_;
  std::unique_ptr<io::Listener> listener_;
};

std::string Answer(int status, absl::string_view fields, absl::string_view body) {
  return absl::StrCat("HTTP/1.1 ", status, " Some Reason\r\nContent-Length: ", body.size(), "\r\n",
                      fields, "\r\n", body);
}

constexpr char kClusterField[] = "X-Etcd-Cluster-ID: cdf818194e3a8c32\r\n";

// The founders as others know them; these ones have announced themselves.
std::string Members(const std::vector<MemberId>& announced) {
  std::vector<membership::Member> members;
  for (const absl::string_view name : {"a", "b", "c"}) {
    membership::Member& member = members.emplace_back();
    member.id = MemberId(kSelf.value() + members.size() - 1);
    member.peer_urls = {absl::StrCat("http://", name, ":2380")};
    for (const MemberId id : announced) {
      if (id != member.id) continue;
      member.name = std::string(name);
      member.client_urls = {absl::StrCat("http://", name, ":2379")};
    }
  }
  return membership::EncodeMembersJson(members);
}

std::string Knows(const std::vector<MemberId>& announced) {
  return Answer(200, kClusterField, Members(announced));
}

class FounderTest : public ::testing::Test {
 protected:
  FounderTest() {
    env_.loop = &world_;
    env_.network = &world_;
    config_.name = "a";
    config_.initial_cluster = {
        {"a", {{"http", "a", 2380}}}, {"b", {{"http", "b", 2380}}}, {"c", {{"http", "c", 2380}}}};
  }
  // Whatever is still to come must not: a minute more, in which nobody is asked either.
  ~FounderTest() override {
    const int done = done_;
    const size_t calls = Calls();
    world_.Advance(Seconds(60));
    EXPECT_EQ(done_, done);
    EXPECT_EQ(Calls(), calls);
  }

  void Ask(bool forget_when_done = false) {
    inquiry_ = std::make_unique<Inquiry>(env_, /*secure_network=*/nullptr, config_, &log_,
                                         Inquiry::Purpose::kFound, kSelf,
                                         [=, this](const absl::StatusOr<JoinPoint>& point) {
                                           ++done_;
                                           answer_ = point.status();
                                           if (forget_when_done) inquiry_.reset();
                                         });
    EXPECT_EQ(done_, 0) << "it comes later";
    world_.Advance(Duration());
  }
  void StartB() { b_.emplace(&world_, "b:2380"); }
  void StartC() { c_.emplace(&world_, "c:2380"); }
  size_t Calls() const {
    return (b_.has_value() ? b_->calls() : 0) + (c_.has_value() ? c_->calls() : 0);
  }
  void ExpectFounds() {
    EXPECT_EQ(done_, 1);
    EXPECT_TRUE(answer_.ok()) << answer_;
  }
  void ExpectRefused() {
    EXPECT_EQ(done_, 1);
    EXPECT_EQ(answer_.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(answer_.message()),
                HasSubstr("member a1 has already been bootstrapped"));
  }

  MemoryWorld world_;
  fakes::MemoryLogSink sink_;
  log::Logger log_{&sink_, &world_};
  io::Env env_;
  config::Config config_;
  std::optional<Peer> b_;
  std::optional<Peer> c_;
  int done_ = 0;
  absl::Status answer_ = absl::UnknownError("nothing yet");
  std::unique_ptr<Inquiry> inquiry_;
};

TEST_F(FounderTest, FoundsAtOnceWhereNobodyListens) {
  Ask();
  ExpectFounds();
}

TEST_F(FounderTest, FoundsAloneWithoutAsking) {
  config_.initial_cluster.resize(1);
  StartB();
  Ask();
  ExpectFounds();
  EXPECT_EQ(b_->calls(), 0u);
}

TEST_F(FounderTest, WaitsASecondForEachWhoDoesNotAnswer) {
  StartB();
  StartC();
  Ask();
  ASSERT_EQ(b_->calls(), 1u);
  EXPECT_THAT(b_->call().received(), StartsWith("GET /members HTTP/1.1\r\n"));
  world_.Advance(Milliseconds(999));
  EXPECT_EQ(c_->calls(), 0u);
  world_.Advance(Milliseconds(1));
  EXPECT_TRUE(b_->call().closed());
  ASSERT_EQ(c_->calls(), 1u);
  b_->Say(Knows({kSelf}));  // too late
  world_.Advance(Milliseconds(999));
  EXPECT_EQ(done_, 0);
  world_.Advance(Milliseconds(1));
  ExpectFounds();
  EXPECT_TRUE(c_->call().closed());
}

// Every byte would begin another wait, if silence were what is measured.
TEST_F(FounderTest, WaitsASecondForOneWhoNeverComesToAnEnd) {
  for (const char* const beginning :
       {"HTTP/1.1 200 OK\r\nX-Field: ", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n["}) {
    StartB();
    done_ = 0;
    Ask();
    b_->Say(beginning);
    for (int i = 0; i < 9; ++i) {
      world_.Advance(Milliseconds(100));
      b_->Say("1");
    }
    EXPECT_EQ(done_, 0);
    EXPECT_FALSE(b_->call().closed());
    world_.Advance(Milliseconds(100));
    ExpectFounds();
    EXPECT_TRUE(b_->call().closed());
    b_.reset();
  }
}

// Two founders have founded, and the third is started only now. Each has a second of its own.
TEST_F(FounderTest, FoundsIfTheOthersHaveNeverHeardFromIt) {
  StartB();
  StartC();
  Ask();
  world_.Advance(Milliseconds(900));
  b_->Say(Knows({MemberId(0xa2), MemberId(0xa3)}));
  ASSERT_EQ(c_->calls(), 1u);
  world_.Advance(Milliseconds(900));
  EXPECT_EQ(done_, 0);
  c_->Say(Knows({}));
  ExpectFounds();
}

TEST_F(FounderTest, IsRefusedIfOneKnowsItsClientUrls) {
  StartB();
  StartC();
  Ask();
  b_->Say(Knows({kSelf}));
  ExpectRefused();
  EXPECT_EQ(c_->calls(), 0u) << "one is enough";
}

TEST_F(FounderTest, IsRefusedIfTheLastOneKnowsItsClientUrls) {
  StartC();
  Ask();
  ASSERT_EQ(c_->calls(), 1u) << "b is not there";
  c_->Say(Knows({MemberId(0xa2), kSelf}));
  ExpectRefused();
}

TEST_F(FounderTest, GoesOnToTheNextAfterAnAnswerThatIsNone) {
  const std::string members = Members({kSelf});
  const std::vector<std::string> garbage = {
      std::string("\x00\xff\x16\x03\x01 not HTTP\r\n\r\n", 18),
      Answer(200, kClusterField, ""),
      Answer(200, kClusterField, "null"),
      Answer(200, kClusterField, "[]"),
      Answer(200, kClusterField, "[{\"id\":\"\xff"),
      Answer(200, kClusterField, members.substr(0, members.size() - 1)),
      Answer(200, kClusterField, absl::StrCat(members, std::string(2 << 20, ' '))),
      Answer(404, kClusterField, members),
      Answer(200, "", members),
      Answer(200, "X-Etcd-Cluster-ID: xyz\r\n", members),
  };
  for (const std::string& bytes : garbage) {
    SCOPED_TRACE(absl::CHexEscape(bytes.substr(0, 200)));
    StartB();
    StartC();
    done_ = 0;
    Ask();
    b_->Say(bytes);
    EXPECT_EQ(done_, 0);
    ASSERT_EQ(c_->calls(), 1u) << "at once";
    c_->Say(Knows({kSelf}));
    ExpectRefused();
    b_.reset();
    c_.reset();
  }
}

TEST_F(FounderTest, GoesOnToTheNextIfTheConnectionEnds) {
  StartB();
  StartC();
  Ask();
  b_->Say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[");
  b_->call().Close();
  world_.Run();
  ASSERT_EQ(c_->calls(), 1u);
  c_->Say(Knows({}));
  ExpectFounds();
}

TEST_F(FounderTest, MayBeForgottenWhenItIsDone) {
  Ask(/*forget_when_done=*/true);
  ExpectFounds();
  StartC();
  done_ = 0;
  Ask(/*forget_when_done=*/true);
  world_.Advance(Seconds(1));
  ExpectFounds();
  done_ = 0;
  Ask(/*forget_when_done=*/true);
  c_->Say(Knows({kSelf}));
  ExpectRefused();
}

TEST_F(FounderTest, GivesUpWhenItIsForgotten) {
  StartB();
  StartC();
  Ask();
  inquiry_.reset();
  world_.Advance(Seconds(5));
  EXPECT_TRUE(b_->call().closed());
  EXPECT_EQ(c_->calls(), 0u);
  EXPECT_EQ(done_, 0);
}

TEST(FindSelfTest, MembersAreMatchedByAllOfTheirUrls) {
  config::Config config;
  config.name = "b";
  config.initial_cluster = {{"a", {{"http", "h1", 1}}},
                            {"b", {{"http", "h2", 1}, {"http", "h2", 2}}}};
  std::vector<membership::Member> members(2);
  members[0].id = MemberId(7);
  members[0].peer_urls = {"http://h2:2", "http://h2:1"};
  members[1].id = MemberId(8);
  members[1].peer_urls = {"http://h1:1"};
  const auto self = FindSelf(config, members);
  ASSERT_TRUE(self.ok()) << self.status();
  EXPECT_EQ(*self, MemberId(7));
  members[0].peer_urls.pop_back();
  EXPECT_FALSE(FindSelf(config, members).ok());
}

}  // namespace
}  // namespace quorate::server
