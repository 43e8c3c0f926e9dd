#include "server/peer/pipeline.h"

#include <utility>

#include "absl/status/status.h"
#include "base/check.h"

namespace quorate::peer {
namespace {

// An answer has no body, or a line that says why not.
constexpr size_t kMaxAnswerBytes = 4096;

}  // namespace

Pipeline::Pipeline(const Context* context, const std::vector<std::string>& addresses,
                   PeerStats* stats, std::function<void()> on_failure)
    : context_(context), stats_(stats), on_failure_(std::move(on_failure)) {
  CHECK(!addresses.empty());
  http1::ClientOptions options;
  options.connect_timeout = context->options.dial_timeout;
  options.response_timeout = context->options.silence_timeout;
  options.read_timeout = context->options.silence_timeout;
  options.max_idle_connections = context->options.max_posts;
  clients_ = NewClients(*context, addresses, options);
}

bool Pipeline::Send(std::vector<Bytes> message) {
  if (queue_.size() >= context_->options.max_queued_posts) return false;
  queue_.push_back(std::move(message));
  Post();
  return true;
}

void Pipeline::Post() {
  while (!queue_.empty() && posts_.size() < context_->options.max_posts) {
    http1::ClientRequest request;
    request.method = "POST";
    request.target = "/raft";
    request.fields = RequestFields(context_->self);
    request.fields.Add("Content-Type", "application/protobuf");
    request.body = std::move(queue_.front());
    queue_.pop_front();
    for (const Bytes& piece : request.body) stats_->sent_bytes += piece.size();
    const uint64_t id = ++last_id_;
    posts_[id] = clients_[next_client_]->Fetch(
        std::move(request), kMaxAnswerBytes,
        [this, id](const absl::StatusOr<http1::Client::WholeResponse>& answer) {
          OnAnswer(id, answer);
        });
  }
}

void Pipeline::OnAnswer(uint64_t id, const absl::StatusOr<http1::Client::WholeResponse>& answer) {
  posts_.erase(id);
  const bool delivered = answer.ok() && answer->head.status / 100 == 2;
  if (delivered) {
    ++stats_->sent_messages;
    return Post();
  }
  ++stats_->sent_failures;
  next_client_ = (next_client_ + 1) % clients_.size();
  if (answer.ok() && answer->head.status == 403 && context_->on_removed != nullptr) {
    context_->on_removed(
        absl::FailedPreconditionError("the member has been permanently removed from the cluster"));
  }
  // What waited is older than what raft will send once it knows.
  queue_.clear();
  on_failure_();
}

}  // namespace quorate::peer
