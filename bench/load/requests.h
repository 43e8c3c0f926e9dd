// The requests of a load: prepared bytes in which only the digits of keys change.
#ifndef QUORATE_BENCH_LOAD_REQUESTS_H_
#define QUORATE_BENCH_LOAD_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/prng.h"

namespace quorate::load {

enum class Operation : uint8_t {
  kPut,
  kGet,
  kSerializableGet,
  kStatus,
  // A transaction whose guard holds (the key exists) and which then puts.
  kTxn,
  kLeaseGrant,
  // A stream of one keep-alive of one of `leases` leases.
  kLeaseKeepAlive,
  // All of `range_size` consecutive keys.
  kRange,
  // As kRange, but the limit of a range to the end of all keys: a page of a long list.
  kPage,
  // One put to three gets.
  kMixed,
  // What the API server of Kubernetes sends, by a hundred: 55 gets, 5 pages of `range_size` keys,
  // 35 guarded updates, 5 lease grants.
  kKubernetes,
};

struct RequestOptions {
  Operation operation = Operation::kPut;
  size_t key_size = 12;  // digits
  size_t value_size = 256;
  uint64_t keys = 10000;
  uint64_t range_size = 1000;
  uint64_t leases = 1000;
  // All keys are put once before the load begins. Implied by what reads them.
  bool fill = false;
  // In an order without order, as when clients make up keys.
  bool shuffled = false;
  // Keys and leases are there from an earlier run.
  bool prepared = false;
};

class Requests {
 public:
  // Valid until the next one is asked for; the path for as long as this lives.
  struct Call {
    absl::string_view path;
    absl::string_view message;
  };

  // The values are drawn from `prng`.
  Requests(const RequestOptions& options, Prng* prng);

  Call Next(Prng* prng);

  // Calls to make before the load, in any order.
  uint64_t preparations() const { return preparations_; }
  Call Preparation(uint64_t number);

 private:
  struct Field {
    size_t offset;
    uint64_t add;  // to the number that the call is about
  };
  struct Kind {
    absl::string_view path;
    std::string message;
    std::vector<Field> keys;    // decimal digits
    std::vector<Field> leases;  // varints of four bytes
    uint64_t numbers = 1;       // it is about one of so many
    uint64_t weight = 1;
  };

  Kind Put() const;
  Kind Range(absl::string_view more, uint64_t span) const;
  Kind Page() const;
  Kind Txn() const;
  Kind Grant() const;
  Kind KeepAlive() const;
  void AppendKey(int field, uint64_t add, Kind* kind) const;
  Call Write(Kind* kind, uint64_t number) const;

  const RequestOptions options_;
  std::string value_;
  std::vector<Kind> kinds_;  // drawn by their weights
  uint64_t weights_ = 0;
  uint64_t preparations_ = 0;
  uint64_t shuffle_step_ = 982'451'653;  // a prime; below 2^30, so that products fit for 2^34 keys
  Kind preparation_;
};

// The words of --op.
struct OperationName {
  absl::string_view name;
  Operation operation;
};
const std::vector<OperationName>& OperationNames();

// A field of bytes in protobuf's encoding.
void AppendBytesField(int field, absl::string_view value, std::string* out);

}  // namespace quorate::load

#endif  // QUORATE_BENCH_LOAD_REQUESTS_H_
