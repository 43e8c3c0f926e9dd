// Answers to RangeRequest: records go straight from the revision log into the reply.
#ifndef QUORATE_ENGINE_MVCC_RANGE_H_
#define QUORATE_ENGINE_MVCC_RANGE_H_

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"

namespace quorate::mvcc {

// Who answers, as ResponseHeader says it. All zero inside a transaction, where headers
// carry only the revision.
struct Identity {
  ClusterId cluster;
  MemberId member;
  Term term;
};

// Appends field 1 of every response: a present header, zeros left out.
void AppendHeader(const Identity& identity, Revision revision, BytesBuilder* out);

// Appends the RangeResponse to a valid request. `view` is the revision that stands for
// the present (the store's, or a transaction's own). OutOfRange if the revision asked
// for is compacted or in the future; then *out is unchanged.
absl::Status Range(const Store& store, Revision view, const RangeRequest& request,
                   const Identity& identity, BytesBuilder* out);

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_RANGE_H_
