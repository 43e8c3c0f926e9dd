#include "sim/workload/session.h"

#include <utility>

#include "absl/strings/match.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kLoggedIn("logged-in", "code");

constexpr Duration kTimeout = Seconds(1);

}  // namespace

Session::Session(const Context& context, HostId host, io::Loop* loop, ClientPort* port,
                 std::string user)
    : context_(context),
      host_(host),
      loop_(loop),
      port_(port),
      user_(std::move(user)),
      timer_(loop->NewTimer([this] {
        port_->GiveUp();
        End({absl::DeadlineExceededError("no answer in time"), Bytes()});
      })) {}

void Session::Become(std::string user) {
  if (user == user_) return;
  user_ = std::move(user);
  must_log_in_ = true;
}

void Session::LogIn(size_t member, std::function<void()> done) {
  done_ = std::move(done);
  timer_->Set(loop_->Now() + kTimeout);
  token_of_.clear();
  port_->SetToken("");
  logging_in_as_ = user_;
  port_->LogIn(member, user_, kTimeout, [this](Reply reply) { End(reply); });
}

// Without a token it asks all the same, and is told whether it needs one.
void Session::End(const Reply& reply) {
  timer_->Cancel();
  context_.Record(host_, kLoggedIn, static_cast<uint64_t>(reply.status.code()));
  if (reply.status.ok()) {
    token_of_ = logging_in_as_;
    port_->SetToken(std::string(reply.body.data(), reply.body.size()));
  }
  must_log_in_ = logging_in_as_ != user_;
  std::exchange(done_, nullptr)();
}

void Session::OnRefused(absl::string_view error) {
  must_log_in_ = must_log_in_ || absl::StrContains(error, "invalid auth token") ||
                 absl::StrContains(error, "user name is empty");
}

}  // namespace quorate::sim
