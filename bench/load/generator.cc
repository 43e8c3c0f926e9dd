#include "bench/load/generator.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::load {
namespace {

constexpr int kFailedPrecondition = 9;  // gRPC's code
constexpr Duration kConnectTimeout = Seconds(10);
constexpr Duration kDrainTimeout = Seconds(10);
constexpr Duration kTick = Milliseconds(1);
constexpr Duration kReconnectDelay = Milliseconds(100);
// Calls before the load: so many at once, and the client that they name.
constexpr uint64_t kPreparations = 256;
constexpr uint32_t kPreparation = std::numeric_limits<uint32_t>::max();

std::string ErrorName(int code) {
  if (code == -1) return "connection";
  if (code == -2) return "bad answer";
  return absl::StrCat(code);
}

}  // namespace

Generator::Generator(const io::Env& env, const Options& options)
    : env_(env), options_(options), prng_(options.seed), requests_(options.requests_of, &prng_) {
  callbacks_.on_ready = [this](Connection* c) { OnReady(c); };
  callbacks_.on_result = [this](Connection*, const CallResult& r) { OnResult(r); };
  callbacks_.on_lost = [this](Connection* c, const absl::Status& s) { OnLost(c, s); };
  phase_timer_ = env_.loop->NewTimer([this] { OnPhaseTimer(); });
  tick_ = env_.loop->NewTimer([this] { OnTick(); });
  reconnect_ = env_.loop->NewTimer([this] {
    for (const size_t slot : std::exchange(to_connect_, {})) Connect(slot);
  });
}

void Generator::Run(std::function<void(absl::Status)> done) {
  done_ = std::move(done);
  slots_.resize(options_.connections);
  clients_.resize(options_.clients);
  for (uint32_t i = 0; i < options_.clients; ++i) {
    slots_[i % options_.connections].clients.push_back(i);
  }
  phase_timer_->Set(env_.loop->Now() + kConnectTimeout);
  for (size_t slot = 0; slot < slots_.size(); ++slot) Connect(slot);
}

void Generator::Connect(size_t slot) {
  const std::string& address = options_.endpoints[slot % options_.endpoints.size()];
  slots_[slot].connection =
      std::make_unique<Connection>(env_.loop, env_.network, address, &callbacks_);
}

void Generator::OnReady(Connection* connection) {
  for (Slot& slot : slots_) {
    if (slot.connection.get() != connection) continue;
    for (const uint32_t client : slot.clients) {
      clients_[client].connection = connection;
      if (options_.rate > 0) {
        free_clients_.push_back(client);
      } else if (sending()) {  // the connection was lost for a while
        Issue(client, env_.loop->Now());
      }
    }
  }
  ++ready_;
  if (phase_ == Phase::kConnecting && ready_ == slots_.size()) Prepare();
}

// The calls before the load: in any order, many at once.
void Generator::Prepare() {
  SetPhase(Phase::kPreparing);
  began_ = env_.loop->Now();
  while (in_flight_ < kPreparations && preparing_ < requests_.preparations()) PrepareOne();
  if (in_flight_ == 0) Begin();
}

void Generator::PrepareOne() {
  ++in_flight_;
  const Requests::Call call = requests_.Preparation(preparing_);
  slots_[preparing_ % slots_.size()].connection->Call(kPreparation, call.path, call.message);
  ++preparing_;
}

void Generator::OnPrepared(const CallResult& result) {
  --in_flight_;
  if (phase_ != Phase::kPreparing) return;
  // What an earlier run prepared exists.
  if (result.code == 0 || result.code == kFailedPrecondition) {
    ++report_.prepared;
  } else {
    ++report_.errors[absl::StrCat("before the load: ", ErrorName(result.code))];
  }
  if (preparing_ < requests_.preparations()) return PrepareOne();
  if (in_flight_ > 0) return;
  report_.prepared_in = env_.loop->Now() - began_;
  Begin();
}

void Generator::Begin() {
  began_ = env_.loop->Now();
  SetPhase(Phase::kWarmup);
  if (options_.rate > 0) return OnTick();
  for (uint32_t client = 0; client < clients_.size(); ++client) Issue(client, began_);
}

void Generator::SetPhase(Phase phase) {
  phase_ = phase;
  const Instant now = env_.loop->Now();
  switch (phase) {
    case Phase::kPreparing:
      phase_timer_->Cancel();
      break;
    case Phase::kWarmup:
      phase_timer_->Set(now + options_.warmup);
      break;
    case Phase::kMeasuring:
      measure_began_ = now;
      phase_timer_->Cancel();
      if (options_.requests == 0) phase_timer_->Set(now + options_.duration);
      if (on_measure_) on_measure_(true);
      break;
    case Phase::kDraining:
      report_.measured = now - measure_began_;
      if (on_measure_) on_measure_(false);
      backlog_.clear();
      phase_timer_->Set(now + kDrainTimeout);
      if (in_flight_ == 0) Finish(absl::OkStatus());
      break;
    default:
      break;
  }
}

