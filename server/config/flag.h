// One row of the table of settings. Private to this room.
//
// Flags, variables of the environment and keys of the configuration file have the same
// names and come from the same rows, and so do --help and docs/FLAGS.md.
#ifndef QUORATE_SERVER_CONFIG_FLAG_H_
#define QUORATE_SERVER_CONFIG_FLAG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/config/config.h"

namespace quorate::config {

using Setter = std::function<absl::Status(absl::string_view, Config*)>;

struct Flag {
  absl::string_view group;
  absl::string_view name;
  absl::string_view fallback;
  absl::string_view help;
  // Understands the value. For a setting without effect: only judges it, if at all.
  Setter set;
  bool is_bool = false;
  // In a configuration file a bare number counts nanoseconds, as in etcd's.
  bool is_duration = false;
  // Why it is accepted although it does nothing; empty for those that do something.
  absl::string_view no_effect = {};
  // `set` judges flags and variables only: in a configuration file any text does, as in etcd's.
  bool any_in_file = false;
};

// Values as etcd's flags take them: numbers in Go's spellings (1000, 1_000, 0x3e8, 01750), spans
// like "1m30s". InvalidArgument says what is wrong with one.
absl::StatusOr<uint64_t> ParseCount(absl::string_view value);  // without a sign
absl::StatusOr<int64_t> ParseNumber(absl::string_view value);
absl::StatusOr<absl::Duration> ParseSpan(absl::string_view value);
absl::StatusOr<bool> ParseBoolean(absl::string_view value);

// Setters for the usual types.
Setter Text(std::string Config::*field);
Setter TextList(std::vector<std::string> Config::*field);  // comma-separated
Setter Urls(std::vector<Url> Config::*field);
Setter OptionalUrls(std::vector<Url> Config::*field);
Setter Boolean(bool Config::*field);
Setter Count(size_t Config::*field);
Setter Number(int64_t Config::*field);
// Like Go's "1m30s"; negative ones become 0.
Setter Span(Duration Config::*field);

// Settings of the client port, of monitoring and of checks.
std::vector<Flag> ServingFlags();
// Settings of etcd's that this server accepts and has no use for, and those that it
// refuses because going on without them would be another server.
std::vector<Flag> AcceptedFlags();

// All rows, in the order of --help.
const std::vector<Flag>& AllFlags();

// The row of that name; null if there is none. Of a name of earlier releases
// ("experimental-..."), the row that it stands for.
const Flag* FindFlag(absl::string_view name);

// What an earlier release's name stands for now, or an empty view: another flag, or one
// feature gate if `gate` is set.
struct Alias {
  absl::string_view name;  // of the flag
  absl::string_view gate;  // then the flag is "feature-gates"
};
Alias AliasOf(absl::string_view name);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_FLAG_H_
