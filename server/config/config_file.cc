#include "server/config/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"
#include "server/config/flag.h"

namespace quorate::config {
namespace {

// Aliases ("&", "*") can make a small file stand for a huge tree.
constexpr size_t kMaxEntries = 1000;

absl::Status ErrorAt(int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

int LineOf(const YAML::Mark& mark) { return mark.is_null() ? 1 : mark.line + 1; }

// The flag that a key of a nested map means, or an empty string.
std::string FlagOfTlsKey(bool peer, absl::string_view key) {
  const absl::string_view prefix = peer ? "peer-" : "";
  if (key == "allowed-cn") return absl::StrCat(prefix, "cert-allowed-cn");
  if (key == "allowed-hostname") {
    return peer ? "peer-cert-allowed-hostname" : "client-cert-allowed-hostname";
  }
  if (key == "skip-client-san-verification") return absl::StrCat(prefix, key);
  if (key == "crl-file") return peer ? "peer-crl-file" : "client-crl-file";
  return absl::StrCat(prefix, key);
}

absl::StatusOr<std::string> TextOf(const YAML::Node& node, absl::string_view key) {
  if (node.IsNull()) return std::string();
  if (node.IsScalar()) return node.Scalar();
  if (!node.IsSequence()) {
    return ErrorAt(LineOf(node.Mark()), absl::StrCat(key, ": a plain value is expected"));
  }
  std::vector<std::string> parts;
  for (const YAML::Node& part : node) {
    if (!part.IsScalar() || parts.size() >= kMaxEntries) {
      return ErrorAt(LineOf(part.Mark()),
                     absl::StrCat(key, ": a list of plain values is expected"));
    }
    parts.push_back(part.Scalar());
  }
  return absl::StrJoin(parts, ",");
}

constexpr absl::string_view kYes[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON"};
constexpr absl::string_view kNo[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                     "False", "FALSE", "off", "Off", "OFF"};

// The whole number that a plain value is, maybe written with a point or an exponent.
std::optional<std::string> WholeNumber(const std::string& text) {
  const std::string digits = absl::StrReplaceAll(text, {{"_", ""}});
  if (const auto number = ParseNumber(digits); number.ok()) return absl::StrCat(*number);
  if (const auto count = ParseCount(digits); count.ok()) return absl::StrCat(*count);
  double number = 0;
  const bool decimal = digits.find_first_not_of("0123456789.eE+-") == std::string::npos;
  if (!decimal || !absl::SimpleAtod(digits, &number) || number != std::floor(number)) {
    return std::nullopt;
  }
  constexpr double kMost = 9223372036854775808.0;  // 2^63; beyond, doubles are far from exact
  if (number < -kMost || number >= kMost) return std::nullopt;
  return absl::StrCat(static_cast<int64_t>(number));
}

std::string MeaningOf(const YAML::Node& node, const std::string& text) {
  // Quotes, or a tag that says so, make it a text.
  if (!node.IsScalar() || node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str") return text;
  if (std::find(std::begin(kYes), std::end(kYes), text) != std::end(kYes)) return "true";
  if (std::find(std::begin(kNo), std::end(kNo), text) != std::end(kNo)) return "false";
  return WholeNumber(text).value_or(text);
}

class Reader {
 public:
  absl::Status ReadTop(const YAML::Node& top) {
    for (const auto& pair : top) {
      if (!pair.first.IsScalar()) return ErrorAt(LineOf(pair.first.Mark()), "a key is no text");
      const std::string& key = pair.first.Scalar();
      const bool client = key == "client-transport-security";
      const bool peer = key == "peer-transport-security";
      if ((client || peer) && pair.second.IsMap()) {
        RETURN_IF_ERROR(ReadTls(peer, pair.second));
      } else if ((client || peer) && pair.second.IsNull()) {
        continue;
      } else {
        RETURN_IF_ERROR(Add(key, pair.first, pair.second));
      }
    }
    return absl::OkStatus();
  }
  std::vector<FileEntry> Take() { return std::move(entries_); }

 private:
  absl::Status ReadTls(bool peer, const YAML::Node& map) {
    for (const auto& pair : map) {
      if (!pair.first.IsScalar()) return ErrorAt(LineOf(pair.first.Mark()), "a key is no text");
      RETURN_IF_ERROR(Add(FlagOfTlsKey(peer, pair.first.Scalar()), pair.first, pair.second));
    }
    return absl::OkStatus();
  }

  absl::Status Add(const std::string& key, const YAML::Node& at, const YAML::Node& value) {
    const int line = LineOf(at.Mark());
    if (!seen_.insert(key).second) return ErrorAt(line, absl::StrCat(key, " is given twice"));
    if (entries_.size() >= kMaxEntries) return ErrorAt(line, "too many keys");
    ASSIGN_OR_RETURN(std::string text, TextOf(value, key));
    if (text.empty()) return absl::OkStatus();
    std::string meaning = MeaningOf(value, text);
    entries_.push_back({key, std::move(text), std::move(meaning), line});
    return absl::OkStatus();
  }

  absl::btree_set<std::string> seen_;
  std::vector<FileEntry> entries_;
};

}  // namespace

absl::StatusOr<std::vector<FileEntry>> ParseConfigFile(const std::string& text) {
  YAML::Node top;
  // The library has exceptions; none of them leaves this function.
  try {
    top = YAML::Load(text);
    if (top.IsNull()) return std::vector<FileEntry>();
    if (!top.IsMap()) {
      return ErrorAt(LineOf(top.Mark()), "a configuration file is a map of keys and values");
    }
    Reader reader;
    RETURN_IF_ERROR(reader.ReadTop(top));
    return reader.Take();
  } catch (const YAML::Exception& error) {
    return ErrorAt(LineOf(error.mark), error.msg);
  }
}

}  // namespace quorate::config
