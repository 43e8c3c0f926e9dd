// Byte streams between hosts: TCP in production, simulated bytes in the simulator.
#ifndef QUORATE_IO_NETWORK_H_
#define QUORATE_IO_NETWORK_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"

namespace quorate::io {

// One connected stream. Bytes arrive in order and complete, or the stream ends.
//
// Lifetime: the owner holds the unique_ptr; destroying it closes the stream at
// once, drops what was not yet written, and no callback comes afterwards. A
// handler may destroy its stream from inside a callback (implementations must
// allow that).
class Stream {
 public:
  // Receives what happens to a stream; must outlive it or be replaced.
  class Handler {
   public:
    virtual ~Handler() = default;
    // Some bytes; the view is valid during the call only.
    virtual void OnData(absl::string_view data) = 0;
    // The queue of bytes to write fell from above kWriteHighWater to kWriteLowWater
    // or below.
    virtual void OnWritable() {}
    // The peer ended its side in order. No OnData follows; writing still works
    // until the stream is destroyed. Most owners just close.
    virtual void OnEnd() { OnClose(absl::OkStatus()); }
    // The stream failed or was reset: nothing more will come or go. Called at most
    // once, and not after the owner destroyed the stream.
    virtual void OnClose(const absl::Status& status) = 0;
  };

  // Above this many queued bytes a writer should stop producing (it is told by
  // OnWritable when to go on); the queue itself refuses nothing.
  static constexpr size_t kWriteHighWater = 1024 * 1024;
  static constexpr size_t kWriteLowWater = 256 * 1024;

  virtual ~Stream() = default;

  // Begins reading. Called once, by the first owner.
  virtual void Start(Handler* handler) = 0;

  // Queues bytes; they leave in order, batched at the end of the turn where the
  // system allows (one system call for all that is queued).
  virtual void Write(Bytes data) = 0;
  // Bytes queued and not yet taken by the system.
  virtual size_t write_queue_bytes() const = 0;

  // Back-pressure: after Pause no OnData comes until Resume.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // Ends our side once all queued bytes have been taken by the system.
  virtual void CloseAfterFlush() = 0;

  // "10.0.0.1:53210", for logs; stable over the stream's life.
  virtual const std::string& peer_address() const = 0;
};

// Accepts streams until destroyed.
class Listener {
 public:
  virtual ~Listener() = default;
  // The bound address with the real port (when 0 was asked for).
  virtual const std::string& address() const = 0;
};

// A connection attempt; destroying it gives up without a callback.
class PendingConnect {
 public:
  virtual ~PendingConnect() = default;
};

class Network {
 public:
  using AcceptCallback = std::function<void(std::unique_ptr<Stream>)>;
  using ConnectCallback = std::function<void(absl::StatusOr<std::unique_ptr<Stream>>)>;

  virtual ~Network() = default;

  // Listens on "host:port" (an IP address, "localhost", or a name that resolves
  // here). AlreadyExists, naming the address, when the port is taken.
  virtual absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                                           AcceptCallback accept) = 0;

  // Connects to "host:port". The callback is never called from inside Connect.
  virtual std::unique_ptr<PendingConnect> Connect(const std::string& address,
                                                  ConnectCallback callback) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_NETWORK_H_
