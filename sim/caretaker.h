// An operator who looks after a running cluster: raises alarms and puts them out, has space given
// back, has checkpoints taken out of turn, and compares what the members hash.
//
// Alarms are committed commands, and a request for one may arrive late: whatever was raised here is
// put out again, as often as it is seen to stand.
#ifndef QUORATE_SIM_CARETAKER_H_
#define QUORATE_SIM_CARETAKER_H_

#include <cstdint>
#include <map>
#include <memory>

#include "api/rpc.pb.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "sim/cluster.h"
#include "sim/fault.h"
#include "sim/oracle/judge.h"

namespace quorate::sim {

class Caretaker {
 public:
  // All borrowed.
  Caretaker(const Context& context, Cluster* cluster, Judge* judge);
  Caretaker(const Caretaker&) = delete;
  Caretaker& operator=(const Caretaker&) = delete;
  ~Caretaker();

  // Does one thing; `draws` says which. An alarm that it raises stands for about `lasts`.
  void Begin(uint64_t draws, Duration lasts);
  // No alarm of its own may stand from now on.
  void PutOutAll();
  bool all_out() const;

 private:
  using Alarm = etcdserverpb::AlarmType;
  struct Hashes;

  void Raise(Duration lasts);
  // Looks at the alarms now and again, and puts out those whose time is over.
  void Look();
  bool Stands(Alarm alarm) const;
  // Has a member change an alarm; counted once it says that it has.
  void Ask(Alarm alarm, bool raise);
  void Defragment();
  void CompareHashes();
  void OnHash(Hashes* hashes, size_t member, const Bytes& body);
  // A member that serves clients; 0 if the one that was drawn does not.
  size_t Drawn();

  const Context context_;
  Cluster* const cluster_;
  Judge* const judge_;
  Prng prng_{0};
  bool finishing_ = false;
  std::map<Alarm, VirtualTime> raised_;  // and when to put it out
  EventId look_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_CARETAKER_H_
