// The configuration file: YAML, or JSON, which is YAML as well. Private to this room.
#ifndef QUORATE_SERVER_CONFIG_CONFIG_FILE_H_
#define QUORATE_SERVER_CONFIG_CONFIG_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::config {

// One scalar, or list of scalars, of the file. Keys of the two nested maps of etcd's
// (client-transport-security, peer-transport-security) come as the flags that they mean.
struct FileEntry {
  std::string key;
  std::string value;  // as it is written; lists comma-separated
  // What YAML 1.1 takes the value for, spelled as the flags want it: "true" if a plain value is yes
  // or On, "100" if it is 1e2 or 100.0. As `value` if that is a text, a list or in quotes.
  std::string meaning;
  int line = 0;  // from 1
};

// In the order of the file; keys without a value are left out, as if they were not there.
// InvalidArgument "line N: ..." for what is no YAML, no map at the
// top, a key that comes twice, or a value of the wrong shape.
absl::StatusOr<std::vector<FileEntry>> ParseConfigFile(const std::string& text);

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_CONFIG_FILE_H_
