// Measures the round trip to a peer by asking /raft/probing now and then.
#ifndef QUORATE_SERVER_PEER_PROBER_H_
#define QUORATE_SERVER_PEER_PROBER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "io/loop.h"
#include "server/http1/client.h"
#include "server/peer/context.h"

namespace quorate::peer {

class Prober {
 public:
  // Begins with the first interval. Results go to Context::on_round_trip.
  Prober(const Context* context, MemberId peer, const std::string& address);
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

 private:
  void Probe();
  void OnAnswer(const absl::StatusOr<http1::Client::WholeResponse>& answer);

  const Context* const context_;
  const MemberId peer_;
  const std::unique_ptr<http1::Client> client_;
  std::unique_ptr<http1::ClientExchange> exchange_;
  Instant asked_at_;
  std::unique_ptr<io::Timer> timer_;
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_PROBER_H_
