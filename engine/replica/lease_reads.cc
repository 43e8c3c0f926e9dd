// Answers that may name very many leases, or very many keys of one, in pieces.
//
// Leases have no history to read from, so between the pieces they may change. The list of all
// leases has each that was there all the time, once. The keys of a lease are those of one moment:
// if any comes or goes meanwhile they are gathered anew, three times at most; a lease whose keys
// never stand still for so long is answered as it was seen.
#include <string>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/auth/errors.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/paged.h"
#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

constexpr int kGatherings = 3;
// What a piece of the way over all leases looks at for a unit of work.
constexpr uint64_t kLeasesPerUnit = 2;

}  // namespace

// ---- all leases ----

// Of all leases or of none, as in etcd: who may not read some attached key gets no list.
class Replica::Impl::LeaseListRead final : public apply::ReadRun {
 public:
  LeaseListRead(const Impl& impl, const auth::Subject& subject)
      : impl_(impl), user_(subject.user), auth_revision_(subject.revision) {}

  bool Step(mvcc::Work* work) override {
    // The keys are looked at: not in the midst of a command.
    if (impl_.LeaseKeysAreUncertain()) return false;
    const bool gathered = gathered_ || Gather(work);
    if (!status_.ok()) {
      result_ = status_;
      return true;
    }
    if (!gathered) return false;
    const auto less = [](const Listed& a, const Listed& b) {
      return std::pair(a.rank, a.id) < std::pair(b.rank, b.id);
    };
    if (!sort_.Step(work, kLeasesPerUnit, less) || !Emit(work)) return false;
    if (!leases_.Release(work) || !sort_.Release(work)) return false;
    result_ = reply_.Finish();
    return true;
  }
  bool Release(mvcc::Work* work) override {
    return leases_.Release(work) && sort_.Release(work) && reply_.Release(work);
  }

 private:
  struct Listed {
    Instant rank;
    LeaseId id;
  };

  bool Gather(mvcc::Work* work) {
    const auto& all = impl_.applier_.leases().all();
    const bool enabled = impl_.applier_.auth().enabled();
    const auth::Subject subject{user_, auth_revision_};
    const apply::Authorizer authorizer = impl_.applier_.Authorize(subject);
    for (auto at = leases_.empty() ? all.begin() : all.upper_bound(leases_.back().id);
         at != all.end(); ++at) {
      if (leases_.size() % kLeasesPerUnit == 0) {
        if (work->spent()) return false;
        work->Spend(1);
      }
      const LeaseId id = at->first;
      if (enabled) {
        work->SpendFind();
        status_ = authorizer.CheckLease(auth::Access::kRead, id);
        if (!status_.ok()) return false;
      }
      leases_.push_back({impl_.lessor_.RankOf(id), id});
    }
    gathered_ = true;
    mvcc::AppendHeader(impl_.identity(), impl_.applier_.store().revision(), reply_.out());
    return true;
  }

  bool Emit(mvcc::Work* work) {
    for (; emitted_ < leases_.size(); ++emitted_) {
      if (emitted_ % kLeasesPerUnit == 0) {
        if (work->spent()) return false;
        work->Spend(1);
      }
      const size_t status = BeginMessage(reply_.out(), 2);
      AppendInt64(reply_.out(), 1, leases_[emitted_].id.value());
      EndMessage(reply_.out(), status);
      reply_.Roll();
    }
    return true;
  }

  const Impl& impl_;
  const std::string user_;
  const uint64_t auth_revision_;
  absl::Status status_;
  bool gathered_ = false;
  mvcc::Paged<Listed> leases_;
  mvcc::PagedSort<Listed> sort_{&leases_};
  size_t emitted_ = 0;
  mvcc::Reply reply_;
};

std::unique_ptr<apply::ReadRun> Replica::Impl::StartLeaseList(const auth::Subject& subject) const {
  return std::make_unique<LeaseListRead>(*this, subject);
}

// ---- the keys of a lease ----

// result() is NotFound if there is no such lease.
class Replica::Impl::LeaseKeysRead final : public apply::ReadRun {
 public:
  LeaseKeysRead(Impl* impl, const LeaseCall& call) : impl_(*impl), call_(call) {}

  bool Step(mvcc::Work* work) override {
    const lease::Lessor& lessor = impl_.lessor_;
    if (!lessor.primary() || call_.term != lessor.term()) {
      result_ = NotLeaderError();  // somebody else is asked
      return true;
    }
    if (impl_.applying_.has_value()) return false;  // it may have half of its keys
    lease::Leases& leases = impl_.applier_.lease_table();
    if (!leases.Exists(call_.lease)) {
      result_ = mvcc::LeaseNotFoundError();
      return true;
    }
    if (!reply_.has_value() || (leases.Noticed(call_.lease) && gatherings_ < kGatherings)) {
      if (reply_.has_value() && !reply_->Release(work)) return false;
      Begin(&leases);
    }
    if (!gathered_ && !Gather(leases, work)) return false;
    gathered_ = true;
    result_ = reply_->Finish();
    return true;
  }
  bool Release(mvcc::Work* work) override { return !reply_.has_value() || reply_->Release(work); }

 private:
  void Begin(lease::Leases* leases) {
    ++gatherings_;
    leases->Notice(call_.lease);
    next_.clear();
    gathered_ = false;
    reply_.emplace();
    LeaseTime time;
    time.found = true;
    time.ttl = impl_.lessor_.Remaining(call_.lease, impl_.now_).nanos() / kNanosPerSecond;
    time.granted_ttl = impl_.lessor_.GrantedTtl(call_.lease);
    impl_.AppendLeaseTime(call_, time, reply_->out());
  }

  bool Gather(const lease::Leases& leases, mvcc::Work* work) {
    bool all = true;
    leases.ForEachKey(call_.lease, next_, [&](absl::string_view key) {
      if (work->spent()) {
        next_ = std::string(key);
        return all = false;
      }
      work->SpendLook();
      work->SpendBytes(key.size());
      AppendLen(reply_->out(), 5, key);
      reply_->Roll();
      return true;
    });
    return all;
  }

  Impl& impl_;
  const LeaseCall call_;
  int gatherings_ = 0;
  bool gathered_ = false;
  std::string next_;
  std::optional<mvcc::Reply> reply_;
};

// For a call that is confirmed: this member leads.
void Replica::Impl::AnswerLeaseKeys(RequestToken token, LeaseCall* call, mvcc::Work* work) {
  if (!lessor_.primary() || call->term != lessor_.term()) return Dispatch(token, call);
  auto run = std::make_unique<LeaseKeysRead>(this, *call);
  if (!run->Step(work)) {
    ++pieces_.reads;
    long_reads_.waiting.Push({token, call->kind, Bytes()});
    return Retire(std::move(run));
  }
  FinishLeaseKeys(token, std::move(run->result()));
}

std::unique_ptr<apply::ReadRun> Replica::Impl::StartLeaseKeys(const LeaseCall& call) {
  return std::make_unique<LeaseKeysRead>(this, call);
}

void Replica::Impl::FinishLeaseKeys(RequestToken token, absl::StatusOr<engine::Answer> body) {
  LeaseCall* const call = lease_calls_.Find(token);
  if (!lessor_.primary() || call->term != lessor_.term()) return Dispatch(token, call);
  if (!body.ok()) return FinishLeaseCall(token, LeaseTime{});
  if (RefuseChangedAuth(token, *call)) return;
  Answer(token, absl::OkStatus(), *std::move(body));
  lease_calls_.Erase(token);
}

}  // namespace quorate::engine
