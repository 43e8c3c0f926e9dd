// Reads that may touch any number of keys: ranges, transactions that only read, HashKV.
//
// A read is begun with a piece of a turn's work, which is enough for nearly all of them.
// One that needs more is forgotten, and begun anew once it is first among the long ones:
// these go one at a time, a piece each turn, at the revision that is the present one when
// they begin, while entries are applied as ever. Only the compactor stands still
// meanwhile; before the next long read it gets as much work as this one took.
#include <algorithm>
#include <utility>

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
      if (!hash.ParseFromArray(request.body.data(), static_cast<int>(request.body.size()))) {
        return absl::InternalError(
            "grpc: error unmarshalling request: malformed etcdserverpb.HashKVRequest");
      }
      return applier_.StartHashKv(Revision(hash.revision()), identity());
    }
    default:
      return nullptr;
  }
}

void Replica::Impl::AnswerRead(ClientRequest request, mvcc::Work* work) {
  work->SpendFind();
  const absl::StatusOr<auth::Subject> subject = Admit(request);
  if (!subject.ok()) return Answer(request.token, subject.status());
  ReadRunOr run = StartRead(request, *subject);
  if (!run.ok()) return Answer(request.token, run.status());
  absl::StatusOr<Bytes> body = Bytes();
  if (*run == nullptr) {
    body = Read(request, *subject);
  } else {
    mvcc::Work piece(config_.max_turn_work / 4 + 1);
    const uint64_t allowed = piece.left();
    const bool done = (*run)->Step(&piece);
    work->Spend(allowed - piece.left());
    if (!done) {
      ++pieces_.reads;
      return long_reads_.push_back(std::move(request));
    }
    body = std::move((*run)->result());
  }
  if (!body.ok()) return Answer(request.token, body.status());
  Answer(request.token, absl::OkStatus(), *std::move(body));
}

void Replica::Impl::BeginLongRead() {
  LongRead read;
  read.request = std::move(long_reads_.front());
  long_reads_.pop_front();
  const absl::StatusOr<auth::Subject> subject = Admit(read.request);
  if (!subject.ok()) return Answer(read.request.token, subject.status());
  ReadRunOr run = StartRead(read.request, *subject);
  if (!run.ok()) return Answer(read.request.token, run.status());
  read.run = *std::move(run);
  long_read_ = std::move(read);
}

void Replica::Impl::WorkOnLongReads(mvcc::Work* work) {
  while (!work->spent()) {
    if (!long_read_.has_value()) {
      if (long_reads_.empty()) return;
      if (compaction_debt_ > 0 && MayCompact()) return;
      BeginLongRead();
      work->SpendFind();
      continue;
    }
    const uint64_t allowed = work->left();
    const bool done = long_read_->run->Step(work);
    long_read_->spent += allowed - work->left();
    if (!done) return;
    absl::StatusOr<Bytes>& body = long_read_->run->result();
    if (body.ok()) {
      Answer(long_read_->request.token, absl::OkStatus(), *std::move(body));
    } else {
      Answer(long_read_->request.token, body.status());
    }
    compaction_debt_ += long_read_->spent;
    long_read_.reset();
  }
}

bool Replica::Impl::AbandonRead(RequestToken token) {
  if (long_read_.has_value() && long_read_->request.token == token) {
    compaction_debt_ += long_read_->spent;
    long_read_.reset();
    return true;
  }
  const auto remove = [token](std::deque<ClientRequest>* reads) {
    return std::erase_if(*reads, [token](const ClientRequest& r) { return r.token == token; }) > 0;
  };
  return reads_.Abandon(token) || remove(&ready_reads_) || remove(&held_requests_) ||
         remove(&long_reads_);
}

// Whether the compactor has something to do and may do it. Live watchers first get what a
// compaction is about to take: an entry before it may have been applied in this very turn.
bool Replica::Impl::MayCompact() const {
  const bool delivered = watches_.live() > applier_.store().compact_revision();
  return applier_.compactor().busy() && delivered && !watches_.HoldsRecords() &&
         !long_read_.has_value() && !applying_.has_value() && imaging_ == nullptr;
}

}  // namespace quorate::engine
