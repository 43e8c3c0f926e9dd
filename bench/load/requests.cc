#include "bench/load/requests.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace quorate::load {
namespace {

constexpr absl::string_view kRangePath = "/etcdserverpb.KV/Range";
constexpr absl::string_view kPutPath = "/etcdserverpb.KV/Put";
constexpr absl::string_view kTxnPath = "/etcdserverpb.KV/Txn";
constexpr absl::string_view kGrantPath = "/etcdserverpb.Lease/LeaseGrant";
constexpr absl::string_view kKeepAlivePath = "/etcdserverpb.Lease/LeaseKeepAlive";
constexpr absl::string_view kStatusPath = "/etcdserverpb.Maintenance/Status";

// Lease numbers from here on are varints of four bytes.
constexpr uint64_t kFirstLease = 1 << 21;
constexpr int kLeaseBytes = 4;

void AppendVarintField(int field, uint64_t value, std::string* out) {
  char varint[kMaxVarint64Bytes];
  out->push_back(static_cast<char>(field << 3));
  out->append(varint, StoreVarint(varint, value) - varint);
}

}  // namespace

const std::vector<OperationName>& OperationNames() {
  static const auto& names = *new std::vector<OperationName>{
      {"put", Operation::kPut},
      {"get", Operation::kGet},
      {"serializable-get", Operation::kSerializableGet},
      {"status", Operation::kStatus},
      {"txn", Operation::kTxn},
      {"lease-grant", Operation::kLeaseGrant},
      {"lease-keepalive", Operation::kLeaseKeepAlive},
      {"range", Operation::kRange},
      {"page", Operation::kPage},
      {"mixed", Operation::kMixed},
      {"kubernetes", Operation::kKubernetes},
  };
  return names;
}

void AppendBytesField(int field, absl::string_view value, std::string* out) {
  char varint[kMaxVarint64Bytes];
  out->push_back(static_cast<char>(field << 3 | 2));
  out->append(varint, StoreVarint(varint, value.size()) - varint);
  out->append(value.data(), value.size());
}

Requests::Requests(const RequestOptions& options, Prng* prng)
    : options_(options), value_(options.value_size, '\0') {
  for (char& c : value_) c = static_cast<char>('!' + prng->Below(94));
  const auto add = [this](Kind kind, uint64_t weight) {
    kind.weight = weight;
    weights_ += weight;
    kinds_.push_back(std::move(kind));
  };
  bool reads = false;
  switch (options.operation) {
    case Operation::kPut:
      add(Put(), 1);
      break;
    case Operation::kGet:
      add(Range("", 0), 1);
      break;
    case Operation::kSerializableGet:
      add(Range("\x38\x01", 0), 1);  // RangeRequest.serializable = true
      break;
    case Operation::kStatus:
      add(Kind{kStatusPath, "", {}, {}}, 1);
      break;
    case Operation::kTxn:
      add(Txn(), 1);
      reads = true;
      break;
    case Operation::kLeaseGrant:
      add(Grant(), 1);
      break;
    case Operation::kLeaseKeepAlive:
      add(KeepAlive(), 1);
      break;
    case Operation::kRange:
      add(Range("", options.range_size), 1);
      reads = true;
      break;
    case Operation::kPage:
      add(Page(), 1);
      reads = true;
      break;
    case Operation::kMixed:
      add(Range("", 0), 3);
      add(Put(), 1);
      reads = true;
      break;
    case Operation::kKubernetes:
      add(Range("", 0), 55);
      add(Page(), 5);
      add(Txn(), 35);
      add(Grant(), 5);
      reads = true;
      break;
  }
  if (options.prepared) return;
  if (options.operation == Operation::kLeaseKeepAlive) {
    preparation_ = Grant();
    AppendVarintField(2, kFirstLease, &preparation_.message);
    preparation_.leases = {{preparation_.message.size() - kLeaseBytes, 0}};
    preparations_ = options.leases;
  } else if (reads || options.fill) {
    preparation_ = Put();
    preparations_ = options.keys;
  }
  while (preparations_ > 0 && std::gcd(shuffle_step_, preparations_) > 1) ++shuffle_step_;
}

