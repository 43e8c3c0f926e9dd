// Checkpoints, the log that is cut behind them, and states that come from a leader.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "api/rpc.pb.h"
#include "engine/apply/applier.h"
#include "engine/apply/state_image.h"
#include "engine/membership/membership.h"
#include "engine/replica/image_meta.h"
#include "engine/replica/replica.h"
#include "tests/engine/replica/cluster.h"

namespace quorate::engine {
namespace {

int FollowerOf(const Cluster& cluster) { return cluster.leader() == 1 ? 2 : 1; }

etcdserverpb::WatchRequest WatchFrom(const std::string& key, int64_t start) {
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(key);
  request.mutable_create_request()->set_start_revision(start);
  return request;
}

std::function<void(Config*)> CheckpointEvery(uint64_t entries, uint64_t catchup) {
  return [=](Config* config) {
    config->checkpoint_entries = entries;
    config->catchup_entries = catchup;
    config->store_segment_bytes = 512;
  };
}

void PutMany(Cluster* cluster, int member, int count) {
  for (int i = 0; i < count; ++i) {
    cluster->Call(member, RequestKind::kPut,
                  Put("k" + std::to_string(i % 20), "value " + std::to_string(i)));
  }
}

TEST(ReplicaCheckpoint, ACheckpointLetsTheLogGoButForWhatSlowFollowersNeed) {
  Cluster cluster(1, CheckpointEvery(50, 10));
  cluster.Elect();
  PutMany(&cluster, 1, 300);
  const ReplicaStatus status = cluster[1].status();
  EXPECT_GT(status.checkpoint, LogIndex(250));
  EXPECT_EQ(status.first_index, status.checkpoint - 10 + 1);
  EXPECT_EQ(status.applied, status.last_index);
}

// To give back very many entries at once takes long.
TEST(ReplicaCheckpoint, ALongLogIsCutInPieces) {
  constexpr int kEntries = 5000;
  Cluster cluster(1, CheckpointEvery(50, 10));
  cluster.Elect();
  cluster.HoldCheckpoints(1, true);
  PutMany(&cluster, 1, kEntries);
  const ReplicaStatus before = cluster[1].status();
  EXPECT_EQ(before.first_index, LogIndex(1));
  ASSERT_EQ(before.checkpoint, LogIndex(0));
  Output out;
  const auto step = [&](decltype(Input::event) event) {
    Input input{cluster.now(), WallTime(), std::move(event)};
    const LogIndex first = cluster[1].status().first_index;
    cluster[1].Step(std::move(input), &out);
    EXPECT_LE(cluster[1].status().first_index - first, int64_t{1000});
  };
  step(Checkpointed{before.applied, true});
  EXPECT_EQ(out.log_cut, LogIndex(0)) << "the disk hears of it when it is done";
  int turns = 0;
  for (; out.turn_end_wanted && turns < 100; ++turns) step(TurnEnd{});
  EXPECT_GE(turns, kEntries / 1000 - 1);
  EXPECT_EQ(out.log_cut, before.applied - 10);
  EXPECT_EQ(cluster[1].status().first_index, before.applied - 10 + 1);
}

// It was once forgotten until the next checkpoint, and the disk kept even what raft had given up.
TEST(ReplicaCheckpoint, ACutThatASnapshotInterruptsGoesOnOnceThatIsOver) {
  for (const bool again : {false, true}) {
    Cluster cluster(3, CheckpointEvery(50, 10));
    const int leader = cluster.Elect();
    const int follower = FollowerOf(cluster);
    const auto status = [&] { return cluster[leader].status(); };
    cluster.HoldCheckpoints(leader, true);
    cluster.Isolate(follower, true);
    const LogIndex known = status().last_index;
    PutMany(&cluster, leader, 3000);
    ASSERT_EQ(status().checkpoint, LogIndex(0));
    Output out;
    const auto step = [&](decltype(Input::event) event) {
      cluster[leader].Step({cluster.now(), WallTime(), std::move(event)}, &out);
    };
    const auto work = [&] {
      int turns = 0;
      for (; out.turn_end_wanted && turns < 100; ++turns) step(TurnEnd{});
      EXPECT_LT(turns, 100) << "it is busy with nothing";
    };
    step(Checkpointed{status().applied - 100, true});
    const LogIndex first = status().first_index;
    ASSERT_GT(first, known + 1);
    ASSERT_EQ(out.log_cut, LogIndex(0)) << "it is under way";

    raft::Message behind;
    behind.type = raft::MessageType::kAppResp;
    behind.from = MemberId(static_cast<uint64_t>(follower));
    behind.to = MemberId(static_cast<uint64_t>(leader));
    behind.term = status().term;
    behind.reject = true;
    behind.index = known + 1;
    behind.reject_hint = known;
    step(PeerMessage{behind});
    work();
    ASSERT_EQ(out.snapshots.size(), 1u);
    // The next checkpoint may be done while the snapshot still is on its way.
    if (again) step(Checkpointed{status().applied, true});
    work();
    EXPECT_EQ(status().first_index, first);
    EXPECT_EQ(out.log_cut, LogIndex(0));

    step(SnapshotSent{behind.from, false});
    work();
    EXPECT_EQ(out.log_cut, status().applied - (again ? 10 : 110));
    EXPECT_EQ(status().first_index, out.log_cut + 1);
  }
}

TEST(ReplicaCheckpoint, ARestartFromACheckpointIsTheSameStateAsBefore) {
  Cluster cluster(1, CheckpointEvery(50, 10));
  cluster.Elect();
  PutMany(&cluster, 1, 333);
  const uint64_t digest = cluster[1].StateDigest();
  const uint64_t chain = cluster[1].inspector().applied_chain();
  const ReplicaStatus before = cluster[1].status();
  cluster.Crash(1);
  cluster.Restart(1);
  EXPECT_GE(cluster[1].status().applied, before.checkpoint);
  cluster.Elect();
  const ReplicaStatus after = cluster[1].status();
  EXPECT_EQ(after.applied, before.applied + 1);  // a new leader's empty entry
  EXPECT_EQ(cluster[1].StateDigest(), digest);
  EXPECT_NE(cluster[1].inspector().applied_chain(), chain);
  EXPECT_EQ(after.revision, before.revision);
  EXPECT_EQ(cluster[1].members().size(), 1u);
  const auto got =
      Parsed<etcdserverpb::RangeResponse>(cluster.Call(1, RequestKind::kRange, Get("k12")));
  ASSERT_EQ(got.kvs_size(), 1);
  EXPECT_EQ(got.kvs(0).value(), "value 332");
}

TEST(ReplicaCheckpoint, NothingIsCutBeforeTheCheckpointIsDurableOrAfterItFailed) {
  Cluster cluster(1, CheckpointEvery(50, 0));
  cluster.Elect();
  cluster.HoldCheckpoints(1, true);
  PutMany(&cluster, 1, 200);
  EXPECT_EQ(cluster[1].status().first_index, LogIndex(1));
  cluster.FailCheckpoints(1, true);
  cluster.HoldCheckpoints(1, false);
  cluster.Settle();
  EXPECT_EQ(cluster[1].status().first_index, LogIndex(1));
  EXPECT_EQ(cluster[1].status().checkpoint, LogIndex(0));
  cluster.FailCheckpoints(1, false);
  cluster.Run(Seconds(10));  // it is tried again
  EXPECT_GT(cluster[1].status().checkpoint, LogIndex(200));
  EXPECT_GT(cluster[1].status().first_index, LogIndex(200));
}

TEST(ReplicaCheckpoint, ACheckpointIsDueAfterSomeTimeIfThereIsSomethingNew) {
  Cluster cluster(1, [](Config* config) { config->checkpoint_interval = Seconds(60); });
  cluster.Elect();
  PutMany(&cluster, 1, 3);
  cluster.Run(Seconds(61));
  const LogIndex first = cluster[1].status().checkpoint;
  EXPECT_GT(first, LogIndex(3));
  cluster.Run(Seconds(300));
  EXPECT_EQ(cluster[1].status().checkpoint, first);
}

TEST(ReplicaCheckpoint, AFollowerBehindTheLogGetsTheStateAndGoesOn) {
  Cluster cluster(3, CheckpointEvery(40, 5));
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.OpenWatch(follower, 7);
  cluster.Watch(follower, 7, WatchFrom("k3", 0));
  cluster.Settle();
  cluster.TakeWatched(7);
  cluster.Isolate(follower, true);
  PutMany(&cluster, leader, 200);
  EXPECT_LT(cluster[follower].status().last_index, cluster[leader].status().first_index);
  cluster.Isolate(follower, false);
  cluster.Run(Seconds(2));
  EXPECT_EQ(cluster[follower].status().snapshots_installed, 1u);
  EXPECT_EQ(cluster[leader].status().snapshots_sent, 1u);
  PutMany(&cluster, leader, 5);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster[follower].status().applied, cluster[leader].status().applied);
  EXPECT_EQ(cluster[follower].StateDigest(), cluster[leader].StateDigest());
  EXPECT_EQ(cluster[follower].inspector().applied_chain(),
            cluster[leader].inspector().applied_chain());
  // Its watcher has missed nothing.
  int events = 0;
  for (const auto& response : cluster.TakeWatched(7)) events += response.events_size();
  EXPECT_EQ(events, 11);
  // And it starts again from what it was given.
  cluster.Crash(follower);
  cluster.Restart(follower);
  cluster.Run(Seconds(2));
  EXPECT_EQ(cluster[follower].StateDigest(), cluster[leader].StateDigest());
}

TEST(ReplicaCheckpoint, AnInstalledStateIsServedOnlyOnceItIsDurable) {
  Cluster cluster(3, CheckpointEvery(40, 0));
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.Isolate(follower, true);
  PutMany(&cluster, leader, 100);
  cluster.HoldDisk(follower, true);
  cluster.Isolate(follower, false);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster[follower].status().snapshots_installed, 0u);
  EXPECT_LT(cluster[follower].status().revision, Revision(50));
  cluster.Crash(follower);  // before anything of it reached the disk
  cluster.HoldDisk(follower, false);
  cluster.Restart(follower);
  cluster.Run(Seconds(30));  // until the leader no longer waits for the first one
  EXPECT_EQ(cluster[follower].StateDigest(), cluster[leader].StateDigest());
}

