#include "engine/mvcc/key_value.h"

#include <cstring>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::mvcc {
namespace {

constexpr char kKeyTag = 0x0a;
constexpr char kCreateTag = 0x10;
constexpr char kModTag = 0x18;
constexpr char kVersionTag = 0x20;
constexpr char kValueTag = 0x2a;
constexpr char kLeaseTag = 0x30;

size_t BytesSize(absl::string_view v) {
  return v.empty() ? 0 : 1 + VarintSize(v.size()) + v.size();
}
size_t IntSize(int64_t v) { return v == 0 ? 0 : 1 + VarintSize(static_cast<uint64_t>(v)); }

char* PutBytes(char* at, char tag, absl::string_view v) {
  if (v.empty()) return at;
  *at++ = tag;
  at = StoreVarint(at, v.size());
  std::memcpy(at, v.data(), v.size());
  return at + v.size();
}

char* PutInt(char* at, char tag, int64_t v) {
  if (v == 0) return at;
  *at++ = tag;
  return StoreVarint(at, static_cast<uint64_t>(v));
}

bool TakeTag(absl::string_view* in, char tag) {
  if (in->empty() || in->front() != tag) return false;
  in->remove_prefix(1);
  return true;
}

absl::string_view TakeBytes(absl::string_view* in, char tag) {
  if (!TakeTag(in, tag)) return {};
  uint64_t size = 0;
  CHECK(GetVarint(in, &size));
  CHECK_LE(size, in->size());
  const absl::string_view v = in->substr(0, size);
  in->remove_prefix(size);
  return v;
}

int64_t TakeInt(absl::string_view* in, char tag) {
  if (!TakeTag(in, tag)) return 0;
  uint64_t v = 0;
  CHECK(GetVarint(in, &v));
  return static_cast<int64_t>(v);
}

}  // namespace

size_t EncodedSize(const KeyValue& kv) {
  return BytesSize(kv.key) + IntSize(kv.create_revision.value()) +
         IntSize(kv.mod_revision.value()) + IntSize(kv.version) + BytesSize(kv.value) +
         IntSize(kv.lease.value());
}

void Encode(const KeyValue& kv, char* at) {
  at = PutBytes(at, kKeyTag, kv.key);
  at = PutInt(at, kCreateTag, kv.create_revision.value());
  at = PutInt(at, kModTag, kv.mod_revision.value());
  at = PutInt(at, kVersionTag, kv.version);
  at = PutBytes(at, kValueTag, kv.value);
  PutInt(at, kLeaseTag, kv.lease.value());
}

KeyValue Decode(absl::string_view record) {
  KeyValue kv;
  kv.key = TakeBytes(&record, kKeyTag);
  kv.create_revision = Revision(TakeInt(&record, kCreateTag));
  kv.mod_revision = Revision(TakeInt(&record, kModTag));
  kv.version = TakeInt(&record, kVersionTag);
  kv.value = TakeBytes(&record, kValueTag);
  kv.lease = LeaseId(TakeInt(&record, kLeaseTag));
  CHECK_MSG(record.empty(), "a stored record is not a canonical KeyValue");
  return kv;
}

absl::string_view DecodeKey(absl::string_view record) { return TakeBytes(&record, kKeyTag); }

absl::string_view WithoutValueAndLease(absl::string_view record) {
  absl::string_view rest = record;
  TakeBytes(&rest, kKeyTag);
  TakeInt(&rest, kCreateTag);
  TakeInt(&rest, kModTag);
  TakeInt(&rest, kVersionTag);
  return record.substr(0, record.size() - rest.size());
}

}  // namespace quorate::mvcc
