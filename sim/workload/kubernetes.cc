// Traffic as a Kubernetes API server makes it: objects are created, updated and deleted in
// transactions that compare the mod revision last seen; lists come in pages, all at the first
// page's revision; and one of several servers compacts, whoever wins a compare and swap.
//
// The invariants: of one version of an object only one update or deletion is acknowledged, and
// the pages of a list are one state: each object once, in order, none of a later revision.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/workload/generator.h"
#include "sim/workload/workload.h"

namespace quorate::sim {
namespace {

constexpr const char* kPrefix = "g-registry/pods/";
constexpr const char* kCompactKey = "g-registry/compact_rev_key";
constexpr uint64_t kObjects = 12;
constexpr int64_t kPage = 3;

class Kubernetes final : public Workload {
 public:
  explicit Kubernetes(Judge* judge) : judge_(judge) {}

  Request Next(uint32_t client, Prng* prng) override;
  void OnReturn(const Call& call) override;
  void Finish(VirtualTime, const Model&) override {}

 private:
  struct Server {
    std::map<std::string, KeyValue> seen;
    // A list that is under way.
    int64_t list_revision = 0;
    std::string list_from;
    // What it believes of the compaction key, and what it may compact now.
    int64_t compact_version = 0;
    int64_t newest = 0;
    int64_t compact_at = 0;
    uint64_t writes = 0;
  };

  Request Page(const Server& server, Prng* prng) const;
  Request Change(uint32_t client, Server* server, Prng* prng);
  void OnPage(const Call& call, Server* server);
  void OnCompactKey(const Call& call, Server* server);
  void OnChange(const Call& call, Server* server);

  Judge* const judge_;
  std::map<uint32_t, Server> servers_;
  // (object, mod revision that was replaced) -> who was told so.
  std::map<std::pair<std::string, int64_t>, std::string> replaced_;
};

Request Kubernetes::Next(uint32_t client, Prng* prng) {
  Server& server = servers_[client];
  if (server.compact_at > 0) {
    Request request;
    request.shape = Request::Shape::kCompact;
    request.compact_revision = std::exchange(server.compact_at, 0);
    return request;
  }
  if (server.list_revision > 0 || prng->Chance(1, 5)) return Page(server, prng);
  if (prng->Chance(1, 40)) {
    Comparison unchanged;
    unchanged.target = Comparison::Target::kVersion;
    unchanged.key = kCompactKey;
    unchanged.number = server.compact_version;
    return If({unchanged}, {PutKey(kCompactKey, absl::StrCat(server.newest))},
              {GetKey(kCompactKey)});
  }
  return Change(client, &server, prng);
}

Request Kubernetes::Page(const Server& server, Prng* prng) const {
  Operation page = GetPrefix(kPrefix);
  page.limit = kPage;
  if (server.list_revision > 0) {
    page.key = server.list_from;
    page.revision = server.list_revision;
  }
  return Read(std::move(page), server.list_revision == 0 && prng->Chance(1, 4));
}

Request Kubernetes::Change(uint32_t client, Server* server, Prng* prng) {
  const std::string key = absl::StrCat(kPrefix, absl::Dec(prng->Below(kObjects), absl::kZeroPad2));
  const auto known = server->seen.find(key);
  const int64_t revision = known == server->seen.end() ? 0 : known->second.mod_revision;
  const std::string value = absl::StrCat("c", client, ".", ++server->writes);
  if (revision > 0 && prng->Chance(1, 4)) {
    return If({ModIs(key, revision)}, {DeleteKey(key)}, {GetKey(key)});
  }
  return If({ModIs(key, revision)}, {PutKey(key, value)}, {GetKey(key)});
}

void Kubernetes::OnReturn(const Call& call) {
  Server& server = servers_[call.client];
  if (call.outcome != Outcome::kOk || call.result.refused) {
    // Compacted under its feet, perhaps: the list begins anew.
    server.list_revision = 0;
    return;
  }
  server.newest = std::max(server.newest, call.result.revision);
  if (call.request.shape == Request::Shape::kCompact) return;
  if (call.request.shape == Request::Shape::kRange) return OnPage(call, &server);
  if (call.request.success[0].key == kCompactKey) return OnCompactKey(call, &server);
  OnChange(call, &server);
}

void Kubernetes::OnPage(const Call& call, Server* server) {
  judge_->Checked(Rule::kWorkload);
  const OperationResult& page = call.result.operations[0];
  const int64_t revision = server->list_revision > 0 ? server->list_revision : call.result.revision;
  std::string last = server->list_revision > 0 ? server->list_from : "";
  for (const KeyValue& kv : page.kvs) {
    if (kv.mod_revision > revision || kv.key < last) {
      judge_->Report(Rule::kWorkload, call.returned,
                     absl::StrCat("kubernetes: a page of the list at revision ", revision,
                                  " from '", server->list_from, "' on shows '", kv.key,
                                  "' of revision ", kv.mod_revision),
                     {Describe(call)});
    }
    last = kv.key;
    server->seen[kv.key] = kv;
  }
  server->list_revision = page.more ? revision : 0;
  server->list_from = absl::StrCat(last, absl::string_view("\0", 1));
}

void Kubernetes::OnCompactKey(const Call& call, Server* server) {
  if (call.result.succeeded) {
    ++server->compact_version;
    server->compact_at = NumberIn(call.request.success[0].value);
    return;
  }
  const std::vector<KeyValue>& kvs = call.result.operations[0].kvs;
  server->compact_version = kvs.empty() ? 0 : kvs[0].version;
}

void Kubernetes::OnChange(const Call& call, Server* server) {
  const Operation& change = call.request.success[0];
  if (!call.result.succeeded) {
    const std::vector<KeyValue>& kvs = call.result.operations[0].kvs;
    server->seen.erase(change.key);
    if (!kvs.empty()) server->seen[change.key] = kvs[0];
    return;
  }
  judge_->Checked(Rule::kWorkload);
  const int64_t before = call.request.compare[0].number;
  if (change.kind == Operation::Kind::kDelete) {
    server->seen.erase(change.key);
  } else {
    server->seen[change.key].mod_revision = call.result.revision;
  }
  if (before == 0) return;  // that there was nothing can be true more than once
  const auto [first, fresh] = replaced_.emplace(std::make_pair(change.key, before), Describe(call));
  if (fresh) return;
  judge_->Report(Rule::kWorkload, call.returned,
                 absl::StrCat("kubernetes: two changes of '", change.key, "' at mod revision ",
                              before, " were acknowledged"),
                 {first->second, Describe(call)});
}

}  // namespace

std::unique_ptr<Workload> NewKubernetes(Judge* judge) {
  return std::make_unique<Kubernetes>(judge);
}

}  // namespace quorate::sim
