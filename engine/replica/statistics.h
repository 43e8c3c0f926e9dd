// What a member counts for its metrics: plain integers, added to as things happen and read
// when somebody scrapes. All since the start, what was replayed then included. Nothing that a
// replica does depends on them.
#ifndef QUORATE_ENGINE_REPLICA_STATISTICS_H_
#define QUORATE_ENGINE_REPLICA_STATISTICS_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/strong_int.h"
#include "base/time.h"
#include "engine/mvcc/operation_counts.h"

namespace quorate::engine {

// How often something took how long: at most kFirst, 2 x kFirst, 4 x kFirst, ..., and longer.
template <int64_t kFirstNanos, size_t kBuckets>
struct DurationCounts {
  static constexpr Duration kFirst = Nanoseconds(kFirstNanos);
  static constexpr size_t kBounds = kBuckets;

  std::array<uint64_t, kBuckets + 1> counts = {};
  int64_t total_nanos = 0;

  void Add(Duration time, uint64_t times = 1) {
    const int64_t nanos = std::max<int64_t>(time.nanos(), 0);
    const auto beyond = static_cast<uint64_t>(std::max<int64_t>(nanos - 1, 0) / kFirstNanos);
    counts[std::min<size_t>(std::bit_width(beyond), kBuckets)] += times;
    total_nanos += nanos * static_cast<int64_t>(times);
  }
};

// The commands of the log, by their field of InternalRaftRequest and by the name that etcd's
// metrics give them. The frequent ones come first.
struct CommandName {
  uint32_t field;
  const char* name;
};
inline constexpr CommandName kCommandNames[] = {
    {4, "Put"},
    {6, "Txn"},
    {5, "DeleteRange"},
    {8, "LeaseGrant"},
    {9, "LeaseRevoke"},
    {11, "LeaseCheckpoint"},
    {7, "Compaction"},
    {3, "Range"},
    {10, "Alarm"},
    {1301, "ClusterMemberAttrSet"},
    {1300, "ClusterVersionSet"},
    {1302, "DowngradeInfoSet"},
    {1012, "Authenticate"},
    {1000, "AuthEnable"},
    {1011, "AuthDisable"},
    {1013, "AuthStatus"},
    {1100, "AuthUserAdd"},
    {1101, "AuthUserDelete"},
    {1102, "AuthUserGet"},
    {1103, "AuthUserChangePassword"},
    {1104, "AuthUserGrantRole"},
    {1105, "AuthUserRevokeRole"},
    {1106, "AuthUserList"},
    {1107, "AuthRoleList"},
    {1200, "AuthRoleAdd"},
    {1201, "AuthRoleDelete"},
    {1202, "AuthRoleGet"},
    {1203, "AuthRoleGrantPermission"},
    {1204, "AuthRoleRevokePermission"},
    {0, "unknown"},
};
inline constexpr size_t kCommandKinds = std::size(kCommandNames);

constexpr size_t CommandKindOf(uint32_t field) {
  size_t kind = 0;
  while (kind + 1 < kCommandKinds && kCommandNames[kind].field != field) ++kind;
  return kind;
}

// What was done in turns: the shell knows how long a turn took.
struct DoneCounts {
  // Applied commands, by kind: those that failed and those that did not.
  std::array<std::array<uint64_t, 2>, kCommandKinds> commands = {};
  std::array<uint64_t, 2> ranges = {};  // answered, likewise
  uint64_t all = 0;
  uint64_t compactions = 0;  // finished

  void CountCommand(uint32_t field, bool ok) {
    ++commands[CommandKindOf(field)][ok ? 1 : 0];
    ++all;
  }
  void CountRange(bool ok) {
    ++ranges[ok ? 1 : 0];
    ++all;
  }
};

struct Statistics {
  // What the store was asked for, operations inside transactions included, as etcd counts: a
  // key of a revoked lease is a delete; a comparison, or a look at the value before, is a range; a
  // transaction is whatever took more than one of these.
  mvcc::OperationCounts operations;

  uint64_t watch_events_sent = 0;  // once for each watcher

  // Finished ones; the time is that from the first piece to the last.
  DurationCounts<100'000'000, 14> compactions;
  uint64_t compacted_records = 0;
  // The last one: when it ended (1970 if there was none), what it made of the store.
  WallTime last_compaction;
  Revision compacted_to;
  Duration last_compaction_time;
  uint64_t last_compacted_records = 0;

  DurationCounts<10'000'000, 15> hashes;  // HashKV

  // Rounds that had to be asked again since no answer came; reads whose clients gave up before
  // a quorum had confirmed them.
  uint64_t slow_read_indexes = 0;
  uint64_t failed_read_indexes = 0;
  // A leader's state is being loaded or installed.
  bool installing = false;
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_STATISTICS_H_
