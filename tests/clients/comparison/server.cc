#include "tests/clients/comparison/server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "base/check.h"

namespace quorate::differential {
namespace {

constexpr Duration kCallTimeout = Seconds(60);

Bytes Serialize(const google::protobuf::Message& message) {
  return Bytes::Copy(message.SerializeAsString());
}

}  // namespace

// A watch stream; it lives until it is replaced.
class Server::WatchStream final : private grpc::ClientStreamHandler {
 public:
  WatchStream(Server* server, int number, const std::string& user)
      : server_(server), number_(number) {
    grpc::CallOptions options = server->Options(user);
    options.timeout = Duration::Infinite();
    stream_ = server->channel_.Stream(Info(Type::kWatch).path, options, this);
  }

  void Send(const etcdserverpb::WatchRequest& request) { stream_->Send(Serialize(request)); }

 private:
  void OnMessage(Bytes message) override {
    etcdserverpb::WatchResponse response;
    CHECK(response.ParseFromArray(message.data(), static_cast<int>(message.size())));
    server_->on_watch_(number_, response);
  }
  void OnFinish(const absl::Status& status) override { server_->on_watch_end_(number_, status); }

  Server* const server_;
  const int number_;
  std::unique_ptr<grpc::ClientStream> stream_;
};

// A streaming call that sends one message and wants one; or, of a RangeStream, all of them, which
// one behind the other are the encoding of what they add up to.
class Server::OneShot final : private grpc::ClientStreamHandler {
 public:
  OneShot(Server* server, Step step, Bytes request, Done done)
      : server_(server), step_(std::move(step)), done_(std::move(done)) {
    stream_ = server->channel_.Stream(Info(step_.type).path, server->Options(step_.user), this);
    stream_->Send(std::move(request));
    if (WantsAll()) stream_->HalfClose();
  }

 private:
  void OnMessage(Bytes message) override {
    if (answered_) return;
    if (WantsAll()) {
      all_.append(message.data(), message.size());
      return;
    }
    answered_ = true;
    server_->Finish(step_, absl::OkStatus(), message, done_);
    stream_->HalfClose();
  }
  void OnFinish(const absl::Status& status) override {
    const std::unique_ptr<OneShot> self = std::move(server_->shots_.at(this));
    server_->shots_.erase(this);
    if (answered_) return;
    answered_ = true;
    if (WantsAll()) return server_->Finish(step_, status, all_, done_);
    const absl::Status why =
        status.ok() ? absl::InternalError("the stream ended without a message") : status;
    server_->Finish(step_, why, "", done_);
  }

  bool WantsAll() const { return step_.type == Type::kRangeStream; }

  Server* const server_;
  const Step step_;
  const Done done_;
  std::string all_;
  bool answered_ = false;
  std::unique_ptr<grpc::ClientStream> stream_;
};

Server::Server(const io::Env& env, const std::string& address)
    : address_(address), channel_(env.loop, env.network, address) {}

Server::~Server() = default;

void Server::set_on_watch(OnWatch on_watch, OnWatchEnd on_end) {
  on_watch_ = std::move(on_watch);
  on_watch_end_ = std::move(on_end);
}

grpc::CallOptions Server::Options(const std::string& user) const {
  grpc::CallOptions options;
  options.timeout = kCallTimeout;
  const auto token = tokens_.find(user);
  if (user == kNobody) {
    options.metadata.emplace_back("token", "nobody.1");
  } else if (token != tokens_.end()) {
    options.metadata.emplace_back("token", token->second);
  }
  return options;
}

void Server::Call(const Step& step, Done done) {
  const std::unique_ptr<google::protobuf::Message> request(step.request->New());
  request->CopyFrom(*step.request);
  leases_.ToServer(request.get());
  if (step.type == Type::kLeaseKeepAlive || step.type == Type::kRangeStream) {
    auto shot = std::make_unique<OneShot>(this, step, Serialize(*request), std::move(done));
    const OneShot* key = shot.get();
    shots_.emplace(key, std::move(shot));
    return;
  }
  channel_.Unary(Info(step.type).path, Serialize(*request), Options(step.user),
                 [this, step, done = std::move(done)](const grpc::Result& result) {
                   Finish(step, result.status, result.message, done);
                 });
}

void Server::Finish(const Step& step, const absl::Status& status, absl::string_view message,
                    const Done& done) {
  Answer answer;
  answer.status = status;
  if (status.ok()) {
    answer.response = Info(step.type).NewResponse();
    if (!answer.response->ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      answer.status = absl::InternalError("the answer cannot be parsed");
    }
  }
  if (answer.status.ok() && step.type == Type::kRangeStream) {
    answer.response = std::make_unique<etcdserverpb::RangeResponse>(
        answer.As<etcdserverpb::RangeStreamResponse>().range_response());
  }
  if (answer.status.ok() && step.names_lease.has_value()) {
    leases_.Add(*step.names_lease, answer.As<etcdserverpb::LeaseGrantResponse>().id());
  }
  if (answer.status.ok() && step.type == Type::kAuthenticate) {
    tokens_[step.As<etcdserverpb::AuthenticateRequest>().name()] =
        answer.As<etcdserverpb::AuthenticateResponse>().token();
  }
  if (answer.status.ok()) leases_.FromServer(answer.response.get());
  done(std::move(answer));
}

void Server::OpenWatch(int stream, const std::string& user) {
  watches_.erase(stream);
  watches_[stream] = std::make_unique<WatchStream>(this, stream, user);
}

void Server::SendWatch(int stream, const etcdserverpb::WatchRequest& request) {
  watches_.at(stream)->Send(request);
}

absl::Status Server::connection() const {
  if (channel_.state() != grpc::Channel::State::kFailed) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(address_, ": ", channel_.failure().ToString()));
}

}  // namespace quorate::differential
