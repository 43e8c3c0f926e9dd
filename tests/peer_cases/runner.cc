#include "tests/peer_cases/runner.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "tests/peer_cases/cluster.h"
#include "tests/peer_cases/rules.h"
#include "tests/peer_cases/script.h"

namespace quorate::peer_cases {

absl::StatusOr<ScriptResult> RunScript(absl::string_view text) {
  ASSIGN_OR_RETURN(const std::vector<Case> cases, ParseScript(text));
  Cluster cluster;
  ConfChanger conf_changer;
  ScriptResult result;
  for (const Case& command : cases) {
    std::string output;
    if (IsQuorumCommand(command)) {
      output = RunQuorumCommand(command);
    } else if (ConfChanger::Knows(command)) {
      output = conf_changer.Run(command);
    } else {
      output = cluster.Run(command);
    }
    ++result.commands;
    const std::string expected = Comparable(command.expected);
    const std::string actual = Comparable(output);
    if (expected == actual) continue;
    result.mismatches.push_back({command.line, command.command, DiffLines(expected, actual)});
  }
  return result;
}

absl::StatusOr<std::vector<std::string>> FindScripts(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return std::vector<std::string>{path};
  if (!fs::is_directory(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file or folder"));
  }
  std::vector<std::string> scripts;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && entry.path().extension() == ".txt") {
      scripts.push_back(entry.path().string());
    }
  }
  std::sort(scripts.begin(), scripts.end());
  if (scripts.empty()) return absl::NotFoundError(absl::StrCat(path, ": holds no scripts (*.txt)"));
  return scripts;
}

absl::StatusOr<std::string> ReadScript(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  return text.str();
}

}  // namespace quorate::peer_cases
