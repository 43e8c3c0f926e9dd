// raft_cases PATH...: runs the behaviour scripts in files and folders against our raft,
// prints what differs, and last "N passed, N failed" (scripts). Status 0 if none
// failed, 1 if some did, 2 on bad usage.
#include <cstdio>
#include <string>
#include <vector>

#include "tests/peer_cases/runner.h"

namespace {

bool RunOne(const std::string& path) {
  using quorate::peer_cases::Mismatch;
  const auto text = quorate::peer_cases::ReadScript(path);
  if (!text.ok()) {
    std::printf("FAIL %s\n%s\n", path.c_str(), std::string(text.status().message()).c_str());
    return false;
  }
  const auto result = quorate::peer_cases::RunScript(*text);
  if (!result.ok()) {
    std::printf("FAIL %s\n%s\n", path.c_str(), std::string(result.status().message()).c_str());
    return false;
  }
  for (const Mismatch& mismatch : result->mismatches) {
    std::printf("%s:%d: %s\n%s\n", path.c_str(), mismatch.line, mismatch.command.c_str(),
                mismatch.diff.c_str());
  }
  const bool passed = result->mismatches.empty();
  std::printf("%s %s (%d commands)\n", passed ? "ok  " : "FAIL", path.c_str(), result->commands);
  return passed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: raft_cases PATH...\n  PATH: a script, or a folder of *.txt\n");
    return 2;
  }
  int passed = 0;
  int failed = 0;
  for (int i = 1; i < argc; ++i) {
    const auto scripts = quorate::peer_cases::FindScripts(argv[i]);
    if (!scripts.ok()) {
      std::printf("FAIL %s\n", std::string(scripts.status().message()).c_str());
      ++failed;
      continue;
    }
    for (const std::string& script : *scripts) ++(RunOne(script) ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
