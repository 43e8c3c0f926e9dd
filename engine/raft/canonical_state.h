// A member's state as bytes, for tools that walk the state space (sim/explore): members
// with equal bytes behave alike from here on, if they get equal inputs.
//
// Left out is what decides nothing: counters, scratch memory, the generator, and time.
// A member makes exactly one comparison with the clock that is not the falling due of a
// deadline (whether a leader was heard within an election timeout); its result is
// included. When deadlines fall due is the business of whoever drives the member. Leases
// are about time itself: there are no such bytes with lease-based reads.
#ifndef QUORATE_ENGINE_RAFT_CANONICAL_STATE_H_
#define QUORATE_ENGINE_RAFT_CANONICAL_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/strong_int.h"
#include "engine/raft/raft.h"

namespace quorate::raft {

class CanonicalState {
 public:
  // One to one, and 0 to 0. With another than the identity the bytes are those of the
  // state that this member would be in if all members had had the other ids from the
  // start: nothing in raft depends on which ids members have, only on which are equal.
  using Renaming = absl::FunctionRef<MemberId(MemberId)>;

  // Appends to *out. Between turns only: with asynchronous storage, and nothing ready.
  // Config::read_only is kSafe.
  static void Append(const Raft& raft, Renaming rename, std::string* out);

 private:
  class Writer;

  static void AppendLog(const Log& log, Writer* writer);
  static void AppendTracker(const Raft& raft, Writer* writer);
  static void AppendProgress(const Progress& progress, Writer* writer);
  static void AppendReads(const Raft& raft, Writer* writer);
  static void AppendRequest(const ReadRequest& request, Writer* writer);
  static void AppendConfig(const ConfState& config, Writer* writer);
};

}  // namespace quorate::raft

#endif  // QUORATE_ENGINE_RAFT_CANONICAL_STATE_H_
