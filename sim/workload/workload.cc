#include "sim/workload/workload.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "base/check.h"
#include "sim/workload/generator.h"

namespace quorate::sim {

absl::string_view WorkloadName(WorkloadKind kind) {
  static constexpr const char* kNames[] = {"bank",  "lists",      "lock",
                                           "queue", "kubernetes", "counters"};
  static_assert(std::size(kNames) == kWorkloadKinds);
  return kNames[static_cast<size_t>(kind)];
}

std::unique_ptr<Workload> NewWorkload(WorkloadKind kind, Judge* judge, uint32_t drift_ppm) {
  switch (kind) {
    case WorkloadKind::kBank:
      return NewBank(judge);
    case WorkloadKind::kLists:
      return NewLists(judge);
    case WorkloadKind::kLock:
      return NewLock(judge, drift_ppm);
    case WorkloadKind::kQueue:
      return NewQueue(judge);
    case WorkloadKind::kKubernetes:
      return NewKubernetes(judge);
    case WorkloadKind::kCounters:
      return NewCounters(judge);
  }
  UNREACHABLE("every kind is made");
}

Operation GetKey(std::string key) {
  Operation operation;
  operation.key = std::move(key);
  return operation;
}

Operation GetPrefix(const std::string& prefix) {
  Operation operation = GetKey(prefix);
  operation.range_end = PrefixEnd(prefix);
  return operation;
}

Operation PutKey(std::string key, std::string value) {
  Operation operation = GetKey(std::move(key));
  operation.kind = Operation::Kind::kPut;
  operation.value = std::move(value);
  return operation;
}

Operation DeleteKey(std::string key) {
  Operation operation = GetKey(std::move(key));
  operation.kind = Operation::Kind::kDelete;
  return operation;
}

Comparison ModIs(std::string key, int64_t revision) {
  Comparison comparison;
  comparison.target = Comparison::Target::kModRevision;
  comparison.key = std::move(key);
  comparison.number = revision;
  return comparison;
}

Comparison ValueIs(std::string key, std::string value) {
  Comparison comparison;
  comparison.target = Comparison::Target::kValue;
  comparison.key = std::move(key);
  comparison.value = std::move(value);
  return comparison;
}

Request Read(Operation operation, bool serializable) {
  Request request;
  request.serializable = serializable;
  request.success.push_back(std::move(operation));
  return request;
}

Request If(std::vector<Comparison> compare, std::vector<Operation> then,
           std::vector<Operation> otherwise) {
  Request request;
  request.shape = Request::Shape::kTxn;
  request.compare = std::move(compare);
  request.success = std::move(then);
  request.failure = std::move(otherwise);
  return request;
}

int64_t NumberIn(const std::string& value) {
  int64_t number = 0;
  return absl::SimpleAtoi(value, &number) ? number : 0;
}

std::vector<KeyValue> FinalState(const Model& model, const std::string& prefix) {
  return model.ReadAt(Read(GetPrefix(prefix), true), model.revision()).operations[0].kvs;
}

}  // namespace quorate::sim
