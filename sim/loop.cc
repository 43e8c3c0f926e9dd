#include "sim/loop.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kTimer("timer", "deadline");
constexpr TraceKind kDeferred("deferred");
constexpr int64_t kMillion = 1'000'000;

Prng LoopPrng(const Context& context, HostId host, uint64_t incarnation,
              absl::string_view purpose) {
  return Prng(
      NamedDraw(context.seed, HashName("loop") + host.value(), HashName(purpose), incarnation));
}

int64_t Scale(int64_t nanos, int64_t numerator, int64_t denominator, bool round_up) {
  const __int128 product = static_cast<__int128>(nanos) * numerator;
  __int128 quotient = product / denominator;  // towards zero; nanos >= 0
  if (round_up && product % denominator != 0) ++quotient;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return quotient > kMax ? kMax : static_cast<int64_t>(quotient);
}

}  // namespace

class Loop::SimTimer final : public io::Timer {
 public:
  SimTimer(Loop* loop, std::function<void()> callback)
      : loop_(loop), state_(std::make_shared<State>()) {
    state_->callback = std::move(callback);
    loop_->AddObject();
  }
  ~SimTimer() override {
    Cancel();
    loop_->RemoveObject();
  }

  void Set(Instant when) override {
    ++state_->setting;  // a firing that waits for its turn is void
    if (!loop_->alive() || when == Instant::Infinite()) return Cancel();
    deadline_ = when;
    Schedule();
  }

  void Cancel() override {
    ++state_->setting;
    if (!loop_->context_.scheduler->Cancel(event_)) return;
    Unlink();
  }

  // Puts the event where the clock will show the deadline.
  void Schedule() {
    VirtualTime when = loop_->GlobalTime(deadline_);
    const Duration late_max = loop_->turns_.timer_late_max;
    if (late_max > Duration()) when = when + loop_->timer_prng_.Between(Duration(), late_max);
    if (loop_->context_.scheduler->Move(event_, when)) return;
    event_ = loop_->context_.scheduler->At(when, [this] { Due(); });
    Link();
  }

  SimTimer* next() const { return next_; }

 private:
  // What a firing needs even if the timer is destroyed before its turn comes.
  struct State {
    std::function<void()> callback;
    uint64_t setting = 0;
  };

  void Due() {
    Unlink();
    loop_->Enter(kTimer, static_cast<uint64_t>(deadline_.nanos()), 0,
                 [state = state_, setting = state_->setting] {
                   if (state->setting == setting) state->callback();
                 });
  }

  void Link() {
    previous_ = nullptr;
    next_ = loop_->timers_;
    if (next_ != nullptr) next_->previous_ = this;
    loop_->timers_ = this;
  }
  void Unlink() {
    (previous_ != nullptr ? previous_->next_ : loop_->timers_) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
  }

  Loop* const loop_;
  const std::shared_ptr<State> state_;
  Instant deadline_;
  EventId event_;  // pending exactly while the timer is in the loop's list
  SimTimer* previous_ = nullptr;
  SimTimer* next_ = nullptr;
};

Loop::Loop(const Context& context, HostId host, uint64_t incarnation, const ClockOptions& clock,
           const TurnOptions& turns)
    : context_(context),
      host_(host),
      incarnation_(incarnation),
      turns_(turns),
      turn_prng_(LoopPrng(context, host, incarnation, "turn")),
      timer_prng_(LoopPrng(context, host, incarnation, "timer")),
      global_base_(context.now()),
      local_base_(clock.origin),
      drift_ppm_(clock.drift_ppm),
      wall_base_nanos_(clock.wall_origin.unix_nanos() - clock.origin.nanos()) {
  CHECK(drift_ppm_ > -kMillion);
}

Loop::~Loop() {
  Kill();
  CHECK_MSG(objects_ == 0, "a timer, stream, file or listener outlived its process");
}

