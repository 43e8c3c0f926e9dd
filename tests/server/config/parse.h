// A command line as tests give it.
#ifndef QUORATE_TESTS_SERVER_CONFIG_PARSE_H_
#define QUORATE_TESTS_SERVER_CONFIG_PARSE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/config/flags.h"

namespace quorate::config {

using Arguments = std::vector<absl::string_view>;

inline absl::StatusOr<CommandLine> Parse(const Arguments& arguments) {
  return ParseCommandLine(arguments);
}

inline std::string ErrorOf(const Arguments& arguments) {
  const auto line = Parse(arguments);
  return line.ok() ? "no error" : std::string(line.status().message());
}

}  // namespace quorate::config

#endif  // QUORATE_TESTS_SERVER_CONFIG_PARSE_H_
