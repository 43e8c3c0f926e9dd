// One node of a cluster whose other members never answer, on a simulated disk in virtual time.
#ifndef QUORATE_TESTS_SERVER_NODE_ONE_NODE_H_
#define QUORATE_TESTS_SERVER_NODE_ONE_NODE_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/node/node.h"
#include "sim/env.h"
#include "storage/checkpoints.h"
#include "storage/recovery.h"
#include "storage/wal.h"
#include "tests/server/support/test_world.h"

namespace quorate::node {

// Peers that never answer.
class SilentTransport final : public PeerTransport {
 public:
  void SendSnapshot(raft::Message, engine::StateImage) override {}
  void Send(absl::Span<raft::Message> messages) override { sent += messages.size(); }
  void Forward(MemberId, engine::RequestKind, const Bytes&, ForwardCallback) override {}
  std::string PeerVersion(MemberId) const override { return ""; }
  size_t sent = 0;
};

class OneNode : public ::testing::Test {
 protected:
  OneNode();
  ~OneNode() override;

  // What a test wants otherwise than by default, before the directory is opened and before the
  // node is made.
  virtual void Adjust(storage::OpenOptions*) {}
  virtual void Adjust(Options*) {}

  // Starts the process; a new directory becomes that of the first of so many members. Returns
  // when the node runs.
  void Boot(int members);
  void WaitForLeadership();
  // Frees what a process held that is no more.
  void Forget();

  TestWorld world_;
  sim::Host host_;
  io::Env env_;
  SilentTransport transport_;
  std::vector<absl::Status> halts_;
  std::unique_ptr<Node> node_;

 private:
  void OnOpened(storage::OpenedStorage opened, int members);
  void MakeNode();

  std::unique_ptr<storage::PendingOpen> opening_;
  std::unique_ptr<io::DirectoryLock> lock_;
  std::unique_ptr<storage::Wal> wal_;
  std::unique_ptr<storage::Checkpoints> checkpoints_;
  engine::Recovered recovered_;
};

}  // namespace quorate::node

#endif  // QUORATE_TESTS_SERVER_NODE_ONE_NODE_H_
