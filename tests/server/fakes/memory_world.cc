#include "tests/server/fakes/memory_world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::fakes {

class MemoryTimer final : public io::Timer {
 public:
  MemoryTimer(MemoryWorld* world, std::function<void()> callback)
      : world_(world), callback_(std::move(callback)) {}
  ~MemoryTimer() override { Cancel(); }
  void Set(Instant when) override {
    Cancel();
    when_ = when;
    set_ = true;
    sequence_ = world_->next_timer_++;
    world_->timers_[{when, sequence_}] = this;
  }
  void Cancel() override {
    if (set_) world_->timers_.erase({when_, sequence_});
    set_ = false;
  }
  void Fire() {
    Cancel();
    const std::function<void()> callback = callback_;  // it may destroy the timer
    callback();
  }

 private:
  MemoryWorld* const world_;
  const std::function<void()> callback_;
  Instant when_;
  uint64_t sequence_ = 0;
  bool set_ = false;
};

class MemoryStream final : public io::Stream {
 public:
  MemoryStream(MemoryWorld* world, std::string peer_address)
      : world_(world), peer_address_(std::move(peer_address)) {
    world_->streams_.push_back(this);
  }
  ~MemoryStream() override {
    auto& streams = world_->streams_;
    streams.erase(std::find(streams.begin(), streams.end(), this));
    if (other_ != nullptr) {
      // What was taken by the "system" still arrives; the rest is lost.
      other_->other_ = nullptr;
      other_->end_seen_ = true;
    }
  }
  void Start(Handler* handler) override {
    CHECK(handler_ == nullptr);
    handler_ = handler;
  }
  void Write(Bytes data) override {
    CHECK(!close_after_flush_);
    ++world_->writes_;
    queue_.append(data.data(), data.size());
    if (queue_.size() > kWriteHighWater) above_ = true;
  }
  size_t write_queue_bytes() const override { return queue_.size(); }
  void PauseReading() override { paused_ = true; }
  void ResumeReading() override { paused_ = false; }
  void CloseAfterFlush() override { close_after_flush_ = true; }
  const std::string& peer_address() const override { return peer_address_; }

  // From our queue into the other's inbox, as far as its window reaches.
  bool Transmit() {
    if (queue_.empty()) {
      if (close_after_flush_ && other_ != nullptr && !other_->end_seen_) {
        other_->end_seen_ = true;
        return true;
      }
      return false;
    }
    if (other_ == nullptr) {
      queue_.clear();
      return false;
    }
    const size_t room = world_->window_ - std::min(world_->window_, other_->inbox_.size());
    const size_t n = std::min(room, queue_.size());
    if (n == 0) return false;
    other_->inbox_.append(queue_, 0, n);
    queue_.erase(0, n);
    world_->bytes_moved_ += n;
    if (above_ && queue_.size() <= kWriteLowWater) {
      above_ = false;
      if (handler_ != nullptr) handler_->OnWritable();
    }
    return true;
  }

  // One piece of the inbox to the handler. True if something happened; `this` may be gone.
  bool Deliver() {
    if (handler_ == nullptr || closed_) return false;
    if (!inbox_.empty()) {
      if (paused_) return false;
      size_t n = std::min(world_->chunk_, inbox_.size());
      if (world_->first_chunk_ > 0) n = std::min(n, std::exchange(world_->first_chunk_, 0));
      const std::string piece = inbox_.substr(0, n);
      inbox_.erase(0, n);
      handler_->OnData(piece);
      return true;
    }
    if (end_seen_ && !end_told_) {
      end_told_ = true;
      handler_->OnEnd();
      return true;
    }
    return false;
  }

  MemoryStream* other_ = nullptr;

 private:
  MemoryWorld* const world_;
  const std::string peer_address_;
  Handler* handler_ = nullptr;
  std::string queue_;
  std::string inbox_;
  bool above_ = false;
  bool paused_ = false;
  bool close_after_flush_ = false;
  bool end_seen_ = false;
  bool end_told_ = false;
  bool closed_ = false;
};

