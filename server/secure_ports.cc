#include "server/secure_ports.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/tls/context.h"
#include "server/tls/self_signed.h"

namespace quorate::server {
namespace {

// Steps of handshakes that run at the same time. The threads of io::Compute are few, and
// passwords are hashed there too.
constexpr size_t kHandshakesAtOnce = 2;

bool AnySecure(const std::vector<config::Url>& urls) {
  return std::any_of(urls.begin(), urls.end(), [](const config::Url& u) { return u.secure(); });
}

bool MakesOwn(const config::TlsSettings& settings) {
  return settings.auto_tls && !settings.has_certificate();
}

// Where etcd keeps them, too.
std::string OwnDirectory(const config::Config& config, absl::string_view port) {
  return absl::StrCat(config.DataDir(), "/fixtures/", port);
}

// With the files of --auto-tls filled in.
config::TlsSettings Complete(config::TlsSettings settings, const std::string& own_directory) {
  if (!MakesOwn(settings)) {
    settings.auto_tls = false;  // as etcd: what is given counts
    return settings;
  }
  settings.cert_file = own_directory + "/cert.pem";
  settings.key_file = own_directory + "/key.pem";
  return settings;
}

}  // namespace

// The client port: whoever can speak HTTP/1.1 is answered in it, since HTTP/2 is for gRPC
// alone here; gRPC's clients offer nothing else.
SecurePorts::SecurePorts(const io::Env& env, log::Logger* log, const config::Config& config)
    : env_(env),
      log_(log),
      config_(config),
      client_(AnySecure(config.listen_client_urls) || AnySecure(config.listen_client_http_urls) ||
              AnySecure(config.listen_metrics_urls)),
      peers_(AnySecure(config.listen_peer_urls) || AnySecure(config.initial_advertise_peer_urls)),
      handshakes_(env.compute, kHandshakesAtOnce),
      client_source_(env, log, tls::Role::kServer,
                     Complete(config.client_tls, OwnDirectory(config, "client")),
                     {"http/1.1", "h2"}),
      peer_source_(env, log, tls::Role::kServer,
                   Complete(config.peer_tls, OwnDirectory(config, "peer")), {"http/1.1"}),
      peer_client_source_(env, log, tls::Role::kPeerClient,
                          Complete(config.peer_tls, OwnDirectory(config, "peer")), {"http/1.1"}),
      peer_network_(env.loop, env.network, &peer_client_source_, &handshakes_),
      self_(std::make_shared<SecurePorts*>(this)) {}

SecurePorts::~SecurePorts() = default;

void SecurePorts::Prepare(std::function<void(const absl::Status&)> done) {
  done_ = std::move(done);
  WarnOfIgnored(config_.client_tls, config_.listen_client_urls);
  WarnOfIgnored(config_.peer_tls, config_.listen_peer_urls);
  if (peers_) {
    steps_.emplace_back([this] { LoadFirst(&peer_client_source_); });
    steps_.emplace_back([this] { LoadFirst(&peer_source_); });
    if (MakesOwn(config_.peer_tls)) {
      steps_.emplace_back(
          [this] { MakeCertificate(OwnDirectory(config_, "peer"), config_.listen_peer_urls); });
    }
  }
  if (client_) {
    steps_.emplace_back([this] { LoadFirst(&client_source_); });
    if (MakesOwn(config_.client_tls)) {
      steps_.emplace_back(
          [this] { MakeCertificate(OwnDirectory(config_, "client"), config_.listen_client_urls); });
    }
  }
  Next(tls::CheckCipherSuites(config_.client_tls.cipher_suites));
}

void SecurePorts::Next(const absl::Status& status) {
  if (!status.ok() || steps_.empty()) {
    const std::function<void(const absl::Status&)> done = std::move(done_);
    return done(status);
  }
  const std::function<void()> step = std::move(steps_.back());
  steps_.pop_back();
  step();
}

void SecurePorts::MakeCertificate(const std::string& directory,
                                  const std::vector<config::Url>& urls) {
  std::vector<std::string> hosts;
  hosts.reserve(urls.size());
  for (const config::Url& url : urls) hosts.push_back(url.is_unix() ? "localhost" : url.host);
  tls::EnsureSelfSigned(
      env_.disk, directory, hosts, env_.loop->WallNow(), config_.self_signed_cert_validity,
      [weak = std::weak_ptr<SecurePorts*>(self_), directory](const absl::StatusOr<bool>& made) {
        SecurePorts* self = nullptr;
        if (const std::shared_ptr<SecurePorts*> strong = weak.lock()) self = *strong;
        if (self == nullptr) return;
        if (made.ok() && *made) {
          LOG_WARN(self->log_, "automatically generate certificates",
                   {"cert-file", absl::StrCat(directory, "/cert.pem")},
                   {"validity-years", self->config_.self_signed_cert_validity});
        }
        self->Next(made.status());
      });
}

void SecurePorts::LoadFirst(tls::Source* source) {
  source->Get([this](const tls::Source::ContextOr& context) { Next(context.status()); });
}

void SecurePorts::WarnOfIgnored(const config::TlsSettings& tls,
                                const std::vector<config::Url>& urls) {
  for (const config::Url& url : urls) {
    if (url.secure()) continue;
    if (tls.has_certificate()) {
      LOG_WARN(log_,
               "scheme is HTTP while key and cert files are present; ignoring key and cert files",
               {"url", url.ToString()});
    }
    if (tls.client_cert_auth) {
      LOG_WARN(log_, "scheme is HTTP while client cert auth is enabled; ignoring it for this URL",
               {"url", url.ToString()});
    }
  }
}

std::unique_ptr<tls::Acceptor> SecurePorts::NewClientAcceptor(
    tls::Acceptor::AcceptCallback on_accept) {
  return NewAcceptor("client", &client_source_, std::move(on_accept));
}

std::unique_ptr<tls::Acceptor> SecurePorts::NewPeerAcceptor(
    tls::Acceptor::AcceptCallback on_accept) {
  return NewAcceptor("peer", &peer_source_, std::move(on_accept));
}

std::unique_ptr<tls::Acceptor> SecurePorts::NewAcceptor(const std::string& endpoint,
                                                        tls::Source* source,
                                                        tls::Acceptor::AcceptCallback on_accept) {
  tls::AcceptorOptions options;
  options.endpoint = endpoint;
  return std::make_unique<tls::Acceptor>(env_.loop, log_, source, &handshakes_, options,
                                         std::move(on_accept));
}

}  // namespace quorate::server