TEST(ReplicaCheckpoint, AWatcherIsToldThatItsHistoryWentWithTheSnapshot) {
  Cluster cluster(3, CheckpointEvery(40, 0));
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  cluster.OpenWatch(follower, 7);
  cluster.Watch(follower, 7, WatchFrom("k3", 0));
  cluster.Settle();
  cluster.TakeWatched(7);
  cluster.Isolate(follower, true);
  PutMany(&cluster, leader, 100);
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(90);
  cluster.Call(leader, RequestKind::kCompact, compact.SerializeAsString());
  PutMany(&cluster, leader, 50);
  cluster.Isolate(follower, false);
  cluster.Run(Seconds(2));
  ASSERT_EQ(cluster[follower].status().snapshots_installed, 1u);
  const auto responses = cluster.TakeWatched(7);
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_TRUE(responses[0].canceled());
  EXPECT_EQ(responses[0].compact_revision(), 90);
}

TEST(ReplicaCheckpoint, AStateThatMakesNoSenseIsRefused) {
  Cluster cluster(3, CheckpointEvery(40, 0));
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  PutMany(&cluster, leader, 10);
  const uint64_t digest = cluster[follower].StateDigest();
  raft::Message message;
  message.type = raft::MessageType::kSnap;
  message.from = MemberId(static_cast<uint64_t>(leader));
  message.to = MemberId(static_cast<uint64_t>(follower));
  message.term = cluster[leader].status().term;
  StateImage image;
  image.index = LogIndex(1000);
  image.term = message.term;
  const uint64_t refused = cluster[follower].status().peer_messages_refused;
  cluster.Step(follower, SnapshotReceived{message, image});
  image.sections = Bytes::Copy("QUORIMG\n and then nothing");
  cluster.Step(follower, SnapshotReceived{message, image});
  SectionWriter sections;
  EncodeImageMeta({{image.index, image.term, {{MemberId(1)}, {}, {}, {}, false}}, 1},
                  sections.Begin(Section::kRaft));
  image.sections = std::move(sections).Finish();  // no store
  cluster.Step(follower, SnapshotReceived{message, image});
  cluster.Settle();
  EXPECT_EQ(cluster[follower].status().peer_messages_refused, refused + 3);
  EXPECT_EQ(cluster[follower].StateDigest(), digest);
  PutMany(&cluster, leader, 1);
  cluster.Run(Seconds(1));
  EXPECT_EQ(cluster[follower].StateDigest(), cluster[leader].StateDigest());
}

