// The generator and the comparer by themselves: a comparison that notices nothing, and a
// generator that asks nothing, would be silent in front of real servers too.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"
#include "tests/clients/comparison/compare.h"
#include "tests/clients/comparison/generator.h"
#include "tests/clients/comparison/report.h"
#include "tests/clients/comparison/ties.h"
#include "tests/clients/comparison/watch_judge.h"

namespace quorate::differential {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::WatchResponse;

std::set<Type> Types(const std::string& text) { return ParseTypes(text).value(); }

// ---- the generator ----

TEST(Generator, TheSameSeedAsksTheSame) {
  Generator a(5, Types("all"), Release());
  Generator b(5, Types("all"), Release());
  Generator other(6, Types("all"), Release());
  int different = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = Describe(a.Next());
    EXPECT_EQ(text, Describe(b.Next()));
    if (text != Describe(other.Next())) ++different;
  }
  EXPECT_GT(different, 1500);
}

TEST(Generator, AsksForEveryTypeThatIsWantedAndForNoOther) {
  const std::set<Type> wanted = Types("Range,Put,lease");
  Generator generator(1, wanted, Release());
  std::set<Type> seen;
  for (int i = 0; i < 5000; ++i) seen.insert(generator.Next().type);
  EXPECT_EQ(seen, wanted);
  EXPECT_FALSE(ParseTypes("Rangee").ok());
}

int Depth(const etcdserverpb::TxnRequest& txn) {
  int depth = 0;
  for (const auto* ops : {&txn.success(), &txn.failure()}) {
    for (const etcdserverpb::RequestOp& op : *ops) {
      if (op.has_request_txn()) depth = std::max(depth, Depth(op.request_txn()));
    }
  }
  return depth + 1;
}

mvccpb::Event Change(const std::string& key, int64_t revision, bool deleted) {
  mvccpb::Event event;
  event.set_type(deleted ? mvccpb::Event::DELETE : mvccpb::Event::PUT);
  event.mutable_kv()->set_key(key);
  event.mutable_kv()->set_mod_revision(revision);
  return event;
}

// An etcd member dies of it.
TEST(Generator, CompactsAtNoRevisionThatDeletedAKeyAndPutItAgain) {
  Generator generator(3, Types("Compact"), Release());
  std::set<int64_t> revisions;
  for (int64_t revision = 2; revision <= 20; ++revision) {
    generator.Observe(Change("a", revision, /*deleted=*/true));
    generator.Observe(Change(revision == 7 || revision == 20 ? "a" : "b", revision, false));
  }
  for (int i = 0; i < 5000; ++i) {
    revisions.insert(generator.Next().As<etcdserverpb::CompactionRequest>().revision());
  }
  EXPECT_FALSE(revisions.contains(7));
  EXPECT_FALSE(revisions.contains(20));
  for (int64_t revision = 2; revision <= 19; ++revision) {
    if (revision != 7) {
      EXPECT_TRUE(revisions.contains(revision)) << revision;
    }
  }
}

TEST(Generator, AsksOddThings) {
  Generator generator(1, Types("kv,watch,LeaseGrant"), Release());
  std::map<std::string, int> odd;
  for (int i = 0; i < 60000; ++i) {
    const Step step = generator.Next();
    if (step.type == Type::kRange) {
      const auto& range = step.As<RangeRequest>();
      odd["inverted range"] += range.range_end().size() > 1 && range.range_end() < range.key();
      odd["negative revision"] += range.revision() < 0;
      odd["negative limit"] += range.limit() < 0;
      odd["largest limit"] += range.limit() == kMaxInt64;
      odd["unknown sort order"] += range.sort_order() > 2;
      odd["unknown sort target"] += range.sort_target() > 4;
      odd["no key"] += range.key().empty();
    } else if (step.type == Type::kPut) {
      odd["key of 10 MB"] += step.As<etcdserverpb::PutRequest>().key().size() > 10000000;
    } else if (step.type == Type::kTxn) {
      const auto& txn = step.As<etcdserverpb::TxnRequest>();
      odd["deep nest"] += Depth(txn) > 128;
      odd["many operations"] += txn.success_size() > 128;
      for (const auto& compare : txn.compare()) odd["unknown comparison"] += compare.target() > 4;
    } else if (step.type == Type::kWatch) {
      const auto& create = step.As<etcdserverpb::WatchRequest>().create_request();
      odd["negative start"] += create.start_revision() < 0;
    } else if (step.type == Type::kLeaseGrant) {
      odd["overflowing TTL"] += step.As<etcdserverpb::LeaseGrantRequest>().ttl() == kMaxInt64;
    }
  }
  for (const auto& [what, count] : odd) EXPECT_GT(count, 0) << what;
  EXPECT_EQ(odd.size(), 13u);
}

