// Raft's messages in words, for people.
#ifndef QUORATE_SIM_DESCRIBE_MESSAGE_H_
#define QUORATE_SIM_DESCRIBE_MESSAGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/raft/message.h"

namespace quorate::sim {

// "vote request".
absl::string_view NameOf(raft::MessageType type);
// "term 3 index 17 log term 2 commit 16 entries 18..20 of terms 3..3".
std::string Describe(const raft::Message& message);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DESCRIBE_MESSAGE_H_
