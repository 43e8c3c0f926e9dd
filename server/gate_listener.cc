#include "server/gate_listener.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::server {

absl::Status GateListener::Listen(io::Network* network, const std::vector<config::Url>& urls,
                                  size_t max_waiting) {
  max_waiting_ = max_waiting;
  for (const config::Url& url : urls) {
    auto listener = network->Listen(
        url.Address(), [this, secure = url.secure()](std::unique_ptr<io::Stream> stream) {
          OnAccept(std::move(stream), secure);
        });
    if (!listener.ok()) {
      return absl::Status(
          listener.status().code(),
          absl::StrCat("cannot listen on ", url.ToString(), ": ", listener.status().message()));
    }
    listeners_.push_back(*std::move(listener));
  }
  return absl::OkStatus();
}

void GateListener::Open(ServeCallback serve) {
  serve_ = std::move(serve);
  for (auto& [stream, secure] : std::exchange(waiting_, {})) serve_(std::move(stream), secure);
}

void GateListener::Close() {
  listeners_.clear();
  waiting_.clear();
}

std::vector<std::string> GateListener::addresses() const {
  std::vector<std::string> all;
  for (const auto& listener : listeners_) all.push_back(listener->address());
  return all;
}

void GateListener::OnAccept(std::unique_ptr<io::Stream> stream, bool secure) {
  if (serve_ != nullptr) return serve_(std::move(stream), secure);
  if (waiting_.size() < max_waiting_) waiting_.emplace_back(std::move(stream), secure);
}

}  // namespace quorate::server
