#include "sim/oracle/lease.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/wire.h"

namespace quorate::sim {
namespace {

void Drop(History::Id id, std::vector<History::Id>* ids) {
  ids->erase(std::remove(ids->begin(), ids->end(), id), ids->end());
}

}  // namespace

void LeaseOracle::OnCommit(VirtualTime when, const raft::Entry& entry) {
  if (entry.type != raft::EntryType::kNormal || entry.data.empty()) return;
  const absl::StatusOr<std::optional<Request>> command = DecodeCommand(entry.data);
  if (command.ok() && command->has_value()) OnCommand(when, **command);
}

void LeaseOracle::OnCommand(VirtualTime when, const Request& request) {
  if (request.shape == Request::Shape::kGrant) {
    Lease& lease = leases_[request.lease];
    const bool exists = !lease.lives.empty() && lease.lives.back().ended == VirtualTime::Infinite();
    if (exists) return;  // refused
    Life life;
    life.granted = when;
    life.ttl = request.ttl;
    lease.lives.push_back(life);
    ++standing_;
    longest_ttl_ = std::max(longest_ttl_, request.ttl);
  } else if (request.shape == Request::Shape::kRevoke) {
    End(when, request.lease, &leases_[request.lease]);
  }
}

void LeaseOracle::End(VirtualTime when, int64_t id, Lease* lease) {
  if (lease->lives.empty() || lease->lives.back().ended != VirtualTime::Infinite()) return;
  Life* const life = &lease->lives.back();
  life->ended = when;
  --standing_;
  if (lease->wishes.empty()) ++expired_;
  CheckPromise(when, id, lease, life);
}

// Whether the life ended before its time; if so, a client must have wished it.
void LeaseOracle::CheckPromise(VirtualTime when, int64_t id, Lease* lease, Life* life) {
  judge_->Checked(Rule::kLease);
  if (life->wish.has_value() || life->ended >= life->promised) return;
  if (!lease->wishes.empty()) {
    life->wish = lease->wishes.front();
    lease->wishes.erase(lease->wishes.begin());
    return;
  }
  judge_->Report(
      Rule::kLease, when,
      absl::StrCat("lease ", id, " was revoked at ", Describe(life->ended), " though no client ",
                   "asked for that and it had been promised until ", Describe(life->promised)),
      {Describe(history_->call(life->promised_by))});
}

void LeaseOracle::OnInvoke(History::Id id) {
  const Call& call = history_->call(id);
  if (call.request.shape == Request::Shape::kRevoke) {
    leases_[call.request.lease].wishes.push_back(id);
  }
}

void LeaseOracle::OnReturn(History::Id id) {
  const Call& call = history_->call(id);
  if (!call.request.AboutLease()) return;
  Lease* const lease = &leases_[call.request.lease];
  if (call.outcome == Outcome::kNoEffect) Drop(id, &lease->wishes);
  if (call.outcome != Outcome::kOk) return;
  switch (call.request.shape) {
    case Request::Shape::kGrant:
    case Request::Shape::kKeepAlive:
    case Request::Shape::kTimeToLive:
      judge_->Checked(Rule::kLease);
      if (call.result.lease_found) {
        CheckFound(call, id, lease);
      } else {
        CheckMissing(call, *lease);
      }
      break;
    default:
      OnRevoked(call, id, lease);
      break;
  }
}

// If only one life ended meanwhile it was this attempt that ended it, and not another one
// that it was taken for.
void LeaseOracle::OnRevoked(const Call& call, History::Id id, Lease* lease) {
  Life* ended = nullptr;
  for (Life& life : lease->lives) {
    if (life.ended < call.invoked || life.ended > call.returned) continue;
    if (ended != nullptr) return;
    ended = &life;
  }
  if (ended == nullptr) {
    judge_->Report(Rule::kLease, call.returned,
                   absl::StrCat("a revocation of lease ", call.request.lease,
                                " was acknowledged, but the lease did not end meanwhile"),
                   {Describe(call)});
    return;
  }
  Drop(id, &lease->wishes);
  const std::optional<History::Id> other = std::exchange(ended->wish, id);
  if (other.has_value() && *other != id && history_->call(*other).outcome != Outcome::kNoEffect) {
    lease->wishes.push_back(*other);
  }
}

void LeaseOracle::CheckFound(const Call& call, History::Id id, Lease* lease) {
  // Lives that were there at some moment while the request was under way. A grant's answer
  // comes after the life has begun; whichever began meanwhile.
  const bool grant = call.request.shape == Request::Shape::kGrant;
  std::vector<Life*> possible;
  for (Life& life : lease->lives) {
    const bool begun = life.granted <= call.returned && (!grant || life.granted >= call.invoked);
    if (begun && life.ended >= call.invoked) possible.push_back(&life);
  }
  if (possible.empty()) {
    judge_->Report(Rule::kLease, call.returned,
                   absl::StrCat("an answer tells of lease ", call.request.lease,
                                ", which did not exist while the request was under way"),
                   {Describe(call)});
    return;
  }
  if (call.request.shape == Request::Shape::kTimeToLive) {
    const bool as_granted = std::any_of(possible.begin(), possible.end(), [&](const Life* l) {
      return l->ttl == call.result.granted_ttl;
    });
    if (as_granted) return;
    judge_->Report(Rule::kLease, call.returned,
                   absl::StrCat("lease ", call.request.lease, " was granted for ", possible[0]->ttl,
                                " s, not ", call.result.granted_ttl, " s"),
                   {Describe(call)});
    return;
  }
  // Of two it is not known which one was renewed; and one that began after the renewal was
  // asked for may be the second of two.
  if (possible.size() > 1 || (!grant && possible[0]->granted > call.invoked)) return;
  Promise(call, id, call.request.lease, lease, possible[0]);
}

void LeaseOracle::Promise(const Call& call, History::Id id, int64_t lease_id, Lease* lease,
                          Life* life) {
  const VirtualTime until = Earliest(call);
  if (until <= life->promised) return;
  life->promised = until;
  life->promised_by = id;
  // An answer may be slow: what it promised may have been broken before it came.
  if (life->ended != VirtualTime::Infinite()) CheckPromise(call.returned, lease_id, lease, life);
}

// The lease's time from the invocation on, by the fastest clock there is.
VirtualTime LeaseOracle::Earliest(const Call& call) const {
  constexpr int64_t kMillion = 1'000'000;
  const int64_t nanos = Seconds(call.result.ttl).nanos() / (kMillion + drift_ppm_) * kMillion;
  return call.invoked + Nanoseconds(nanos);
}

void LeaseOracle::CheckMissing(const Call& call, const Lease& lease) {
  for (const Life& life : lease.lives) {
    if (life.granted >= call.invoked || life.ended <= call.returned) continue;
    judge_->Report(Rule::kLease, call.returned,
                   absl::StrCat("an answer says that there is no lease ", call.request.lease,
                                ", which was there from ", Describe(life.granted), " to ",
                                Describe(life.ended)),
                   {Describe(call)});
    return;
  }
}

}  // namespace quorate::sim
