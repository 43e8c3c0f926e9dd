// Puts, deletes and transactions against the store, with their encoded responses.
#ifndef QUORATE_ENGINE_MVCC_TXN_H_
#define QUORATE_ENGINE_MVCC_TXN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "engine/mvcc/operation_counts.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/reply.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// Performs one put in a revision of its own and, unless `out` is null, appends the encoded
// response. What fails leaves store and *out unchanged.
absl::Status ApplyPut(Store* store, const PutRequest& request, const Identity& identity,
                      BytesBuilder* out);

// What a put or a delete counts as, wherever it stands.
OperationCounts Counts(const PutRequest& put);
OperationCounts Counts(const DeleteRangeRequest& del);

// A DeleteRangeRequest as part of a transaction, in pieces.
class DeleteRun {
 public:
  explicit DeleteRun(const DeleteRangeRequest& request)
      : request_(request), range_(request.range()) {}
  // Appends the response unless `reply` is null; true once all is deleted.
  bool Step(WriteTxn* txn, const Identity& identity, Work* work, Reply* reply);

 private:
  enum class Phase { kCount, kPrevious, kDelete };

  bool AppendPrevious(const WriteTxn& txn, Work* work, Reply* reply);

  const DeleteRangeRequest& request_;
  const KeyRange range_;
  Phase phase_ = Phase::kCount;
  uint64_t doomed_ = 0;
  uint64_t deleted_ = 0;
  std::string from_;  // the next key
};

// A transaction, in pieces. Nobody else sees any of its changes before the last piece.
// Between the pieces nothing else may change the store; one that only reads lets it grow,
// but nothing that it sees may be pruned or moved.
//
// Comparisons, those of nested transactions included, look at the state before the
// transaction and so fix beforehand which lists are performed. Then every operation
// that could fail is checked (revisions of ranges against that same state, leases, keys
// that must exist); only if all may go on is anything performed. Ranges see what the
// operations before them have written.
class TxnRun {
 public:
  // All borrowed; so is what the request points at.
  TxnRun(Store* store, const TxnRequest& request, const Identity& identity, bool respond);
  TxnRun(const TxnRun&) = delete;
  TxnRun& operator=(const TxnRun&) = delete;

  // True once it is over: performed, or refused (see status()).
  bool Step(Work* work);
  // Once it is over. What was refused has changed nothing.
  const absl::Status& status() const { return status_; }
  // The encoded response, if one was wanted and the status is OK.
  Answer TakeBody() { return std::move(body_); }
  OperationCounts counts() const;
  // It will go no further, and the store is given up.
  void Abandon() { txn_.Abandon(); }
  // It goes no further: gives memory back in pieces; true once little of it is left.
  bool Release(Work* work) {
    return (!range_.has_value() || range_->Release(work)) && reply_.Release(work);
  }

 private:
  enum class Phase { kDecide, kCheck, kPerform, kOver };

  // A transaction whose lists are being decided on.
  struct Level {
    const TxnRequest* txn = nullptr;
    size_t compare = 0;  // the next one
    size_t op = 0;       // the next one
    std::optional<bool> succeeded;
  };
  // The operations that are performed, in order; a nested transaction's stand between its
  // beginning and its end.
  struct Action {
    enum class Kind : uint8_t { kBegin, kEnd, kOp };
    Kind kind = Kind::kOp;
    bool succeeded = false;         // of kBegin
    const RequestOp* op = nullptr;  // of kOp
  };
  struct Open {
    Reply::Mark response_op;
    Reply::Mark response;
  };

  bool Decide(Work* work);
  bool DecideLevel(Work* work);
  bool Evaluate(const Compare& compare, Work* work, bool* holds);
  bool CheckAll(Work* work);
  absl::Status CheckOp(const RequestOp& op) const;
  bool Perform(Work* work);
  bool PerformOp(const RequestOp& op, Work* work);
  bool PerformRange(const RangeRequest& range, Work* work);
  bool PerformDelete(const DeleteRangeRequest& del, Work* work);
  void BeginResponse(uint32_t field);
  void EndResponse();
  void FinishHeader();

  Store* const store_;
  const Identity identity_;
  const bool respond_;
  const Revision compacted_;  // at the beginning
  WriteTxn txn_;
  Phase phase_ = Phase::kDecide;
  absl::Status status_;
  // What was looked up to decide and to check, and what was performed.
  OperationCounts decided_;
  OperationCounts performed_;

  std::vector<Level> levels_;
  // Of the comparison under way.
  std::optional<std::string> compare_from_;
  bool compare_any_ = false;

  std::vector<Action> actions_;
  size_t next_ = 0;
  // Of the operation under way.
  std::optional<RangeRun> range_;
  std::optional<DeleteRun> delete_;

  Reply reply_;
  size_t header_size_ = 0;
  std::vector<Open> open_;
  Answer body_;
};

// All at once.
absl::Status ApplyDeleteRange(Store* store, const DeleteRangeRequest& request,
                              const Identity& identity, BytesBuilder* out);
absl::Status ApplyTxn(Store* store, const TxnRequest& request, const Identity& identity,
                      BytesBuilder* out);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_TXN_H_
