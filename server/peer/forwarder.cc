#include "server/peer/forwarder.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/lease.pb.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/membership/member_json.h"
#include "server/peer/hash_json.h"

namespace quorate::peer {
namespace {

using engine::RequestKind;

// etcd wraps the question for a lease's time, and the answer to it.
Bytes Wrapped(const Bytes& body) {
  leasepb::LeaseInternalRequest request;
  const bool parsed = ParseMessage(body, request.mutable_leasetimetoliverequest());
  CHECK_MSG(parsed, "the replica forwarded a malformed request");
  return SerializeMessage(request);
}

absl::StatusOr<Bytes> Unwrapped(const std::string& body) {
  leasepb::LeaseInternalResponse response;
  if (!response.ParseFromString(body)) {
    return absl::InternalError("malformed LeaseInternalResponse");
  }
  return SerializeMessage(response.leasetimetoliveresponse());
}

// etcd answers a promotion with the JSON of all members, or with the text of the error.
absl::StatusOr<Bytes> Promoted(const http1::Client::WholeResponse& answer) {
  const absl::string_view text = absl::StripAsciiWhitespace(answer.body);
  if (answer.head.status == 404) return absl::NotFoundError("etcdserver: member not found");
  if (answer.head.status == 412) {
    const bool unsynced = absl::StrContains(text, "in sync with leader");
    const bool voter = absl::StrContains(text, "can only promote a learner");
    if (!unsynced && !voter) {
      return absl::UnavailableError(absl::StrCat("member promote: ", text));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("etcdserver: can only promote a learner member",
                     unsynced ? " which is in sync with leader" : ""));
  }
  if (answer.head.status != 200) {
    return absl::UnavailableError(absl::StrCat("HTTP status ", answer.head.status, ": ", text));
  }
  ASSIGN_OR_RETURN(const std::vector<membership::Member> members,
                   membership::ParseMembersJson(text));
  etcdserverpb::MemberPromoteResponse response;
  for (const membership::Member& member : members) {
    etcdserverpb::Member* const out = response.add_members();
    out->set_id(member.id.value());
    out->set_name(member.name);
    for (const std::string& url : member.peer_urls) out->add_peerurls(url);
    for (const std::string& url : member.client_urls) out->add_clienturls(url);
    out->set_islearner(member.is_learner);
  }
  return SerializeMessage(response);
}

// FailedPrecondition only from a member that knows this one as removed.
absl::StatusOr<Bytes> Repaired(const http1::Client::WholeResponse& answer) {
  if (answer.head.status == 200) return Bytes::Copy(answer.body);
  if (answer.head.status == 410) return absl::FailedPreconditionError(answer.body);
  return absl::UnavailableError(
      absl::StrCat("HTTP status ", answer.head.status, ": ", answer.body));
}

absl::StatusOr<Bytes> Answered(RequestKind kind, const http1::Client::WholeResponse& answer) {
  if (kind == RequestKind::kMemberPromote) return Promoted(answer);
  if (kind == RequestKind::kHashKv) return ParseHashAnswer(answer.head.status, answer.body);
  if (kind == RequestKind::kPeerRepair) return Repaired(answer);
  switch (answer.head.status) {
    case 200:
      if (kind == RequestKind::kLeaseKeepAlive) return Bytes::Copy(answer.body);
      return Unwrapped(answer.body);
    case 404:
      return absl::NotFoundError("lease not found");
    default:
      return absl::UnavailableError(
          absl::StrCat("HTTP status ", answer.head.status, ": ", answer.body));
  }
}

}  // namespace

Forwarder::Forwarder(const Context* context, const std::vector<std::string>& addresses)
    : context_(context) {
  CHECK(!addresses.empty());
  http1::ClientOptions options;
  options.connect_timeout = context->options.dial_timeout;
  options.response_timeout = context->options.forward_timeout * 2;
  options.read_timeout = options.response_timeout;
  options.max_idle_connections = context->options.max_forwards;
  clients_ = NewClients(*context, addresses, options);
  options.response_timeout = context->options.promote_timeout;
  options.read_timeout = options.response_timeout;
  options.max_idle_connections = 0;
  promotion_clients_ = NewClients(*context, addresses, options);
  options.response_timeout = context->options.hash_timeout;
  options.read_timeout = options.response_timeout;
  hash_clients_ = NewClients(*context, addresses, options);
}

const Forwarder::Clients& Forwarder::ClientsFor(RequestKind kind) const {
  // Both wait for an entry.
  if (kind == RequestKind::kMemberPromote || kind == RequestKind::kPeerRepair) {
    return promotion_clients_;
  }
  return kind == RequestKind::kHashKv ? hash_clients_ : clients_;
}

void Forwarder::Send(RequestKind kind, const Bytes& body, node::ForwardCallback done) {
  if (queue_.size() >= context_->options.max_queued_forwards) return;
  if (kind == RequestKind::kMemberPromote) {
    etcdserverpb::MemberPromoteRequest request;
    const bool parsed = ParseMessage(body, &request);
    CHECK_MSG(parsed, "the replica forwarded a malformed request");
    queue_.push_back({absl::StrCat(kPromotePrefix, request.id()), Bytes(), kind, std::move(done)});
    return SendQueued();
  }
  if (kind == RequestKind::kHashKv) {
    queue_.push_back({kHashPath, Bytes::Copy(HashQuestion(body)), kind, std::move(done)});
    return SendQueued();
  }
  if (kind == RequestKind::kPeerRepair) {
    queue_.push_back({kRepairPath, body, kind, std::move(done)});
    return SendQueued();
  }
  const bool keep_alive = kind == RequestKind::kLeaseKeepAlive;
  queue_.push_back({keep_alive ? kLeasePath : kLeaseInternalPath, keep_alive ? body : Wrapped(body),
                    kind, std::move(done)});
  SendQueued();
}

void Forwarder::SendQueued() {
  while (!queue_.empty() && posts_.size() < context_->options.max_forwards) {
    const uint64_t id = ++last_id_;
    Post& post = posts_[id];
    post.item = std::move(queue_.front());
    queue_.pop_front();
    http1::ClientRequest request;
    const bool hashes = post.item.kind == RequestKind::kHashKv;
    request.method = hashes ? "GET" : "POST";
    request.target = post.item.target;
    request.fields = RequestFields(context_->self);
    request.fields.Add("Content-Type", hashes ? "application/json" : "application/protobuf");
    if (post.item.kind != RequestKind::kMemberPromote) request.body = {post.item.body};
    http1::Client& client = *ClientsFor(post.item.kind)[next_client_];
    post.exchange =
        client.Fetch(std::move(request), context_->options.max_forward_answer_bytes,
                     [this, id](const absl::StatusOr<http1::Client::WholeResponse>& answer) {
                       OnAnswer(id, answer);
                     });
  }
}

void Forwarder::OnAnswer(uint64_t id, const absl::StatusOr<http1::Client::WholeResponse>& answer) {
  const Item item = std::move(posts_.at(id).item);
  posts_.erase(id);
  if (!answer.ok()) next_client_ = (next_client_ + 1) % clients_.size();
  const absl::StatusOr<Bytes> body = answer.ok() ? Answered(item.kind, *answer) : answer.status();
  item.done(body.status(), body.ok() ? *body : Bytes());
  SendQueued();
}

}  // namespace quorate::peer
