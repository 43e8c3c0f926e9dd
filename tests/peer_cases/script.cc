#include "tests/peer_cases/script.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace quorate::peer_cases {

namespace {

constexpr absl::string_view kSeparator = "----";

using Lines = std::vector<std::string>;

absl::StatusOr<std::vector<Argument>> ParseArguments(absl::string_view text, int line) {
  std::vector<Argument> arguments;
  while (true) {
    text = absl::StripLeadingAsciiWhitespace(text);
    if (text.empty()) return arguments;
    Argument argument;
    const size_t end = std::min(text.find_first_of("= \t"), text.size());
    argument.key = std::string(text.substr(0, end));
    text.remove_prefix(end);
    if (absl::ConsumePrefix(&text, "=")) {
      argument.bare = false;
      size_t size = std::min(text.find_first_of(" \t"), text.size());
      absl::string_view values = text.substr(0, size);
      if (absl::ConsumePrefix(&text, "(")) {
        size = text.find(')');
        if (size == absl::string_view::npos) {
          return absl::InvalidArgumentError(absl::StrCat("line ", line, ": no closing bracket"));
        }
        values = text.substr(0, size++);
      }
      text.remove_prefix(size);
      for (const absl::string_view value : absl::StrSplit(values, ',')) {
        argument.values.emplace_back(absl::StripAsciiWhitespace(value));
      }
      if (values.empty()) argument.values.clear();
    }
    arguments.push_back(std::move(argument));
  }
}

class Parser {
 public:
  explicit Parser(absl::string_view text) : lines_(absl::StrSplit(text, '\n')) {
    for (std::string& line : lines_) {
      if (absl::EndsWith(line, "\r")) line.pop_back();
    }
  }

  absl::StatusOr<std::vector<Case>> Parse() {
    std::vector<Case> cases;
    while (at_ < lines_.size()) {
      const absl::string_view line = absl::StripAsciiWhitespace(lines_[at_]);
      if (line.empty() || line[0] == '#') {
        ++at_;
        continue;
      }
      ASSIGN_OR_RETURN(Case next, ParseCase());
      cases.push_back(std::move(next));
    }
    return cases;
  }

 private:
  absl::StatusOr<Case> ParseCase() {
    Case next;
    next.line = static_cast<int>(at_) + 1;
    std::string command = lines_[at_++];
    while (absl::EndsWith(command, "\\") && at_ < lines_.size()) {  // continued
      command.pop_back();
      absl::StrAppend(&command, " ", lines_[at_++]);
    }
    const absl::string_view text = absl::StripAsciiWhitespace(command);
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    next.command = std::string(text.substr(0, end));
    ASSIGN_OR_RETURN(next.arguments, ParseArguments(text.substr(end), next.line));
    Lines input;
    while (at_ < lines_.size() && lines_[at_] != kSeparator) input.push_back(lines_[at_++]);
    if (at_ == lines_.size()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", next.line, ": no ---- follows"));
    }
    ++at_;
    next.input = absl::StrJoin(input, "\n");
    next.expected = ParseExpected();
    return next;
  }

  std::string ParseExpected() {
    const bool blank_lines = at_ < lines_.size() && lines_[at_] == kSeparator;
    if (blank_lines) ++at_;
    std::string expected;
    for (; at_ < lines_.size(); ++at_) {
      if (!blank_lines && absl::StripAsciiWhitespace(lines_[at_]).empty()) break;
      if (blank_lines && lines_[at_] == kSeparator && at_ + 1 < lines_.size() &&
          lines_[at_ + 1] == kSeparator) {
        at_ += 2;
        break;
      }
      absl::StrAppend(&expected, lines_[at_], "\n");
    }
    return expected;
  }

  Lines lines_;
  size_t at_ = 0;
};

bool IsLogLine(absl::string_view line) {
  line = absl::StripLeadingAsciiWhitespace(line);
  const absl::string_view word = line.substr(0, line.find(' '));
  return word == "DEBUG" || word == "INFO" || word == "WARN" || word == "ERROR" || word == "FATAL";
}

}  // namespace

const Argument* Case::Find(absl::string_view key) const {
  for (const Argument& argument : arguments) {
    if (argument.key == key) return &argument;
  }
  return nullptr;
}

std::string Case::Value(absl::string_view key, absl::string_view otherwise) const {
  const Argument* argument = Find(key);
  if (argument == nullptr || argument->values.empty()) return std::string(otherwise);
  return argument->values[0];
}

uint64_t Case::Number(absl::string_view key, uint64_t otherwise) const {
  uint64_t number = 0;
  return absl::SimpleAtoi(Value(key, ""), &number) ? number : otherwise;
}

