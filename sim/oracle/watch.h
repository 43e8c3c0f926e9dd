// What etcd promises to watchers (simulation rule H4): events in order of revision,
// each once, none missing, all of a revision together, with what they replaced where that
// was asked for, nothing of a kind that is filtered out, and a progress report only for what
// has been delivered.
#ifndef QUORATE_SIM_ORACLE_WATCH_H_
#define QUORATE_SIM_ORACLE_WATCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model/store.h"
#include "sim/oracle/judge.h"
#include "sim/wire.h"

namespace quorate::sim {

// One client's watch of one key or range, over all the streams that it resumes on.
class WatchOracle {
 public:
  // Wants every change that `spec` is about from `start_revision` on. `name` says who
  // it is in messages. Judge and model are borrowed.
  WatchOracle(Judge* judge, const Model* model, std::string name, WatchSpec spec,
              int64_t start_revision);

  // A new stream was opened: from next_revision(), and nothing half-received counts.
  void OnOpen() { pending_.clear(); }
  // A response on the present stream.
  void OnAnswer(VirtualTime when, const WatchAnswer& answer);
  // The world has settled: everything must have arrived.
  void Finish(VirtualTime when);

  // Where to resume: everything before it has been delivered.
  int64_t next_revision() const { return next_; }
  // True if nothing of the model's present history is missing.
  bool AtHead() const;
  uint64_t delivered() const { return delivered_; }

 private:
  // Of one revision.
  std::vector<Change> ExpectedAt(int64_t revision) const;
  std::vector<Change> Expected(int64_t from, int64_t to) const;
  bool Fits(const Change& got, const Change& expected) const;
  void Report(VirtualTime when, const std::string& text);

  Judge* const judge_;
  const Model* const model_;
  const std::string name_;
  const WatchSpec spec_;
  int64_t next_;
  std::vector<Change> pending_;  // of a response that comes in fragments
  uint64_t delivered_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_WATCH_H_
