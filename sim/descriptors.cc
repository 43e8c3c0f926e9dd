// Processes that run out of file descriptors: somebody else on the machine, or a limit that was set
// too low. For a while a member may open none, one or two more files, and accept or make as many
// more connections. What it cannot do without it must stop for, and come back.
#include "sim/faults.h"

namespace quorate::sim {

void Nemesis::TakeDescriptors() {
  Prng& draw = prng(FaultClass::kDescriptors);
  const size_t member = Victim(FaultClass::kDescriptors);
  const uint64_t files = draw.Below(3);
  const uint64_t streams = draw.Below(3);
  if (!cluster_->running(member)) return;
  const HostId host = cluster_->host_id(member);
  context_.Inject(Fault::kDescriptorsShort, host, files);
  Disk& disk = cluster_->host(member).disk();
  disk.SetMaxOpenFiles(disk.open_files() + files);
  network_->SetMaxStreams(host, network_->StreamCount(host) + streams);
  UndoLater(FaultClass::kDescriptors, [this, member] { GiveDescriptorsBack(member); });
}

void Nemesis::GiveDescriptorsBack(size_t member) {
  cluster_->host(member).disk().SetMaxOpenFiles(~size_t{0});
  network_->SetMaxStreams(cluster_->host_id(member), ~size_t{0});
}

}  // namespace quorate::sim