// ---- answers ----

template <typename Response>
Answer Ok(const Response& response) {
  Answer answer;
  answer.response = std::make_unique<Response>(response);
  return answer;
}

Answer Refused(absl::Status status) {
  Answer answer;
  answer.status = std::move(status);
  return answer;
}

template <typename Request>
Step StepOf(Type type, const Request& request) {
  Step step;
  step.type = type;
  step.request = std::make_shared<Request>(request);
  return step;
}

bool Same(const Step& step, Answer reference, Answer subject, const Release& release = {}) {
  return Difference(step, release, &reference, &subject).empty();
}

etcdserverpb::RangeResponse RangeAnswer(uint64_t member, int64_t revision, int64_t lease) {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_member_id(member);
  response.mutable_header()->set_raft_term(member + 1);
  response.mutable_header()->set_revision(revision);
  response.set_count(1);
  response.add_kvs()->set_key("a");
  response.mutable_kvs(0)->set_lease(lease);
  return response;
}

TEST(Difference, WhoAnsweredDoesNotCountWhatWasAnsweredDoes) {
  const Step step = StepOf(Type::kRange, RangeRequest());
  EXPECT_TRUE(Same(step, Ok(RangeAnswer(1, 7, 0)), Ok(RangeAnswer(2, 7, 0))));
  EXPECT_FALSE(Same(step, Ok(RangeAnswer(1, 7, 0)), Ok(RangeAnswer(1, 8, 0))));
  EXPECT_FALSE(Same(step, Ok(RangeAnswer(1, 7, 5)), Ok(RangeAnswer(1, 7, 0))));
  // An identity that is missing is not one that differs.
  EXPECT_FALSE(Same(step, Ok(RangeAnswer(1, 7, 0)), Ok(RangeAnswer(0, 7, 0))));
}

TEST(Difference, CodesAndTextsOfRefusalsCount) {
  const Step step = StepOf(Type::kRange, RangeRequest());
  const absl::Status no_key = absl::InvalidArgumentError("etcdserver: key is not provided");
  EXPECT_TRUE(Same(step, Refused(no_key), Refused(no_key)));
  EXPECT_FALSE(
      Same(step, Refused(no_key), Refused(absl::UnknownError("etcdserver: key is not provided"))));
  EXPECT_FALSE(Same(step, Refused(no_key), Refused(absl::InvalidArgumentError("key?"))));
  EXPECT_FALSE(Same(step, Refused(no_key), Ok(RangeAnswer(1, 7, 0))));
}

TEST(Difference, OnlyAnOldReleaseMayShowLeasesOfKeysWithoutValues) {
  RangeRequest keys_only;
  keys_only.set_keys_only(true);
  const Release old = *Release::Of("3.4");
  const Step step = StepOf(Type::kRange, keys_only);
  EXPECT_TRUE(Same(step, Ok(RangeAnswer(1, 7, 5)), Ok(RangeAnswer(1, 7, 0)), old));
  EXPECT_FALSE(Same(step, Ok(RangeAnswer(1, 7, 5)), Ok(RangeAnswer(1, 7, 0))));
  const Step plain = StepOf(Type::kRange, RangeRequest());
  EXPECT_FALSE(Same(plain, Ok(RangeAnswer(1, 7, 5)), Ok(RangeAnswer(1, 7, 0)), old));
}

TEST(Difference, TtlsMayDifferByASecondTokensAltogether) {
  const Step look = StepOf(Type::kLeaseTimeToLive, etcdserverpb::LeaseTimeToLiveRequest());
  const auto ttl = [](int64_t seconds) {
    etcdserverpb::LeaseTimeToLiveResponse response;
    response.set_ttl(seconds);
    return Ok(response);
  };
  EXPECT_TRUE(Same(look, ttl(10), ttl(9)));
  EXPECT_FALSE(Same(look, ttl(10), ttl(8)));
  EXPECT_FALSE(Same(look, ttl(0), ttl(-1)));
  const Step login = StepOf(Type::kAuthenticate, etcdserverpb::AuthenticateRequest());
  const auto token = [](const std::string& text) {
    etcdserverpb::AuthenticateResponse response;
    response.set_token(text);
    return Ok(response);
  };
  EXPECT_TRUE(Same(login, token("abc.1"), token("xyz.2")));
  EXPECT_FALSE(Same(login, token("abc.1"), token("")));
}

