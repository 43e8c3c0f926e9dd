// Commands and reads that may touch any number of keys, in pieces.
//
// Applier::Apply() and Replica's reads begin one of these and are done at once if the
// allowance of work is enough; else it is kept, and goes on in later turns.
#ifndef QUORATE_ENGINE_APPLY_RUN_H_
#define QUORATE_ENGINE_APPLY_RUN_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/lease/leases.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/long_reply.h"
#include "engine/mvcc/operation_counts.h"
#include "engine/mvcc/page_counts.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/txn.h"
#include "engine/mvcc/work.h"

namespace quorate::apply {

// Of a key that is attached to a lease, or detached from it, in units of work.
inline constexpr uint64_t kAttachCost = 4;

// A command under way. What its request points at is borrowed.
class CommandRun {
 public:
  virtual ~CommandRun() = default;
  // True once it is over: then *status and, if a response was wanted, *body are set.
  virtual bool Step(mvcc::Work* work, absl::Status* status, mvcc::Answer* body) = 0;
  // What it counts as, once it is over.
  virtual mvcc::OperationCounts counts() const = 0;
  // It will go no further, and the state is given up.
  virtual void Abandon() = 0;
  // Once abandoned: gives memory back in pieces; true once little of it is left.
  virtual bool Release(mvcc::Work* work) = 0;
};

std::unique_ptr<CommandRun> RunTxn(mvcc::Store* store, mvcc::TxnRequest request,
                                   const mvcc::Identity& identity, bool respond);
std::unique_ptr<CommandRun> RunDelete(mvcc::Store* store, const mvcc::DeleteRangeRequest& request,
                                      const mvcc::Identity& identity, bool respond);
// Revokes a lease that exists: its keys go in one revision, in ascending order.
std::unique_ptr<CommandRun> RunRevoke(mvcc::Store* store, lease::Leases* leases, LeaseId id,
                                      const mvcc::Identity& identity, bool respond);

// A read under way, at the revision that was the present one when it began. Until it is
// over the compactor must stand still. What its request points at is borrowed.
class ReadRun {
 public:
  virtual ~ReadRun() = default;
  // True once result() is the encoded response, or says why there is none.
  virtual bool Step(mvcc::Work* work) = 0;
  absl::StatusOr<mvcc::Answer>& result() { return result_; }
  // It goes no further: gives memory back in pieces; true once little of it is left.
  virtual bool Release(mvcc::Work* /*work*/) { return true; }
  virtual mvcc::OperationCounts counts() const { return {}; }

 protected:
  absl::StatusOr<mvcc::Answer> result_ = absl::UnknownError("under way");
};

// `pages` may be null.
std::unique_ptr<ReadRun> RunRange(const mvcc::Store& store, const mvcc::RangeRequest& request,
                                  const mvcc::Identity& identity, mvcc::PageCounts* pages);
// A transaction that only reads.
std::unique_ptr<ReadRun> RunReadTxn(mvcc::Store* store, mvcc::TxnRequest request,
                                    const mvcc::Identity& identity);
// HashKVResponse; 0 = at the present revision.
std::unique_ptr<ReadRun> RunHashKv(const mvcc::Store& store, const mvcc::Compactor& compactor,
                                   Revision revision, const mvcc::Identity& identity);

}  // namespace quorate::apply

#endif  // QUORATE_ENGINE_APPLY_RUN_H_
