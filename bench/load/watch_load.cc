#include "bench/load/watch_load.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/coding.h"
#include "bench/load/requests.h"

namespace quorate::load {
namespace {

constexpr Duration kPatience = Seconds(10);
constexpr absl::string_view kWatchPath = "/etcdserverpb.Watch/Watch";
constexpr absl::string_view kPutPath = "/etcdserverpb.KV/Put";
constexpr uint32_t kWatcher = 1 << 31;  // the "client" of streams; writers are below
constexpr size_t kMomentDigits = 16;

// The next field of a message: its number and, if it is of bytes, those; else its value.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  absl::string_view bytes;
};

std::optional<Field> NextField(absl::string_view* in) {
  uint64_t tag = 0;
  Field field;
  if (in->empty() || !GetVarint(in, &tag)) return std::nullopt;
  field.number = tag >> 3;
  if (!GetVarint(in, &field.value)) return std::nullopt;
  if ((tag & 7) == 0) return field;
  if ((tag & 7) != 2 || field.value > in->size()) return std::nullopt;
  field.bytes = in->substr(0, field.value);
  in->remove_prefix(field.value);
  return field;
}

// The bytes of field `number` of a message; empty if it has none.
absl::string_view FieldOf(absl::string_view message, uint64_t number) {
  while (const std::optional<Field> field = NextField(&message)) {
    if (field->number == number) return field->bytes;
  }
  return absl::string_view();
}

}  // namespace

WatchLoad::WatchLoad(const io::Env& env, const WatchOptions& options)
    : env_(env), options_(options), value_(std::max(options.value_size, kMomentDigits), 'v') {
  callbacks_.on_ready = [this](Connection* c) { OnReady(c); };
  callbacks_.on_result = [this](Connection*, const CallResult& r) { OnResult(r); };
  callbacks_.on_lost = [this](Connection* c, const absl::Status& s) {
    Finish(absl::UnavailableError(absl::StrCat(c->address(), ": ", s.message())));
  };
  callbacks_.on_message = [this](Connection*, uint32_t, absl::string_view m) { OnMessage(m); };
  timer_ = env_.loop->NewTimer([this] { OnTimer(); });
}

std::string WatchLoad::KeyOf(uint64_t number) const {
  return absl::StrFormat("%0*d", static_cast<int>(options_.key_size), number);
}

uint64_t WatchLoad::WatchersOf(uint64_t key) const {
  return options_.watchers / options_.keys + (key < options_.watchers % options_.keys ? 1 : 0);
}

void WatchLoad::Run(std::function<void(absl::Status)> done) {
  done_ = std::move(done);
  timer_->Set(env_.loop->Now() + kPatience);
  for (size_t i = 0; i <= options_.connections; ++i) {
    connections_.push_back(std::make_unique<Connection>(
        env_.loop, env_.network, options_.endpoints[i % options_.endpoints.size()], &callbacks_));
  }
}

void WatchLoad::OnReady(Connection*) {
  if (++ready_ == connections_.size()) CreateWatchers();
}

void WatchLoad::CreateWatchers() {
  phase_ = Phase::kCreating;
  timer_->Set(env_.loop->Now() + kPatience);
  const uint64_t streams = std::min(options_.streams, options_.watchers);
  for (uint64_t s = 0; s < streams; ++s) {
    Connection* const connection = connections_[s % options_.connections].get();
    const int32_t stream = connection->Open(kWatcher, kWatchPath);
    for (uint64_t watcher = s; watcher < options_.watchers; watcher += streams) {
      std::string create;
      AppendBytesField(1, KeyOf(watcher % options_.keys), &create);
      std::string request;
      AppendBytesField(1, create, &request);
      connection->Send(stream, request);
    }
  }
}

// A WatchResponse: created = 3, canceled = 4, events = 11.
void WatchLoad::OnMessage(absl::string_view message) {
  const size_t size = message.size();
  uint64_t events = 0;
  absl::string_view first;
  while (const std::optional<Field> field = NextField(&message)) {
    if (field->number == 3 && field->value == 1) ++created_;
    if (field->number == 4 && field->value == 1) ++report_.errors["watch canceled"];
    if (field->number != 11) continue;
    if (events++ == 0) first = field->bytes;
  }
  if (phase_ == Phase::kCreating && created_ == options_.watchers) return BeginWriting();
  if (events == 0) return;
  last_ = env_.loop->Now();
  report_.events += events;
  ++report_.responses;
  report_.bytes += size;
  // Event.kv = 2, KeyValue.value = 5, which begins with the moment of the put.
  int64_t moment = 0;
  if (absl::SimpleAtoi(FieldOf(FieldOf(first, 2), 5).substr(0, kMomentDigits), &moment)) {
    report_.latency_us.Add(static_cast<uint64_t>((last_ - began_).micros() - moment));
  }
  FinishIfAllCame();
}

void WatchLoad::BeginWriting() {
  phase_ = Phase::kWriting;
  began_ = env_.loop->Now();
  if (on_measure_) on_measure_(true);
  timer_->Set(began_ + options_.duration);
  for (uint32_t writer = 0; writer < options_.writers; ++writer) Put(writer);
}

void WatchLoad::Put(uint32_t writer) {
  const std::string moment = absl::StrFormat("%0*d", static_cast<int>(kMomentDigits),
                                             (env_.loop->Now() - began_).micros());
  value_.replace(0, kMomentDigits, moment);
  const uint64_t key = next_put_++ % options_.keys;
  std::string request;
  AppendBytesField(1, KeyOf(key), &request);
  AppendBytesField(2, value_, &request);
  expected_ += WatchersOf(key);
  ++putting_;
  connections_.back()->Call(writer, kPutPath, request);
}

void WatchLoad::OnResult(const CallResult& result) {
  if (phase_ == Phase::kDone) return;
  if (result.client == kWatcher) {
    return Finish(
        absl::UnavailableError(absl::StrCat("a watch stream ended with status ", result.code)));
  }
  --putting_;
  if (result.code == 0) {
    ++report_.puts;
  } else {
    ++report_.errors[absl::StrCat(result.code)];
  }
  if (phase_ == Phase::kWriting) return Put(result.client);
  FinishIfAllCame();
}

void WatchLoad::FinishIfAllCame() {
  if (phase_ == Phase::kDraining && putting_ == 0 && report_.events >= expected_) {
    Finish(absl::OkStatus());
  }
}

void WatchLoad::OnTimer() {
  switch (phase_) {
    case Phase::kConnecting:
      return Finish(absl::DeadlineExceededError("connecting took too long"));
    case Phase::kCreating:
      return Finish(absl::DeadlineExceededError("creating the watchers took too long"));
    case Phase::kWriting:
      phase_ = Phase::kDraining;
      timer_->Set(env_.loop->Now() + kPatience);
      return FinishIfAllCame();
    case Phase::kDraining:
      if (env_.loop->Now() - last_ < kPatience) return timer_->Set(last_ + kPatience);
      report_.errors["no event"] += expected_ - std::min(expected_, report_.events);
      return Finish(absl::OkStatus());
    case Phase::kDone:
      return;
  }
}

void WatchLoad::Finish(const absl::Status& status) {
  if (phase_ == Phase::kDone) return;
  if (phase_ == Phase::kDraining) {
    report_.measured = last_ - began_;
    if (on_measure_) on_measure_(false);
  }
  phase_ = Phase::kDone;
  timer_->Cancel();
  done_(status);
}

}  // namespace quorate::load
