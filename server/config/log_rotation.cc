#include "server/config/log_rotation.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace quorate::config {
namespace {

// More would not fit a file's size or a time.
constexpr uint64_t kMost = 1'000'000'000;

absl::Status Unfit(absl::string_view name, const nlohmann::json& value, absl::string_view wanted) {
  return absl::FailedPreconditionError(absl::StrCat("invalid log rotation config: ", name, " is ",
                                                    value.dump(), ", but must be ", wanted));
}

absl::Status Take(const nlohmann::json& value, absl::string_view name, uint64_t* out) {
  // Go leaves a field alone that is null.
  if (value.is_null()) return absl::OkStatus();
  if (!value.is_number_unsigned() || value.get<uint64_t>() > kMost) {
    return Unfit(name, value, absl::StrCat("a whole number from 0 to ", kMost));
  }
  *out = value.get<uint64_t>();
  return absl::OkStatus();
}

absl::Status Take(const nlohmann::json& value, absl::string_view name, bool* out) {
  if (value.is_null()) return absl::OkStatus();
  if (!value.is_boolean()) return Unfit(name, value, "true or false");
  *out = value.get<bool>();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<io::LogRotation> ParseLogRotation(absl::string_view json) {
  const nlohmann::json object =
      nlohmann::json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    return absl::FailedPreconditionError(
        absl::StrCat("improperly formatted log rotation config: ", json, " is no JSON"));
  }
  if (!object.is_object()) {
    return absl::FailedPreconditionError(
        absl::StrCat("invalid log rotation config: ", json, " is no JSON object"));
  }
  io::LogRotation rotation;
  uint64_t mebibytes = 0;
  for (const auto& [key, value] : object.items()) {
    const std::string name = absl::AsciiStrToLower(key);
    if (name == "maxsize") RETURN_IF_ERROR(Take(value, key, &mebibytes));
    if (name == "maxage") RETURN_IF_ERROR(Take(value, key, &rotation.max_age_days));
    if (name == "maxbackups") RETURN_IF_ERROR(Take(value, key, &rotation.max_backups));
    if (name == "localtime") RETURN_IF_ERROR(Take(value, key, &rotation.local_time));
    if (name == "compress") RETURN_IF_ERROR(Take(value, key, &rotation.compress));
  }
  if (mebibytes > 0) rotation.max_bytes = mebibytes * limits::kMiB;
  return rotation;
}

bool IsStandardOutput(absl::string_view output) {
  return output == "default" || output == "stderr" || output == "stdout" ||
         output == "systemd/journal";
}

absl::Status CheckRotatedOutputs(const std::vector<std::string>& outputs) {
  const auto files = std::count_if(outputs.begin(), outputs.end(), [](const std::string& output) {
    return !IsStandardOutput(output);
  });
  if (files == 1) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "--log-outputs requires a single file path when --log-rotate-config-json is defined");
}

}  // namespace quorate::config
