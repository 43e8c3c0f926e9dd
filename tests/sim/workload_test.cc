// Workloads by hand: what each accepts, and what each must refuse.
#include "sim/workload/workload.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace quorate::sim {
namespace {

// One client after another, each request answered as the test says.
class Story {
 public:
  explicit Story(WorkloadKind kind, uint64_t seed = 7)
      : workload_(NewWorkload(kind, &judge_, 0)), prng_(seed) {}

  // The next request of a client that `wanted` accepts.
  template <typename Wanted>
  Request Next(uint32_t client, Wanted wanted) {
    for (int i = 0; i < 10'000; ++i) {
      Request request = workload_->Next(client, &prng_);
      if (wanted(request)) return request;
    }
    ADD_FAILURE() << "no such request comes up";
    return Request();
  }
  Request Next(uint32_t client) {
    return Next(client, [](const Request&) { return true; });
  }

  void Answer(uint32_t client, Request request, Result result, Outcome outcome = Outcome::kOk) {
    Call call;
    call.client = client;
    call.request = std::move(request);
    call.result = std::move(result);
    call.outcome = outcome;
    call.invoked = now_;
    call.returned = now_ = now_ + Milliseconds(1);
    workload_->OnReturn(call);
  }
  void Wait(Duration time) { now_ = now_ + time; }
  void Finish(const Model& model) { workload_->Finish(now_, model); }

  const Judge& judge() const { return judge_; }
  bool Refused() const { return !judge_.clean() && judge_.violations()[0].rule == Rule::kWorkload; }

