#include "server/services/maintenance.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/status.h"
#include "server/config/version.h"
#include "server/credentials/call_credentials.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

// Asks the node for `kind` as the call's client, and ends the call with what `answer` makes
// of the reply.
void AnswerFrom(grpc::Server* server, node::Node* node, grpc::Call* call, RequestKind kind,
                Bytes request, std::function<absl::StatusOr<Bytes>(const Bytes&)> answer) {
  const uint64_t id = call->id();
  const node::CallId pending = node->Call(
      kind, std::move(request), node->request_timeout(),
      [server, id, answer = std::move(answer)](const absl::Status& status, const Bytes& reply) {
        grpc::Call* const waiting = server->Find(id);
        if (waiting == nullptr) return;
        if (!status.ok()) return waiting->Finish(status);
        absl::StatusOr<Bytes> body = answer(reply);
        if (!body.ok()) return waiting->Finish(body.status());
        waiting->Finish(absl::OkStatus(), *std::move(body));
      },
      credentials::CredentialsOf(*call));
  call->set_on_cancel([node, pending](const absl::Status&) { node->Abandon(pending); });
}

// The hash of etcd's backend file has no counterpart here; what it is good for (equal
// members answer the same) the hash of all keys is good for too.
absl::StatusOr<Bytes> HashAnswer(const Bytes& reply) {
  etcdserverpb::HashKVResponse hash;
  if (!ParseMessage(reply, &hash)) return absl::InternalError("the hash cannot be read");
  etcdserverpb::HashResponse answer;
  *answer.mutable_header() = hash.header();
  answer.set_hash(hash.hash());
  return SerializeMessage(answer);
}

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

absl::Status CheckTarget(const std::string& version, const config::MajorMinor& present) {
  const std::optional<config::MajorMinor> target = ParseTarget(version);
  if (!target.has_value()) {
    return absl::InvalidArgumentError("etcdserver: wrong downgrade target version format");
  }
  if (target->major != present.major || target->minor != present.minor - 1) {
    return absl::InvalidArgumentError("etcdserver: invalid downgrade target version");
  }
  return absl::OkStatus();
}

// All members speak one version, which is the oldest that this server can speak: a
// downgrade can be asked about, and is never under way.
absl::StatusOr<Bytes> DowngradeAnswer(const etcdserverpb::DowngradeRequest& request,
                                      const std::string& cluster_version, const Bytes& reply) {
  using Request = etcdserverpb::DowngradeRequest;
  const std::optional<config::MajorMinor> present = config::ParseVersion(cluster_version);
  if (!present.has_value()) {
    return absl::FailedPreconditionError("etcdserver: cluster version not found during downgrade");
  }
  if (request.action() == Request::VALIDATE || request.action() == Request::ENABLE) {
    RETURN_IF_ERROR(CheckTarget(request.version(), *present));
    if (request.action() == Request::ENABLE) {
      return absl::UnimplementedError("etcdserver: Quorate has no earlier release to go back to");
    }
  } else if (request.action() != Request::CANCEL) {  // there is never one to cancel: done
    return absl::UnknownError("etcdserver: unknown method");
  }
  etcdserverpb::StatusResponse status;
  if (!ParseMessage(reply, &status)) return absl::InternalError("the status cannot be read");
  etcdserverpb::DowngradeResponse answer;
  *answer.mutable_header() = status.header();
  answer.set_version(absl::StrCat(present->major, ".", present->minor));
  return SerializeMessage(answer);
}

}  // namespace

void AddMaintenance(grpc::Server* server, node::Node* node) {
  const std::string service = "/etcdserverpb.Maintenance/";
  AddForwardUnread<etcdserverpb::StatusRequest>(server, node, service + "Status",
                                                RequestKind::kStatus);
  AddForward(server, node, service + "HashKV", RequestKind::kHashKv);
  AddForward(server, node, service + "Alarm", RequestKind::kAlarm);
  AddForward(server, node, service + "MoveLeader", RequestKind::kMoveLeader);
  // Space comes back by itself: there is nothing to wait for.
  server->AddUnary(service + "Defragment", [server, node](grpc::Call* call, const Bytes& bytes) {
    etcdserverpb::DefragmentRequest request;
    if (!ParseRequest(call, bytes, &request)) return;
    AnswerFrom(server, node, call, RequestKind::kAdminStatus, Bytes(),
               [](const Bytes&) { return Bytes(); });
  });
  server->AddUnary(service + "Hash", [server, node](grpc::Call* call, const Bytes& bytes) {
    etcdserverpb::HashRequest request;
    if (!ParseRequest(call, bytes, &request)) return;
    AnswerFrom(server, node, call, RequestKind::kHashKv, Bytes(), HashAnswer);
  });
  server->AddUnary(service + "Downgrade", [server, node](grpc::Call* call, const Bytes& bytes) {
    etcdserverpb::DowngradeRequest request;
    if (!ParseRequest(call, bytes, &request)) return;
    AnswerFrom(server, node, call, RequestKind::kAdminStatus, Bytes(),
               [node, request](const Bytes& reply) {
                 return DowngradeAnswer(request, node->cluster_version(), reply);
               });
  });
  AddUnimplemented(server, service + "Snapshot", grpc::MethodKind::kServerStream);
}

}  // namespace quorate::services
