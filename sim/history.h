// What clients saw: every attempt of every request, when it was invoked, what came of it.
#ifndef QUORATE_SIM_HISTORY_H_
#define QUORATE_SIM_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>

#include "sim/describe_time.h"
#include "sim/model/store.h"
#include "sim/scheduler.h"

namespace quorate::sim {

// How an attempt ended, as far as its client can know.
enum class Outcome : uint8_t {
  kPending,   // no answer yet
  kOk,        // answered
  kNoEffect,  // an error that promises that nothing was done and never will be
  kUnknown,   // time-out, broken connection, Unavailable: it may have been done, or be yet
};

// One attempt. A retry is another one with an equal request.
struct Call {
  uint32_t client = 0;
  uint32_t member = 0;       // asked, counting from 1
  uint64_t incarnation = 0;  // of the member's process when it was asked
  bool same_process = true;  // that process was still there when the answer came
  Request request;
  std::string user;  // in whose name it was asked, by a token; empty: in nobody's
  VirtualTime invoked;
  VirtualTime returned = VirtualTime::Infinite();
  Outcome outcome = Outcome::kPending;
  Result result;      // kOk
  std::string error;  // kNoEffect, kUnknown

  // Places in the history's one order of invocations and returns; they, not times,
  // say what happened before what.
  uint64_t invoked_at = 0;
  uint64_t returned_at = std::numeric_limits<uint64_t>::max();
};

class History {
 public:
  using Id = size_t;

  // The attempt begins.
  Id Invoke(Call call) {
    call.invoked_at = ++order_;
    calls_.push_back(std::move(call));
    return calls_.size() - 1;
  }
  // It ends; `outcome` is not kPending. Once for each attempt at most.
  Call& Return(Id id, VirtualTime when, Outcome outcome) {
    Call& call = calls_[id];
    call.returned = when;
    call.returned_at = ++order_;
    call.outcome = outcome;
    return call;
  }

  const Call& call(Id id) const { return calls_[id]; }
  size_t size() const { return calls_.size(); }
  const std::deque<Call>& calls() const { return calls_; }

 private:
  uint64_t order_ = 0;
  std::deque<Call> calls_;  // references stay valid
};

// "12.345 client 2 -> member 3: put 'a' = 'b' -> revision 17".
std::string Describe(const Call& call);
// "revision 17, 2 keys: a='b' (mod 12), ...".
std::string Describe(const Result& result);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_HISTORY_H_
