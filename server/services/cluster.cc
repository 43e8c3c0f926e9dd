#include "server/services/cluster.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "api/malformed.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "server/config/ids.h"
#include "server/config/url.h"
#include "server/credentials/call_credentials.h"
#include "server/services/forward.h"

namespace quorate::services {
namespace {

using engine::RequestKind;

// As etcd keeps a member's URLs: at least one, sorted.
absl::StatusOr<std::vector<config::Url>> ParsePeerUrls(
    const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<config::Url> urls;
  for (const std::string& text : texts) {
    absl::StatusOr<config::Url> url = config::ParseUrl(absl::StripAsciiWhitespace(text));
    if (!url.ok()) break;
    urls.push_back(*std::move(url));
  }
  if (urls.empty() || static_cast<int>(urls.size()) != texts.size()) {
    return absl::InvalidArgumentError("etcdserver: given member URLs are invalid");
  }
  std::sort(urls.begin(), urls.end(),
            [](const auto& a, const auto& b) { return a.ToString() < b.ToString(); });
  return urls;
}

// The new member gets its id here: it is a hash of its URLs and of the moment.
void MemberAdd(grpc::Server* server, node::Node* node, io::Loop* loop, grpc::Call* call,
               const Bytes& body) {
  etcdserverpb::MemberAddRequest request;
  if (!ParseMessage(body, &request)) {
    return call->Finish(MalformedRequestError());
  }
  const absl::StatusOr<std::vector<config::Url>> urls = ParsePeerUrls(request.peerurls());
  if (!urls.ok()) return call->Finish(urls.status());
  etcdserverpb::Member member;
  const int64_t now = loop->WallNow().unix_millis() / 1000;
  member.set_id(config::AddedMemberId(*urls, now).value());
  for (const config::Url& url : *urls) member.add_peerurls(url.ToString());
  member.set_islearner(request.islearner());
  Forward(server, node, call, RequestKind::kMemberAdd, SerializeMessage(member));
}

// Ends the call of a change that is wrong in itself, but of a member that nobody knows is so first.
void RefuseChange(grpc::Server* server, node::Node* node, grpc::Call* call, MemberId member,
                  const absl::Status& why) {
  const uint64_t id = call->id();
  const node::CallId pending = node->Call(
      RequestKind::kClusterStatus, Bytes(), node->request_timeout(),
      [server, node, id, member, why](const absl::Status& status, const Bytes&) {
        grpc::Call* const waiting = server->Find(id);
        if (waiting == nullptr) return;
        if (!status.ok()) return waiting->Finish(status);
        const std::vector<engine::MemberInfo> members = node->members();
        const bool known = std::any_of(members.begin(), members.end(),
                                       [member](const auto& info) { return info.id == member; });
        waiting->Finish(known ? why : absl::NotFoundError("etcdserver: member not found"));
      },
      credentials::CredentialsOf(*call));
  call->set_on_cancel([node, pending](const absl::Status&) { node->Abandon(pending); });
}

// etcd takes any text for a URL here and is brought down by it.
void MemberUpdate(grpc::Server* server, node::Node* node, grpc::Call* call, Bytes body) {
  etcdserverpb::MemberUpdateRequest request;
  if (!ParseMessage(body, &request)) {
    return call->Finish(MalformedRequestError());
  }
  const absl::StatusOr<std::vector<config::Url>> urls = ParsePeerUrls(request.peerurls());
  if (!urls.ok()) return RefuseChange(server, node, call, MemberId(request.id()), urls.status());
  Forward(server, node, call, RequestKind::kMemberUpdate, std::move(body));
}

}  // namespace

void AddCluster(grpc::Server* server, node::Node* node, io::Loop* loop) {
  AddForward(server, node, "/etcdserverpb.Cluster/MemberList", RequestKind::kMemberList);
  AddForward(server, node, "/etcdserverpb.Cluster/MemberRemove", RequestKind::kMemberRemove);
  AddForward(server, node, "/etcdserverpb.Cluster/MemberPromote", RequestKind::kMemberPromote);
  server->AddUnary("/etcdserverpb.Cluster/MemberAdd",
                   [server, node, loop](grpc::Call* call, const Bytes& body) {
                     MemberAdd(server, node, loop, call, body);
                   });
  server->AddUnary("/etcdserverpb.Cluster/MemberUpdate",
                   [server, node](grpc::Call* call, Bytes body) {
                     MemberUpdate(server, node, call, std::move(body));
                   });
}

}  // namespace quorate::services
