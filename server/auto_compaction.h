// Compaction by the clock: --auto-compaction-mode and --auto-compaction-retention,
// as etcd's.
//
//   periodic   keeps the history of the last period: once a period has passed, and then
//              every period (every hour, if that is shorter), compacts at the revision that
//              was the present one a period ago
//   revision   keeps the last so many revisions: looks every five minutes
//
// Only the leader compacts; who becomes leader goes on with what it has seen as a follower.
#ifndef QUORATE_SERVER_AUTO_COMPACTION_H_
#define QUORATE_SERVER_AUTO_COMPACTION_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "io/loop.h"
#include "server/config/config.h"
#include "server/log/logger.h"
#include "server/node/node.h"

namespace quorate::server {

// When and where to compact; knows only what it is told.
class CompactionSchedule {
 public:
  CompactionSchedule(const config::AutoCompaction& config, Instant now);

  // Between two looks.
  Duration interval() const { return interval_; }
  // An interval has passed and the store is at `present`: where a leader is to compact, if
  // it is to.
  std::optional<Revision> Look(Instant now, Revision present, bool leads);
  // The compaction at `revision` was performed, or had been before.
  void Compacted(Instant now, Revision revision);

 private:
  std::optional<Revision> LookPeriodic(Instant now, bool leads);

  const config::AutoCompaction config_;
  Duration interval_;
  size_t samples_ = 0;  // that are kept
  std::deque<Revision> seen_;
  Instant compacted_at_;
  // Until the next one: at first a whole period.
  Duration wait_;
  Revision last_;
};

class AutoCompactor {
 public:
  // All borrowed.
  AutoCompactor(io::Loop* loop, log::Logger* log, node::Node* node,
                const config::AutoCompaction& config);
  AutoCompactor(const AutoCompactor&) = delete;
  AutoCompactor& operator=(const AutoCompactor&) = delete;
  ~AutoCompactor();

 private:
  void OnTimer();
  void Compact(Revision revision);

  io::Loop* const loop_;
  log::Logger* const log_;
  node::Node* const node_;
  CompactionSchedule schedule_;
  std::unique_ptr<io::Timer> timer_;
  node::CallId call_;  // 0: none in progress
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_AUTO_COMPACTION_H_
