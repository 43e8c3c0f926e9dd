// The longest step of a member with very many users, roles, watchers of different ranges, or
// operations in a transaction.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>

#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"
#include "base/check.h"
#include "bench/step_member.h"
#include "engine/replica/input.h"

namespace quorate::engine {
namespace {

constexpr uint64_t kMany = 100'000;

// As many users, each with a role, and roles, one of them with as many permissions and one user
// with all of them.
Member* WithUsers() {
  static const std::unique_ptr<Member> member = [] {
    auto made = std::make_unique<Member>();
    etcdserverpb::AuthUserAddRequest user;
    user.mutable_options()->set_no_password(true);
    etcdserverpb::AuthRoleAddRequest role;
    etcdserverpb::AuthUserGrantRoleRequest grant;
    etcdserverpb::AuthRoleGrantPermissionRequest permit;
    permit.set_name("role100000");
    for (uint64_t i = 0; i < kMany; ++i) {
      user.set_name("user" + std::to_string(kMany + i));
      made->Send(RequestKind::kAuthUserAdd, user.SerializeAsString());
      role.set_name("role" + std::to_string(kMany + i));
      made->Send(RequestKind::kAuthRoleAdd, role.SerializeAsString());
      grant.set_user(user.name());
      grant.set_role(role.name());
      made->Send(RequestKind::kAuthUserGrantRole, grant.SerializeAsString());
      grant.set_user("user100000");
      if (i > 0) made->Send(RequestKind::kAuthUserGrantRole, grant.SerializeAsString());
      permit.mutable_perm()->set_key("key" + std::to_string(kMany + i));
      made->Send(RequestKind::kAuthRoleGrantPermission, permit.SerializeAsString());
      if (i % 200 == 199) made->Settle();
    }
    made->Settle();
    return made;
  }();
  return member.get();
}

void RunAuth(benchmark::State& state, RequestKind kind, const std::string& body) {
  Member* const member = WithUsers();
  member->Take();
  for (auto _ : state) member->Call(kind, body);
  Report(member, state);
}

void BM_StepMakeUsers(benchmark::State& state) {
  Member* member = nullptr;
  for (auto _ : state) member = WithUsers();
  Report(member, state);
}
BENCHMARK(BM_StepMakeUsers)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepUserList(benchmark::State& state) { RunAuth(state, RequestKind::kAuthUserList, ""); }
BENCHMARK(BM_StepUserList)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepRoleList(benchmark::State& state) { RunAuth(state, RequestKind::kAuthRoleList, ""); }
BENCHMARK(BM_StepRoleList)->Iterations(1)->Unit(benchmark::kMillisecond);

// One user's roles, one role's permissions.
void BM_StepUserGet(benchmark::State& state) {
  etcdserverpb::AuthUserGetRequest request;
  request.set_name("user100000");
  RunAuth(state, RequestKind::kAuthUserGet, request.SerializeAsString());
}
BENCHMARK(BM_StepUserGet)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepRoleGet(benchmark::State& state) {
  etcdserverpb::AuthRoleGetRequest request;
  request.set_role("role100000");
  RunAuth(state, RequestKind::kAuthRoleGet, request.SerializeAsString());
}
BENCHMARK(BM_StepRoleGet)->Iterations(1)->Unit(benchmark::kMillisecond);

// A role that goes, from all users.
void BM_StepDeleteRole(benchmark::State& state) {
  etcdserverpb::AuthRoleDeleteRequest request;
  request.set_role("role100007");
  RunAuth(state, RequestKind::kAuthRoleDelete, request.SerializeAsString());
}
BENCHMARK(BM_StepDeleteRole)->Iterations(1)->Unit(benchmark::kMillisecond);

// The checkpoints of all of them, and such a state that arrives.
void BM_StepUsersInAnImage(benchmark::State& state) {
  Member* const member = WithUsers();
  etcdserverpb::PutRequest put;
  put.set_key("k");
  member->Take();
  for (auto _ : state) {
    for (int i = 0; i < 20'000; ++i) {
      member->Send(RequestKind::kPut, put.SerializeAsString());
      if (i % 1000 == 999) member->Settle();
    }
  }
  Report(member, state);
}
BENCHMARK(BM_StepUsersInAnImage)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_StepUsersArrive(benchmark::State& state) {
  Member member(/*members=*/2);
  member.Take();
  for (auto _ : state) {
    member.Receive(WithUsers()->image(), 0);
    member.Receive(WithUsers()->image(), 1000);
  }
  Report(&member, state);
  CHECK_EQ(member.replica().status().snapshots_installed, uint64_t{2});
}
BENCHMARK(BM_StepUsersArrive)->Iterations(1)->Unit(benchmark::kMillisecond);

// ---- watchers ----

// All watch ranges of their own that hold the key that is written; and ask how far they are.
void BM_StepManyRangesOfOneKey(benchmark::State& state) {
  Member member;
  etcdserverpb::WatchRequest request;
  auto* const create = request.mutable_create_request();
  for (uint64_t i = 0; i < kMany; ++i) {
    create->set_key("a" + Key(i));
    create->set_range_end("z" + Key(i));
    i == 0 ? member.OpenWatch(request.SerializeAsString())
           : member.SendWatch(request.SerializeAsString());
  }
  member.Settle();
  etcdserverpb::PutRequest put;
  put.set_key("m");
  put.set_value(std::string(256, 'v'));
  etcdserverpb::WatchRequest progress;
  progress.mutable_progress_request();
  member.Take();
  for (auto _ : state) {
    member.Call(RequestKind::kPut, put.SerializeAsString());
    member.SendWatch(progress.SerializeAsString());
    member.Settle();
    member.CloseWatch();
    member.Settle();
  }
  Report(&member, state);
}
BENCHMARK(BM_StepManyRangesOfOneKey)->Iterations(1)->Unit(benchmark::kMillisecond);

// ---- transactions ----

// 128 operations each, over all of 100,000 keys: compares, ranges, a delete.
void BM_StepTransactionOfRanges(benchmark::State& state) {
  Member member;
  etcdserverpb::PutRequest put;
  put.set_value(std::string(256, 'v'));
  for (uint64_t i = 0; i < kMany; ++i) {
    put.set_key(Key(i));
    member.Send(RequestKind::kPut, put.SerializeAsString());
    if (i % 1000 == 999) member.Settle();
  }
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 128; ++i) {
    auto* const compare = txn.add_compare();
    compare->set_key("0");
    compare->set_range_end("g");
    compare->set_target(etcdserverpb::Compare::VERSION);
    compare->set_result(etcdserverpb::Compare::GREATER);
    compare->set_version(0);
    auto* const range = txn.add_success()->mutable_request_range();
    range->set_key("0");
    range->set_range_end("g");
    range->set_limit(2000);
    range->set_keys_only(true);
  }
  auto* const del = txn.mutable_success(127)->mutable_request_delete_range();
  del->set_key("0");
  del->set_range_end("g");
  del->set_prev_kv(true);
  member.Take();
  for (auto _ : state) member.Call(RequestKind::kTxn, txn.SerializeAsString());
  Report(&member, state);
  CHECK_EQ(member.replica().status().keys, uint64_t{0});
}
BENCHMARK(BM_StepTransactionOfRanges)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quorate::engine
