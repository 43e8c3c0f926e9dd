// Lists that only grow: an element goes to the end by compare and swap. Every two states of a
// list that anybody sees are such that one begins with the other, and at the end each element
// that was acknowledged is there once, each of unknown outcome once or not, nothing else.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "sim/workload/workload.h"

namespace quorate::sim {
namespace {

constexpr const char* kPrefix = "g-lists/";
constexpr uint64_t kLists = 3;
// A list that is this long is left alone.
constexpr size_t kLongest = 1500;

class Lists final : public Workload {
 public:
  explicit Lists(Judge* judge) : judge_(judge) {}

  Request Next(uint32_t client, Prng* prng) override {
    const std::string key = absl::StrCat(kPrefix, prng->Below(kLists));
    std::map<std::string, std::string>& seen = seen_[client];
    const auto known = seen.find(key);
    if (known == seen.end() || prng->Chance(1, 4) || known->second.size() > kLongest) {
      return Read(GetKey(key), prng->Chance(1, 4));
    }
    const std::string element = absl::StrCat("c", client, ".", ++last_element_[client], ",");
    const Comparison same = known->second.empty() ? ModIs(key, 0) : ValueIs(key, known->second);
    return If({same}, {PutKey(key, known->second + element)}, {GetKey(key)});
  }

  void OnReturn(const Call& call) override {
    const bool append = call.request.shape == Request::Shape::kTxn;
    if (call.outcome != Outcome::kOk || call.result.refused) return;
    const std::string& key = call.request.success[0].key;
    std::string value;
    if (append && call.result.succeeded) {
      value = call.request.success[0].value;
    } else if (!call.result.operations[0].kvs.empty()) {
      value = call.result.operations[0].kvs[0].value;
    }
    seen_[call.client][key] = value;
    Check(key, value, call.returned, Describe(call));
    if (append && call.result.succeeded) acknowledged_.emplace_back(key, value);
  }

  void Finish(VirtualTime when, const Model& model) override {
    for (const KeyValue& kv : FinalState(model, kPrefix)) {
      Check(kv.key, kv.value, when, "at the end");
      CheckOnce(kv, when);
    }
  }

 private:
  // Against the longest state of the list that anybody has seen.
  void Check(const std::string& key, const std::string& value, VirtualTime when,
             const std::string& where) {
    judge_->Checked(Rule::kWorkload);
    auto& [longest, seen_where] = longest_[key];
    const size_t common = std::min(longest.size(), value.size());
    if (longest.compare(0, common, value, 0, common) != 0) {
      judge_->Report(Rule::kWorkload, when,
                     absl::StrCat("lists: '", key, "' was seen as ", longest, " and as ", value,
                                  ", of which neither begins with the other"),
                     {seen_where, where});
    }
    if (value.size() <= longest.size()) return;
    longest = value;
    seen_where = where;
  }

  void CheckOnce(const KeyValue& kv, VirtualTime when) {
    std::vector<std::string> elements = absl::StrSplit(kv.value, ',', absl::SkipEmpty());
    std::sort(elements.begin(), elements.end());
    const auto twice = std::adjacent_find(elements.begin(), elements.end());
    if (twice != elements.end()) {
      judge_->Report(Rule::kWorkload, when,
                     absl::StrCat("lists: '", kv.key, "' holds ", *twice, " twice"), {kv.value});
    }
    // What an acknowledgement showed is the beginning of what there is in the end.
    for (const auto& [key, value] : acknowledged_) {
      if (key != kv.key || kv.value.compare(0, value.size(), value) == 0) continue;
      judge_->Report(Rule::kWorkload, when,
                     absl::StrCat("lists: '", key, "' was acknowledged as ", value,
                                  " but ended as ", kv.value));
      return;
    }
  }

  Judge* const judge_;
  std::map<uint32_t, std::map<std::string, std::string>> seen_;  // by client: lists
  std::map<uint32_t, uint64_t> last_element_;
  std::vector<std::pair<std::string, std::string>> acknowledged_;
  std::map<std::string, std::pair<std::string, std::string>> longest_;  // and who saw it
};

}  // namespace

std::unique_ptr<Workload> NewLists(Judge* judge) { return std::make_unique<Lists>(judge); }

}  // namespace quorate::sim
