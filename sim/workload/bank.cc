// Money moves between accounts, in transactions that compare both balances first. Whoever looks
// at all accounts at once sees the same total, whenever and wherever it looks.
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/workload/workload.h"

namespace quorate::sim {
namespace {

constexpr const char* kPrefix = "g-bank/";
constexpr uint64_t kAccounts = 6;
constexpr int64_t kOpening = 100;

class Bank final : public Workload {
 public:
  explicit Bank(Judge* judge) : judge_(judge) {}

  Request Next(uint32_t client, Prng* prng) override {
    const std::map<std::string, int64_t>& seen = seen_[client];
    if (seen.empty()) return prng->Chance(1, 2) ? Found() : Look(false);
    const uint64_t what = prng->Below(10);
    if (what < 2) return Look(false);
    if (what < 3) return Look(true);
    return Transfer(seen, prng);
  }

  void OnReturn(const Call& call) override {
    if (call.outcome != Outcome::kOk || call.request.shape == Request::Shape::kTxn) return;
    if (call.result.refused || call.result.operations.empty()) return;
    Check(call.result.operations[0].kvs, call.returned, Describe(call));
    std::map<std::string, int64_t>& seen = seen_[call.client];
    seen.clear();
    for (const KeyValue& kv : call.result.operations[0].kvs) seen[kv.key] = NumberIn(kv.value);
  }

  void Finish(VirtualTime when, const Model& model) override {
    Check(FinalState(model, kPrefix), when, "at the end");
  }

 private:
  static std::string Account(uint64_t number) { return absl::StrCat(kPrefix, number); }

  // All accounts at once, by whoever comes first.
  static Request Found() {
    std::vector<Operation> open;
    for (uint64_t i = 0; i < kAccounts; ++i) {
      open.push_back(PutKey(Account(i), absl::StrCat(kOpening)));
    }
    return If({ModIs(Account(0), 0)}, std::move(open), {GetPrefix(kPrefix)});
  }

  static Request Look(bool serializable) { return Read(GetPrefix(kPrefix), serializable); }

  static Request Transfer(const std::map<std::string, int64_t>& seen, Prng* prng) {
    const std::string from = Account(prng->Below(kAccounts));
    const std::string to = Account(prng->Below(kAccounts));
    const int64_t amount = prng->Between(1, 30);
    const auto a = seen.find(from);
    const auto b = seen.find(to);
    if (from == to || a == seen.end() || b == seen.end() || a->second < amount) return Look(false);
    return If({ValueIs(from, absl::StrCat(a->second)), ValueIs(to, absl::StrCat(b->second))},
              {PutKey(from, absl::StrCat(a->second - amount)),
               PutKey(to, absl::StrCat(b->second + amount))},
              {GetKey(from), GetKey(to)});
  }

  void Check(const std::vector<KeyValue>& accounts, VirtualTime when, const std::string& where) {
    judge_->Checked(Rule::kWorkload);
    int64_t total = 0;
    for (const KeyValue& kv : accounts) total += NumberIn(kv.value);
    const bool whole = accounts.size() == kAccounts && total == kOpening * int64_t{kAccounts};
    if (accounts.empty() || whole) return;
    judge_->Report(Rule::kWorkload, when,
                   absl::StrCat("bank: ", accounts.size(), " accounts hold ", total,
                                " together, not ", kOpening * int64_t{kAccounts}),
                   {where});
  }

  Judge* const judge_;
  std::map<uint32_t, std::map<std::string, int64_t>> seen_;  // by client: balances
};

}  // namespace

std::unique_ptr<Workload> NewBank(Judge* judge) { return std::make_unique<Bank>(judge); }

}  // namespace quorate::sim
