#include "engine/apply/run.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "base/wire.h"

namespace quorate::apply {
namespace {

// ---- commands ----

class TxnCommand final : public CommandRun {
 public:
  TxnCommand(mvcc::Store* store, mvcc::TxnRequest request, const mvcc::Identity& identity,
             bool respond)
      : request_(std::move(request)), run_(store, request_, identity, respond) {}

  bool Step(mvcc::Work* work, absl::Status* status, mvcc::Answer* body) override {
    if (!run_.Step(work)) return false;
    *status = run_.status();
    if (status->ok()) *body = run_.TakeBody();
    return true;
  }
  mvcc::OperationCounts counts() const override { return run_.counts(); }
  void Abandon() override { run_.Abandon(); }
  bool Release(mvcc::Work* work) override { return run_.Release(work); }

 private:
  const mvcc::TxnRequest request_;
  mvcc::TxnRun run_;
};

class DeleteCommand final : public CommandRun {
 public:
  DeleteCommand(mvcc::Store* store, const mvcc::DeleteRangeRequest& request,
                const mvcc::Identity& identity, bool respond)
      : request_(request), identity_(identity), respond_(respond), txn_(store), run_(request_) {}

  bool Step(mvcc::Work* work, absl::Status* status, mvcc::Answer* body) override {
    if (!run_.Step(&txn_, identity_, work, respond_ ? &reply_ : nullptr)) return false;
    txn_.Commit();
    if (respond_) *body = reply_.Finish();
    *status = absl::OkStatus();
    return true;
  }
  mvcc::OperationCounts counts() const override {
    mvcc::OperationCounts counts = mvcc::Counts(request_);
    counts.CountTxn();
    return counts;
  }
  void Abandon() override { txn_.Abandon(); }
  bool Release(mvcc::Work* work) override { return reply_.Release(work); }

 private:
  const mvcc::DeleteRangeRequest request_;
  const mvcc::Identity identity_;
  const bool respond_;
  mvcc::WriteTxn txn_;
  mvcc::DeleteRun run_;
  mvcc::Reply reply_{128};
};

class RevokeCommand final : public CommandRun {
 public:
  RevokeCommand(mvcc::Store* store, lease::Leases* leases, LeaseId id,
                const mvcc::Identity& identity, bool respond)
      : store_(store),
        leases_(leases),
        id_(id),
        identity_(identity),
        respond_(respond),
        txn_(store) {}

  bool Step(mvcc::Work* work, absl::Status* status, mvcc::Answer* body) override {
    // A key that is deleted is attached no more: the first one is always the next.
    while (const std::optional<std::string> key = leases_->KeyFrom(id_, "")) {
      if (work->spent()) return false;
      work->Spend(kAttachCost);
      work->SpendChange(key->size());
      txn_.Delete(*key);
      ++counts_.deletes;
    }
    counts_.CountTxn();
    txn_.Commit();
    leases_->Remove(id_);
    *status = absl::OkStatus();
    if (!respond_) return true;
    BytesBuilder out(64);
    mvcc::AppendHeader(identity_, store_->revision(), &out);
    *body = std::move(out).Finish();
    return true;
  }
  mvcc::OperationCounts counts() const override { return counts_; }
  void Abandon() override { txn_.Abandon(); }
  bool Release(mvcc::Work*) override { return true; }

 private:
  mvcc::Store* const store_;
  lease::Leases* const leases_;
  const LeaseId id_;
  const mvcc::Identity identity_;
  const bool respond_;
  mvcc::WriteTxn txn_;
  mvcc::OperationCounts counts_;
};

// ---- reads ----

class RangeRead final : public ReadRun {
 public:
  RangeRead(const mvcc::Store& store, const mvcc::RangeRequest& request,
            const mvcc::Identity& identity, mvcc::PageCounts* pages)
      : request_(request),
        status_(mvcc::CheckRevision(request, store.revision(), store.compact_revision())) {
    if (!status_.ok()) return;
    run_.emplace(store, store.revision(), request_, identity, pages);
    reply_.ReferTo(store.log().pins());
  }

