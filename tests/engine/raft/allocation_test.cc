// A step of steady-state replication allocates nothing beyond its entries: neither at
// the leader nor at the follower.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "engine/raft/raft.h"

namespace {
bool g_counting = false;
size_t g_allocations = 0;
}  // namespace

__attribute__((noinline)) void* operator new(size_t size) {
  if (g_counting) ++g_allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace quorate::raft {
namespace {

// Members that hand each other's messages over and whose disks are instant.
class Trio {
 public:
  Trio() {
    for (uint64_t id = 1; id <= 3; ++id) {
      Config config;
      config.id = MemberId(id);
      config.pre_vote = false;
      config.async_storage_writes = true;
      DurableLog log;
      log.snapshot.conf_state.voters = {MemberId(1), MemberId(2), MemberId(3)};
      members_.push_back(std::make_unique<Raft>(config, std::move(log), Instant()));
    }
    readies_.resize(3);
  }

  Raft& leader() { return *members_[0]; }

  void Exchange() {
    for (bool worked = true; worked;) {
      worked = false;
      for (size_t i = 0; i < members_.size(); ++i) {
        while (members_[i]->HasReady()) {
          worked = true;
          Carry(i);
        }
      }
    }
  }

  // As an application does now and then.
  void Compact() {
    for (auto& member : members_) {
      if (!member->Compact(std::min(member->log().applied(), member->log().stable())).ok()) {
        std::abort();
      }
    }
  }

 private:
  void Carry(size_t i) {
    Raft& raft = *members_[i];
    Ready& ready = readies_[i];
    raft.TakeReady(&ready);
    for (Message& m : ready.messages) Deliver(&m);
    for (Message& m : ready.responses) Deliver(&m);
    if (!ready.committed_entries.empty()) {
      raft.AppliedTo(ready.committed_entries.last_index(), Instant());
    }
  }

  void Deliver(Message* m) {
    // Encoding and decoding are the transport's: the receiver gets a list of its own.
    const bool counted = std::exchange(g_counting, false);
    Message copy = *m;
    g_counting = counted;
    Raft& to = *members_[copy.to.value() - 1];
    const bool local = copy.from == copy.to || copy.from == kLocalAppendThread;
    (local ? to.StepLocal(std::move(copy), Instant()) : to.Step(std::move(copy), Instant()))
        .IgnoreError();
  }

  std::vector<std::unique_ptr<Raft>> members_;
  std::vector<Ready> readies_;
};

TEST(Allocation, SteadyReplicationAllocatesNothingBeyondItsEntries) {
  Trio trio;
  trio.leader().Campaign(Instant());
  trio.Exchange();
  ASSERT_EQ(trio.leader().role(), Role::kLeader);
  const std::vector<Bytes> batch(8, Bytes::Static("payload"));
  const auto rounds = [&](int n) {
    for (int i = 0; i < n; ++i) {
      ASSERT_TRUE(trio.leader().Propose(batch, Instant()).ok());
      trio.Exchange();
      if (i % 64 == 63) trio.Compact();
    }
  };
  rounds(1000);  // buffers reach their sizes
  const LogIndex before = trio.leader().log().applied();
  g_counting = true;
  rounds(1000);
  g_counting = false;
  EXPECT_EQ(trio.leader().log().applied() - before, 8000u);
  // The log's chunks (256 entries each, for three members, some of them spares) are the
  // entries' own memory: 94 of them would do for all of these, kept ones for most.
  EXPECT_LE(g_allocations, 100u) << "in 1000 rounds of 3 members";
}

}  // namespace
}  // namespace quorate::raft
