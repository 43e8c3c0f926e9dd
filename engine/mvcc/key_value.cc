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

// False if the field is malformed; one that is not there is empty.
bool TryBytes(absl::string_view* in, char tag, absl::string_view* v) {
  *v = {};
  if (!TakeTag(in, tag)) return true;
  uint64_t size = 0;
  if (!GetVarint(in, &size) || size > in->size()) return false;
  *v = in->substr(0, size);
  in->remove_prefix(size);
  return true;
}

bool TryInt(absl::string_view* in, char tag, int64_t* v) {
  *v = 0;
  if (!TakeTag(in, tag)) return true;
  uint64_t raw = 0;
  if (!GetVarint(in, &raw)) return false;
  *v = static_cast<int64_t>(raw);
  return true;
}

absl::string_view TakeBytes(absl::string_view* in, char tag) {
  absl::string_view v;
  CHECK(TryBytes(in, tag, &v));
  return v;
}

int64_t TakeInt(absl::string_view* in, char tag) {
  int64_t v = 0;
  CHECK(TryInt(in, tag, &v));
  return v;
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

bool TryDecode(absl::string_view bytes, bool tombstone, KeyValue* kv) {
  *kv = {};
  if (!TryBytes(&bytes, kKeyTag, &kv->key) || kv->key.empty()) return false;
  if (tombstone) return bytes.empty();
  int64_t create = 0;
  int64_t mod = 0;
  int64_t lease = 0;
  if (!TryInt(&bytes, kCreateTag, &create) || create <= 0) return false;
  if (!TryInt(&bytes, kModTag, &mod) || mod <= 0) return false;
  if (!TryInt(&bytes, kVersionTag, &kv->version) || kv->version <= 0) return false;
  if (!TryBytes(&bytes, kValueTag, &kv->value) || !TryInt(&bytes, kLeaseTag, &lease)) return false;
  kv->create_revision = Revision(create);
  kv->mod_revision = Revision(mod);
  kv->lease = LeaseId(lease);
  return bytes.empty();
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