// A member that has applied nothing but the three members, as if at a later entry.
StateImage LaterState(LogIndex index, Term term) {
  apply::Applier applier;
  for (const uint64_t id : {1, 2, 3}) {
    membership::Change change;
    change.member = {MemberId(id), "m", {"http://h:" + std::to_string(id)}, {}, false};
    apply::Outcome outcome;
    applier.ApplyMembershipChange(change, &outcome);
  }
  StateImage image;
  image.index = index;
  image.term = term;
  apply::ImageRun run(applier, std::move(image));
  const raft::ConfState members{{MemberId(1), MemberId(2), MemberId(3)}, {}, {}, {}, false};
  EncodeImageMeta({{index, term, members}, 1}, run.BeginSection(Section::kRaft));
  mvcc::Work work = mvcc::Work::Unlimited();
  EXPECT_TRUE(run.Step(&work));
  return std::move(run).Take();
}

// The follower gets the state at entry 1000 from the leader of its term.
void SendLaterState(Cluster* cluster, int leader, int follower) {
  raft::Message message;
  message.type = raft::MessageType::kSnap;
  message.from = MemberId(static_cast<uint64_t>(leader));
  message.to = MemberId(static_cast<uint64_t>(follower));
  message.term = (*cluster)[follower].status().term;
  cluster->Step(follower, SnapshotReceived{message, LaterState(LogIndex(1000), message.term)});
}

