// What Lock and Election share: steps on the store, on behalf of one client's call, that
// follow one another as answers come. The keys and leases are those of etcd's concurrency
// recipes, so that clients that run the recipes themselves and clients that call these
// services stand in one queue.
//
// A queue is a prefix "<name>/". Who stands in it owns a key "<name>/<lease in hex>", which
// goes with the lease; the order is that of the keys' creation, and the first is served.
#ifndef QUORATE_SERVER_SERVICES_RECIPE_H_
#define QUORATE_SERVER_SERVICES_RECIPE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "io/loop.h"
#include "server/node/node.h"

namespace quorate::services {

class Recipe : public std::enable_shared_from_this<Recipe>, private node::WatchSink {
 public:
  Recipe(io::Loop* loop, node::Node* node, engine::Credentials credentials);
  Recipe(const Recipe&) = delete;
  Recipe& operator=(const Recipe&) = delete;
  ~Recipe() override;

  // No step goes on, and nothing is called any more.
  void Stop();

 protected:
  // The first step that fails ends the recipe.
  virtual void OnFailure(const absl::Status& status) = 0;

  // One request; `then` gets the answer.
  template <typename Response, typename Request>
  void Do(engine::RequestKind kind, const Request& request,
          std::function<void(const Response&)> then);

  // Sees to it that there is a lease: `lease` if it is not 0, else a fresh one of a minute
  // (etcd's). It is kept alive as long as this recipe goes on.
  void WithLease(int64_t lease, std::function<void(int64_t lease)> then);

  // Joins the queue, or finds that the key already stands in it. `then` gets the key's
  // create revision, the answer's header, and the value that was there (null for a new key).
  struct Place {
    std::string key;
    int64_t create_revision = 0;
    etcdserverpb::ResponseHeader header;
    bool existed = false;
    std::string value;  // of a key that existed
  };
  void Join(const std::string& prefix, int64_t lease, const std::string& value,
            std::function<void(const Place&)> then);

  // Waits until no key under `prefix` is left that was created at or before `revision`.
  void WaitForTurn(const std::string& prefix, int64_t revision, std::function<void()> then);

  // Events on one key (or range, with `range_end`) from a revision on. `then` says whether to
  // go on. One at a time. `lost`: the history from there on is compacted.
  void Watch(const std::string& key, const std::string& range_end, int64_t revision,
             std::function<bool(const etcdserverpb::WatchResponse&)> then,
             std::function<void()> lost);

  // Deletes a key, if it is still the one created at that revision (0: whichever it is);
  // goes on after the recipe's end.
  void DeleteLater(const std::string& key, int64_t create_revision);

  // The range [prefix, end of prefix).
  static std::string EndOf(std::string prefix);
  static std::string KeyOf(const std::string& prefix, int64_t lease);

 private:
  void OnWatchReply(Bytes head, Bytes events) override;
  void OnWatchEnd(const absl::Status& status) override;
  void Call(engine::RequestKind kind, Bytes body, std::function<void(Bytes)> then);
  void KeepAlive();
  void Fail(const absl::Status& status);

  io::Loop* const loop_;
  node::Node* const node_;
  const engine::Credentials credentials_;
  bool stopped_ = false;
  node::CallId pending_;
  bool has_pending_ = false;
  int64_t lease_ = 0;
  std::unique_ptr<io::Timer> keep_alive_timer_;
  node::WatchStream watch_;
  uint64_t watch_number_ = 0;
  std::function<bool(const etcdserverpb::WatchResponse&)> on_event_;
  std::function<void()> on_lost_;
};

template <typename Response, typename Request>
void Recipe::Do(engine::RequestKind kind, const Request& request,
                std::function<void(const Response&)> then) {
  Call(kind, SerializeMessage(request), [this, then = std::move(then)](const Bytes& body) {
    Response response;
    if (!ParseMessage(body, &response)) {
      return Fail(absl::InternalError("an answer of the store cannot be read"));
    }
    then(response);
  });
}

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_RECIPE_H_
