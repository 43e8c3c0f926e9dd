// Runs behaviour scripts of etcd's raft against ours.
#ifndef QUORATE_TESTS_PEER_CASES_RUNNER_H_
#define QUORATE_TESTS_PEER_CASES_RUNNER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::peer_cases {

struct Mismatch {
  int line = 0;
  std::string command;
  std::string diff;
};

struct ScriptResult {
  int commands = 0;
  std::vector<Mismatch> mismatches;
};

// Runs the text of one script from an empty state. InvalidArgument if it cannot be
// parsed.
absl::StatusOr<ScriptResult> RunScript(absl::string_view text);

// Every script (*.txt) under `path`, sorted; or `path` itself. NotFound.
absl::StatusOr<std::vector<std::string>> FindScripts(const std::string& path);
absl::StatusOr<std::string> ReadScript(const std::string& path);

}  // namespace quorate::peer_cases

#endif  // QUORATE_TESTS_PEER_CASES_RUNNER_H_
