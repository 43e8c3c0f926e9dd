// Draws requests: puts with values that nobody else writes, gets of keys and prefixes,
// now and in the past, deletions, transactions that compare what was read before (and, where it
// matters who may do what, reach into other groups of keys); leases
// with few ids that come again and again, and keys attached to them.
#ifndef QUORATE_SIM_WORKLOAD_GENERATOR_H_
#define QUORATE_SIM_WORKLOAD_GENERATOR_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/prng.h"
#include "sim/model/store.h"
#include "sim/swarm.h"

namespace quorate::sim {

// One client's stream of requests.
class Generator {
 public:
  Generator(uint64_t seed, uint32_t client, const WorkloadOptions& options);

  // Each request has draws of its own, by its number.
  void Begin(uint64_t number);
  Request Next();
  // A put of a fresh value to this client's own key, to see whether writes go through.
  Request Probe();
  // Learns from an answer: later transactions compare with what was seen.
  void Learn(const Request& request, const Result& result);

  // Every key and prefix that is ever used starts with it.
  static constexpr const char* kPrefix = "g";

 private:
  std::string Key(uint64_t group);
  std::string GroupPrefix(uint64_t group) const;
  std::string FreshValue();
  Request Put(uint64_t group);
  Request Get(uint64_t group, bool serializable);
  Request Remove(uint64_t group);
  Request Txn(uint64_t group);
  Request Compact();
  Request Lease(uint64_t group);
  int64_t LeaseId();
  Comparison Compare(uint64_t group, const std::string& key);
  void SortAndFilter(Operation* operation);
  // A transaction within one that writes `written`: a key is put once at most.
  Operation Nested(uint64_t group, const std::set<std::string>& written);
  Operation PutOperation(const std::string& key);
  Operation GetOperation(uint64_t group);

  const WorkloadOptions options_;
  const uint64_t seed_;
  const uint32_t client_;
  Prng prng_;
  uint64_t values_ = 0;
  std::map<std::string, KeyValue> seen_;
  int64_t revision_ = 1;  // newest seen
};

// The smallest text that is greater than every text with this prefix.
std::string PrefixEnd(std::string prefix);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_GENERATOR_H_
