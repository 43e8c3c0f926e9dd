// A loop on manual time and byte streams in memory, for tests of the protocol rooms.
//
//   MemoryWorld world;
//   auto [client, server] = world.Pair();
//   world.set_chunk(1);            // every byte arrives on its own
//   world.Run();                   // until nothing is left to do now
//   world.Advance(Seconds(5));     // timers
#ifndef QUORATE_TESTS_SERVER_FAKES_MEMORY_WORLD_H_
#define QUORATE_TESTS_SERVER_FAKES_MEMORY_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/log_sink.h"
#include "io/loop.h"
#include "io/network.h"

namespace quorate::fakes {

class MemoryWorld : public io::Loop, public io::Network {
 public:
  MemoryWorld() = default;
  ~MemoryWorld() override;

  // io::Loop
  Instant Now() const override { return now_; }
  WallTime WallNow() const override {
    return WallTime::FromUnixNanos(1'700'000'000'000'000'000 + now_.nanos());
  }
  std::unique_ptr<io::Timer> NewTimer(std::function<void()> callback) override;
  void Defer(std::function<void()> callback) override { deferred_.push_back(std::move(callback)); }

  // io::Network
  absl::StatusOr<std::unique_ptr<io::Listener>> Listen(const std::string& address,
                                                       AcceptCallback accept) override;
  std::unique_ptr<io::PendingConnect> Connect(const std::string& address,
                                              ConnectCallback callback) override;

  // Two connected ends.
  std::pair<std::unique_ptr<io::Stream>, std::unique_ptr<io::Stream>> Pair();

  // Bytes arrive in pieces of at most this many.
  void set_chunk(size_t bytes) { chunk_ = bytes; }
  // The first piece of each write sequence ends after this many bytes (once).
  void set_first_chunk(size_t bytes) { first_chunk_ = bytes; }
  // Bytes in flight and unread at one end before its writer's queue grows.
  void set_window(size_t bytes) { window_ = bytes; }

  // Runs events until there are none (timers do not count).
  void Run();
  // Moves time, running what comes due.
  void Advance(Duration by);
  // Runs and advances in small steps until `done` or the limit; false at the limit.
  bool RunUntil(const std::function<bool()>& done, Duration limit = Seconds(10));

  // Writes that streams have taken, for tests of batching.
  size_t writes() const { return writes_; }
  // Bytes moved from writers to readers, both directions of all pairs.
  size_t bytes_moved() const { return bytes_moved_; }

 private:
  friend class MemoryStream;
  friend class MemoryTimer;
  friend class MemoryListener;
  friend class MemoryConnect;
  class End;

  bool RunOneEvent();
  void RunDeferred();
  bool MoveBytes();

  Instant now_ = Instant::FromNanos(1'000'000'000);
  std::vector<std::function<void()>> deferred_;
  std::deque<std::function<void()>> events_;
  std::map<std::pair<Instant, uint64_t>, class MemoryTimer*> timers_;  // ties in order of Set
  uint64_t next_timer_ = 0;
  std::map<std::string, AcceptCallback*> listeners_;
  std::vector<class MemoryStream*> streams_;  // in order of creation
  size_t chunk_ = ~size_t{0};
  size_t first_chunk_ = 0;
  size_t window_ = 256 * 1024;
  size_t writes_ = 0;
  size_t bytes_moved_ = 0;
  int next_port_ = 10000;
};

// Plays one side by hand: sends raw bytes, keeps what comes back.
class RawPeer : private io::Stream::Handler {
 public:
  explicit RawPeer(std::unique_ptr<io::Stream> stream) : stream_(std::move(stream)) {
    stream_->Start(this);
  }
  void Send(absl::string_view bytes) {
    if (stream_ != nullptr) stream_->Write(Bytes::Copy(bytes));
  }
  const std::string& received() const { return received_; }
  void ClearReceived() { received_.clear(); }
  bool closed() const { return closed_; }
  void Close() { stream_.reset(); }
  io::Stream* stream() { return stream_.get(); }

 private:
  void OnData(absl::string_view data) override { received_.append(data.data(), data.size()); }
  void OnClose(const absl::Status& status) override {
    (void)status;
    closed_ = true;
  }

  std::unique_ptr<io::Stream> stream_;
  std::string received_;
  bool closed_ = false;
};

// Keeps log lines.
class MemoryLogSink : public io::LogSink {
 public:
  void WriteLine(absl::string_view line) override { lines.emplace_back(line); }
  std::vector<std::string> lines;
};

}  // namespace quorate::fakes

#endif  // QUORATE_TESTS_SERVER_FAKES_MEMORY_WORLD_H_
