// The commands of interaction/: a cluster of members without clock or network, moved
// by hand.
#ifndef QUORATE_TESTS_PEER_CASES_CLUSTER_H_
#define QUORATE_TESTS_PEER_CASES_CLUSTER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/raft/message.h"
#include "tests/peer_cases/node.h"
#include "tests/peer_cases/script.h"

namespace quorate::peer_cases {

class Cluster {
 public:
  // Runs one command and gives its whole output.
  std::string Run(const Case& command);

 private:
  using Handler = absl::Status (Cluster::*)(const Case&);

  absl::Status Dispatch(const Case& command);
  // The node that the n-th bare number of the command names.
  absl::StatusOr<Node*> NodeOf(const Case& command, size_t n = 0);
  absl::StatusOr<Node*> NodeById(uint64_t id);
  absl::StatusOr<std::vector<Node*>> NodesOf(const Case& command);

  absl::Status AddNodes(const Case& command);
  absl::Status Campaign(const Case& command);
  absl::Status Compact(const Case& command);
  absl::Status DeliverMessages(const Case& command);
  absl::Status ForgetLeader(const Case& command);
  absl::Status LogLevel(const Case& command);
  absl::Status SetLevel(absl::string_view name);
  absl::Status ProcessReady(const Case& command);
  absl::Status ProcessAppendThread(const Case& command);
  absl::Status ProcessApplyThread(const Case& command);
  absl::Status Propose(const Case& command);
  absl::Status ProposeConfChange(const Case& command);
  absl::Status RaftLog(const Case& command);
  absl::Status RaftState(const Case& command);
  absl::Status ReportUnreachable(const Case& command);
  absl::Status SendSnapshot(const Case& command);
  absl::Status SetElectionTimeout(const Case& command);
  absl::Status Stabilize(const Case& command);
  absl::Status ShowStatus(const Case& command);
  absl::Status TickElection(const Case& command);
  absl::Status TickHeartbeat(const Case& command);
  absl::Status TransferLeadership(const Case& command);

  // Whether a message is for `to`, of `type` if given; what a member sends to itself
  // cannot be dropped.
  static bool IsFor(const raft::Message& m, MemberId to, std::optional<raft::MessageType> type,
                    bool drop);
  int Deliver(MemberId to, std::optional<raft::MessageType> type, bool drop);
  bool StabilizeRound(const std::vector<Node*>& nodes);
  void Write(absl::string_view text);
  // What `work` writes is indented.
  void Indented(const std::function<void()>& work);
  // A heading and indentation if there are several nodes.
  absl::Status ForEach(const Case& command, absl::string_view heading,
                       const std::function<std::string(Node*)>& work);

  std::vector<std::unique_ptr<Node>> nodes_;  // member i + 1 at i
  std::vector<raft::Message> messages_;       // on their way
  std::string output_;
  std::string level_ = "debug";
};

}  // namespace quorate::peer_cases

#endif  // QUORATE_TESTS_PEER_CASES_CLUSTER_H_