void Generator::OnPhaseTimer() {
  switch (phase_) {
    case Phase::kConnecting:
      return Finish(absl::DeadlineExceededError("connecting took too long"));
    case Phase::kPreparing:
      return;
    case Phase::kWarmup:
      return SetPhase(Phase::kMeasuring);
    case Phase::kMeasuring:
      return SetPhase(Phase::kDraining);
    case Phase::kDraining:
      report_.errors["no answer"] += in_flight_;
      return Finish(absl::OkStatus());
    case Phase::kDone:
      return;
  }
}

// Paced load: what has come due since the last tick leaves now.
void Generator::OnTick() {
  if (!sending()) return;
  const Instant now = env_.loop->Now();
  const auto elapsed_us = static_cast<uint64_t>((now - began_).micros());
  const uint64_t due = elapsed_us * options_.rate / 1'000'000 + 1;
  for (; due_count_ < due; ++due_count_) {
    const Instant ideal =
        began_ + Microseconds(static_cast<int64_t>(due_count_ * 1'000'000 / options_.rate));
    report_.late_max = std::max(report_.late_max, now - ideal);
    // Within a tick the generator's own grain is not the server's latency.
    backlog_.push_back(now - ideal <= kTick * 2 ? now : ideal);
  }
  while (!backlog_.empty() && !free_clients_.empty()) {
    const uint32_t client = free_clients_.back();
    free_clients_.pop_back();
    const Instant since = backlog_.front();
    backlog_.pop_front();
    Issue(client, since);
  }
  tick_->Set(now + kTick);
}

void Generator::Issue(uint32_t index, Instant due) {
  Client& client = clients_[index];
  if (client.connection == nullptr || !sending()) return;
  client.busy = true;
  client.due = due;
  client.counted = phase_ == Phase::kMeasuring;
  ++in_flight_;
  const Requests::Call call = requests_.Next(&prng_);
  client.connection->Call(index, call.path, call.message);
  if (client.counted && ++issued_ == options_.requests) SetPhase(Phase::kDraining);
}

void Generator::OnResult(const CallResult& result) {
  if (result.client == kPreparation) return OnPrepared(result);
  Client& client = clients_[result.client];
  CHECK(client.busy);
  client.busy = false;
  --in_flight_;
  ++report_.total_operations;
  const Instant now = env_.loop->Now();
  // A call counts where it ends; with a count of requests, where it began.
  const bool counts = options_.requests > 0 ? client.counted : phase_ == Phase::kMeasuring;
  if (result.code != 0) {
    ++report_.errors[ErrorName(result.code)];
  } else if (counts) {
    ++report_.operations;
    report_.latency_us.Add(static_cast<uint64_t>((now - client.due).micros()));
  }
  if (phase_ == Phase::kDraining) {
    if (in_flight_ == 0) Finish(absl::OkStatus());
    return;
  }
  if (client.connection == nullptr) return;  // it goes on when there is one again
  if (options_.rate == 0) return Issue(result.client, now);
  if (backlog_.empty()) {
    free_clients_.push_back(result.client);
  } else {
    const Instant since = backlog_.front();
    backlog_.pop_front();
    Issue(result.client, since);
  }
}

void Generator::OnLost(Connection* connection, const absl::Status& status) {
  if (phase_ == Phase::kConnecting || phase_ == Phase::kPreparing) {
    return Finish(
        absl::UnavailableError(absl::StrCat(connection->address(), ": ", status.message())));
  }
  ++report_.errors["connection lost"];
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].connection.get() != connection) continue;
    for (const uint32_t client : slots_[slot].clients) {
      clients_[client].connection = nullptr;
      free_clients_.erase(std::remove(free_clients_.begin(), free_clients_.end(), client),
                          free_clients_.end());
    }
    // It is calling us: it goes with the next one, or at the end.
    lost_.clear();
    lost_.push_back(std::move(slots_[slot].connection));
    to_connect_.push_back(slot);
  }
  if (sending()) reconnect_->Set(env_.loop->Now() + kReconnectDelay);
}

void Generator::Finish(const absl::Status& status) {
  if (phase_ == Phase::kDone) return;
  phase_ = Phase::kDone;
  phase_timer_->Cancel();
  done_(status);
}

}  // namespace quorate::load
