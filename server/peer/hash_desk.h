// Answers peers' questions for the hash of this member's data (/members/hashkv), one at a time in
// the order of arrival: a hash is computed over the whole store, and its pieces share a part of
// each turn with other long reads. A question whose asker has gone is given up, whether it waits
// or is being answered.
#ifndef QUORATE_SERVER_PEER_HASH_DESK_H_
#define QUORATE_SERVER_PEER_HASH_DESK_H_

#include <cstdint>
#include <deque>
#include <memory>

#include "base/bytes.h"
#include "engine/replica/input.h"
#include "server/http1/server.h"
#include "server/peer/context.h"

namespace quorate::peer {

class HashDesk {
 public:
  // Borrowed. Nothing may be added before the context has a sink.
  explicit HashDesk(const Context* context) : context_(context) {}
  HashDesk(const HashDesk&) = delete;
  HashDesk& operator=(const HashDesk&) = delete;

  // `question`: an encoded HashKVRequest. False if too many wait already: nothing was answered.
  bool Add(const http1::ExchangePtr& exchange, Bytes question);

 private:
  struct Item {
    uint64_t number = 0;
    http1::ExchangePtr exchange;
    Bytes question;
  };

  void Begin();
  void OnAnswer(const absl::Status& status, const Bytes& body);
  void OnGone(uint64_t number);

  const Context* const context_;
  uint64_t last_number_ = 0;
  std::deque<Item> items_;  // the first of them is being answered
  engine::RequestToken request_;
  // What callbacks hold; expires with this object.
  std::shared_ptr<HashDesk*> self_ = std::make_shared<HashDesk*>(this);
};

}  // namespace quorate::peer

#endif  // QUORATE_SERVER_PEER_HASH_DESK_H_
