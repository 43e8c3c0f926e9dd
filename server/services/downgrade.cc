#include "server/services/downgrade.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/membership.pb.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/status.h"
#include "server/config/version.h"
#include "server/credentials/call_credentials.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

using engine::RequestKind;
using Request = etcdserverpb::DowngradeRequest;

// As strictly as etcd: "3.6", or a whole version such as "3.6.0" or "3.6.0-rc.1".
std::optional<config::MajorMinor> ParseTarget(absl::string_view version) {
  const size_t suffix = version.find_first_of("-+");
  const std::vector<absl::string_view> numbers = absl::StrSplit(version.substr(0, suffix), '.');
  const bool whole = numbers.size() == 3;
  if (!whole && (numbers.size() != 2 || suffix != absl::string_view::npos)) return std::nullopt;
  if (whole && (numbers[2].empty() ||
                !std::all_of(numbers[2].begin(), numbers[2].end(), absl::ascii_isdigit))) {
    return std::nullopt;
  }
  return config::ParseVersion(version);
}

// Whether a downgrade to `target` may begin in a cluster of that status.
absl::Status CheckTarget(const config::MajorMinor& target, const config::MajorMinor& present,
                         const etcdserverpb::StatusResponse& status) {
  if (target != config::MajorMinor{present.major, present.minor - 1}) {
    return absl::InvalidArgumentError("etcdserver: invalid downgrade target version");
  }
  if (status.downgradeinfo().enabled()) {
    return absl::FailedPreconditionError("etcdserver: cluster has a downgrade job in progress");
  }
  return absl::OkStatus();
}

class Downgrade {
 public:
  Downgrade(grpc::Server* server, node::Node* node) : server_(server), node_(node) {}

  void Serve(grpc::Call* call, const Request& request) const {
    Ask(call, RequestKind::kClusterStatus, Bytes(),
        [self = *this, request](grpc::Call* waiting, const Bytes& reply) {
          self.OnStatus(waiting, request, reply);
        });
  }

 private:
  // Asks the node as the call's client; a failure ends the call.
  template <typename Then>
  void Ask(grpc::Call* call, RequestKind kind, Bytes body, Then then) const {
    const uint64_t id = call->id();
    const node::CallId pending = node_->Call(
        kind, std::move(body), node_->request_timeout(),
        [server = server_, id, then = std::move(then)](const absl::Status& status,
                                                       const Bytes& reply) {
          grpc::Call* const waiting = server->Find(id);
          if (waiting == nullptr) return;
          if (!status.ok()) return waiting->Finish(status);
          then(waiting, reply);
        },
        credentials::CredentialsOf(*call));
    call->set_on_cancel([node = node_, pending](const absl::Status&) { node->Abandon(pending); });
  }

  void OnStatus(grpc::Call* call, const Request& request, const Bytes& reply) const {
    etcdserverpb::StatusResponse status;
    if (!ParseMessage(reply, &status)) {
      return call->Finish(absl::InternalError("the status cannot be read"));
    }
    const absl::StatusOr<bool> changes = Changes(request, status);
    if (!changes.ok()) return call->Finish(changes.status());
    if (!*changes) return Answer(call, status);
    membershippb::DowngradeInfoSetRequest info;
    info.set_enabled(request.action() == Request::ENABLE);
    if (info.enabled()) info.set_ver(ParseTarget(request.version())->ToString());
    Ask(call, RequestKind::kDowngradeInfo, SerializeMessage(info),
        [self = *this, status](grpc::Call* waiting, const Bytes&) {
          self.Answer(waiting, status);
        });
  }

  // Whether there is something to change in a cluster of that status, or why it cannot be.
  static absl::StatusOr<bool> Changes(const Request& request,
                                      const etcdserverpb::StatusResponse& status) {
    const bool starts = request.action() == Request::ENABLE;
    if (!starts && request.action() != Request::VALIDATE && request.action() != Request::CANCEL) {
      return absl::UnknownError("etcdserver: unknown method");
    }
    // Where there is none to cancel, all is as wished.
    if (request.action() == Request::CANCEL) return status.downgradeinfo().enabled();
    const std::optional<config::MajorMinor> target = ParseTarget(request.version());
    if (!target.has_value()) {
      return absl::InvalidArgumentError("etcdserver: wrong downgrade target version format");
    }
    const auto present = config::ParseVersion(status.storageversion());
    if (!present.has_value()) {
      return absl::FailedPreconditionError(
          "etcdserver: cluster version not found during downgrade");
    }
    RETURN_IF_ERROR(CheckTarget(*target, *present, status));
    return starts;
  }

  void Answer(grpc::Call* call, const etcdserverpb::StatusResponse& status) const {
    etcdserverpb::DowngradeResponse answer;
    *answer.mutable_header() = status.header();
    if (const auto present = config::ParseVersion(node_->cluster_version())) {
      answer.set_version(absl::StrCat(present->major, ".", present->minor));
    }
    call->Finish(absl::OkStatus(), SerializeMessage(answer));
  }

  grpc::Server* server_;
  node::Node* node_;
};

}  // namespace

void AddDowngrade(grpc::Server* server, node::Node* node, absl::string_view path) {
  server->AddUnary(path, [server, node](grpc::Call* call, const Bytes& bytes) {
    Request request;
    if (ParseRequest(call, bytes, &request)) Downgrade(server, node).Serve(call, request);
  });
}

}  // namespace quorate::services
