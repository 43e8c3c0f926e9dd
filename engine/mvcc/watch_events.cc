#include "engine/mvcc/watch_events.h"

#include <optional>
#include <utility>

#include "base/wire.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

constexpr uint32_t kEventsField = 11;
constexpr uint32_t kEventType = 1;
constexpr uint32_t kEventKv = 2;
constexpr uint32_t kEventPrevKv = 3;
constexpr uint64_t kDelete = 1;

// What a change replaced: the key's record one revision earlier.
std::optional<Location> Replaced(const Store& store, const Record& record, absl::string_view key) {
  const Revision before = record.revision.main - 1;
  if (before < store.compact_revision()) return std::nullopt;
  if (!record.tombstone && Decode(record.bytes).version == 1) return std::nullopt;
  return store.Visible(key, before);
}

}  // namespace

Bytes EncodeWatchHead(const Identity& identity, const WatchHead& head) {
  BytesBuilder out(64 + head.cancel_reason.size());
  AppendHeader(identity, head.revision, &out);
  AppendInt64(&out, 2, head.watch_id);
  AppendBool(&out, 3, head.created);
  AppendBool(&out, 4, head.canceled);
  AppendInt64(&out, 5, head.compact_revision.value());
  AppendBytes(&out, 6, head.cancel_reason);
  AppendBool(&out, 7, head.fragment);
  return std::move(out).Finish();
}

void AppendEvent(const Store& store, const Record& record, bool prev_kv, BytesBuilder* out) {
  const size_t event = BeginMessage(out, kEventsField);
  const absl::string_view key = DecodeKey(record.bytes);
  if (record.tombstone) {
    AppendUint64(out, kEventType, kDelete);
    const size_t kv = BeginMessage(out, kEventKv);
    AppendBytes(out, 1, key);
    AppendInt64(out, 3, record.revision.main.value());
    EndMessage(out, kv);
  } else {
    AppendLen(out, kEventKv, record.bytes);
  }
  if (prev_kv) {
    const std::optional<Location> replaced = Replaced(store, record, key);
    if (replaced.has_value()) AppendLen(out, kEventPrevKv, store.log().Get(*replaced).bytes);
  }
  EndMessage(out, event);
}

std::vector<size_t> CutIntoFragments(const Paged<size_t>& ends, size_t head_bytes,
                                     size_t max_bytes) {
  std::vector<size_t> cuts;
  size_t begin = 0;  // of the piece, in bytes
  for (size_t i = 0; i < ends.size();) {
    // The last event of the piece: at least one, and all that fit. There may be very many.
    size_t low = i;
    for (size_t high = ends.size() - 1; low < high;) {
      const size_t middle = high - (high - low) / 2;
      if (head_bytes + ends[middle] - begin < max_bytes) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    begin = ends[low];
    cuts.push_back(begin);
    i = low + 1;
  }
  return cuts;
}

}  // namespace quorate::mvcc
