// A queue: each element is a key, put in once; whoever takes it out deletes it in the version
// that it read. No element is taken by two, none that was put in is lost, none comes from
// nowhere.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/workload/workload.h"

namespace quorate::sim {
namespace {

constexpr const char* kPrefix = "g-queue/";

class Queue final : public Workload {
 public:
  explicit Queue(Judge* judge) : judge_(judge) {}

  Request Next(uint32_t client, Prng* prng) override {
    Client& state = clients_[client];
    if (state.head.has_value() && prng->Chance(2, 3)) {
      const KeyValue head = *std::exchange(state.head, std::nullopt);
      return If({ModIs(head.key, head.mod_revision)}, {DeleteKey(head.key)}, {First()});
    }
    if (prng->Chance(1, 2)) return Read(First(), prng->Chance(1, 4));
    // Keys come in the order of their numbers, over all clients.
    const std::string key =
        absl::StrCat(kPrefix, absl::Dec(++last_, absl::kZeroPad8), ".c", client);
    return If({ModIs(key, 0)}, {PutKey(key, "x")}, {GetKey(key)});
  }

  void OnReturn(const Call& call) override {
    const Operation& first = call.request.success[0];
    const bool ok = call.outcome == Outcome::kOk && !call.result.refused;
    const bool txn = call.request.shape == Request::Shape::kTxn;
    if (txn && call.outcome != Outcome::kNoEffect) {
      Element& element = elements_[first.key];
      if (first.kind == Operation::Kind::kPut) OnPut(call, ok, &element);
      if (first.kind == Operation::Kind::kDelete) OnTake(call, ok, &element);
    }
    if (!ok || (txn && call.result.succeeded)) return;
    const std::vector<KeyValue>& kvs = call.result.operations[0].kvs;
    if (!kvs.empty()) clients_[call.client].head = kvs[0];
  }

  void Finish(VirtualTime when, const Model& model) override {
    std::map<std::string, bool> there;
    for (const KeyValue& kv : FinalState(model, kPrefix)) there[kv.key] = true;
    for (const auto& [key, element] : elements_) {
      judge_->Checked(Rule::kWorkload);
      const bool gone = there.count(key) == 0;
      if (element.put && gone && !element.taken && !element.maybe_taken) {
        Report(when,
               absl::StrCat("'", key, "' was put in, and nobody has taken it, but it is gone"),
               element.told);
      }
      // Put in once: a repetition finds that the key was there, unless it was taken since.
      if (element.taken && !gone && element.attempts <= 1) {
        Report(when, absl::StrCat("'", key, "' was taken and is there again"), element.told);
      }
    }
    for (const auto& [key, unused] : there) {
      if (elements_.count(key) == 0) {
        Report(when, absl::StrCat("'", key, "' is there, and nobody put it in"), "");
      }
    }
  }

 private:
  struct Client {
    std::optional<KeyValue> head;
  };
  struct Element {
    uint64_t attempts = 0;  // to put it in
    bool put = false;
    bool taken = false;
    bool maybe_taken = false;
    std::string told;
  };

  static Operation First() {
    Operation first = GetPrefix(kPrefix);
    first.limit = 1;
    return first;
  }

  void OnPut(const Call& call, bool ok, Element* element) {
    // One of unknown outcome may be asked again.
    element->attempts += call.outcome == Outcome::kUnknown ? 2 : 1;
    if (!ok || !call.result.succeeded) return;
    element->put = true;
    element->told = Describe(call);
  }

  void OnTake(const Call& call, bool ok, Element* element) {
    judge_->Checked(Rule::kWorkload);
    if (!ok) element->maybe_taken = true;
    if (!ok || !call.result.succeeded) return;
    if (element->taken && element->attempts <= 1) {
      Report(call.returned, absl::StrCat("'", call.request.success[0].key, "' was taken by two"),
             element->told);
    }
    element->taken = true;
    element->told = Describe(call);
  }

  void Report(VirtualTime when, const std::string& text, const std::string& told) {
    judge_->Report(Rule::kWorkload, when, absl::StrCat("queue: ", text), {told});
  }

  Judge* const judge_;
  uint64_t last_ = 0;
  std::map<uint32_t, Client> clients_;
  std::map<std::string, Element> elements_;
};

}  // namespace

std::unique_ptr<Workload> NewQueue(Judge* judge) { return std::make_unique<Queue>(judge); }

}  // namespace quorate::sim
