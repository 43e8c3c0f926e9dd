// The command line, as etcd's: -x and --x mean the same, with =value or the value as the
// next argument; a boolean flag alone means true; the last of several wins. What no flag
// sets, the environment may: ETCD_ and the flag's name in capitals, with '_' for '-'.
#ifndef QUORATE_SERVER_CONFIG_FLAGS_H_
#define QUORATE_SERVER_CONFIG_FLAGS_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/config/config.h"

namespace quorate::config {

// What one setting was given as, and by whom: "flag", a variable's name, or "file:line".
struct Setting {
  std::string value;
  std::string origin;
};

struct CommandLine {
  enum class Action {
    kServe,
    kShowHelp,
    kShowVersion,
    kShowFlagsPage,
    kCheckConfig,  // the settings are sound
    kPrintConfig,
  };
  Action action = Action::kServe;
  Config config;
  // By flag; those that nobody gave are not here.
  std::map<std::string, Setting> settings;

  // What comes after the argument does not matter.
  bool ends_parsing() const {
    return action == Action::kShowHelp || action == Action::kShowVersion ||
           action == Action::kShowFlagsPage;
  }
};

// Reads a whole file; the error names it.
using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;

// Exit statuses of a refused command line, as etcd's.
inline constexpr int kExitBadSetting = 1;  // understood, but the settings do not fit
inline constexpr int kExitBadFlag = 2;     // unknown flag or malformed value

// A configuration file (--config-file, ETCD_CONFIG_FILE) replaces flags and environment
// altogether, as etcd's does; its keys are the flags' names.
//
// `arguments` without the program's name; `environment` as "NAME=value", of which only names
// that begin with ETCD_ count. InvalidArgument for an unknown flag or a malformed value
// (names flag and value), FailedPrecondition for settings that contradict each other, also
// if a flag and a variable set the same, and for a malformed value of a variable.
absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const absl::string_view> arguments,
                                             absl::Span<const absl::string_view> environment = {},
                                             const FileReader& read = {});

// A switch of etcd's, and whether what it switches is on here.
struct FeatureGate {
  absl::string_view name;
  bool beta = false;  // else alpha
  bool on = false;
};
// All of them, by name.
std::vector<FeatureGate> FeatureGates(const Config& config);

// What --help prints.
std::string HelpText();
// docs/FLAGS.md.
std::string FlagsPage();
// What --print-config prints: YAML, each value with its origin.
std::string ConfigText(const CommandLine& line);
// What --version prints: etcd's four lines, then our own.
std::string VersionText();

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_FLAGS_H_