class MemoryListener final : public io::Listener {
 public:
  MemoryListener(MemoryWorld* world, std::string address, io::Network::AcceptCallback accept)
      : world_(world), address_(std::move(address)), accept_(std::move(accept)) {
    world_->listeners_[address_] = &accept_;
  }
  ~MemoryListener() override { world_->listeners_.erase(address_); }
  const std::string& address() const override { return address_; }

 private:
  MemoryWorld* const world_;
  const std::string address_;
  io::Network::AcceptCallback accept_;
};

class MemoryConnect final : public io::PendingConnect {
 public:
  explicit MemoryConnect(std::shared_ptr<bool> wanted) : wanted_(std::move(wanted)) {}
  ~MemoryConnect() override { *wanted_ = false; }

 private:
  std::shared_ptr<bool> wanted_;
};

MemoryWorld::~MemoryWorld() {
  deferred_.clear();
  events_.clear();
}

std::unique_ptr<io::Timer> MemoryWorld::NewTimer(std::function<void()> callback) {
  return std::make_unique<MemoryTimer>(this, std::move(callback));
}

absl::StatusOr<std::unique_ptr<io::Listener>> MemoryWorld::Listen(const std::string& address,
                                                                  AcceptCallback accept) {
  if (listeners_.count(address) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("listen ", address));
  }
  return std::unique_ptr<io::Listener>(new MemoryListener(this, address, std::move(accept)));
}

std::unique_ptr<io::PendingConnect> MemoryWorld::Connect(const std::string& address,
                                                         ConnectCallback callback) {
  auto wanted = std::make_shared<bool>(true);
  events_.push_back([this, address, callback = std::move(callback), wanted] {
    if (!*wanted) return;
    const auto found = listeners_.find(address);
    if (found == listeners_.end()) {
      return callback(absl::UnavailableError(absl::StrCat("connect ", address, ": refused")));
    }
    auto [client, server] = Pair();
    const AcceptCallback accept = *found->second;
    accept(std::move(server));
    callback(std::move(client));
  });
  return std::make_unique<MemoryConnect>(wanted);
}

std::pair<std::unique_ptr<io::Stream>, std::unique_ptr<io::Stream>> MemoryWorld::Pair() {
  const int port = next_port_++;
  auto client = std::make_unique<MemoryStream>(this, "127.0.0.1:2379");
  auto server = std::make_unique<MemoryStream>(this, absl::StrCat("127.0.0.1:", port));
  client->other_ = server.get();
  server->other_ = client.get();
  return {std::move(client), std::move(server)};
}

void MemoryWorld::RunDeferred() {
  while (!deferred_.empty()) {
    std::vector<std::function<void()>> now;
    std::swap(now, deferred_);
    for (auto& callback : now) {
      callback();
      callback = nullptr;
    }
  }
}

// Streams may come and go in callbacks: each pass works on a copy and checks.
bool MemoryWorld::MoveBytes() {
  bool moved = false;
  for (const bool transmit : {true, false}) {
    const std::vector<MemoryStream*> all = streams_;
    for (MemoryStream* const stream : all) {
      if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) continue;
      if (transmit ? stream->Transmit() : stream->Deliver()) moved = true;
      RunDeferred();
    }
  }
  return moved;
}

bool MemoryWorld::RunOneEvent() {
  if (events_.empty()) return false;
  const std::function<void()> event = std::move(events_.front());
  events_.pop_front();
  event();
  RunDeferred();
  return true;
}

void MemoryWorld::Run() {
  RunDeferred();
  while (RunOneEvent() || MoveBytes()) {
  }
}

void MemoryWorld::Advance(Duration by) {
  const Instant end = now_ + by;
  Run();
  while (!timers_.empty() && timers_.begin()->first.first <= end) {
    now_ = std::max(now_, timers_.begin()->first.first);
    timers_.begin()->second->Fire();
    Run();
  }
  now_ = end;
}

bool MemoryWorld::RunUntil(const std::function<bool()>& done, Duration limit) {
  const Instant end = now_ + limit;
  Run();
  while (!done()) {
    if (now_ >= end) return false;
    Advance(Milliseconds(1));
  }
  return true;
}

}  // namespace quorate::fakes
