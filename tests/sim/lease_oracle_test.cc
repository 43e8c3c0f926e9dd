// Stories about leases written by hand: what may happen passes, what may not is caught.
#include <gtest/gtest.h>

#include <string>

#include "sim/oracle/lease.h"

namespace quorate::sim {
namespace {

constexpr int64_t kLease = 7;

Request About(Request::Shape shape, int64_t ttl = 0) {
  Request request;
  request.shape = shape;
  request.lease = kLease;
  request.ttl = ttl;
  return request;
}

class LeaseOracleTest : public ::testing::Test {
 protected:
  // Moments are in milliseconds.
  static VirtualTime At(int64_t ms) { return VirtualTime() + Milliseconds(ms); }

  void Committed(int64_t ms, Request::Shape shape, int64_t ttl = 0) {
    oracle_.OnCommand(At(ms), About(shape, ttl));
  }
  History::Id Invoke(int64_t ms, Request::Shape shape, int64_t ttl = 0) {
    Call call;
    call.request = About(shape, ttl);
    call.invoked = At(ms);
    const History::Id id = history_.Invoke(std::move(call));
    oracle_.OnInvoke(id);
    return id;
  }
  void Return(History::Id id, int64_t ms, bool found, int64_t ttl) {
    Call& call = history_.Return(id, At(ms), Outcome::kOk);
    call.result.lease_found = found;
    call.result.ttl = ttl;
    call.result.granted_ttl = ttl;
    oracle_.OnReturn(id);
  }
  void Fail(History::Id id, int64_t ms, Outcome outcome) {
    history_.Return(id, At(ms), outcome);
    oracle_.OnReturn(id);
  }
  // A grant for so many seconds that everybody knows of.
  void Granted(int64_t ms, int64_t ttl) {
    const History::Id grant = Invoke(ms, Request::Shape::kGrant, ttl);
    Committed(ms + 1, Request::Shape::kGrant, ttl);
    Return(grant, ms + 2, true, ttl);
  }
  void Renewed(int64_t from, int64_t to, int64_t ttl) {
    Return(Invoke(from, Request::Shape::kKeepAlive), to, true, ttl);
  }
  bool Caught() const { return judge_.violations().size() == 1 && IsLease(); }
  bool IsLease() const { return judge_.violations()[0].rule == Rule::kLease; }

