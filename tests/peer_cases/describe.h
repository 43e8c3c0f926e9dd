// Raft's structs as the published scripts print them.
#ifndef QUORATE_TESTS_PEER_CASES_DESCRIBE_H_
#define QUORATE_TESTS_PEER_CASES_DESCRIBE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/raft/message.h"
#include "engine/raft/progress.h"
#include "engine/raft/raft.h"
#include "engine/raft/tracker.h"
#include "engine/raft/types.h"

namespace quorate::peer_cases {

std::string DescribeType(raft::MessageType type);
std::string DescribeRole(raft::Role role);
std::string DescribeEntry(const raft::Entry& entry);
// Without a newline at the end; every line after the first is indented by `indent`.
std::string DescribeMessage(const raft::Message& message, absl::string_view indent = "");
// `messages` are the ready's with those to the storage threads behind them; `must_sync`
// counts entries, term and vote.
std::string DescribeReady(const raft::Ready& ready, bool must_sync,
                          const std::vector<raft::Message>& messages);
std::string DescribeProgress(const raft::Progress& progress);
// A line for each member.
std::string DescribeMembers(const std::vector<raft::Member>& members);

}  // namespace quorate::peer_cases

#endif  // QUORATE_TESTS_PEER_CASES_DESCRIBE_H_
