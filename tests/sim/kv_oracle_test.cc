// Histories written by hand: good ones must pass, and each kind of wrong one must be
// caught by its own rule.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/oracle/kv.h"
#include "sim/oracle/search.h"
#include "sim/oracle/watch.h"

namespace quorate::sim {
namespace {

Request Put(const std::string& key, const std::string& value) {
  Request request;
  request.shape = Request::Shape::kPut;
  Operation operation;
  operation.kind = Operation::Kind::kPut;
  operation.key = key;
  operation.value = value;
  request.success.push_back(operation);
  return request;
}

Request Get(const std::string& key) {
  Request request;
  Operation operation;
  operation.key = key;
  request.success.push_back(operation);
  return request;
}

Request Stale(const std::string& key) {
  Request request = Get(key);
  request.serializable = true;
  return request;
}

Request Delete(const std::string& key) {
  Request request;
  request.shape = Request::Shape::kDelete;
  Operation operation;
  operation.kind = Operation::Kind::kDelete;
  operation.key = key;
  request.success.push_back(operation);
  return request;
}

Result Wrote(int64_t revision) {
  Result result;
  result.revision = revision;
  result.operations.emplace_back();
  return result;
}

Result Found(int64_t revision, const std::vector<KeyValue>& kvs) {
  Result result;
  result.revision = revision;
  OperationResult operation;
  operation.kvs = kvs;
  operation.count = static_cast<int64_t>(kvs.size());
  result.operations.push_back(operation);
  return result;
}

// A story told step by step.
class KvOracleTest : public testing::Test {
 protected:
  History::Id Ask(const Request& request, uint32_t member = 1, uint64_t incarnation = 1) {
    sim::Call call;
    call.request = request;
    call.member = member;
    call.incarnation = incarnation;
    call.invoked = Tick();
    const History::Id id = history_.Invoke(call);
    oracle_.OnInvoke(id);
    return id;
  }
  void Commit(const Request& request) { oracle_.OnCommand(Tick(), ++index_, request); }
  void Answer(History::Id id, const Result& result) {
    history_.Return(id, Tick(), Outcome::kOk).result = result;
    oracle_.OnReturn(id);
  }
  void Lose(History::Id id, Outcome outcome = Outcome::kUnknown) {
    history_.Return(id, Tick(), outcome);
    oracle_.OnReturn(id);
  }
  VirtualTime Tick() { return now_ = now_ + Milliseconds(1); }

  // The rule that was broken first; nullopt when all is well.
  std::optional<Rule> Verdict() {
    oracle_.Finish(Tick());
    if (judge_.clean()) return std::nullopt;
    return judge_.violations()[0].rule;
  }

  Judge judge_;
  History history_;
  KvOracle oracle_{&judge_, &history_};
  LogIndex index_;
  VirtualTime now_;
};

TEST_F(KvOracleTest, WritesAndReadsInOrderAreFine) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Get("a")), Found(2, {{"a", "1", 2, 2, 1}}));
  EXPECT_EQ(Verdict(), std::nullopt);
  EXPECT_EQ(oracle_.acknowledged_writes(), 1u);
  EXPECT_EQ(oracle_.checked_reads(), 1u);
}

TEST_F(KvOracleTest, AReadMayMissAWriteThatIsNotYetAcknowledged) {
  const auto put = Ask(Put("a", "1"));
  const auto get = Ask(Get("a"));
  Commit(Put("a", "1"));
  Answer(get, Found(1, {}));
  Answer(put, Wrote(2));
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(KvOracleTest, AReadThatBeganAfterAnAcknowledgementMustSeeIt) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Get("a"), 2), Found(1, {}));
  EXPECT_EQ(Verdict(), Rule::kReadSafety);
}

TEST_F(KvOracleTest, AReadMustNotGoBackBehindAnotherRead) {
  Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(Ask(Get("a")), Found(2, {{"a", "1", 2, 2, 1}}));
  Answer(Ask(Get("a"), 2), Found(1, {}));
  EXPECT_EQ(Verdict(), Rule::kReadSafety);
}