TEST(LeaseNames, ChosenIdsGoByOneNameAtAnyDepth) {
  LeaseNames names;
  names.Add(kFirstLeaseName, 4711);
  etcdserverpb::TxnRequest txn;
  auto* put = txn.add_success()->mutable_request_txn()->add_failure()->mutable_request_put();
  put->set_lease(kFirstLeaseName);
  names.ToServer(&txn);
  EXPECT_EQ(put->lease(), 4711);
  etcdserverpb::LeaseLeasesResponse leases;
  leases.add_leases()->set_id(4711);
  leases.add_leases()->set_id(5);
  names.FromServer(&leases);
  EXPECT_EQ(leases.leases(0).id(), kFirstLeaseName);
  EXPECT_EQ(leases.leases(1).id(), 5);
}

// Fourteen keys of one version, in the order of `order`.
etcdserverpb::RangeResponse Tied(const std::string& order, int64_t version = 1) {
  etcdserverpb::RangeResponse response;
  for (const char key : order) {
    response.add_kvs()->set_key(std::string(1, key));
    response.mutable_kvs(response.kvs_size() - 1)->set_version(version);
  }
  response.set_count(14);
  return response;
}

TEST(Ties, TheirOrderDoesNotCountButWhoTheyAreDoes) {
  RangeRequest request;
  request.set_sort_target(RangeRequest::VERSION);
  const Step step = StepOf(Type::kRange, request);
  EXPECT_TRUE(Same(step, Ok(Tied("abcdefghijklmn")), Ok(Tied("nmlkjihgfedcba"))));
  EXPECT_FALSE(Same(step, Ok(Tied("abcdefghijklmn")), Ok(Tied("abcdefghijklmo"))));
  EXPECT_FALSE(Same(step, Ok(Tied("abcdefghijklmn")), Ok(Tied("abcdefghijklmn", 2))));
  // A dozen and fewer keep their order.
  etcdserverpb::RangeResponse few = Tied("ab");
  etcdserverpb::RangeResponse turned = Tied("ba");
  few.set_count(2);
  turned.set_count(2);
  EXPECT_FALSE(Same(step, Ok(few), Ok(turned)));
  // Sorted by key there are no ties.
  const Step by_key = StepOf(Type::kRange, RangeRequest());
  EXPECT_FALSE(Same(by_key, Ok(Tied("abcdefghijklmn")), Ok(Tied("bacdefghijklmn"))));
}

TEST(Ties, ALimitMayCutThroughThem) {
  RangeRequest request;
  request.set_sort_target(RangeRequest::VERSION);
  request.set_limit(2);
  const Step step = StepOf(Type::kRange, request);
  etcdserverpb::RangeResponse ab = Tied("ab");
  etcdserverpb::RangeResponse cd = Tied("cd");
  EXPECT_FALSE(Same(step, Ok(ab), Ok(cd)));
  ab.set_more(true);
  cd.set_more(true);
  EXPECT_TRUE(Same(step, Ok(ab), Ok(cd)));
  cd.mutable_kvs()->RemoveLast();
  EXPECT_FALSE(Same(step, Ok(ab), Ok(cd)));
}

// ---- watches ----

mvccpb::Event PutEvent(const std::string& key, int64_t revision) {
  mvccpb::Event event;
  event.mutable_kv()->set_key(key);
  event.mutable_kv()->set_mod_revision(revision);
  return event;
}

class WatchJudgeTest : public testing::Test {
 protected:
  static constexpr int kStream = 1;

  // A watcher of "a" with id 7, created at revision 10 of a store compacted at 4.
  void Create(int64_t start, bool notify = false) {
    etcdserverpb::WatchCreateRequest create;
    create.set_key("a");
    create.set_start_revision(start);
    create.set_progress_notify(notify);
    judge_.OnCreated(kStream, 7, create, 10, 4);
  }
  void Happen(const std::string& key, int64_t revision) { judge_.Observe(PutEvent(key, revision)); }
  void Send(Side side, int64_t header, const std::vector<int64_t>& revisions) {
    WatchResponse response;
    response.set_watch_id(7);
    response.mutable_header()->set_revision(header);
    for (const int64_t revision : revisions) *response.add_events() = PutEvent("a", revision);
    judge_.OnResponse(side, kStream, response);
  }
  void SendBoth(int64_t header, const std::vector<int64_t>& revisions) {
    for (const Side side : kSides) Send(side, header, revisions);
  }
  void End(Side side, int64_t compact_revision) {
    WatchResponse response;
    response.set_watch_id(7);
    response.set_canceled(true);
    response.set_compact_revision(compact_revision);
    judge_.OnResponse(side, kStream, response);
  }

