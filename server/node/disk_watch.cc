#include "server/node/disk_watch.h"

#include <algorithm>
#include <utility>

#include "storage/wal.h"

namespace quorate::node {
namespace {

constexpr Duration kReportInterval = Seconds(1);

}  // namespace

DiskWatch::DiskWatch(const io::Env& env, DiskWatchOptions options, const storage::Wal* wal,
                     std::function<void(const engine::DiskState&)> report)
    : env_(env),
      options_(std::move(options)),
      wal_(wal),
      report_(std::move(report)),
      reported_at_(env.loop->Now()),
      timer_(env.loop->NewTimer([this] { Look(); })),
      alive_(std::make_shared<bool>(true)) {
  if (options_.data_dir.empty()) return;
  // Until it is known how much space there is: an alarm from before this start stands on.
  state_.scarce = options_.reserve_bytes > 0;
  Look();
  AskForSpace();
}

DiskWatch::~DiskWatch() = default;

void DiskWatch::Stop() {
  timer_->Cancel();
  alive_.reset();
}

void DiskWatch::Look() {
  const Instant now = env_.loop->Now();
  const Instant since = wal_->write_in_flight_since();
  const engine::DiskState before = state_;
  state_.stalled = since != Instant::Infinite() && now - since > options_.stall_after;
  timer_->Set(now + std::min(options_.stall_after / 2, kReportInterval));
  const bool due = now - reported_at_ >= kReportInterval;
  if (due) AskForSpace();
  if (!due && !state_.stalled && !before.stalled) return;
  reported_at_ = now;
  report_(state_);
}

// A disk that stalls may not answer this, either: the question then stands.
void DiskWatch::AskForSpace() {
  if (options_.reserve_bytes == 0 || std::exchange(asking_, true)) return;
  Ask(options_.data_dir, [this](const Space& free) {
    if (!free.ok() || options_.log_dir.empty()) return OnSpace(free);
    Ask(options_.log_dir,
        [this, free](const Space& log) { OnSpace(log.ok() ? std::min(*free, *log) : *free); });
  });
}

void DiskWatch::Ask(const std::string& path, std::function<void(const Space&)> then) {
  env_.disk->FreeSpace(
      path, [then = std::move(then), alive = std::weak_ptr<bool>(alive_)](const Space& free) {
        if (!alive.expired()) then(free);
      });
}

void DiskWatch::OnSpace(const Space& free) {
  asking_ = false;
  if (!free.ok()) return;
  free_bytes_ = *free;
  const uint64_t reserve = options_.reserve_bytes;
  const uint64_t enough = reserve + reserve / 2;
  const bool low = *free < (state_.low_space ? enough : reserve);
  state_.scarce = !low && *free < enough;
  if (std::exchange(state_.low_space, low) != low) report_(state_);
}

}  // namespace quorate::node
