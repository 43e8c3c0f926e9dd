#include "server/grpc/channel.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/grpc/client_call.h"

namespace quorate::grpc {
namespace {

constexpr int kSlotBits = 24;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;

}  // namespace

ClientStream::~ClientStream() {
  if (call_ != nullptr) call_->Drop();
}

void ClientStream::Send(Bytes message) {
  if (call_ != nullptr) call_->SendMessage(std::move(message));
}

void ClientStream::HalfClose() {
  if (call_ != nullptr) call_->HalfClose();
}

size_t ClientStream::queued_bytes() const { return call_ != nullptr ? call_->unsent_bytes() : 0; }

void ClientStream::PauseReading() {
  if (call_ != nullptr) call_->PauseReading();
}

void ClientStream::ResumeReading() {
  if (call_ != nullptr) call_->ResumeReading();
}

Channel::Channel(io::Loop* loop, io::Network* network, std::string address,
                 const ChannelOptions& options)
    : loop_(loop),
      address_(std::move(address)),
      options_(options),
      flush_queue_(loop),
      timer_(loop->NewTimer([this] { OnTimer(); })),
      connect_deadline_(loop->Now() + options.connect_timeout),
      alive_(std::make_shared<bool>(true)) {
  connecting_ =
      network->Connect(address_, [this](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
        OnConnected(std::move(stream));
      });
  ArmTimer();
}

Channel::~Channel() {
  *alive_ = false;
  for (const std::unique_ptr<ClientCall>& call : calls_) call->Orphan();
  http2::Session::Dispose(std::move(session_));
  // We may be inside a callback of one of the calls.
  auto calls = std::make_shared<std::vector<std::unique_ptr<ClientCall>>>(std::move(calls_));
  if (!calls->empty()) loop_->Defer([calls] {});
}

void Channel::OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
  connecting_.reset();
  connect_deadline_ = Instant::Infinite();
  if (!stream.ok()) return Fail(absl::UnavailableError(stream.status().message()));
  session_ = std::make_unique<http2::Session>(http2::Side::kClient, loop_, &flush_queue_,
                                              *std::move(stream), options_.http2,
                                              static_cast<http2::Session::Owner*>(this));
  session_->Start();
  const std::shared_ptr<bool> alive = alive_;
  SetState(State::kReady);
  if (*alive) SubmitWaiting();
}

void Channel::SubmitWaiting() {
  for (const uint64_t id : std::exchange(waiting_, {})) {
    ClientCall* const call = FindCall(id);
    if (call != nullptr) Submit(call);
  }
}

void Channel::SetState(State state) {
  if (state_ == state) return;
  state_ = state;
  if (!on_state_) return;
  const std::function<void(State)> on_state = on_state_;
  on_state(state);
}

http2::Stream* Channel::OnRequest(http2::Session* session) {
  (void)session;
  UNREACHABLE("a client gets no requests");
}

void Channel::OnGoAway(http2::Session* session, const absl::Status& why) {
  (void)session;
  failure_ = why;
  SetState(State::kDraining);
}

void Channel::OnSessionClosed(http2::Session* session, const absl::Status& status) {
  (void)session;
  absl::Status why = status.ok() ? failure_ : absl::UnavailableError(status.message());
  if (why.ok()) why = absl::UnavailableError(absl::StrCat("connection closed by ", address_));
  Fail(why);
}

void Channel::Fail(const absl::Status& status) {
  failure_ = status;
  connecting_.reset();
  connect_deadline_ = Instant::Infinite();
  const std::shared_ptr<bool> alive = alive_;
  for (const uint64_t id : std::exchange(waiting_, {})) {
    ClientCall* const call = FindCall(id);
    if (call != nullptr) call->Complete(failure_, true);
    if (!*alive) return;
  }
  SetState(State::kFailed);
}

ClientCall* Channel::NewCall(absl::string_view path, const CallOptions& options) {
  if (free_slots_.empty()) {
    const auto slot = static_cast<uint32_t>(calls_.size());
    CHECK(slot < kSlotMask);
    calls_.push_back(std::make_unique<ClientCall>(this, slot));
    free_slots_.push_back(slot);
  }
  ClientCall* const call = calls_[free_slots_.back()].get();
  free_slots_.pop_back();
  const uint64_t id = call->NextGeneration() << kSlotBits | (uint64_t{call->slot()} + 1);
  Instant deadline = Instant::Infinite();
  if (options.timeout != Duration::Infinite()) deadline = loop_->Now() + options.timeout;
  call->Prepare(id, path, options, deadline);
  ++open_calls_;
  if (deadline != Instant::Infinite()) {
    deadlines_.insert({deadline, id});
    ArmTimer();
  }
  return call;
}

ClientCall* Channel::FindCall(uint64_t id) {
  const uint64_t slot = (id & kSlotMask) - 1;
  if (slot >= calls_.size()) return nullptr;
  ClientCall* const call = calls_[slot].get();
  return call->id() == id ? call : nullptr;
}

uint64_t Channel::Unary(absl::string_view path, Bytes request, const CallOptions& options,
                        ResultCallback callback) {
  ClientCall* const call = NewCall(path, options);
  call->SetUnary(std::move(request), std::move(callback));
  const uint64_t id = call->id();
  Launch(call);
  return id;
}

std::unique_ptr<ClientStream> Channel::Stream(absl::string_view path, const CallOptions& options,
                                              ClientStreamHandler* handler) {
  ClientCall* const call = NewCall(path, options);
  auto stream = std::make_unique<ClientStream>(call);
  call->SetStream(stream.get(), handler);
  Launch(call);
  return stream;
}

void Channel::Cancel(uint64_t id) {
  ClientCall* const call = FindCall(id);
  if (call != nullptr) call->Drop();
}

void Channel::Launch(ClientCall* call) {
  if (state_ == State::kConnecting) {
    waiting_.push_back(call->id());
  } else {
    Submit(call);
  }
}

void Channel::Submit(ClientCall* call) {
  if (session_ != nullptr && call->Open(session_.get())) return;
  // The callback comes in a turn of its own.
  failing_.push_back(call->id());
  if (failing_.size() > 1) return;
  loop_->Defer([this, alive = alive_] {
    if (*alive) RunFailures();
  });
}

void Channel::RunFailures() {
  const std::shared_ptr<bool> alive = alive_;
  for (const uint64_t id : std::exchange(failing_, {})) {
    ClientCall* const call = FindCall(id);
    if (call == nullptr) continue;
    const absl::Status why =
        failure_.ok() ? absl::UnavailableError(absl::StrCat(address_, " takes no more requests"))
                      : failure_;
    call->Complete(why, true);
    if (!*alive) return;
  }
}

void Channel::Release(ClientCall* call) { free_slots_.push_back(call->slot()); }

void Channel::ArmTimer() {
  const Instant first = deadlines_.empty() ? connect_deadline_
                                           : std::min(connect_deadline_, deadlines_.begin()->first);
  if (first >= timer_at_) return;
  timer_at_ = first;
  timer_->Set(first);
}

void Channel::OnTimer() {
  timer_at_ = Instant::Infinite();
  const Instant now = loop_->Now();
  const std::shared_ptr<bool> alive = alive_;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    ClientCall* const call = FindCall(deadlines_.begin()->second);
    CHECK(call != nullptr);
    call->Complete(absl::DeadlineExceededError("context deadline exceeded"), !call->sent());
    if (!*alive) return;
  }
  if (now >= connect_deadline_) {
    Fail(absl::UnavailableError(absl::StrCat("connecting to ", address_, " took too long")));
    if (!*alive) return;
  }
  ArmTimer();
}

}  // namespace quorate::grpc
