// A lock as services build it: a key that its holder creates on a lease of its own, keeps alive,
// and writes a register under. From the answer to the acquisition until the lease may end, or
// the holder begins to give it back, nobody else gets the lock.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/workload/workload.h"

namespace quorate::sim {
namespace {

constexpr const char* kLock = "g-lock/lock";
constexpr const char* kRegister = "g-lock/register";
constexpr int64_t kTtlSeconds = 2;
// Ids of leases that no other client uses.
constexpr int64_t kFirstLease = 1'000'000;
constexpr int64_t kLeasesOfClient = 10'000;

class Lock final : public Workload {
 public:
  Lock(Judge* judge, uint32_t drift_ppm) : judge_(judge), drift_ppm_(drift_ppm) {}

  Request Next(uint32_t client, Prng* prng) override;
  void OnReturn(const Call& call) override;
  void Finish(VirtualTime, const Model&) override {}

 private:
  struct Holder {
    int64_t lease = 0;  // 0: none that it could rely on
    int64_t grants = 0;
    uint64_t tokens = 0;
    VirtualTime promised;  // the lease stands until then
    std::string token;     // of the lock that it holds; empty: it does not
    VirtualTime since;     // when it was told
    std::string told;
  };

  // The lease's time from the invocation on, by the fastest clock there is.
  VirtualTime Promised(const Call& call) const {
    constexpr int64_t kMillion = 1'000'000;
    return call.invoked +
           Nanoseconds(Seconds(call.result.ttl).nanos() / (kMillion + drift_ppm_) * kMillion);
  }
  void OnLease(const Call& call, Holder* holder);
  void OnTxn(const Call& call, Holder* holder);
  void CheckAlone(const Call& call);

  Judge* const judge_;
  const int64_t drift_ppm_;
  std::map<uint32_t, Holder> holders_;  // by client
  // Grants of unknown outcome: the lease may come into being at any time.
  std::set<int64_t> unreliable_;
};

Request Lock::Next(uint32_t client, Prng* prng) {
  Holder& holder = holders_[client];
  Request request;
  if (holder.lease == 0) {
    request.shape = Request::Shape::kGrant;
    request.lease = kFirstLease + int64_t{client} * kLeasesOfClient + ++holder.grants;
    request.ttl = kTtlSeconds;
    return request;
  }
  if (holder.token.empty()) {
    Operation take = PutKey(kLock, absl::StrCat("c", client, ".", ++holder.tokens));
    take.lease = holder.lease;
    return If({ModIs(kLock, 0)}, {std::move(take)}, {GetKey(kLock)});
  }
  const uint64_t what = prng->Below(10);
  if (what < 4) {
    request.shape = Request::Shape::kKeepAlive;
    request.lease = holder.lease;
    return request;
  }
  const Comparison mine = ValueIs(kLock, holder.token);
  if (what < 8) return If({mine}, {PutKey(kRegister, holder.token)}, {GetKey(kLock)});
  holder.token.clear();  // from here on it may be somebody else's
  return If({mine}, {DeleteKey(kLock)}, {GetKey(kLock)});
}

void Lock::OnReturn(const Call& call) {
  Holder& holder = holders_[call.client];
  if (call.request.AboutLease()) return OnLease(call, &holder);
  OnTxn(call, &holder);
}

void Lock::OnLease(const Call& call, Holder* holder) {
  const bool found = call.outcome == Outcome::kOk && call.result.lease_found;
  if (call.request.shape == Request::Shape::kGrant) {
    if (!found) unreliable_.insert(call.request.lease);
    const bool good = found && unreliable_.count(call.request.lease) == 0;
    holder->lease = good ? call.request.lease : 0;
    holder->token.clear();
    holder->promised = VirtualTime();
  }
  if (call.request.lease != holder->lease) return;
  if (found) {
    holder->promised = std::max(holder->promised, Promised(call));
  } else if (call.outcome == Outcome::kOk) {
    holder->lease = 0;  // it has ended, and the lock with it
    holder->token.clear();
  }
}

void Lock::OnTxn(const Call& call, Holder* holder) {
  const Operation& first = call.request.success[0];
  const bool acquisition = first.kind == Operation::Kind::kPut && first.key == kLock;
  if (call.outcome != Outcome::kOk || call.result.refused) {
    // Whether it holds the lock it cannot know: with another lease it can begin anew.
    if (acquisition) holder->lease = 0;
    return;
  }
  if (acquisition) {
    if (!call.result.succeeded || first.lease != holder->lease) return;
    CheckAlone(call);
    holder->token = first.value;
    holder->since = call.returned;
    holder->told = Describe(call);
    return;
  }
  // A write under the lock that finds the lock gone. (Giving it back may: the attempt before,
  // whose answer was lost, may have done it.)
  const bool written = call.result.succeeded;
  const bool held = first.kind == Operation::Kind::kPut && holder->token == first.value &&
                    call.invoked >= holder->since && call.returned < holder->promised;
  judge_->Checked(Rule::kWorkload);
  if (written || !held) return;
  judge_->Report(Rule::kWorkload, call.returned,
                 absl::StrCat("lock: client ", call.client, " holds it since ",
                              Describe(holder->since), " on a lease that stands until ",
                              Describe(holder->promised), ", but it was gone or another's"),
                 {holder->told, Describe(call)});
}

void Lock::CheckAlone(const Call& call) {
  judge_->Checked(Rule::kWorkload);
  for (const auto& [client, other] : holders_) {
    if (client == call.client || other.token.empty()) continue;
    if (call.invoked < other.since || call.returned >= other.promised) continue;
    judge_->Report(Rule::kWorkload, call.returned,
                   absl::StrCat("lock: client ", call.client, " got it while client ", client,
                                " held it on a lease that stands until ", Describe(other.promised)),
                   {other.told, Describe(call)});
  }
}

}  // namespace

std::unique_ptr<Workload> NewLock(Judge* judge, uint32_t drift_ppm) {
  return std::make_unique<Lock>(judge, drift_ppm);
}

}  // namespace quorate::sim