  bool Step(mvcc::Work* work) override {
    if (!status_.ok()) {
      result_ = status_;
      return true;
    }
    if (run_.has_value() && !run_->Step(work, &reply_)) return false;
    run_.reset();
    result_ = reply_.Finish();
    return true;
  }
  bool Release(mvcc::Work* work) override {
    return (!run_.has_value() || run_->Release(work)) && reply_.Release(work);
  }
  mvcc::OperationCounts counts() const override {
    mvcc::OperationCounts counts;
    counts.ranges = 1;
    return counts;
  }

 private:
  const mvcc::RangeRequest request_;
  const absl::Status status_;
  std::optional<mvcc::RangeRun> run_;
  mvcc::Reply reply_;
};

class TxnRead final : public ReadRun {
 public:
  TxnRead(mvcc::Store* store, mvcc::TxnRequest request, const mvcc::Identity& identity)
      : run_(store, std::move(request), identity, /*respond=*/true) {}

  bool Step(mvcc::Work* work) override {
    absl::Status status;
    mvcc::Answer body;
    if (!run_.Step(work, &status, &body)) return false;
    if (status.ok()) {
      result_ = std::move(body);
    } else {
      result_ = std::move(status);
    }
    return true;
  }
  bool Release(mvcc::Work* work) override { return run_.Release(work); }
  mvcc::OperationCounts counts() const override { return run_.counts(); }

 private:
  TxnCommand run_;
};

class HashKvRead final : public ReadRun {
 public:
  HashKvRead(const mvcc::Store& store, const mvcc::Compactor& compactor, Revision revision,
             const mvcc::Identity& identity)
      : identity_(identity), view_(store.revision()), run_(compactor.StartHash(revision)) {}

  bool Step(mvcc::Work* work) override {
    if (!run_.ok()) {
      result_ = run_.status();
      return true;
    }
    if (!run_->Step(work)) return false;
    const mvcc::KvHash& hash = run_->hash();
    BytesBuilder out(96);
    mvcc::AppendHeader(identity_, view_, &out);
    AppendUint64(&out, 2, hash.hash);
    AppendInt64(&out, 3, hash.compact_revision.value());
    AppendInt64(&out, 4, hash.hash_revision.value());
    result_ = std::move(out).Finish();
    return true;
  }

 private:
  const mvcc::Identity identity_;
  const Revision view_;
  absl::StatusOr<mvcc::HashRun> run_;
};

}  // namespace

std::unique_ptr<CommandRun> RunTxn(mvcc::Store* store, mvcc::TxnRequest request,
                                   const mvcc::Identity& identity, bool respond) {
  return std::make_unique<TxnCommand>(store, std::move(request), identity, respond);
}

std::unique_ptr<CommandRun> RunDelete(mvcc::Store* store, const mvcc::DeleteRangeRequest& request,
                                      const mvcc::Identity& identity, bool respond) {
  return std::make_unique<DeleteCommand>(store, request, identity, respond);
}

std::unique_ptr<CommandRun> RunRevoke(mvcc::Store* store, lease::Leases* leases, LeaseId id,
                                      const mvcc::Identity& identity, bool respond) {
  return std::make_unique<RevokeCommand>(store, leases, id, identity, respond);
}

std::unique_ptr<ReadRun> RunRange(const mvcc::Store& store, const mvcc::RangeRequest& request,
                                  const mvcc::Identity& identity, mvcc::PageCounts* pages) {
  return std::make_unique<RangeRead>(store, request, identity, pages);
}

std::unique_ptr<ReadRun> RunReadTxn(mvcc::Store* store, mvcc::TxnRequest request,
                                    const mvcc::Identity& identity) {
  return std::make_unique<TxnRead>(store, std::move(request), identity);
}

std::unique_ptr<ReadRun> RunHashKv(const mvcc::Store& store, const mvcc::Compactor& compactor,
                                   Revision revision, const mvcc::Identity& identity) {
  return std::make_unique<HashKvRead>(store, compactor, revision, identity);
}

}  // namespace quorate::apply