  Judge judge_;
  History history_;
  LeaseOracle oracle_{&judge_, &history_, /*drift_ppm=*/0};
};

TEST_F(LeaseOracleTest, ALeaseMayEndWhenItsTimeIsOver) {
  Granted(0, 5);
  Renewed(3000, 3100, 5);
  Committed(8000, Request::Shape::kRevoke);
  EXPECT_TRUE(judge_.clean());
  EXPECT_EQ(oracle_.standing(), 0u);
  EXPECT_EQ(oracle_.expired(), 1u);
}

TEST_F(LeaseOracleTest, ButNotBeforeSinceTheGrant) {
  Granted(0, 5);
  Committed(4999, Request::Shape::kRevoke);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, NorSinceTheLastRenewal) {
  Granted(0, 5);
  Renewed(3000, 3100, 5);
  Committed(7999, Request::Shape::kRevoke);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, ARenewalThatCountsMayBeAnsweredLate) {
  Granted(0, 5);
  const History::Id renewal = Invoke(3000, Request::Shape::kKeepAlive);
  Committed(6000, Request::Shape::kRevoke);
  EXPECT_TRUE(judge_.clean());
  Return(renewal, 6100, true, 5);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, AnUnansweredRenewalPromisesNothing) {
  Granted(0, 5);
  Fail(Invoke(3000, Request::Shape::kKeepAlive), 4000, Outcome::kUnknown);
  Committed(5100, Request::Shape::kRevoke);
  EXPECT_TRUE(judge_.clean());
}

TEST_F(LeaseOracleTest, AClientMayEndItAtAnyTime) {
  Granted(0, 5);
  const History::Id revoke = Invoke(1000, Request::Shape::kRevoke);
  Committed(1100, Request::Shape::kRevoke);
  Return(revoke, 1200, false, 0);
  EXPECT_TRUE(judge_.clean());
}

TEST_F(LeaseOracleTest, ButOnlyOncePerAttempt) {
  Granted(0, 5);
  const History::Id revoke = Invoke(1000, Request::Shape::kRevoke);
  Committed(1100, Request::Shape::kRevoke);
  Return(revoke, 1200, false, 0);
  Granted(2000, 5);
  Committed(3000, Request::Shape::kRevoke);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, ARefusedRevocationEndsNothing) {
  Granted(0, 5);
  Fail(Invoke(1000, Request::Shape::kRevoke), 1100, Outcome::kNoEffect);
  Committed(2000, Request::Shape::kRevoke);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, OneOfUnknownOutcomeMayEndItMuchLater) {
  Granted(0, 5);
  Fail(Invoke(1000, Request::Shape::kRevoke), 1100, Outcome::kUnknown);
  Renewed(3000, 3100, 5);
  Committed(4000, Request::Shape::kRevoke);
  EXPECT_TRUE(judge_.clean());
}

TEST_F(LeaseOracleTest, AnAcknowledgedRevocationHasEndedSomething) {
  Granted(0, 5);
  Return(Invoke(1000, Request::Shape::kRevoke), 1100, false, 0);
  EXPECT_TRUE(Caught());
}

// etcd #20616.
TEST_F(LeaseOracleTest, WhatIsGoneCannotBeRenewed) {
  Granted(0, 2);
  Committed(2500, Request::Shape::kRevoke);
  Renewed(2600, 2700, 2);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, WhatGoesMeanwhileMayHaveBeenSeenBefore) {
  Granted(0, 2);
  const History::Id question = Invoke(2400, Request::Shape::kTimeToLive);
  Committed(2500, Request::Shape::kRevoke);
  Return(question, 2600, true, 2);
  EXPECT_TRUE(judge_.clean());
}

TEST_F(LeaseOracleTest, WhatIsThereCannotBeMissing) {
  Granted(0, 5);
  Return(Invoke(1000, Request::Shape::kKeepAlive), 1100, false, 0);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, WhatComesMeanwhileMayBeMissing) {
  const History::Id renewal = Invoke(0, Request::Shape::kKeepAlive);
  Granted(10, 5);
  Return(renewal, 100, false, 0);
  EXPECT_TRUE(judge_.clean());
}

TEST_F(LeaseOracleTest, AGrantThatIsAnsweredIsInTheLog) {
  Return(Invoke(0, Request::Shape::kGrant, 5), 10, true, 5);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, TheTimeThatItWasGrantedForIsTold) {
  Granted(0, 5);
  Return(Invoke(1000, Request::Shape::kTimeToLive), 1100, true, 6);
  EXPECT_TRUE(Caught());
}

TEST_F(LeaseOracleTest, OfTwoLivesItIsNotKnownWhichWasRenewed) {
  Granted(0, 5);
  const History::Id renewal = Invoke(1000, Request::Shape::kKeepAlive);
  const History::Id revoke = Invoke(1000, Request::Shape::kRevoke);
  Committed(1100, Request::Shape::kRevoke);
  Committed(1200, Request::Shape::kGrant, 2);
  Return(renewal, 1300, true, 5);
  Return(revoke, 1300, false, 0);
  Committed(3300, Request::Shape::kRevoke);
  EXPECT_TRUE(judge_.clean());
}

TEST(LeaseOracleDriftTest, AFastClockMayEndItEarlierByItsError) {
  for (const auto& [ended_ms, clean] : {std::pair{4000, true}, std::pair{3900, false}}) {
    Judge judge;
    History history;
    LeaseOracle oracle(&judge, &history, /*drift_ppm=*/250'000);
    Call call;
    call.request = About(Request::Shape::kGrant, 5);
    const History::Id grant = history.Invoke(std::move(call));
    oracle.OnInvoke(grant);
    oracle.OnCommand(VirtualTime(), About(Request::Shape::kGrant, 5));
    Call& returned = history.Return(grant, VirtualTime(), Outcome::kOk);
    returned.result.lease_found = true;
    returned.result.ttl = 5;
    oracle.OnReturn(grant);
    oracle.OnCommand(VirtualTime() + Milliseconds(ended_ms), About(Request::Shape::kRevoke));
    EXPECT_EQ(judge.clean(), clean);
  }
}

}  // namespace
}  // namespace quorate::sim