TEST_F(KvOracleTest, AReadMustShowWhatItsRevisionHolds) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Get("a")), Found(2, {{"a", "2", 2, 2, 1}}));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, NothingMayBeShownBeforeItIsCommitted) {
  Answer(Ask(Put("a", "1")), Wrote(2));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, AnAcknowledgedWriteThatTheLogDoesNotHoldIsLost) {
  const auto put = Ask(Put("a", "1"));
  const auto other = Ask(Put("a", "2"));
  Commit(Put("a", "2"));  // revision 2 is another's
  Answer(other, Wrote(2));
  Answer(put, Wrote(2));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, TwoWritesCannotShareARevision) {
  const auto first = Ask(Put("a", "1"));
  const auto second = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(first, Wrote(2));
  Answer(second, Wrote(2));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, AnUnknownOutcomeMayHaveHappenedOrNot) {
  Lose(Ask(Put("a", "1")));
  Lose(Ask(Put("b", "2")));
  Commit(Put("b", "2"));  // late, after its client had given up
  Answer(Ask(Get("b")), Found(2, {{"b", "2", 2, 2, 1}}));
  EXPECT_EQ(Verdict(), std::nullopt);
  EXPECT_EQ(oracle_.took_effect(), std::vector<History::Id>{1});
}

TEST_F(KvOracleTest, ARetryMayTakeEffectBesideItsFirstAttempt) {
  Lose(Ask(Put("a", "1")));
  const auto retry = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(retry, Wrote(3));
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(KvOracleTest, OneAttemptCannotTakeEffectTwice) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, WhatWasRefusedMustNotHappen) {
  Lose(Ask(Put("a", "1")), Outcome::kNoEffect);
  Commit(Put("a", "1"));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, NothingMayHappenThatNobodyAskedFor) {
  Commit(Put("a", "1"));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, AnUnknownAttemptCannotExplainARevisionShownBeforeItBegan) {
  Ask(Put("b", "x"));
  Commit(Put("b", "x"));
  Commit(Put("a", "1"));
  Answer(Ask(Get("b")), Found(3, {{"b", "x", 2, 2, 1}}));
  Lose(Ask(Put("a", "1")));  // too late to be revision 3
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, AWriteMustComeAfterWhatWasShownBeforeItBegan) {
  const auto early = Ask(Put("a", "1"));
  Commit(Put("b", "2"));
  Commit(Put("a", "1"));
  Answer(early, Wrote(3));
  const auto late = Ask(Put("b", "2"));
  Answer(late, Wrote(2));
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, ADeletionOfNothingIsARead) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Delete("b")), Wrote(2));
  EXPECT_EQ(Verdict(), std::nullopt);
}

TEST_F(KvOracleTest, ADeletionMustCountWhatWasThere) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Delete("a")), Wrote(2));  // says that nothing was there
  EXPECT_EQ(Verdict(), Rule::kLinearizability);
}

TEST_F(KvOracleTest, SerializableReadsMayBeOldButMustHaveBeen) {
  const auto put = Ask(Put("a", "1"));
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Stale("a"), 2), Found(1, {}));
  EXPECT_TRUE(judge_.clean());
  Answer(Ask(Stale("a"), 2), Found(1, {{"a", "0", 1, 1, 1}}));
  EXPECT_EQ(Verdict(), Rule::kSerializableReads);
}

TEST_F(KvOracleTest, OneProcessNeverGoesBack) {
  const auto put = Ask(Put("a", "1"), 1);
  Commit(Put("a", "1"));
  Answer(put, Wrote(2));
  Answer(Ask(Stale("a"), 1, 2), Found(1, {}));  // another process: fine
  EXPECT_TRUE(judge_.clean());
  Answer(Ask(Stale("a"), 1, 1), Found(1, {}));
  EXPECT_EQ(Verdict(), Rule::kSerializableReads);
}

// --- Watch ---

class WatchOracleTest : public testing::Test {
 protected:
  WatchOracleTest() {
    model_.Apply(Put("a", "1"));  // 2
    model_.Apply(Put("b", "1"));  // 3
    model_.Apply(Put("a", "2"));  // 4
    model_.Apply(Delete("a"));    // 5
  }

  static WatchAnswer Events(const std::vector<Change>& changes, int64_t revision) {
    WatchAnswer answer;
    answer.changes = changes;
    answer.revision = revision;
    return answer;
  }
  bool Accepts(const WatchAnswer& answer) {
    oracle_.OnAnswer(VirtualTime(), answer);
    return judge_.clean();
  }

  Judge judge_;
  Model model_;
  WatchOracle oracle_{&judge_, &model_, "watcher", WatchSpec{"a", ""}, 1};
  const Change first_{false, {"a", "1", 2, 2, 1}};
  const Change second_{false, {"a", "2", 2, 4, 2}};
  const Change gone_{true, {"a", "", 0, 5, 0}};
};

