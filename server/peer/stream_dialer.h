// The receiving half of a link: dials a peer's message stream, takes messages from it,
// and dials again whenever it ends, falls silent or says something malformed.
#ifndef QUORATE_SERVER_PEER_STREAM_DIALER_H_
#define QUORATE_SERVER_PEER_STREAM_DIALER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "io/loop.h"
#include "server/http1/client.h"
#include "server/peer/context.h"
#include "server/peer/frame.h"

namespace quorate::peer {

class StreamDialer final : private http1::ResponseHandler {
 public:
  // `addresses` ("host:port") are tried in turn. All borrowed.
  StreamDialer(const Context* context, MemberId peer, const std::vector<std::string>& addresses,
               PeerStats* stats);
  ~StreamDialer() override;

  // `on_connected` is called when a stream begins and when it ends, but not at the
  // destruction of this object.
  void set_on_connected(std::function<void(bool)> on_connected) {
    on_connected_ = std::move(on_connected);
  }
  void Start() { Dial(); }

  bool connected() const { return connected_; }
  // As the peer announced it on its latest stream; empty before the first.
  const std::string& peer_version() const { return peer_version_; }

 private:
  void OnResponse(const http1::ResponseHead& head) override;
  void OnBody(absl::string_view piece) override;
  void OnEnd() override { GiveUp(absl::UnavailableError("the peer ended the stream")); }
  void OnError(const absl::Status& status) override { GiveUp(status); }

  void Dial();
  absl::Status CheckResponse(const http1::ResponseHead& head);
  // Ends this attempt or stream, and plans the next.
  void GiveUp(const absl::Status& why);

  const Context* const context_;
  const MemberId peer_;
  PeerStats* const stats_;
  std::vector<std::unique_ptr<http1::Client>> clients_;  // one for each address
  size_t next_client_ = 0;
  std::unique_ptr<http1::ClientExchange> exchange_;
  std::unique_ptr<io::Timer> redial_timer_;
  Duration redial_delay_;
  std::function<void(bool)> on_connected_;
  bool connected_ = false;
  bool failure_logged_ = false;
  std::string peer_version_;
  std::unique_ptr<FrameReader> reader_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_STREAM_DIALER_H_