// Were the older state to reach the disk after the newer one, it would replace it there, and
// the log begins behind the newer one.
TEST(ReplicaCheckpoint, AnImageUnderWayIsGivenUpForAStateThatArrives) {
  Cluster cluster(3, [](Config* config) {
    config->checkpoint_entries = 100;
    config->store_segment_bytes = 512;
    config->max_turn_work = 8;  // two segments a turn
  });
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  const auto status = [&] { return cluster[follower].status(); };
  const std::string put = Put("k", std::string(500, 'v'));
  while (status().applied - status().checkpoint < 99) {
    cluster.Call(leader, RequestKind::kPut, put);
  }
  cluster.Isolate(follower, true);
  cluster.HoldCheckpoints(follower, true);
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.from = MemberId(static_cast<uint64_t>(leader));
  message.to = MemberId(static_cast<uint64_t>(follower));
  message.term = message.log_term = status().term;
  message.index = status().last_index;
  message.commit = message.index + 1;
  message.entries = {{message.term, message.index + 1, raft::EntryType::kNormal, Bytes()}};
  cluster.Step(follower, PeerMessage{message});
  while (status().pieces.images == 0) ASSERT_TRUE(cluster.WorkOnce(follower));

  cluster.HoldDisk(follower, true);
  SendLaterState(&cluster, leader, follower);
  while (cluster.WorkOnce(follower)) continue;
  EXPECT_EQ(status().snapshots_installed, 0u);
  cluster.HoldDisk(follower, false);
  while (cluster.WorkOnce(follower)) continue;
  EXPECT_EQ(status().snapshots_installed, 1u);
  cluster.HoldCheckpoints(follower, false);
  while (cluster.WorkOnce(follower)) continue;
  cluster.Crash(follower);
  cluster.Restart(follower);
  EXPECT_EQ(status().applied, LogIndex(1000));
}

