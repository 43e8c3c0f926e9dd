#include "server/gateway/routes.h"

#include <vector>

#include "api/auth_rpc.pb.h"
#include "api/election.pb.h"
#include "api/lock.pb.h"
#include "api/rpc.pb.h"

namespace quorate::gateway {
namespace {

using grpc::MethodKind;

template <typename Request, typename Response>
Route Make(absl::string_view path, absl::string_view method, MethodKind kind) {
  return {path, method, kind, &Request::default_instance(), &Response::default_instance()};
}

}  // namespace

// etcd's paths. KV/RangeStream has none there.
absl::Span<const Route> Routes() {
  static const std::vector<Route>* const routes = new std::vector<Route>({
      Make<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>(
          "/v3/kv/range", "/etcdserverpb.KV/Range", MethodKind::kUnary),
      Make<etcdserverpb::PutRequest, etcdserverpb::PutResponse>(
          "/v3/kv/put", "/etcdserverpb.KV/Put", MethodKind::kUnary),
      Make<etcdserverpb::DeleteRangeRequest, etcdserverpb::DeleteRangeResponse>(
          "/v3/kv/deleterange", "/etcdserverpb.KV/DeleteRange", MethodKind::kUnary),
      Make<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse>(
          "/v3/kv/txn", "/etcdserverpb.KV/Txn", MethodKind::kUnary),
      Make<etcdserverpb::CompactionRequest, etcdserverpb::CompactionResponse>(
          "/v3/kv/compaction", "/etcdserverpb.KV/Compact", MethodKind::kUnary),
      Make<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>(
          "/v3/watch", "/etcdserverpb.Watch/Watch", MethodKind::kBidiStream),
      Make<etcdserverpb::LeaseGrantRequest, etcdserverpb::LeaseGrantResponse>(
          "/v3/lease/grant", "/etcdserverpb.Lease/LeaseGrant", MethodKind::kUnary),
      Make<etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseRevokeResponse>(
          "/v3/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke", MethodKind::kUnary),
      Make<etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseRevokeResponse>(
          "/v3/kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke", MethodKind::kUnary),
      Make<etcdserverpb::LeaseKeepAliveRequest, etcdserverpb::LeaseKeepAliveResponse>(
          "/v3/lease/keepalive", "/etcdserverpb.Lease/LeaseKeepAlive", MethodKind::kBidiStream),
      Make<etcdserverpb::LeaseTimeToLiveRequest, etcdserverpb::LeaseTimeToLiveResponse>(
          "/v3/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive", MethodKind::kUnary),
      Make<etcdserverpb::LeaseTimeToLiveRequest, etcdserverpb::LeaseTimeToLiveResponse>(
          "/v3/kv/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive", MethodKind::kUnary),
      Make<etcdserverpb::LeaseLeasesRequest, etcdserverpb::LeaseLeasesResponse>(
          "/v3/lease/leases", "/etcdserverpb.Lease/LeaseLeases", MethodKind::kUnary),
      Make<etcdserverpb::LeaseLeasesRequest, etcdserverpb::LeaseLeasesResponse>(
          "/v3/kv/lease/leases", "/etcdserverpb.Lease/LeaseLeases", MethodKind::kUnary),
      Make<etcdserverpb::MemberAddRequest, etcdserverpb::MemberAddResponse>(
          "/v3/cluster/member/add", "/etcdserverpb.Cluster/MemberAdd", MethodKind::kUnary),
      Make<etcdserverpb::MemberRemoveRequest, etcdserverpb::MemberRemoveResponse>(
          "/v3/cluster/member/remove", "/etcdserverpb.Cluster/MemberRemove", MethodKind::kUnary),
      Make<etcdserverpb::MemberUpdateRequest, etcdserverpb::MemberUpdateResponse>(
          "/v3/cluster/member/update", "/etcdserverpb.Cluster/MemberUpdate", MethodKind::kUnary),
      Make<etcdserverpb::MemberListRequest, etcdserverpb::MemberListResponse>(
          "/v3/cluster/member/list", "/etcdserverpb.Cluster/MemberList", MethodKind::kUnary),
      Make<etcdserverpb::MemberPromoteRequest, etcdserverpb::MemberPromoteResponse>(
          "/v3/cluster/member/promote", "/etcdserverpb.Cluster/MemberPromote", MethodKind::kUnary),
      Make<etcdserverpb::AlarmRequest, etcdserverpb::AlarmResponse>(
          "/v3/maintenance/alarm", "/etcdserverpb.Maintenance/Alarm", MethodKind::kUnary),
      Make<etcdserverpb::StatusRequest, etcdserverpb::StatusResponse>(
          "/v3/maintenance/status", "/etcdserverpb.Maintenance/Status", MethodKind::kUnary),
      Make<etcdserverpb::DefragmentRequest, etcdserverpb::DefragmentResponse>(
          "/v3/maintenance/defragment", "/etcdserverpb.Maintenance/Defragment", MethodKind::kUnary),
      Make<etcdserverpb::HashRequest, etcdserverpb::HashResponse>(
          "/v3/maintenance/hash", "/etcdserverpb.Maintenance/Hash", MethodKind::kUnary),
      Make<etcdserverpb::HashKVRequest, etcdserverpb::HashKVResponse>(
          "/v3/maintenance/hashkv", "/etcdserverpb.Maintenance/HashKV", MethodKind::kUnary),
      Make<etcdserverpb::MoveLeaderRequest, etcdserverpb::MoveLeaderResponse>(
          "/v3/maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader",
          MethodKind::kUnary),
      Make<etcdserverpb::DowngradeRequest, etcdserverpb::DowngradeResponse>(
          "/v3/maintenance/downgrade", "/etcdserverpb.Maintenance/Downgrade", MethodKind::kUnary),
      Make<etcdserverpb::SnapshotRequest, etcdserverpb::SnapshotResponse>(
          "/v3/maintenance/snapshot", "/etcdserverpb.Maintenance/Snapshot",
          MethodKind::kServerStream),
      Make<etcdserverpb::AuthEnableRequest, etcdserverpb::AuthEnableResponse>(
          "/v3/auth/enable", "/etcdserverpb.Auth/AuthEnable", MethodKind::kUnary),
      Make<etcdserverpb::AuthDisableRequest, etcdserverpb::AuthDisableResponse>(
          "/v3/auth/disable", "/etcdserverpb.Auth/AuthDisable", MethodKind::kUnary),
      Make<etcdserverpb::AuthStatusRequest, etcdserverpb::AuthStatusResponse>(
          "/v3/auth/status", "/etcdserverpb.Auth/AuthStatus", MethodKind::kUnary),
      Make<etcdserverpb::AuthenticateRequest, etcdserverpb::AuthenticateResponse>(
          "/v3/auth/authenticate", "/etcdserverpb.Auth/Authenticate", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserAddRequest, etcdserverpb::AuthUserAddResponse>(
          "/v3/auth/user/add", "/etcdserverpb.Auth/UserAdd", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserGetRequest, etcdserverpb::AuthUserGetResponse>(
          "/v3/auth/user/get", "/etcdserverpb.Auth/UserGet", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserListRequest, etcdserverpb::AuthUserListResponse>(
          "/v3/auth/user/list", "/etcdserverpb.Auth/UserList", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserDeleteRequest, etcdserverpb::AuthUserDeleteResponse>(
          "/v3/auth/user/delete", "/etcdserverpb.Auth/UserDelete", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserChangePasswordRequest,
           etcdserverpb::AuthUserChangePasswordResponse>(
          "/v3/auth/user/changepw", "/etcdserverpb.Auth/UserChangePassword", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserGrantRoleRequest, etcdserverpb::AuthUserGrantRoleResponse>(
          "/v3/auth/user/grant", "/etcdserverpb.Auth/UserGrantRole", MethodKind::kUnary),
      Make<etcdserverpb::AuthUserRevokeRoleRequest, etcdserverpb::AuthUserRevokeRoleResponse>(
          "/v3/auth/user/revoke", "/etcdserverpb.Auth/UserRevokeRole", MethodKind::kUnary),
      Make<etcdserverpb::AuthRoleAddRequest, etcdserverpb::AuthRoleAddResponse>(
          "/v3/auth/role/add", "/etcdserverpb.Auth/RoleAdd", MethodKind::kUnary),
      Make<etcdserverpb::AuthRoleGetRequest, etcdserverpb::AuthRoleGetResponse>(
          "/v3/auth/role/get", "/etcdserverpb.Auth/RoleGet", MethodKind::kUnary),
      Make<etcdserverpb::AuthRoleListRequest, etcdserverpb::AuthRoleListResponse>(
          "/v3/auth/role/list", "/etcdserverpb.Auth/RoleList", MethodKind::kUnary),
      Make<etcdserverpb::AuthRoleDeleteRequest, etcdserverpb::AuthRoleDeleteResponse>(
          "/v3/auth/role/delete", "/etcdserverpb.Auth/RoleDelete", MethodKind::kUnary),
      Make<etcdserverpb::AuthRoleGrantPermissionRequest,
           etcdserverpb::AuthRoleGrantPermissionResponse>(
          "/v3/auth/role/grant", "/etcdserverpb.Auth/RoleGrantPermission", MethodKind::kUnary),
      Make<etcdserverpb::AuthRoleRevokePermissionRequest,
           etcdserverpb::AuthRoleRevokePermissionResponse>(
          "/v3/auth/role/revoke", "/etcdserverpb.Auth/RoleRevokePermission", MethodKind::kUnary),
      Make<v3lockpb::LockRequest, v3lockpb::LockResponse>("/v3/lock/lock", "/v3lockpb.Lock/Lock",
                                                          MethodKind::kUnary),
      Make<v3lockpb::UnlockRequest, v3lockpb::UnlockResponse>(
          "/v3/lock/unlock", "/v3lockpb.Lock/Unlock", MethodKind::kUnary),
      Make<v3electionpb::CampaignRequest, v3electionpb::CampaignResponse>(
          "/v3/election/campaign", "/v3electionpb.Election/Campaign", MethodKind::kUnary),
      Make<v3electionpb::ProclaimRequest, v3electionpb::ProclaimResponse>(
          "/v3/election/proclaim", "/v3electionpb.Election/Proclaim", MethodKind::kUnary),
      Make<v3electionpb::LeaderRequest, v3electionpb::LeaderResponse>(
          "/v3/election/leader", "/v3electionpb.Election/Leader", MethodKind::kUnary),
      Make<v3electionpb::ResignRequest, v3electionpb::ResignResponse>(
          "/v3/election/resign", "/v3electionpb.Election/Resign", MethodKind::kUnary),
      Make<v3electionpb::LeaderRequest, v3electionpb::LeaderResponse>(
          "/v3/election/observe", "/v3electionpb.Election/Observe", MethodKind::kServerStream),
  });
  return *routes;
}

}  // namespace quorate::gateway
