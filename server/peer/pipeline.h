// Single messages by POST /raft: the way to a peer to which no stream is up.
#ifndef QUORATE_SERVER_PEER_PIPELINE_H_
#define QUORATE_SERVER_PEER_PIPELINE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "server/http1/client.h"
#include "server/peer/context.h"

namespace quorate::peer {

class Pipeline {
 public:
  // `on_failure` is called when a message was not delivered. All borrowed.
  Pipeline(const Context* context, const std::vector<std::string>& addresses, PeerStats* stats,
           std::function<void()> on_failure);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Sends an encoded raftpb.Message. False if the queue is full: it is dropped.
  bool Send(std::vector<Bytes> message);

 private:
  void Post();
  void OnAnswer(uint64_t id, const absl::StatusOr<http1::Client::WholeResponse>& answer);

  const Context* const context_;
  PeerStats* const stats_;
  const std::function<void()> on_failure_;
  std::vector<std::unique_ptr<http1::Client>> clients_;
  size_t next_client_ = 0;
  std::deque<std::vector<Bytes>> queue_;
  uint64_t last_id_ = 0;
  absl::btree_map<uint64_t, std::unique_ptr<http1::ClientExchange>> posts_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_PIPELINE_H_