// The log begins behind the state that arrived: what it says of the older one is nothing.
TEST(ReplicaCheckpoint, OneThatIsDoneWhileANewerStateIsBeingWrittenIsNotTakenForTheLast) {
  Cluster cluster(3, [](Config* config) {
    config->checkpoint_entries = 100;
    config->store_segment_bytes = 512;
  });
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  const auto status = [&] { return cluster[follower].status(); };
  cluster.HoldCheckpoints(follower, true);
  PutMany(&cluster, leader, 150);
  ASSERT_EQ(status().checkpoint, LogIndex(0));
  cluster.Isolate(follower, true);
  cluster.HoldDisk(follower, true);
  SendLaterState(&cluster, leader, follower);
  while (cluster.WorkOnce(follower)) continue;
  ASSERT_EQ(status().snapshots_installed, 0u);
  cluster.HoldCheckpoints(follower, false);
  while (cluster.WorkOnce(follower)) continue;
  EXPECT_EQ(status().checkpoint, LogIndex(0));
  cluster.HoldDisk(follower, false);
  while (cluster.WorkOnce(follower)) continue;
  EXPECT_EQ(status().snapshots_installed, 1u);
  EXPECT_EQ(status().checkpoint, LogIndex(1000));
}

// An entry under way is applied no further once a state is accepted in its place, and until that
// is durable neither does the compactor go on behind it.
TEST(ReplicaCheckpoint, NothingSpinsWhileAStateThatArrivedIsBeingWritten) {
  Cluster cluster(3, [](Config* config) { config->max_turn_work = 64; });
  const int leader = cluster.Elect();
  const int follower = FollowerOf(cluster);
  const auto status = [&] { return cluster[follower].status(); };
  for (int i = 0; i < 100; ++i) {
    cluster.Call(leader, RequestKind::kPut, Put("k" + std::to_string(i), "v"));
  }
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(status().revision.value());
  cluster.Send(leader, RequestKind::kCompact, compact.SerializeAsString());
  const std::string all(1, '\0');
  cluster.Send(leader, RequestKind::kDeleteRange, Delete(all, all));
  while (status().pieces.applies == 0) ASSERT_TRUE(cluster.WorkAll());
  ASSERT_GT(status().commit, status().applied);
  cluster.Isolate(follower, true);
  cluster.HoldDisk(follower, true);
  SendLaterState(&cluster, leader, follower);
  int turns = 0;
  while (turns < 1000 && cluster.WorkOnce(follower)) ++turns;
  EXPECT_LT(turns, 1000);
  ASSERT_GT(status().commit, status().applied);
  cluster.HoldDisk(follower, false);
  while (cluster.WorkOnce(follower)) continue;
  EXPECT_EQ(status().snapshots_installed, 1u);
  EXPECT_EQ(status().applied, LogIndex(1000));
}

TEST(ReplicaCheckpoint, ACheckpointThatCannotBeReadStopsTheMemberWithAReason) {
  Config config;
  config.cluster_id = ClusterId(7);
  config.member_id = MemberId(1);
  Recovered recovered;
  recovered.checkpoint.emplace();
  recovered.checkpoint->index = LogIndex(9);
  recovered.checkpoint->sections = Bytes::Copy("QUORIMG\n");
  Replica replica(config, std::move(recovered), Instant::FromNanos(1));
  Output out;
  replica.Step({Instant::FromNanos(1), WallTime(), TimePassed{}}, &out);
  EXPECT_TRUE(absl::IsDataLoss(out.fatal)) << out.fatal;
}

}  // namespace
}  // namespace quorate::engine
