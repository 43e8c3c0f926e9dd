// Clients' requests that wait for something, in the order of their coming. Any of them can
// leave at any time, since clients go away and lose patience, all at once when a quorum is
// lost: each operation takes constant time, however many there are.
#ifndef QUORATE_ENGINE_REPLICA_REQUEST_QUEUE_H_
#define QUORATE_ENGINE_REPLICA_REQUEST_QUEUE_H_

#include <cstddef>
#include <iterator>
#include <list>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/replica/input.h"

namespace quorate::engine {

class RequestQueue {
 public:
  bool empty() const { return requests_.empty(); }
  size_t size() const { return requests_.size(); }

  void Push(ClientRequest request) {
    const RequestToken token = request.token;
    requests_.push_back(std::move(request));
    at_.insert_or_assign(token, std::prev(requests_.end()));
  }
  // One that has its turn once more.
  void PushFront(ClientRequest request) {
    const RequestToken token = request.token;
    requests_.push_front(std::move(request));
    at_.insert_or_assign(token, requests_.begin());
  }
  // The first one. Not when empty.
  ClientRequest Pop() {
    ClientRequest request = std::move(requests_.front());
    at_.erase(request.token);
    requests_.pop_front();
    return request;
  }
  bool Contains(RequestToken token) const { return at_.contains(token); }
  // False if it is not here.
  bool Abandon(RequestToken token) {
    const auto it = at_.find(token);
    if (it == at_.end()) return false;
    requests_.erase(it->second);
    at_.erase(it);
    return true;
  }

 private:
  using Requests = std::list<ClientRequest>;

  Requests requests_;
  absl::flat_hash_map<RequestToken, Requests::iterator> at_;  // lookup only
};

}  // namespace quorate::engine

#endif  // QUORATE_ENGINE_REPLICA_REQUEST_QUEUE_H_
