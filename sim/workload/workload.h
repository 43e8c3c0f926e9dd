// Client traffic with one strong invariant each, as applications have it: money that is only
// moved about, lists that only grow, a lock, a queue, objects of Kubernetes, counters.
//
// A workload belongs to a world and is shared by all its clients, so that it knows what all
// of them were told. The invariant is stated about what clients see and nothing else: it
// knows no revisions' order, no log and no member, which makes it a check of the oracles too.
#ifndef QUORATE_SIM_WORKLOAD_WORKLOAD_H_
#define QUORATE_SIM_WORKLOAD_WORKLOAD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/history.h"
#include "sim/model/store.h"
#include "sim/oracle/judge.h"
#include "sim/workload/kind.h"

namespace quorate::sim {

class Workload {
 public:
  virtual ~Workload() = default;

  // What a client asks next. Draws from *prng only.
  virtual Request Next(uint32_t client, Prng* prng) = 0;
  // An attempt at one of its requests has ended. Repetitions of a request are attempts, too.
  virtual void OnReturn(const Call& call) = 0;
  // Nothing more will happen; `model` is what the committed log makes.
  virtual void Finish(VirtualTime when, const Model& model) = 0;
};

// All borrowed. `drift_ppm`: by how much a clock may be wrong, for those that rest on leases.
std::unique_ptr<Workload> NewWorkload(WorkloadKind kind, Judge* judge, uint32_t drift_ppm);

// One per kind; for NewWorkload.
std::unique_ptr<Workload> NewBank(Judge* judge);
std::unique_ptr<Workload> NewLists(Judge* judge);
std::unique_ptr<Workload> NewLock(Judge* judge, uint32_t drift_ppm);
std::unique_ptr<Workload> NewQueue(Judge* judge);
std::unique_ptr<Workload> NewKubernetes(Judge* judge);
std::unique_ptr<Workload> NewCounters(Judge* judge);

// ---- for their implementations ----

Operation GetKey(std::string key);
// Everything that begins with the prefix.
Operation GetPrefix(const std::string& prefix);
Operation PutKey(std::string key, std::string value);
Operation DeleteKey(std::string key);
// "the key's mod revision is this"; 0 = it is not there.
Comparison ModIs(std::string key, int64_t revision);
// "the key's value is this".
Comparison ValueIs(std::string key, std::string value);
// A plain range of one operation.
Request Read(Operation operation, bool serializable);
// If all of `compare` hold `then`, else `otherwise`.
Request If(std::vector<Comparison> compare, std::vector<Operation> then,
           std::vector<Operation> otherwise);
// A number in a value; 0 for anything else.
int64_t NumberIn(const std::string& value);
// Keys and values of the model's present state with this prefix.
std::vector<KeyValue> FinalState(const Model& model, const std::string& prefix);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_WORKLOAD_WORKLOAD_H_