std::vector<uint64_t> Case::Numbers(absl::string_view key) const {
  std::vector<uint64_t> numbers;
  const Argument* argument = Find(key);
  if (argument == nullptr) return numbers;
  for (const std::string& value : argument->values) {
    uint64_t number = 0;
    if (absl::SimpleAtoi(value, &number)) numbers.push_back(number);
  }
  return numbers;
}

std::vector<uint64_t> Case::BareNumbers() const {
  std::vector<uint64_t> numbers;
  for (const Argument& argument : arguments) {
    uint64_t number = 0;
    if (argument.bare && absl::SimpleAtoi(argument.key, &number)) numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::vector<Case>> ParseScript(absl::string_view text) {
  return Parser(text).Parse();
}

namespace {

bool IsNumber(absl::string_view text) {
  uint64_t number = 0;
  return absl::SimpleAtoi(text, &number);
}

bool Fits(const std::vector<std::string>& values, ValueKind kind) {
  switch (kind) {
    case ValueKind::kNumber:
      return values.size() == 1 && IsNumber(values[0]);
    case ValueKind::kNumbers:
      return std::all_of(values.begin(), values.end(), IsNumber);
    case ValueKind::kFlag:
      return values.size() == 1 && (values[0] == "true" || values[0] == "false");
    case ValueKind::kWord:
      return values.size() == 1;
    case ValueKind::kWords:
      return true;
  }
  return false;
}

}  // namespace

absl::Status CheckArguments(const Case& command, const Arity& bare,
                            absl::Span<const Option> options) {
  const auto invalid = [&](const auto&... parts) {
    return absl::InvalidArgumentError(absl::StrCat(command.command, ": ", parts...));
  };
  size_t count = 0;
  for (const Argument& argument : command.arguments) {
    if (argument.bare) {
      if (count == bare.max) return invalid("one argument too many: ", argument.key);
      if (count < bare.numbers && !IsNumber(argument.key)) {
        return invalid("not a number: ", argument.key);
      }
      ++count;
      continue;
    }
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&](const Option& o) { return o.key == argument.key; });
    if (option == options.end()) return invalid("unknown option: ", argument.key);
    if (!Fits(argument.values, option->kind)) {
      return invalid("bad value: ", argument.key, "=", absl::StrJoin(argument.values, ","));
    }
  }
  if (count < bare.min) return invalid("too few arguments: ", count, " of ", bare.min);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<raft::ConfChangeSingle>> ParseChanges(absl::string_view input) {
  static constexpr std::pair<char, raft::ConfChangeType> kTypes[] = {
      {'v', raft::ConfChangeType::kAddNode},
      {'l', raft::ConfChangeType::kAddLearnerNode},
      {'r', raft::ConfChangeType::kRemoveNode},
      {'u', raft::ConfChangeType::kUpdateNode},
  };
  std::vector<raft::ConfChangeSingle> changes;
  for (const absl::string_view token :
       absl::StrSplit(input, absl::ByAnyChar(" \n\t"), absl::SkipEmpty())) {
    uint64_t id = 0;
    const auto* const type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                          [&](const auto& t) { return t.first == token[0]; });
    if (type == std::end(kTypes) || !absl::SimpleAtoi(token.substr(1), &id)) {
      return absl::InvalidArgumentError(absl::StrCat("unknown change: ", token));
    }
    changes.push_back({type->second, MemberId(id)});
  }
  return changes;
}

std::string Comparable(absl::string_view output) {
  std::string kept;
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    if (!IsLogLine(line)) absl::StrAppend(&kept, line, "\n");
  }
  while (absl::EndsWith(kept, "\n")) kept.pop_back();
  return kept.empty() ? "ok\n" : kept + "\n";
}

std::string DiffLines(absl::string_view expected, absl::string_view actual) {
  const std::vector<absl::string_view> a = absl::StrSplit(expected, '\n', absl::SkipEmpty());
  const std::vector<absl::string_view> b = absl::StrSplit(actual, '\n', absl::SkipEmpty());
  // Longest common subsequence of the suffixes.
  std::vector<std::vector<size_t>> common(a.size() + 1, std::vector<size_t>(b.size() + 1, 0));
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      common[i][j] =
          a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    }
  }
  std::string diff;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      absl::StrAppend(&diff, "  ", a[i], "\n");
      ++i;
      ++j;
    } else if (j == b.size() || (i < a.size() && common[i + 1][j] >= common[i][j + 1])) {
      absl::StrAppend(&diff, "- ", a[i++], "\n");
    } else {
      absl::StrAppend(&diff, "+ ", b[j++], "\n");
    }
  }
  return diff;
}

}  // namespace quorate::peer_cases