void Requests::AppendKey(int field, uint64_t add, Kind* kind) const {
  AppendBytesField(field, std::string(options_.key_size, '0'), &kind->message);
  kind->keys.push_back({kind->message.size() - options_.key_size, add});
}

Requests::Kind Requests::Put() const {
  Kind kind{kPutPath, "", {}, {}, options_.keys};
  AppendKey(1, 0, &kind);
  AppendBytesField(2, value_, &kind.message);
  return kind;
}

// `span` keys; 0: the one.
Requests::Kind Requests::Range(absl::string_view more, uint64_t span) const {
  Kind kind{kRangePath, "", {}, {}, options_.keys};
  AppendKey(1, 0, &kind);
  if (span > 0) {
    AppendKey(2, span, &kind);
    kind.numbers = std::max<uint64_t>(options_.keys, span) - span + 1;
  }
  kind.message.append(more.data(), more.size());
  return kind;
}

Requests::Kind Requests::Page() const {
  Kind kind = Range("", 0);
  AppendBytesField(2, ":", &kind.message);  // what follows all digits
  AppendVarintField(3, options_.range_size, &kind.message);
  kind.numbers = std::max(options_.keys, options_.range_size) - options_.range_size + 1;
  return kind;
}

// compare: version(key) > 0; success: put; failure: nothing.
Requests::Kind Requests::Txn() const {
  const Kind put = Put();
  std::string compare;
  AppendVarintField(1, 1, &compare);  // GREATER; the target VERSION is 0
  AppendBytesField(3, std::string(options_.key_size, '0'), &compare);
  const size_t key_in_compare = compare.size() - options_.key_size;
  AppendVarintField(4, 0, &compare);
  std::string success;
  AppendBytesField(2, put.message, &success);

  Kind kind{kTxnPath, "", {}, {}, options_.keys};
  AppendBytesField(1, compare, &kind.message);
  kind.keys.push_back({kind.message.size() - compare.size() + key_in_compare, 0});
  AppendBytesField(2, success, &kind.message);
  kind.keys.push_back({kind.message.size() - put.message.size() + put.keys[0].offset, 0});
  return kind;
}

Requests::Kind Requests::Grant() const {
  Kind kind{kGrantPath, "", {}, {}};
  AppendVarintField(1, 3600, &kind.message);
  return kind;
}

Requests::Kind Requests::KeepAlive() const {
  Kind kind{kKeepAlivePath, "", {}, {}, options_.leases};
  AppendVarintField(1, kFirstLease, &kind.message);
  kind.leases.push_back({kind.message.size() - kLeaseBytes, 0});
  return kind;
}

Requests::Call Requests::Write(Kind* kind, uint64_t number) const {
  for (const Field& key : kind->keys) {
    uint64_t digits = number + key.add;
    for (size_t i = options_.key_size; i > 0; --i) {
      kind->message[key.offset + i - 1] = static_cast<char>('0' + digits % 10);
      digits /= 10;
    }
  }
  for (const Field& lease : kind->leases) {
    char varint[kMaxVarint64Bytes];
    CHECK_EQ(StoreVarint(varint, kFirstLease + number + lease.add) - varint, kLeaseBytes);
    std::copy_n(varint, kLeaseBytes, kind->message.begin() + static_cast<int64_t>(lease.offset));
  }
  return {kind->path, kind->message};
}

Requests::Call Requests::Next(Prng* prng) {
  Kind* kind = &kinds_.front();
  if (kinds_.size() > 1) {
    for (uint64_t drawn = prng->Below(weights_); drawn >= kind->weight; ++kind) {
      drawn -= kind->weight;
    }
  }
  return Write(kind, kind->numbers > 1 ? prng->Below(kind->numbers) : 0);
}

// Steps of a size without a divisor in common with the number of keys come to each of them once.
Requests::Call Requests::Preparation(uint64_t number) {
  if (options_.shuffled) number = number * shuffle_step_ % preparations_;
  return Write(&preparation_, number);
}

}  // namespace quorate::load
