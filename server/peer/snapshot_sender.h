// Sends snapshots to one peer: chunk by chunk, the next one when the last was answered, no
// faster than allowed. A chunk whose connection breaks is sent again; the peer keeps what
// it has.
#ifndef QUORATE_SERVER_PEER_SNAPSHOT_SENDER_H_
#define QUORATE_SERVER_PEER_SNAPSHOT_SENDER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/time.h"
#include "engine/image/image.h"
#include "engine/raft/message.h"
#include "server/http1/client.h"
#include "server/peer/context.h"
#include "server/peer/snapshot_chunks.h"

namespace quorate::peer {

inline constexpr char kSnapshotPath[] = "/quorate/snapshot";

class SnapshotSender {
 public:
  // `done` is told how each transfer ended, in a turn of its own. All borrowed.
  SnapshotSender(const Context* context, MemberId peer, const std::vector<std::string>& addresses,
                 PeerStats* stats, std::function<void(bool ok)> done);
  SnapshotSender(const SnapshotSender&) = delete;
  SnapshotSender& operator=(const SnapshotSender&) = delete;
  ~SnapshotSender();

  // Begins a transfer; one that is under way is given up, without a word.
  void Start(raft::Message message, engine::StateImage image);
  bool busy() const { return chunker_.has_value(); }

 private:
  void NextChunk();
  void Post();
  void OnAnswer(const absl::StatusOr<http1::Client::WholeResponse>& answer);
  void Finish(bool ok);

  const Context* const context_;
  const MemberId peer_;
  PeerStats* const stats_;
  const std::function<void(bool)> done_;
  std::vector<std::unique_ptr<http1::Client>> clients_;
  size_t next_client_ = 0;
  std::unique_ptr<io::Timer> timer_;

  // The transfer under way.
  std::optional<SnapshotChunker> chunker_;
  std::vector<Bytes> chunk_;
  int attempts_ = 0;       // of the current chunk, that failed
  bool finished_ = false;  // with failure; the timer reports it
  Instant begun_;
  Instant send_at_;  // of the next chunk, by the allowed rate
  std::unique_ptr<http1::ClientExchange> post_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_SNAPSHOT_SENDER_H_