TEST_F(WatchOracleTest, EventsInOrderAreFine) {
  EXPECT_TRUE(Accepts(Events({first_, second_}, 4)));
  EXPECT_FALSE(oracle_.AtHead());
  EXPECT_TRUE(Accepts(Events({gone_}, 5)));
  EXPECT_TRUE(oracle_.AtHead());
  EXPECT_EQ(oracle_.delivered(), 3u);
}

TEST_F(WatchOracleTest, AnEventMayNotBeMissing) { EXPECT_FALSE(Accepts(Events({second_}, 4))); }

TEST_F(WatchOracleTest, AnEventMayNotComeTwice) {
  EXPECT_TRUE(Accepts(Events({first_}, 2)));
  EXPECT_FALSE(Accepts(Events({first_, second_}, 4)));
}

TEST_F(WatchOracleTest, EventsMayNotChangePlaces) {
  EXPECT_FALSE(Accepts(Events({second_, first_}, 4)));
}

TEST_F(WatchOracleTest, AnEventOfAnotherKeyIsNotWanted) {
  EXPECT_FALSE(Accepts(Events({first_, Change{false, {"b", "1", 3, 3, 1}}}, 3)));
}

TEST_F(WatchOracleTest, ProgressMayNotRunAheadOfEvents) {
  EXPECT_TRUE(Accepts(Events({first_}, 2)));
  EXPECT_TRUE(Accepts(Events({}, 3))) << "nothing of 'a' happened at revision 3";
  EXPECT_FALSE(Accepts(Events({}, 4)));
}

TEST_F(WatchOracleTest, NothingMayComeBeforeItIsCommitted) {
  EXPECT_FALSE(Accepts(Events({first_, second_, gone_, Change{false, {"a", "3", 6, 6, 1}}}, 6)));
}

TEST_F(WatchOracleTest, WhatNeverCameIsMissedInTheEnd) {
  EXPECT_TRUE(Accepts(Events({first_, second_}, 4)));
  oracle_.Finish(VirtualTime());
  EXPECT_FALSE(judge_.clean());
  EXPECT_EQ(judge_.violations()[0].rule, Rule::kWatch);
}

TEST_F(WatchOracleTest, APrefixOfARevisionIsNotTheRevision) {
  Request txn;
  txn.shape = Request::Shape::kTxn;
  txn.success = {Put("a", "4").success[0], Put("aa", "5").success[0]};
  model_.Apply(txn);  // 6
  WatchOracle both(&judge_, &model_, "watcher", WatchSpec{"a", "b"}, 6);
  both.OnAnswer(VirtualTime(), Events({Change{false, {"a", "4", 6, 6, 1}}}, 6));
  EXPECT_FALSE(judge_.clean());
}

TEST_F(WatchOracleTest, WhatIsFilteredOutIsNotWanted) {
  WatchSpec deletions{"a", ""};
  deletions.no_put = true;
  WatchOracle oracle(&judge_, &model_, "watcher", deletions, 1);
  oracle.OnAnswer(VirtualTime(), Events({}, 4));
  oracle.OnAnswer(VirtualTime(), Events({gone_}, 5));
  EXPECT_TRUE(judge_.clean());
  EXPECT_TRUE(oracle.AtHead());

  WatchSpec puts{"a", ""};
  puts.no_delete = true;
  WatchOracle others(&judge_, &model_, "watcher", puts, 1);
  others.OnAnswer(VirtualTime(), Events({first_, second_, gone_}, 5));
  EXPECT_FALSE(judge_.clean());
}

TEST_F(WatchOracleTest, WhatAChangeReplacedIsToldIfAndOnlyIfItWasAskedFor) {
  Change second = second_;
  second.prev = first_.kv;
  Change gone = gone_;
  gone.prev = second_.kv;
  WatchSpec spec{"a", ""};
  spec.prev_kv = true;
  WatchOracle oracle(&judge_, &model_, "watcher", spec, 1);
  oracle.OnAnswer(VirtualTime(), Events({first_, second}, 4));
  EXPECT_TRUE(judge_.clean());
  EXPECT_FALSE(Accepts(Events({first_, second}, 4))) << "this one did not ask for it";
  Judge judge;
  WatchOracle forgetful(&judge, &model_, "watcher", spec, 5);
  forgetful.OnAnswer(VirtualTime(), Events({gone_}, 5));
  EXPECT_FALSE(judge.clean());
  Judge another;
  WatchOracle stale(&another, &model_, "watcher", spec, 5);
  gone.prev = first_.kv;
  stale.OnAnswer(VirtualTime(), Events({gone}, 5));
  EXPECT_FALSE(another.clean()) << "not what it was right before";
}