Instant Loop::LocalTime(VirtualTime time) const {
  const Duration elapsed = time - global_base_;
  if (drift_ppm_ == 0) return local_base_ + elapsed;
  return local_base_ +
         Nanoseconds(Scale(elapsed.nanos(), kMillion + drift_ppm_, kMillion, /*round_up=*/false));
}

VirtualTime Loop::GlobalTime(Instant when) const {
  if (when <= local_base_) return global_base_;
  const Duration ahead = when - local_base_;
  const int64_t nanos = Scale(ahead.nanos(), kMillion, kMillion + drift_ppm_, /*round_up=*/true);
  const int64_t room = VirtualTime::Infinite().nanos() - global_base_.nanos();
  return nanos >= room ? VirtualTime::Infinite() : global_base_ + Nanoseconds(nanos);
}

WallTime Loop::WallNow() const { return WallTime::FromUnixNanos(Now().nanos() + wall_base_nanos_); }

std::unique_ptr<io::Timer> Loop::NewTimer(std::function<void()> callback) {
  return std::make_unique<SimTimer>(this, std::move(callback));
}

void Loop::Defer(std::function<void()> callback) {
  if (!alive_) return;
  deferred_.push_back(std::move(callback));
  if (in_turn_ || deferred_.size() > 1) return;
  // From outside of any turn (a constructor, say): make one.
  queue_.push_back({&kDeferred, 0, 0, nullptr});
  WakeWhenFree();
}

void Loop::Enter(const TraceKind& kind, uint64_t a, uint64_t b, Task task) {
  if (!alive_) return;
  if (in_turn_) {
    context_.Record(host_, kind, a, b);
    task();
    return;
  }
  if (paused_ || !queue_.empty() || context_.now() < busy_until_) {
    queue_.push_back({&kind, a, b, std::move(task)});
    WakeWhenFree();
    return;
  }
  in_turn_ = true;
  context_.Record(host_, kind, a, b);
  task();
  EndTurn();
}

void Loop::RunQueued() {
  in_turn_ = true;
  running_.swap(queue_);
  for (Turn& turn : running_) {
    context_.Record(host_, *turn.kind, turn.a, turn.b);
    if (turn.task) turn.task();
  }
  running_.clear();
  EndTurn();
}

void Loop::EndTurn() {
  while (!deferred_.empty()) {
    flushing_.swap(deferred_);
    for (std::function<void()>& callback : flushing_) callback();
    flushing_.clear();
  }
  in_turn_ = false;
  if (turns_.busy_max > Duration()) {
    busy_until_ = context_.now() + turn_prng_.Between(turns_.busy_min, turns_.busy_max);
  }
}

void Loop::WakeWhenFree() {
  if (paused_ || context_.scheduler->pending(wake_)) return;
  wake_ = context_.scheduler->At(busy_until_, [this] { RunQueued(); });
}

void Loop::Pause() {
  CHECK(!in_turn_);
  paused_ = true;
  context_.scheduler->Cancel(wake_);
}

void Loop::Resume() {
  paused_ = false;
  if (!queue_.empty()) WakeWhenFree();
}

void Loop::SetDrift(int64_t drift_ppm) {
  CHECK(drift_ppm > -kMillion);
  local_base_ = Now();
  global_base_ = context_.now();
  drift_ppm_ = drift_ppm;
  for (SimTimer* timer = timers_; timer != nullptr; timer = timer->next()) timer->Schedule();
}

void Loop::JumpWall(Duration by) { wall_base_nanos_ += by.nanos(); }

void Loop::Kill() {
  if (!alive_) return;
  CHECK_MSG(!in_turn_, "a process cannot be killed from inside one of its own turns");
  alive_ = false;
  context_.scheduler->Cancel(wake_);
  while (timers_ != nullptr) timers_->Cancel();
  // What they hold may be destroyed only once they are out of the way.
  std::vector<Turn> queue = std::move(queue_);
  std::vector<std::function<void()>> deferred = std::move(deferred_);
  queue_.clear();
  deferred_.clear();
}

}  // namespace quorate::sim
