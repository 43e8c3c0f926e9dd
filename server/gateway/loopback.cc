#include "server/gateway/loopback.h"

#include <array>
#include <deque>
#include <utility>

#include "base/check.h"

namespace quorate::gateway {
namespace {

class End;

// What two ends share. Either may go first.
struct Link {
  io::Loop* loop = nullptr;
  std::array<End*, 2> ends = {};
};

class End final : public io::Stream {
 public:
  End(std::shared_ptr<Link> link, size_t side, std::string peer)
      : link_(std::move(link)), side_(side), peer_(std::move(peer)) {
    link_->ends[side_] = this;
  }
  ~End() override {
    link_->ends[side_] = nullptr;
    // What was queued is dropped; the other side learns of it later.
    link_->loop->Defer([link = link_, other = 1 - side_] {
      if (link->ends[other] != nullptr) link->ends[other]->OtherIsGone();
    });
  }

  void Start(Handler* handler) override {
    handler_ = handler;
    if (End* const other = Other()) other->DeliverLater();
  }
  void Write(Bytes data) override {
    if (data.empty() || closing_) return;
    queued_ += data.size();
    if (queued_ > kWriteHighWater) above_high_water_ = true;
    queue_.push_back(std::move(data));
    DeliverLater();
  }
  size_t write_queue_bytes() const override { return queued_; }
  void PauseReading() override { paused_ = true; }
  void ResumeReading() override {
    if (!std::exchange(paused_, false)) return;
    if (End* const other = Other()) other->DeliverLater();
  }
  void CloseAfterFlush() override {
    closing_ = true;
    DeliverLater();
  }
  const std::string& peer_address() const override { return peer_; }

 private:
  End* Other() const { return link_->ends[1 - side_]; }

  void DeliverLater() {
    if (std::exchange(scheduled_, true)) return;
    link_->loop->Defer([link = link_, side = side_] {
      if (link->ends[side] != nullptr) link->ends[side]->Deliver();
    });
  }

  // Hands our bytes to the other end as long as it takes them. Each callback may destroy
  // either end.
  void Deliver() {
    scheduled_ = false;
    const std::shared_ptr<Link> link = link_;
    const size_t side = side_;
    while (!queue_.empty()) {
      End* const other = Other();
      if (other == nullptr || other->handler_ == nullptr || other->paused_) break;
      const Bytes data = std::move(queue_.front());
      queue_.pop_front();
      queued_ -= data.size();
      other->handler_->OnData(data);
      if (link->ends[side] != this) return;
    }
    if (closing_ && queue_.empty() && !std::exchange(end_sent_, true)) {
      End* const other = Other();
      if (other != nullptr && other->handler_ != nullptr) other->handler_->OnEnd();
      return;
    }
    if (above_high_water_ && queued_ <= kWriteLowWater) {
      above_high_water_ = false;
      if (handler_ != nullptr) handler_->OnWritable();
    }
  }

  void OtherIsGone() {
    queue_.clear();
    queued_ = 0;
    if (handler_ != nullptr && !std::exchange(closed_, true)) {
      handler_->OnClose(absl::OkStatus());
    }
  }

  const std::shared_ptr<Link> link_;
  const size_t side_;
  const std::string peer_;
  Handler* handler_ = nullptr;
  std::deque<Bytes> queue_;
  size_t queued_ = 0;
  bool above_high_water_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool end_sent_ = false;
  bool closed_ = false;
  bool scheduled_ = false;
};

class Connecting final : public io::PendingConnect {
 public:
  std::weak_ptr<bool> alive() const { return alive_; }

 private:
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Loopback::Loopback(io::Loop* loop, AcceptCallback accept)
    : loop_(loop), accept_(std::make_shared<AcceptCallback>(std::move(accept))) {}

Loopback::~Loopback() = default;

absl::StatusOr<std::unique_ptr<io::Listener>> Loopback::Listen(const std::string& address,
                                                               AcceptCallback accept) {
  (void)accept;
  return absl::UnimplementedError("nobody can listen on the loopback: " + address);
}

std::unique_ptr<io::PendingConnect> Loopback::Connect(const std::string& address,
                                                      ConnectCallback callback) {
  auto connecting = std::make_unique<Connecting>();
  loop_->Defer([loop = loop_, address, callback = std::move(callback), alive = connecting->alive(),
                weak = std::weak_ptr<AcceptCallback>(accept_)] {
    const std::shared_ptr<AcceptCallback> accept = weak.lock();
    if (alive.expired()) return;
    if (accept == nullptr) return callback(absl::UnavailableError("the server is stopping"));
    auto link = std::make_shared<Link>();
    link->loop = loop;
    auto near = std::make_unique<End>(link, 0, address);
    (*accept)(std::make_unique<End>(link, 1, address));
    callback(std::move(near));
  });
  return connecting;
}

}  // namespace quorate::gateway
