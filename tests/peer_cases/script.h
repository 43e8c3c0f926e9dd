// Behaviour scripts: commands with arguments and input lines, and the output expected
// of each.
//
//   # a comment
//   command arg key=value key=(v1,v2)
//   input lines
//   ----
//   expected output, up to the next blank line
//
// A second ---- right after the first one means that the output may hold blank lines;
// it then ends with two lines ----.
#ifndef QUORATE_TESTS_PEER_CASES_SCRIPT_H_
#define QUORATE_TESTS_PEER_CASES_SCRIPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/raft/types.h"

namespace quorate::peer_cases {

struct Argument {
  std::string key;
  bool bare = true;  // without "="
  std::vector<std::string> values;
};

struct Case {
  int line = 0;  // of the command
  std::string command;
  std::vector<Argument> arguments;
  std::string input;
  std::string expected;  // ends with a newline unless empty

  // Null if there is no such argument.
  const Argument* Find(absl::string_view key) const;
  // The single value of `key`, or `otherwise`.
  std::string Value(absl::string_view key, absl::string_view otherwise) const;
  bool Flag(absl::string_view key) const { return Value(key, "false") == "true"; }
  uint64_t Number(absl::string_view key, uint64_t otherwise) const;
  // The values of `key`, as numbers.
  std::vector<uint64_t> Numbers(absl::string_view key) const;
  // The bare keys that are numbers, in order.
  std::vector<uint64_t> BareNumbers() const;
};

absl::StatusOr<std::vector<Case>> ParseScript(absl::string_view text);

// What the value of an option may be.
enum class ValueKind : uint8_t { kNumber, kNumbers, kFlag, kWord, kWords };

struct Option {
  absl::string_view key;
  ValueKind kind;
};

// How many bare arguments a command takes, and how many of the first are numbers.
struct Arity {
  size_t min = 0;
  size_t max = 0;
  size_t numbers = 0;
};
inline constexpr size_t kAny = 1000;

// Whether a command has what it takes and nothing else. InvalidArgument names what is
// wrong: no script passes because something in it was not looked at.
absl::Status CheckArguments(const Case& command, const Arity& bare,
                            absl::Span<const Option> options);

// "v1 l2 r3 u4": a voter, a learner, a removal, an update.
absl::StatusOr<std::vector<raft::ConfChangeSingle>> ParseChanges(absl::string_view input);

// What is compared: lines whose first word is a log level are left out, and what is
// then empty equals "ok".
std::string Comparable(absl::string_view output);

// The lines of both, marked "-" (expected only) and "+" (actual only).
std::string DiffLines(absl::string_view expected, absl::string_view actual);

}  // namespace quorate::peer_cases

#endif  // QUORATE_TESTS_PEER_CASES_SCRIPT_H_
