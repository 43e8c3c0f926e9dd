// Encoded pieces of WatchResponse. A response is a head (fields 1 to 7, one watcher's
// own) followed by events (field 11, shared by all watchers that see the same ones).
#ifndef QUORATE_ENGINE_MVCC_WATCH_EVENTS_H_
#define QUORATE_ENGINE_MVCC_WATCH_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/mvcc/paged.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/revision_log.h"
#include "engine/mvcc/store.h"

namespace quorate::mvcc {

struct WatchHead {
  Revision revision;  // of the header; 0 is left out
  int64_t watch_id = 0;
  bool created = false;
  bool canceled = false;
  Revision compact_revision;
  absl::string_view cancel_reason;
  bool fragment = false;
};

Bytes EncodeWatchHead(const Identity& identity, const WatchHead& head);

// Appends one change as an Event: a put is its record as it is; a delete shows only key
// and mod_revision. With `prev_kv` also what it replaced, unless that is compacted.
void AppendEvent(const Store& store, const Record& record, bool prev_kv, BytesBuilder* out);

// Where to cut encoded events so that no piece with its head reaches `max_bytes`, as
// far as single events allow: the end of each piece. `ends` are the ends of the events.
std::vector<size_t> CutIntoFragments(const Paged<size_t>& ends, size_t head_bytes,
                                     size_t max_bytes);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_WATCH_EVENTS_H_
