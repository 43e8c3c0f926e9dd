// A gRPC client over simulated byte streams: one connection to each member, made when
// it is needed and made anew when it has failed.
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/messages.h"
#include "server/grpc/channel.h"
#include "sim/auth_wire.h"
#include "sim/wire.h"
#include "sim/workload/port.h"

namespace quorate::sim {
namespace {

class StreamPort final : public ClientPort, private grpc::ClientStreamHandler {
 public:
  explicit StreamPort(const io::Env& env) : env_(env) {}

  void Call(size_t member, const Request& request, Duration timeout,
            std::function<void(Reply)> done) override {
    if (request.shape != Request::Shape::kKeepAlive) {
      return Unary(member, MethodOf(request), EncodeRequest(request), timeout, std::move(done));
    }
    GiveUp();
    renewal_ = std::make_unique<Renewal>(this, std::move(done));
    renewal_->stream =
        ChannelTo(member)->Stream(MethodOf(request), OptionsOf(timeout), renewal_.get());
    renewal_->stream->Send(EncodeRequest(request));
  }

  void LogIn(size_t member, const std::string& user, Duration timeout,
             std::function<void(Reply)> done) override {
    etcdserverpb::AuthenticateRequest request;
    request.set_name(user);
    request.set_password(PasswordOf(user));
    Unary(member, "/etcdserverpb.Auth/Authenticate", SerializeMessage(request), timeout,
          [done = std::move(done)](Reply reply) {
            etcdserverpb::AuthenticateResponse response;
            if (reply.status.ok() && ParseMessage(reply.body, &response)) {
              reply.body = Bytes::Copy(response.token());
            }
            done(std::move(reply));
          });
  }

  void ChangeAuth(size_t member, const AuthChange& change, Duration timeout,
                  std::function<void(Reply)> done) override {
    Unary(member, MethodOf(change), EncodeAuthChange(change, /*hashed=*/false), timeout,
          std::move(done));
  }

  void GiveUp() override {
    renewal_.reset();
    if (called_ != nullptr) std::exchange(called_, nullptr)->Cancel(call_);
  }

  void Reconnect(size_t member) override {
    GiveUp();
    channels_.erase(member);
  }

  void OpenWatch(size_t member, Bytes create, WatchListener* listener) override {
    CloseWatch();
    listener_ = listener;
    watch_ = ChannelTo(member)->Stream("/etcdserverpb.Watch/Watch", OptionsOf(Duration::Infinite()),
                                       this);
    watch_->Send(std::move(create));
  }

  void SendWatch(Bytes request) override {
    if (watch_ != nullptr) watch_->Send(std::move(request));
  }

  void ReadWatch(bool on) override {
    if (watch_ == nullptr) return;
    if (on) {
      watch_->ResumeReading();
    } else {
      watch_->PauseReading();
    }
  }

  void CloseWatch() override {
    listener_ = nullptr;
    watch_.reset();
  }

 private:
  // A renewal is a stream of its own, for one message each way.
  struct Renewal final : public grpc::ClientStreamHandler {
    Renewal(StreamPort* p, std::function<void(Reply)> d) : port(p), done(std::move(d)) {}
    void OnMessage(Bytes message) override { End({absl::OkStatus(), std::move(message)}); }
    void OnFinish(const absl::Status& status) override {
      End({status.ok() ? absl::UnavailableError("the stream ended") : status});
    }
    // Destroys it.
    void End(Reply reply) {
      const std::unique_ptr<Renewal> self = std::move(port->renewal_);
      done(std::move(reply));
    }

    StreamPort* const port;
    const std::function<void(Reply)> done;
    std::unique_ptr<grpc::ClientStream> stream;
  };

  grpc::CallOptions OptionsOf(Duration timeout) const {
    grpc::CallOptions options;
    options.timeout = timeout;
    if (!token().empty()) options.metadata.emplace_back("token", token());
    return options;
  }

  void Unary(size_t member, absl::string_view method, Bytes body, Duration timeout,
             std::function<void(Reply)> done) {
    GiveUp();
    called_ = ChannelTo(member);
    call_ = called_->Unary(
        method, std::move(body), OptionsOf(timeout),
        [this, done = std::move(done)](grpc::Result result) {
          called_ = nullptr;
          done(Reply{std::move(result.status), std::move(result.message), result.unprocessed});
        });
  }

  grpc::Channel* ChannelTo(size_t member) {
    std::unique_ptr<grpc::Channel>& channel = channels_[member];
    const bool usable = channel != nullptr && channel->state() != grpc::Channel::State::kFailed &&
                        channel->state() != grpc::Channel::State::kDraining;
    if (!usable) {
      if (called_ == channel.get()) called_ = nullptr;
      grpc::ChannelOptions options;
      options.connect_timeout = Seconds(1);
      channel = std::make_unique<grpc::Channel>(
          env_.loop, env_.network, absl::StrCat(Cluster::HostName(member), ":", kClientPort),
          options);
    }
    return channel.get();
  }

  void OnMessage(Bytes message) override {
    if (listener_ != nullptr) listener_->OnWatchAnswer(message, absl::string_view());
  }
  void OnFinish(const absl::Status&) override {
    watch_.reset();
    if (listener_ != nullptr) std::exchange(listener_, nullptr)->OnWatchEnd();
  }

  const io::Env env_;
  std::map<size_t, std::unique_ptr<grpc::Channel>> channels_;
  grpc::Channel* called_ = nullptr;
  uint64_t call_ = 0;
  WatchListener* listener_ = nullptr;
  std::unique_ptr<grpc::ClientStream> watch_;  // before its channel goes
  std::unique_ptr<Renewal> renewal_;           // the same
};

}  // namespace

std::unique_ptr<ClientPort> NewStreamPort(const io::Env& env) {
  return std::make_unique<StreamPort>(env);
}

}  // namespace quorate::sim
