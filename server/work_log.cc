#include "server/work_log.h"

#include <utility>

namespace quorate::server {

void LogWork(log::Logger* log, Duration long_turn, std::function<engine::ReplicaStatus()> status,
             node::Options* options) {
  options->on_checkpoint = [log](LogIndex index) {
    LOG_INFO(log, "saved snapshot", {"snapshot-index", index.value()});
  };
  options->on_installed = [log](LogIndex index) {
    LOG_INFO(log, "applied snapshot", {"current-snapshot-index", index.value()});
  };
  options->on_compacted = [log, status = std::move(status)](const engine::Statistics& s) {
    const engine::ReplicaStatus now = status();
    LOG_INFO(log, "finished scheduled compaction", {"compact-revision", s.compacted_to.value()},
             {"took", s.last_compaction_time},
             {"number-of-keys-compacted", s.last_compacted_records},
             {"current-db-size-bytes", now.db_bytes},
             {"current-db-size-in-use-bytes", now.db_bytes_in_use});
  };
  options->long_turn = long_turn;
  options->on_long_turn = [log, long_turn](Duration took, uint64_t commands) {
    LOG_WARN(log, "apply request took too long", {"took", took}, {"expected-duration", long_turn},
             {"commands", commands});
  };
}

}  // namespace quorate::server
