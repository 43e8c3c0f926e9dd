// Reads that may touch any number of keys: ranges, transactions that only read, HashKV; and lists
// of leases, users and roles.
//
// A read is begun with a piece of a turn's work, which is enough for nearly all of them.
// One that needs more is forgotten, and begun anew once it is first among the long ones:
// these go one at a time, a piece each turn, at the revision that is the present one when
// they begin, while entries are applied as ever. HashKV, which always goes over the whole
// store, goes beside the others. Only the compactor stands still meanwhile; before the next
// long read it gets as much work as this one took.
#include <algorithm>
#include <utility>

#include "api/malformed.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/status.h"
#include "engine/replica/impl.h"

namespace quorate::engine {

Replica::Impl::ReadRunOr Replica::Impl::StartRead(const ClientRequest& request,
                                                  const auth::Subject& subject) {
  switch (request.kind) {
    case RequestKind::kRange: {
      mvcc::RangeRequest range;
      RETURN_IF_ERROR(mvcc::Decode(request.body, &range));
      RETURN_IF_ERROR(applier_.Authorize(subject).Check(range));
      return applier_.StartRange(range, identity());
    }
    case RequestKind::kTxn: {
      mvcc::TxnRequest txn;
      RETURN_IF_ERROR(mvcc::Decode(request.body, &txn));
      RETURN_IF_ERROR(applier_.Authorize(subject).Check(txn));
      return applier_.StartReadTxn(std::move(txn), identity());
    }
    case RequestKind::kHashKv: {
      etcdserverpb::HashKVRequest hash;
      if (!ParseMessage(request.body, &hash)) {
        return MalformedRequestError();
      }
      return applier_.StartHashKv(Revision(hash.revision()), identity());
    }
    case RequestKind::kLeaseList:
      return StartLeaseList(subject);
    default: {
      const apply::Operation operation = AuthOperation(request.kind);
      if (operation == apply::Operation::kNone) return nullptr;
      return applier_.StartAuthRead(operation, request.body, subject, identity());
    }
  }
}

void Replica::Impl::AnswerRead(ClientRequest request, mvcc::Work* work) {
  work->SpendFind();
  const absl::StatusOr<auth::Subject> subject = Admit(request);
  if (!subject.ok()) return AnswerRead(request.token, subject.status());
  ReadRunOr run = StartRead(request, *subject);
  if (!run.ok()) return AnswerRead(request.token, run.status());
  absl::StatusOr<engine::Answer> body = engine::Answer();
  if (*run == nullptr) {
    body = Read(request);
  } else {
    mvcc::Work piece(config_.max_turn_work / 4 + 1);
    const uint64_t allowed = piece.left();
    const bool done = (*run)->Step(&piece);
    work->Spend(allowed - piece.left());
    if (!done) {
      ++pieces_.reads;
      Retire(*std::move(run));
      return LongReadsOf(request.kind).waiting.Push(std::move(request));
    }
    CountRead(request.kind, run->get(), now_);
    body = std::move((*run)->result());
  }
  AnswerRead(request.token, std::move(body));
}

void Replica::Impl::CountRead(RequestKind kind, apply::ReadRun* run, Instant begun) {
  operations_.Add(run->counts());
  if (kind == RequestKind::kRange) done_.CountRange(run->result().ok());
  if (kind == RequestKind::kHashKv && run->result().ok()) statistics_.hashes.Add(now_ - begun);
}

void Replica::Impl::BeginLongRead(LongReads* reads) {
  LongRead read;
  read.begun = now_;
  read.request = reads->waiting.Pop();
  if (LeaseCall* const call = lease_calls_.Find(read.request.token)) {
    if (!lessor_.primary() || call->term != lessor_.term()) {
      return Dispatch(read.request.token, call);
    }
    read.run = StartLeaseKeys(*call);
    reads->running = std::move(read);
    return;
  }
  const absl::StatusOr<auth::Subject> subject = Admit(read.request);
  if (!subject.ok()) return AnswerRead(read.request.token, subject.status());
  ReadRunOr run = StartRead(read.request, *subject);
  if (!run.ok()) return AnswerRead(read.request.token, run.status());
  read.run = *std::move(run);
  reads->running = std::move(read);
}

// The compactor must get its turn now and then: the first read that begins once it may run waits
// for it. A hash waits as well if that moment is only kept off by another read.
bool Replica::Impl::MayBegin(const LongReads& reads) const {
  if (compaction_debt_ == 0) return true;
  const bool overlaps = &reads == &long_hashes_ && long_reads_.running.has_value();
  return !MayCompact() && !(overlaps && applier_.compactor().busy());
}

void Replica::Impl::WorkOnLongReads(mvcc::Work* work) {
  // A hash of much data takes long: whoever else reads has half of the work to himself.
  mvcc::Work hashing(long_reads_.empty() ? work->left() : work->left() / 2 + 1);
  const uint64_t allowed = hashing.left();
  WorkOn(&long_hashes_, &hashing);
  work->Spend(allowed - hashing.left());
  WorkOn(&long_reads_, work);
}

void Replica::Impl::WorkOn(LongReads* reads, mvcc::Work* work) {
  while (!work->spent()) {
    if (!reads->running.has_value()) {
      if (reads->waiting.empty() || !MayBegin(*reads)) return;
      BeginLongRead(reads);
      work->SpendFind();
      continue;
    }
    LongRead& read = *reads->running;
    const uint64_t allowed = work->left();
    const bool done = read.run->Step(work);
    read.spent += allowed - work->left();
    if (!done) return;
    const RequestToken token = read.request.token;
    CountRead(read.request.kind, read.run.get(), read.begun);
    absl::StatusOr<engine::Answer> body = std::move(read.run->result());
    EndLongRead(reads);
    if (lease_calls_.Find(token) != nullptr) {
      FinishLeaseKeys(token, std::move(body));
    } else {
      AnswerRead(token, std::move(body));
    }
  }
}

void Replica::Impl::EndLongRead(LongReads* reads) {
  compaction_debt_ += reads->running->spent;
  Retire(std::move(reads->running->run));
  reads->running.reset();
}

size_t Replica::Impl::PendingReads() const {
  return reads_.pending() + ready_reads_.size() + held_requests_.size() +
         long_reads_.waiting.size() + long_hashes_.waiting.size();
}

bool Replica::Impl::AbandonRead(RequestToken token) {
  for (LongReads* const reads : {&long_reads_, &long_hashes_}) {
    if (reads->running.has_value() && reads->running->request.token == token) {
      EndLongRead(reads);
      return true;
    }
    if (reads->waiting.Abandon(token)) return true;
  }
  return reads_.Abandon(token) || ready_reads_.Abandon(token) || held_requests_.Abandon(token);
}

bool Replica::Impl::OutlivesTimeout(RequestToken token) const {
  if (lease_calls_.Contains(token)) return false;  // a new leader may have to be asked
  for (const LongReads* const reads : {&long_reads_, &long_hashes_}) {
    if (reads->running.has_value() && reads->running->request.token == token) return true;
    if (reads->waiting.Contains(token)) return true;
  }
  return reads_.IsReady(token, applied_) || awaiting_compaction_.contains(token);
}

// Whether the compactor has something to do and may do it. Live watchers first get what a
// compaction is about to take: an entry before it may have been applied in this very turn.
bool Replica::Impl::MayCompact() const {
  const bool delivered = watches_.live() > applier_.store().compact_revision();
  return applier_.compactor().busy() && delivered && !watches_.HoldsRecords() &&
         !long_reads_.running.has_value() && !long_hashes_.running.has_value() &&
         !applying_.has_value() && imaging_ == nullptr;
}

}  // namespace quorate::engine