TEST_F(WatchOracleTest, WhatAChangeReplacedMayBeCompacted) {
  Request compaction;
  compaction.shape = Request::Shape::kCompact;
  compaction.compact_revision = 5;
  model_.Apply(compaction);
  WatchSpec spec{"a", ""};
  spec.prev_kv = true;
  WatchOracle oracle(&judge_, &model_, "watcher", spec, 5);
  oracle.OnAnswer(VirtualTime(), Events({gone_}, 5));
  EXPECT_TRUE(judge_.clean());
}

// --- The general checker ---

sim::Call Done(const Request& request, uint64_t invoked, uint64_t returned, const Result& result) {
  sim::Call call;
  call.request = request;
  call.invoked_at = invoked;
  call.returned_at = returned;
  call.outcome = Outcome::kOk;
  call.result = result;
  return call;
}

SearchVerdict Search(const std::vector<sim::Call>& calls) {
  std::vector<const sim::Call*> pointers;
  for (const sim::Call& call : calls) pointers.push_back(&call);
  return SearchLinearization(pointers, 100'000).verdict;
}

TEST(Search, FindsAnOrderForOverlappingRequests) {
  // Two puts at once, seen in either order by reads after both.
  EXPECT_EQ(Search({Done(Put("a", "1"), 1, 10, Wrote(0)), Done(Put("a", "2"), 2, 9, Wrote(0)),
                    Done(Get("a"), 11, 12, Found(0, {{"a", "1", 0, 0, 2}}))}),
            SearchVerdict::kLinearizable);
  EXPECT_EQ(Search({Done(Put("a", "1"), 1, 10, Wrote(0)), Done(Put("a", "2"), 2, 9, Wrote(0)),
                    Done(Get("a"), 11, 12, Found(0, {{"a", "2", 0, 0, 2}}))}),
            SearchVerdict::kLinearizable);
}

TEST(Search, RefusesAStaleRead) {
  EXPECT_EQ(Search({Done(Put("a", "1"), 1, 2, Wrote(0)), Done(Put("a", "2"), 3, 4, Wrote(0)),
                    Done(Get("a"), 5, 6, Found(0, {{"a", "1", 0, 0, 1}}))}),
            SearchVerdict::kNotLinearizable);
}

TEST(Search, RefusesReadsThatDisagreeAboutTheOrder) {
  EXPECT_EQ(Search({Done(Put("a", "1"), 1, 20, Wrote(0)), Done(Put("a", "2"), 2, 21, Wrote(0)),
                    Done(Get("a"), 3, 4, Found(0, {{"a", "1", 0, 0, 1}})),
                    Done(Get("a"), 5, 6, Found(0, {{"a", "2", 0, 0, 2}})),
                    Done(Get("a"), 7, 8, Found(0, {{"a", "1", 0, 0, 3}}))}),
            SearchVerdict::kNotLinearizable);
}

TEST(Search, AnUnansweredWriteMayTakeEffectAtAnyLaterTime) {
  sim::Call lost;
  lost.request = Put("a", "9");
  lost.invoked_at = 1;
  lost.outcome = Outcome::kUnknown;
  EXPECT_EQ(Search({lost, Done(Get("a"), 2, 3, Found(0, {})),
                    Done(Get("a"), 4, 5, Found(0, {{"a", "9", 0, 0, 1}}))}),
            SearchVerdict::kLinearizable);
  EXPECT_EQ(Search({lost, Done(Get("a"), 2, 3, Found(0, {{"a", "9", 0, 0, 1}})),
                    Done(Get("a"), 4, 5, Found(0, {}))}),
            SearchVerdict::kNotLinearizable);
}

TEST(Search, GivesUpAtItsBudget) {
  std::vector<sim::Call> calls;
  for (int i = 0; i < 12; ++i) {
    calls.push_back(Done(Put("a", std::to_string(i)), 1 + i, 100 + i, Wrote(0)));
  }
  calls.push_back(Done(Get("a"), 200, 201, Found(0, {{"a", "none", 0, 0, 12}})));
  std::vector<const sim::Call*> pointers;
  for (const sim::Call& call : calls) pointers.push_back(&call);
  EXPECT_EQ(SearchLinearization(pointers, 500).verdict, SearchVerdict::kGaveUp);
}

}  // namespace
}  // namespace quorate::sim