 private:
  Judge judge_;
  VirtualTime now_;
  std::unique_ptr<Workload> workload_;
  Prng prng_;
};

Result Shows(std::vector<KeyValue> kvs, int64_t revision = 10) {
  Result result;
  result.revision = revision;
  OperationResult operation;
  operation.count = static_cast<int64_t>(kvs.size());
  operation.kvs = std::move(kvs);
  result.operations.push_back(std::move(operation));
  return result;
}

Result Succeeded(int64_t revision = 10) {
  Result result = Shows({}, revision);
  result.succeeded = true;
  return result;
}

bool IsRead(const Request& request) { return request.shape == Request::Shape::kRange; }
bool IsTxn(const Request& request) { return request.shape == Request::Shape::kTxn; }
bool IsPut(const Request& request) {
  return IsTxn(request) && request.success[0].kind == Operation::Kind::kPut;
}
bool IsDelete(const Request& request) {
  return IsTxn(request) && request.success[0].kind == Operation::Kind::kDelete;
}

std::vector<KeyValue> Accounts(int64_t first) {
  std::vector<KeyValue> out;
  for (int i = 0; i < 6; ++i) {
    out.push_back(
        {"g-bank/" + std::to_string(i), std::to_string(i == 0 ? first : 100), 2, 2, 1, 0});
  }
  return out;
}

TEST(Bank, TheTotalStaysTheSame) {
  Story story(WorkloadKind::kBank);
  story.Answer(1, story.Next(1, IsRead), Shows(Accounts(100)));
  EXPECT_TRUE(story.judge().clean());
  story.Answer(1, story.Next(1, IsRead), Shows(Accounts(101)));
  EXPECT_TRUE(story.Refused());
}

TEST(Bank, ATransferMovesWhatItTakes) {
  Story story(WorkloadKind::kBank);
  story.Answer(1, story.Next(1, IsRead), Shows(Accounts(100)));
  const Request transfer = story.Next(1, IsTxn);
  ASSERT_EQ(transfer.success.size(), 2u);
  EXPECT_EQ(NumberIn(transfer.success[0].value) + NumberIn(transfer.success[1].value), 200);
}

KeyValue List(const std::string& value) { return {"g-lists/0", value, 2, 5, 1, 0}; }
bool IsOfList0(const Request& request) { return request.success[0].key == "g-lists/0"; }

TEST(Lists, StatesBeginWithEachOther) {
  Story story(WorkloadKind::kLists);
  const auto read = [](const Request& r) { return IsRead(r) && IsOfList0(r); };
  story.Answer(1, story.Next(1, read), Shows({List("c1.1,")}));
  story.Answer(2, story.Next(2, read), Shows({List("c1.1,c2.1,")}));
  story.Answer(1, story.Next(1, read), Shows({List("c1.1,")}));
  EXPECT_TRUE(story.judge().clean()) << "an older state is one, too";
  story.Answer(1, story.Next(1, read), Shows({List("c1.1,c3.1,")}));
  EXPECT_TRUE(story.Refused());
}

TEST(Lists, AnAcknowledgedElementStays) {
  Story story(WorkloadKind::kLists);
  const auto append = [](const Request& r) { return IsPut(r) && IsOfList0(r); };
  story.Answer(1, story.Next(1, [](const Request& r) { return IsRead(r) && IsOfList0(r); }),
               Shows({}));
  story.Answer(1, story.Next(1, append), Succeeded());
  Model model;
  Request other;
  other.shape = Request::Shape::kPut;
  other.success.push_back(PutKey("g-lists/0", "c9.9,"));
  model.Apply(other);
  story.Finish(model);
  EXPECT_TRUE(story.Refused());
}

// Takes the lock as a client does; its lease then stands for two seconds.
void TakeLock(Story* story, uint32_t client) {
  Result granted;
  granted.lease_found = true;
  granted.ttl = 2;
  story->Answer(client, story->Next(client), granted);
  story->Answer(client, story->Next(client), Succeeded());
}

TEST(Lock, TwoMayNotHoldIt) {
  Story story(WorkloadKind::kLock);
  TakeLock(&story, 1);
  EXPECT_TRUE(story.judge().clean());
  TakeLock(&story, 2);
  EXPECT_TRUE(story.Refused());
}

TEST(Lock, AfterItsTimeItIsAnothers) {
  Story story(WorkloadKind::kLock);
  TakeLock(&story, 1);
  story.Wait(Seconds(2));
  TakeLock(&story, 2);
  EXPECT_TRUE(story.judge().clean());
}

TEST(Lock, GivenBackItIsAnothers) {
  Story story(WorkloadKind::kLock);
  TakeLock(&story, 1);
  story.Answer(1, story.Next(1, IsDelete), Succeeded());
  TakeLock(&story, 2);
  EXPECT_TRUE(story.judge().clean());
}

// Seed 30691060384: the first attempt took effect, and its answer was lost.
TEST(Lock, GivenBackTwiceItIsGoneTheSecondTime) {
  Story story(WorkloadKind::kLock);
  TakeLock(&story, 1);
  story.Answer(1, story.Next(1, IsDelete), Shows({}));
  EXPECT_TRUE(story.judge().clean());
}

TEST(Lock, AHolderFindsItThere) {
  int writes = 0;
  for (uint64_t seed = 1; seed < 50; ++seed) {
    Story story(WorkloadKind::kLock, seed);
    TakeLock(&story, 1);
    const Request next = story.Next(1);
    if (!IsPut(next) || next.success[0].key != "g-lock/register") continue;
    story.Answer(1, next, Shows({}));
    EXPECT_TRUE(story.Refused());
    ++writes;
  }
  EXPECT_GT(writes, 0);
}

TEST(Queue, NothingIsTakenTwice) {
  Story story(WorkloadKind::kQueue);
  const Request put = story.Next(1, IsPut);
  const std::string key = put.success[0].key;
  story.Answer(1, put, Succeeded());
  for (const uint32_t client : {2u, 3u}) {
    EXPECT_TRUE(story.judge().clean());
    story.Answer(client, story.Next(client, IsRead), Shows({{key, "x", 10, 10, 1, 0}}));
    story.Answer(client, story.Next(client, IsDelete), Succeeded());
  }
  EXPECT_TRUE(story.Refused());
}

TEST(Queue, NothingIsLost) {
  Story story(WorkloadKind::kQueue);
  story.Answer(1, story.Next(1, IsPut), Succeeded());
  story.Finish(Model());
  EXPECT_TRUE(story.Refused());
}

TEST(Queue, AnUnknownTakeMayHaveTakenIt) {
  Story story(WorkloadKind::kQueue);
  const Request put = story.Next(1, IsPut);
  story.Answer(1, put, Succeeded());
  story.Answer(2, story.Next(2, IsRead), Shows({{put.success[0].key, "x", 10, 10, 1, 0}}));
  story.Answer(2, story.Next(2, IsDelete), Result(), Outcome::kUnknown);
  story.Finish(Model());
  EXPECT_TRUE(story.judge().clean());
}

TEST(Kubernetes, AVersionIsReplacedOnce) {
  Story story(WorkloadKind::kKubernetes);
  const KeyValue pod{"g-registry/pods/03", "a", 2, 7, 1, 0};
  const auto change = [&pod](const Request& r) {
    return IsTxn(r) && r.success[0].key == pod.key && r.compare[0].number == 7;
  };
  for (const uint32_t client : {1u, 2u}) {
    EXPECT_TRUE(story.judge().clean());
    story.Answer(client, story.Next(client, IsRead), Shows({pod}));
    story.Answer(client, story.Next(client, change), Succeeded());
  }
  EXPECT_TRUE(story.Refused());
}

TEST(Kubernetes, PagesAreOfOneRevision) {
  Story story(WorkloadKind::kKubernetes);
  Result first = Shows({{"g-registry/pods/01", "a", 2, 7, 1, 0}}, 20);
  first.operations[0].more = true;
  story.Answer(1, story.Next(1, IsRead), first);
  const Request second = story.Next(1);
  ASSERT_EQ(second.success[0].revision, 20) << "the next page";
  story.Answer(1, second, Shows({{"g-registry/pods/02", "b", 2, 21, 1, 0}}, 25));
  EXPECT_TRUE(story.Refused());
}

TEST(Counters, NoMoreThanWasAsked) {
  Story story(WorkloadKind::kCounters);
  const auto of0 = [](const Request& r) { return r.success[0].key == "g-counters/0"; };
  const auto read = [&](const Request& r) { return IsRead(r) && of0(r); };
  const auto add = [&](const Request& r) { return IsPut(r) && of0(r); };
  story.Answer(1, story.Next(1, read), Shows({}));
  story.Answer(1, story.Next(1, add), Succeeded());
  story.Answer(2, story.Next(2, read), Shows({{"g-counters/0", "1", 2, 2, 1, 0}}));
  EXPECT_TRUE(story.judge().clean());
  story.Answer(2, story.Next(2, read), Shows({{"g-counters/0", "100000", 2, 3, 2, 0}}));
  EXPECT_TRUE(story.Refused());
}

TEST(Counters, OneIncrementAValue) {
  Story story(WorkloadKind::kCounters);
  const auto of0 = [](const Request& r) { return r.success[0].key == "g-counters/0"; };
  const auto read = [&](const Request& r) { return IsRead(r) && of0(r); };
  const auto add = [&](const Request& r) { return IsPut(r) && of0(r); };
  for (const uint32_t client : {1u, 2u}) {
    EXPECT_TRUE(story.judge().clean());
    story.Answer(client, story.Next(client, read), Shows({}));
    story.Answer(client, story.Next(client, add), Succeeded());
  }
  EXPECT_TRUE(story.Refused());
}

}  // namespace
}  // namespace quorate::sim
