// Counters that only go up by one, by compare and swap, while some outcomes stay unknown: what
// anybody reads is at least what had been acknowledged before it asked, and at most that and
// the attempts that may have taken effect.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/workload/workload.h"

namespace quorate::sim {
namespace {

constexpr const char* kPrefix = "g-counters/";
constexpr uint64_t kCounters = 2;

class Counters final : public Workload {
 public:
  explicit Counters(Judge* judge) : judge_(judge) {}

  Request Next(uint32_t client, Prng* prng) override {
    const std::string key = absl::StrCat(kPrefix, prng->Below(kCounters));
    std::map<std::string, int64_t>& seen = seen_[client];
    const auto known = seen.find(key);
    if (known == seen.end() || prng->Chance(1, 4)) return Read(GetKey(key), false);
    const int64_t value = known->second;
    // Begun, whatever comes of it: an increment that nobody has heard of yet counts, too.
    ++possible_[key];
    return If({value == 0 ? ModIs(key, 0) : ValueIs(key, absl::StrCat(value))},
              {PutKey(key, absl::StrCat(value + 1))}, {GetKey(key)});
  }

  void OnReturn(const Call& call) override {
    const bool increment = call.request.shape == Request::Shape::kTxn;
    const std::string& key = call.request.success[0].key;
    // It may be asked again, or have been.
    if (increment && call.outcome == Outcome::kUnknown) ++possible_[key];
    if (call.outcome != Outcome::kOk || call.result.refused) return;
    int64_t value = 0;
    if (increment && call.result.succeeded) {
      value = NumberIn(call.request.success[0].value);
      const bool fresh = increments_[key].insert({value, Describe(call)}).second;
      if (!fresh) {
        Report(call.returned, key,
               absl::StrCat("went to ", value, " by two acknowledged increments"),
               {increments_[key][value], Describe(call)});
      }
    } else if (!call.result.operations[0].kvs.empty()) {
      value = NumberIn(call.result.operations[0].kvs[0].value);
    }
    seen_[call.client][key] = value;
    Check(call.returned, key, value, Describe(call));
  }

  void Finish(VirtualTime when, const Model& model) override {
    for (const KeyValue& kv : FinalState(model, kPrefix)) {
      const int64_t value = NumberIn(kv.value);
      Check(when, kv.key, value, "at the end");
      const auto acknowledged = static_cast<int64_t>(increments_[kv.key].size());
      if (value < acknowledged) {
        Report(
            when, kv.key,
            absl::StrCat("ended at ", value, " after ", acknowledged, " acknowledged increments"),
            {});
      }
    }
  }

 private:
  void Check(VirtualTime when, const std::string& key, int64_t value, const std::string& where) {
    judge_->Checked(Rule::kWorkload);
    if (value <= possible_[key]) return;
    Report(when, key,
           absl::StrCat("shows ", value, " after ", possible_[key], " increments at most"),
           {where});
  }

  void Report(VirtualTime when, const std::string& key, const std::string& text,
              std::vector<std::string> evidence) {
    judge_->Report(Rule::kWorkload, when, absl::StrCat("counters: '", key, "' ", text),
                   std::move(evidence));
  }

  Judge* const judge_;
  std::map<uint32_t, std::map<std::string, int64_t>> seen_;  // by client
  std::map<std::string, int64_t> possible_;
  std::map<std::string, std::map<int64_t, std::string>> increments_;  // acknowledged ones
};

}  // namespace

std::unique_ptr<Workload> NewCounters(Judge* judge) { return std::make_unique<Counters>(judge); }

}  // namespace quorate::sim
