// mvccpb.KeyValue as stored: encoded canonically once (ascending fields, zeros left
// out, minimal varints) and from then on only copied.
#ifndef QUORATE_ENGINE_MVCC_KEY_VALUE_H_
#define QUORATE_ENGINE_MVCC_KEY_VALUE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/strong_int.h"

namespace quorate::mvcc {

// A KeyValue's fields; on reading, key and value point into the record.
struct KeyValue {
  absl::string_view key;
  Revision create_revision;
  Revision mod_revision;
  int64_t version = 0;
  absl::string_view value;
  LeaseId lease;
};

size_t EncodedSize(const KeyValue& kv);
// Writes exactly EncodedSize(kv) bytes at `at`.
void Encode(const KeyValue& kv, char* at);

// Reads one of our own records; what is not canonical trips a CHECK.
KeyValue Decode(absl::string_view record);
// The same for bytes from outside: false if they are no record.
bool TryDecode(absl::string_view bytes, bool tombstone, KeyValue* kv);
// Only the key, which comes first in every record.
absl::string_view DecodeKey(absl::string_view record);
// The record without its value and lease: what a keys-only range shows.
absl::string_view WithoutValueAndLease(absl::string_view record);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_KEY_VALUE_H_
