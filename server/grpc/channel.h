// gRPC client side: one connection with any number of calls. Used by the simulator's
// clients, tests and the load generator.
//
//   grpc::Channel channel(loop, network, "127.0.0.1:2379", options);
//   channel.Unary("/etcdserverpb.KV/Put", request, {.timeout = Seconds(5)},
//                 [](grpc::Result result) { ... });
//
// A Channel connects at once and never again: after a failure every call fails with
// Unavailable, and its user makes a new Channel (with the back-off that it wants).
#ifndef QUORATE_SERVER_GRPC_CHANNEL_H_
#define QUORATE_SERVER_GRPC_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/network.h"
#include "server/grpc/codec.h"
#include "server/http2/flush_queue.h"
#include "server/http2/options.h"
#include "server/http2/session.h"
#include "server/http2/stream.h"

namespace quorate::grpc {

// How a unary call ended.
struct Result {
  absl::Status status;
  Bytes message;  // if ok
  // True if the server certainly did nothing for this call (it never left, or was
  // refused unprocessed): it may be repeated safely.
  bool unprocessed = false;
};

struct CallOptions {
  // Sent as grpc-timeout and enforced here; Infinite() = none.
  Duration timeout = Duration::Infinite();
  // Further header fields, lower-case names.
  std::vector<std::pair<std::string, std::string>> metadata;
};

struct ChannelOptions {
  Duration connect_timeout = Seconds(5);
  size_t max_message_bytes = (size_t{1} << 31) - 1;
  http2::Options http2 = http2::Options::Client();
};

using ResultCallback = std::function<void(Result)>;

// The application's side of a streaming call.
class ClientStreamHandler {
 public:
  virtual ~ClientStreamHandler() = default;
  virtual void OnMessage(Bytes message) = 0;
  // True: OnPiece comes with the bytes of messages, as they come, instead of OnMessage. Asked once
  // and for all calls of the handler the same.
  virtual bool TakesPieces() const { return false; }
  virtual void OnPiece(absl::string_view piece, bool last) {
    (void)piece;
    (void)last;
  }
  // The call is over. Last; may destroy the ClientStream, as may OnMessage and
  // OnPiece.
  virtual void OnFinish(const absl::Status& status) = 0;
  virtual void OnWritable() {}
};

class Channel;
class ClientCall;

// A streaming call in progress. Destroying it cancels the call without a callback.
class ClientStream {
 public:
  explicit ClientStream(ClientCall* call) : call_(call) {}
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;
  ~ClientStream();

  void Send(Bytes message);
  // No more messages from us.
  void HalfClose();
  size_t queued_bytes() const;
  void PauseReading();
  void ResumeReading();

 private:
  friend class ClientCall;
  ClientCall* call_;  // null once the call is over
};

class Channel : private http2::Session::Owner {
 public:
  enum class State : uint8_t { kConnecting, kReady, kDraining, kFailed };

  Channel(io::Loop* loop, io::Network* network, std::string address,
          const ChannelOptions& options = ChannelOptions());
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  // Ends every call without a callback. May be destroyed from inside a callback.
  ~Channel() override;

  // Sends one request; the callback comes exactly once unless Cancel or the
  // destructor comes first, never from inside this function. Calls made while
  // connecting wait. Returns an id for Cancel.
  uint64_t Unary(absl::string_view path, Bytes request, const CallOptions& options,
                 ResultCallback callback);
  // Drops the call: no callback. Unknown ids are ignored.
  void Cancel(uint64_t id);

  // Begins a streaming call. The handler is not owned.
  std::unique_ptr<ClientStream> Stream(absl::string_view path, const CallOptions& options,
                                       ClientStreamHandler* handler);

  State state() const { return state_; }
  // Why it failed.
  const absl::Status& failure() const { return failure_; }
  const std::string& address() const { return address_; }
  size_t open_calls() const { return open_calls_; }
  // Called when the state changes (to ready, draining, failed).
  void set_on_state(std::function<void(State)> callback) { on_state_ = std::move(callback); }

 private:
  friend class ClientCall;

  http2::Stream* OnRequest(http2::Session* session) override;
  void OnGoAway(http2::Session* session, const absl::Status& why) override;
  void OnSessionClosed(http2::Session* session, const absl::Status& status) override;

  void OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream);
  void SetState(State state);
  // Ends the channel and, each in its callback, every call.
  void Fail(const absl::Status& status);
  ClientCall* NewCall(absl::string_view path, const CallOptions& options);
  ClientCall* FindCall(uint64_t id);
  // Sends a new call on its way: to the server, or to those that wait or fail.
  void Launch(ClientCall* call);
  void Submit(ClientCall* call);
  void SubmitWaiting();
  void RunFailures();
  void Release(ClientCall* call);
  void OnTimer();
  void ArmTimer();

  io::Loop* const loop_;
  const std::string address_;
  const ChannelOptions options_;
  http2::FlushQueue flush_queue_;
  State state_ = State::kConnecting;
  absl::Status failure_;
  std::function<void(State)> on_state_;
  std::unique_ptr<io::PendingConnect> connecting_;
  std::unique_ptr<io::Timer> timer_;
  Instant timer_at_ = Instant::Infinite();
  Instant connect_deadline_;
  std::unique_ptr<http2::Session> session_;

  // As in Server: an id is a slot and its generation.
  std::vector<std::unique_ptr<ClientCall>> calls_;
  std::vector<uint32_t> free_slots_;
  size_t open_calls_ = 0;
  std::vector<uint64_t> waiting_;  // calls made while connecting
  std::vector<uint64_t> failing_;  // calls made too late
  absl::btree_set<std::pair<Instant, uint64_t>> deadlines_;
  std::shared_ptr<bool> alive_;
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_CHANNEL_H_
