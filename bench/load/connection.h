// The leanest HTTP/2 client connection that can make gRPC calls, with the least for those of
// the method that was called first: requests are bytes prepared in advance with the stream's
// number filled in; of the answers it reads only what must be checked. A generator that costs less
// than the servers that it measures does not shape the figures.
#ifndef QUORATE_BENCH_LOAD_CONNECTION_H_
#define QUORATE_BENCH_LOAD_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "io/loop.h"
#include "io/network.h"

struct nghttp2_hd_inflater;

namespace quorate::load {

// How a call ended.
struct CallResult {
  uint32_t client = 0;
  // gRPC's code, or -1 for what is no gRPC answer (reset stream, lost connection,
  // missing status), or -2 for an OK answer whose message is not what it must be.
  int code = -1;
};

class Connection final : private io::Stream::Handler {
 public:
  struct Callbacks {
    std::function<void(Connection*)> on_ready;  // connected, the server's settings are known
    std::function<void(Connection*, const CallResult&)> on_result;
    std::function<void(Connection*, const absl::Status&)> on_lost;  // before its calls' results
    // A whole message of a stream of `client`; the bytes are gone after the call.
    std::function<void(Connection*, uint32_t client, absl::string_view)> on_message;
  };

  Connection(io::Loop* loop, io::Network* network, const std::string& address,
             const Callbacks* callbacks);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() override;

  // Calls the method with `message`; the result names `client`. It leaves at the end of
  // the turn, or when the server's flow-control window allows.
  void Call(uint32_t client, absl::string_view path, absl::string_view message);
  // The same for a stream that stays open: its messages come one by one, its result when the
  // server ends it. Returns its number, for Send().
  int32_t Open(uint32_t client, absl::string_view path);
  void Send(int32_t stream, absl::string_view message);

  bool ready() const { return ready_; }
  const std::string& address() const { return address_; }
  size_t open_calls() const { return calls_.size(); }

 private:
  struct OpenCall {
    uint32_t client = 0;
    int32_t http_status = 0;
    int grpc_status = -1;
    uint32_t body_bytes = 0;
    char first[6] = {};  // of the body: message header and first tag
    int64_t send_window = 0;
    std::string rest;  // of the request, that waits for the windows
    bool streams = false;
    std::string incomplete;  // streams: of a message
    uint64_t received = 0;   // streams: not yet given back to the server's window
  };
  struct FrameHeader {
    uint32_t size;
    uint8_t type;
    uint8_t flags;
    int32_t stream_id;
  };

  void OnData(absl::string_view data) override;
  void OnClose(const absl::Status& status) override;
  void OnConnected(absl::StatusOr<std::unique_ptr<io::Stream>> stream);

  // False if the connection broke on it.
  bool OnFrame(const FrameHeader& header, absl::string_view payload);
  bool OnDataFrame(const FrameHeader& header, absl::string_view payload);
  // False if the connection broke, or is gone, in what somebody made of a message.
  bool OnStreamData(int32_t id, OpenCall* call, absl::string_view payload);
  bool OnHeadersFrame(const FrameHeader& header, absl::string_view payload);
  void OnSettingsFrame(const FrameHeader& header, absl::string_view payload);
  void OnWindowUpdate(const FrameHeader& header, absl::string_view payload);
  void EndCall(int32_t stream_id);
  static int Judge(const OpenCall& call);
  void Break(const absl::Status& status);

  OpenCall* Begin(uint32_t client, absl::string_view path);
  void AppendMessage(int32_t id, OpenCall* call, absl::string_view message);
  void AppendWindowUpdate(int32_t id, uint64_t bytes);
  void AppendFrameHeader(size_t size, uint8_t type, uint8_t flags, int32_t stream_id);
  size_t AppendBody(int32_t id, OpenCall* call, absl::string_view prefix,
                    absl::string_view message);
  void SendBlocked();
  void ScheduleFlush();
  void Flush();

  io::Loop* const loop_;
  const std::string address_;
  std::string first_path_;  // of the first call; empty before it
  const Callbacks* const callbacks_;
  std::shared_ptr<bool> alive_;
  std::unique_ptr<io::PendingConnect> connecting_;
  std::unique_ptr<io::Stream> stream_;
  nghttp2_hd_inflater* inflater_ = nullptr;

  bool ready_ = false;
  bool broken_ = false;
  bool flush_scheduled_ = false;
  int32_t next_stream_id_ = 1;
  int64_t send_window_ = 65535;
  int64_t peer_stream_window_ = 65535;
  uint32_t peer_max_frame_ = 16384;
  uint64_t received_ = 0;  // not yet given back to the server's window
  std::string input_;      // an incomplete frame
  std::optional<BytesBuilder> out_;
  absl::flat_hash_map<int32_t, OpenCall> calls_;
  absl::btree_set<int32_t> blocked_;  // calls with a rest
};

}  // namespace quorate::load

#endif  // QUORATE_BENCH_LOAD_CONNECTION_H_
