#include "server/config/version.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace quorate::config {
namespace {

// A number of at most four digits off the front of *text.
std::optional<int> TakeNumber(absl::string_view* text) {
  size_t digits = 0;
  while (digits < text->size() && absl::ascii_isdigit((*text)[digits])) ++digits;
  int number = 0;
  if (digits == 0 || digits > 4 || !absl::SimpleAtoi(text->substr(0, digits), &number)) {
    return std::nullopt;
  }
  text->remove_prefix(digits);
  return number;
}

}  // namespace

std::string MajorMinor::ToString() const { return absl::StrCat(major, ".", minor, ".0"); }

std::optional<MajorMinor> ParseVersion(absl::string_view text) {
  const std::optional<int> major = TakeNumber(&text);
  if (!major.has_value() || text.empty() || text.front() != '.') return std::nullopt;
  text.remove_prefix(1);
  const std::optional<int> minor = TakeNumber(&text);
  if (!minor.has_value() || (!text.empty() && text.front() != '.')) return std::nullopt;
  return MajorMinor{*major, *minor};
}

std::string VersionJson(absl::string_view cluster_version) {
  const absl::string_view cluster = cluster_version.empty() ? "not_decided" : cluster_version;
  return absl::StrCat("{\"etcdserver\":\"", kServerVersion, "\",\"etcdcluster\":\"", cluster,
                      "\",\"storage\":\"", cluster_version.empty() ? "unknown" : cluster_version,
                      "\"}");
}

}  // namespace quorate::config
