#include "server/log/throttle.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "io/address.h"

namespace quorate::log {
namespace {

constexpr char kOthers[] = "(others)";
// Causes may quote what a stranger sent.
constexpr size_t kMaxCauseBytes = 200;

}  // namespace

Throttle::Throttle(io::Loop* loop, Logger* log, std::string message, Duration interval)
    : loop_(loop),
      log_(log),
      message_(std::move(message)),
      interval_(interval),
      timer_(loop->NewTimer([this] { OnIntervalEnd(); })) {}

bool Throttle::Admits(absl::string_view remote, absl::string_view cause) {
  if (suppressed_.empty()) timer_->Set(loop_->Now() + interval_);
  absl::StatusOr<io::HostPort> address = io::ParseHostPort(remote);
  // What is no address stays whole.
  Line line(address.ok() ? std::move(address->host) : std::string(remote),
            cause.substr(0, kMaxCauseBytes));
  if (suppressed_.size() >= kMaxLines && !suppressed_.contains(line)) line = {kOthers, kOthers};
  const auto [at, fresh] = suppressed_.emplace(std::move(line), 0);
  if (!fresh) ++at->second;
  return fresh;
}

void Throttle::OnIntervalEnd() {
  for (const auto& [line, count] : suppressed_) {
    if (count == 0) continue;
    LOG_WARN(log_, absl::StrCat(message_, ", again and again"), {"remote-host", line.first},
             {"not-logged", count}, {"interval", interval_}, {"error", line.second});
  }
  suppressed_.clear();
}

}  // namespace quorate::log