  WatchJudge judge_{Release()};
};

TEST_F(WatchJudgeTest, EqualStreamsSettleAndPass) {
  Create(0);
  Happen("a", 11);
  Happen("b", 12);
  EXPECT_FALSE(judge_.Settled());
  SendBoth(11, {11});
  EXPECT_TRUE(judge_.Settled());
  EXPECT_EQ(judge_.Check(), "");
  EXPECT_EQ(judge_.sums().events, 1u);
}

TEST_F(WatchJudgeTest, AMissingEventIsMissed) {
  Create(0);
  Happen("a", 11);
  Send(kReference, 11, {11});
  EXPECT_FALSE(judge_.Settled());
  EXPECT_NE(judge_.Missing(), "");
}

TEST_F(WatchJudgeTest, AnEventTwiceIsNoticed) {
  Create(5);
  Happen("a", 11);
  SendBoth(11, {11});
  Send(kSubject, 11, {11});
  EXPECT_NE(judge_.Check(), "");
}

TEST_F(WatchJudgeTest, ALiveWatchersResponsesAreComparedOneByOne) {
  Create(0);
  Happen("a", 11);
  Happen("a", 12);
  Send(kReference, 12, {11});
  Send(kSubject, 11, {11});
  EXPECT_NE(judge_.Check(), "");
}

TEST_F(WatchJudgeTest, ALiveWatcherMayFallBehindAFewTimes) {
  Create(0);
  for (int times = 1; times <= 4; ++times) {
    const int64_t first = 9 + 2 * times;
    const int64_t second = first + 1;
    Happen("a", first);
    Happen("a", second);
    Send(kReference, first, {first});
    Send(kReference, second, {second});
    Send(kSubject, second, {first, second});
    EXPECT_EQ(judge_.Check().empty(), times <= 3) << times;
  }
}

TEST_F(WatchJudgeTest, OneThatCatchesUpMayGetBatches) {
  Happen("a", 6);
  Happen("a", 7);
  Create(5);
  Send(kReference, 10, {6, 7});
  Send(kSubject, 10, {6});
  Send(kSubject, 10, {7});
  EXPECT_TRUE(judge_.Settled());
  EXPECT_EQ(judge_.Check(), "");
}

TEST_F(WatchJudgeTest, ButNoBatchDividesARevision) {
  Happen("a", 6);
  Happen("a", 6);
  Create(5);
  Send(kReference, 10, {6, 6});
  Send(kSubject, 10, {6});
  Send(kSubject, 10, {6});
  EXPECT_NE(judge_.Check(), "");
}

TEST_F(WatchJudgeTest, AProgressNoteMayNotBeAheadOfTheEvents) {
  Create(0, true);
  Happen("a", 11);
  Send(kSubject, 11, {});
  SendBoth(11, {11});
  EXPECT_NE(judge_.Check(), "");
}

TEST_F(WatchJudgeTest, ACompactedStartEndsBoth) {
  Create(3);
  End(kReference, 4);
  EXPECT_FALSE(judge_.Settled());
  End(kSubject, 4);
  EXPECT_TRUE(judge_.Settled());
  EXPECT_EQ(judge_.Check(), "");
}

TEST_F(WatchJudgeTest, OnlyAWatcherThatMayNotHaveBegunMayBeOvertakenByACompaction) {
  Create(5);
  End(kReference, 9);
  EXPECT_NE(judge_.Check(), "");
  Create(5);
  judge_.OnCompaction(9);
  End(kReference, 9);
  EXPECT_EQ(judge_.Check(), "");
  EXPECT_TRUE(judge_.IsUncertain(kStream));
}

// ---- the report ----

TEST(RunReport, ATypeThatIsMissingOrRarelySucceedsIsNamed) {
  RunReport report;
  for (int i = 0; i < 81; ++i) report.Count(Type::kPut, "etcdserver: key is not provided");
  for (int i = 0; i < 19; ++i) report.Count(Type::kPut, "");
  report.Count(Type::kRange, "");
  EXPECT_EQ(report.Shortcomings(Types("Range")), "");
  EXPECT_EQ(report.Shortcomings(Types("Range,Put,Txn")),
            "Put succeeded only 19 of 100 times\nTxn was never sent\n");
  report.Count(Type::kPut, "");
  report.Count(Type::kPut, "");
  EXPECT_EQ(report.Shortcomings(Types("Put")), "");
}

}  // namespace
}  // namespace quorate::differential
