#include "tests/engine/replica/model_world.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/txn.h"

namespace quorate::engine {
namespace {

using mvcc_model::Requests;

constexpr int64_t kLeases = 4;
constexpr size_t kMaxTxnOps = 128;
constexpr int64_t kMinTtl = 2;
// After its time is over a lease may stand for so long, since its end is a command, too.
constexpr Duration kGrace = Seconds(2);

// Of what was done before a difference so many commands are told.
constexpr size_t kStory = 30;

// The stream that sees everything.
constexpr uint64_t kObserver = 1;

Config Small(Config config) {
  config.max_turn_work = 60;  // long work goes in very many pieces
  config.store_segment_bytes = 300;
  config.checkpoint_entries = 25;
  config.catchup_entries = 8;
  config.max_txn_ops = kMaxTxnOps;
  config.min_lease_ttl = kMinTtl;
  config.lease_checkpoint_interval = Seconds(3);
  return config;
}

// Of a header only the revision is the model's matter.
void KeepRevision(etcdserverpb::ResponseHeader* header) {
  const int64_t revision = header->revision();
  header->Clear();
  header->set_revision(revision);
}

}  // namespace

ModelWorld::ModelWorld()
    : cluster_(3, [](Config* config) {
        *config = Small(*config);
        config->watch_fragment_bytes = kFragmentBytes;
      }) {
  leader_ = cluster_.Elect();
  steady_ = leader_ % 3 + 1;
  disturbed_ = steady_ % 3 + 1;
  const int members[] = {leader_, leader_, steady_};
  for (uint64_t number = 1; number <= 3; ++number) {
    streams_[number].member = members[number - 1];
    cluster_.OpenWatch(members[number - 1], number, As("root"));
  }
  Watcher all;
  all.key = all.end = std::string(1, '\0');
  all.start = 2;
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(all.key);
  request.mutable_create_request()->set_range_end(all.end);
  streams_[kObserver].asked_for = all;
  cluster_.Watch(leader_, kObserver, request);
  Drain();
}

void ModelWorld::Fail(const std::string& what) {
  if (!difference_.empty()) return;
  for (const std::string& before : story_) absl::StrAppend(&difference_, before);
  absl::StrAppend(&difference_, doing_, what);
}

Response ModelWorld::Call(RequestKind kind, const google::protobuf::Message& request,
                          const std::string& asker) {
  absl::StrAppend(&doing_, asker, ": ", request.GetTypeName(), " {", request.ShortDebugString(),
                  "}\n");
  return cluster_.Call(leader_, kind, request.SerializeAsString(), As(asker));
}

template <typename Request, typename R>
void ModelWorld::DoAs(const std::string& asker, RequestKind kind, const Request& request,
                      absl::Status (sim::ProtocolStore::*perform)(const Request&, R*)) {
  R expected;
  const std::string refusal = Refusal(asker, request);
  const absl::Status status = refusal.empty() ? (model_.*perform)(request, &expected)
                                              : absl::PermissionDeniedError(refusal);
  Expect(request.GetTypeName(), Call(kind, request, asker), status, expected);
}

template <typename R>
void ModelWorld::Expect(const std::string& what, const Response& response,
                        const absl::Status& status, R expected) {
  ExpectEqual(what, response.status.ToString(), status.ToString());
  if (!response.status.ok() || !status.ok()) return;
  R got = Parsed<R>(response);
  KeepRevision(got.mutable_header());
  ExpectEqual(what, got.ShortDebugString(), expected.ShortDebugString());
}

// ---- keys ----

void ModelWorld::DoKv(Requests* draw) {
  const std::string asker = Asker(&draw->prng());
  switch (draw->prng().Below(7)) {
    case 0:
    case 1:
    case 2: {
      etcdserverpb::PutRequest request;
      draw->Fill(&request);
      return DoAs(asker, RequestKind::kPut, request, &sim::ProtocolStore::Put);
    }
    case 3: {
      etcdserverpb::DeleteRangeRequest request;
      draw->Fill(&request);
      return DoAs(asker, RequestKind::kDeleteRange, request, &sim::ProtocolStore::DeleteRange);
    }
    default: {
      etcdserverpb::RangeRequest request;
      etcdserverpb::RangeResponse expected;
      draw->Fill(&request, model_.revision());
      request.set_serializable(draw->prng().Chance(1, 2));
      const std::string refusal = Refusal(asker, request);
      const absl::Status status =
          refusal.empty() ? model_.Range(request, &expected) : absl::PermissionDeniedError(refusal);
      // The other member that is there answers, too.
      const int member = draw->prng().Chance(1, 2) ? steady_ : leader_;
      absl::StrAppend(&doing_, asker, " at ", member, ": {", request.ShortDebugString(), "}\n");
      return Expect(
          "range",
          cluster_.Call(member, RequestKind::kRange, request.SerializeAsString(), As(asker)),
          status, expected);
    }
  }
}

void ModelWorld::DoTxn(Requests* draw) {
  etcdserverpb::TxnRequest request;
  draw->Fill(&request, model_.revision(), 2);
  const std::string bytes = request.SerializeAsString();
  mvcc::TxnRequest decoded;
  absl::Status status = mvcc::Decode(bytes, &decoded);
  // What is malformed is refused before it is proposed, and changes nothing.
  if (status.ok()) status = mvcc::Validate(decoded, kMaxTxnOps);
  const std::string asker = Asker(&draw->prng());
  if (status.ok()) return DoAs(asker, RequestKind::kTxn, request, &sim::ProtocolStore::Txn);
  Expect("txn", Call(RequestKind::kTxn, request, asker), status, etcdserverpb::TxnResponse());
}

void ModelWorld::DoCompact(Requests* draw) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(draw->prng().Between(model_.compact_revision() - 1, model_.revision() + 1));
  request.set_physical(draw->prng().Chance(1, 2));
  const absl::Status status = model_.Compact(request.revision());
  etcdserverpb::CompactionResponse expected;
  expected.mutable_header()->set_revision(model_.revision());
  Expect("compact", Call(RequestKind::kCompact, request), status, expected);
  for (auto& [number, stream] : streams_) {
    if (stream.writable) continue;
    for (auto& [id, watcher] : stream.watchers) watcher.may_be_ended = true;
  }
}

void ModelWorld::CompareHash(int member, int64_t revision) {
  // The model's way to it is long.
  const auto state = std::make_tuple(revision, model_.revision(), model_.compact_revision());
  auto known = hashes_.find(state);
  if (known == hashes_.end()) {
    sim::ProtocolStore::Hash computed;
    const absl::Status refusal = model_.HashKv(revision, &computed);
    known = hashes_.emplace(state, std::make_pair(refusal, computed)).first;
  }
  const auto& [status, hash] = known->second;
  etcdserverpb::HashKVRequest request;
  request.set_revision(revision);
  etcdserverpb::HashKVResponse expected;
  expected.mutable_header()->set_revision(model_.revision());
  expected.set_hash(hash.hash);
  expected.set_compact_revision(hash.compact_revision);
  expected.set_hash_revision(hash.hash_revision);
  Expect(absl::StrCat("hash at ", revision, " of member ", member),
         cluster_.Call(member, RequestKind::kHashKv, request.SerializeAsString(), As("root")),
         status, expected);
}

// ---- leases ----

void ModelWorld::Renewed(int64_t lease) {
  LeaseTime& time = leases_.at(lease);
  time.deadline = cluster_.now() + Seconds(time.ttl);
}

void ModelWorld::DoLease(Requests* draw) {
  const int64_t id = draw->Lease();
  switch (draw->prng().Below(5)) {
    case 0:
    case 1: {
      etcdserverpb::LeaseGrantRequest request;
      request.set_id(id);
      request.set_ttl(draw->prng().Between(1, 12));
      const absl::Status status = model_.Grant(id, request.ttl());
      etcdserverpb::LeaseGrantResponse expected;
      expected.mutable_header()->set_revision(model_.revision());
      expected.set_id(id);
      expected.set_ttl(std::max(kMinTtl, request.ttl()));
      if (status.ok()) leases_[id] = {expected.ttl(), Instant()};
      Expect("grant", Call(RequestKind::kLeaseGrant, request), status, expected);
      if (status.ok()) Renewed(id);
      return;
    }
    case 2: {
      etcdserverpb::LeaseRevokeRequest request;
      request.set_id(id);
      const absl::Status status = model_.Revoke(id);
      leases_.erase(id);
      etcdserverpb::LeaseRevokeResponse expected;
      expected.mutable_header()->set_revision(model_.revision());
      return Expect("revoke", Call(RequestKind::kLeaseRevoke, request), status, expected);
    }
    case 3: {
      etcdserverpb::LeaseKeepAliveRequest request;
      request.set_id(id);
      const Response response = Call(RequestKind::kLeaseKeepAlive, request);
      const bool there = leases_.contains(id);
      ExpectEqual("kept alive for", Parsed<etcdserverpb::LeaseKeepAliveResponse>(response).ttl(),
                  there ? leases_[id].ttl : 0);
      if (there) Renewed(id);
      return;
    }
    default:
      return CompareLeases();
  }
}

void ModelWorld::CompareLeases() {
  std::string expected;
  for (const auto& [id, ttl] : model_.leases()) absl::StrAppend(&expected, id, " ");
  std::string listed;
  const auto list = Parsed<etcdserverpb::LeaseLeasesResponse>(
      Call(RequestKind::kLeaseList, etcdserverpb::LeaseLeasesRequest()));
  std::set<int64_t> ids;  // they come in another order
  for (const auto& lease : list.leases()) ids.insert(lease.id());
  for (const int64_t id : ids) absl::StrAppend(&listed, id, " ");
  ExpectEqual("leases", listed, expected);
  for (int64_t id = 1; id <= kLeases; ++id) {
    const auto got = Parsed<etcdserverpb::LeaseTimeToLiveResponse>(cluster_.Call(
        steady_, RequestKind::kLeaseTimeToLive, TimeToLive(id, /*keys=*/true), As("root")));
    const auto time = leases_.find(id);
    if (time == leases_.end()) {
      ExpectEqual("time of a lease that is not there", got.ttl(), -1);
      continue;
    }
    ExpectEqual("granted time", got.grantedttl(), time->second.ttl);
    // Rounded to seconds.
    const int64_t left = (time->second.deadline - cluster_.now()).millis();
    if (got.ttl() * 1000 > left + 1000 || got.ttl() * 1000 < left - 1000) {
      Fail(absl::StrCat("lease ", id, " has ", got.ttl(), " s, expected ", left, " ms"));
    }
    std::string keys;
    for (const std::string& key : got.keys()) absl::StrAppend(&keys, key, " ");
    std::string attached;
    for (const std::string& key : model_.KeysOf(id)) absl::StrAppend(&attached, key, " ");
    ExpectEqual("keys of a lease", keys, attached);
  }
}

void ModelWorld::LetTimePass(Prng* prng) {
  const Duration span = Milliseconds(prng->Between(10, 4000));
  absl::StrAppend(&doing_, span.millis(), " ms pass\n");
  cluster_.Run(span);
  ExpectEqual("leader", cluster_.leader(), leader_);
  NoteExpired();
}

// Which leases have ended, and in which order, the observer of everything tells: each one's keys
// went in one revision.
void ModelWorld::NoteExpired() {
  const auto list = Parsed<etcdserverpb::LeaseLeasesResponse>(
      cluster_.Call(leader_, RequestKind::kLeaseList, "", As("root")));
  std::set<int64_t> gone;
  for (const auto& [id, time] : leases_) gone.insert(id);
  for (const auto& lease : list.leases()) gone.erase(lease.id());
  for (const auto& [id, time] : leases_) {
    if (gone.contains(id) && cluster_.now() < time.deadline) {
      Fail(absl::StrCat("lease ", id, " ended before its time"));
    }
    if (!gone.contains(id) && cluster_.now() > time.deadline + kGrace) {
      Fail(absl::StrCat("lease ", id, " does not end"));
    }
  }
  std::map<std::string, int64_t> holders;  // of the keys that go
  for (const int64_t id : gone) {
    for (const std::string& key : model_.KeysOf(id)) holders[key] = id;
  }
  // In the order of the revisions; then those without keys.
  etcdserverpb::RangeRequest look;
  std::map<int64_t, int64_t> order;
  for (int64_t revision = model_.revision() + 1;; ++revision) {
    look.set_key(std::string(1, '\0'));
    look.set_range_end(look.key());
    look.set_revision(revision);
    look.set_keys_only(true);
    const Response response =
        cluster_.Call(leader_, RequestKind::kRange, look.SerializeAsString(), As("root"));
    if (!response.status.ok()) break;
    std::map<std::string, int64_t> left = holders;
    const auto there = Parsed<etcdserverpb::RangeResponse>(response);
    for (const auto& kv : there.kvs()) left.erase(kv.key());
    for (const auto& [key, id] : left) {
      order[revision] = id;
      holders.erase(key);
    }
  }
  for (const auto& [revision, id] : order) {
    ExpectEqual("the end of a lease", model_.Revoke(id).ToString(), "OK");
    ExpectEqual("its revision", revision, model_.revision());
    gone.erase(id);
    leases_.erase(id);
  }
  for (const int64_t id : gone) {
    ExpectEqual("the end of a lease", model_.Revoke(id).ToString(), "OK");
    leases_.erase(id);
  }
}

// ---- the whole ----

void ModelWorld::Disturb(Prng* prng) {
  const uint64_t choice = prng->Below(5);
  absl::StrAppend(&doing_, "disturbance ", choice, "\n");
  if (!cluster_.alive(disturbed_)) {
    cluster_.Restart(disturbed_);
  } else if (choice < 2) {
    cluster_.Crash(disturbed_);
  } else if (choice < 4) {
    isolated_ = !isolated_;
    cluster_.Isolate(disturbed_, isolated_);
  } else {
    cluster_.HoldCheckpoints(disturbed_, prng->Chance(1, 2));
  }
  cluster_.Settle();
}

void ModelWorld::Do(uint64_t seed) {
  if (!difference_.empty()) return;
  story_.push_back(std::exchange(doing_, ""));
  if (story_.size() > kStory) story_.pop_front();
  Requests draw(seed, kLeases);
  const uint64_t kind = draw.prng().Below(44);
  if (kind < 12) {
    DoKv(&draw);
  } else if (kind < 20) {
    DoTxn(&draw);
  } else if (kind < 21) {
    DoCompact(&draw);
  } else if (kind < 27) {
    DoLease(&draw);
  } else if (kind < 29) {
    LetTimePass(&draw.prng());
  } else if (kind < 30) {
    CompareHash(leader_, draw.prng().Between(0, model_.revision() + 1));
  } else if (kind < 32) {
    Disturb(&draw.prng());
  } else if (kind < 36) {
    DoAuth(&draw);
  } else {
    DoWatch(&draw);
  }
  Drain();
  ExpectAllSeen();
}

// The first and the last ones, and some in between.
std::vector<int64_t> ModelWorld::SomeRevisions(int64_t from) const {
  std::vector<int64_t> revisions;
  const int64_t first = std::max<int64_t>(1, from);
  const int64_t last = model_.revision();
  const int64_t step = 1 + (last - first) / 16;
  for (int64_t at = first; at <= last; at += step) revisions.push_back(at);
  if (first <= last) revisions.push_back(last);
  return revisions;
}

void ModelWorld::CompareEverything() {
  if (!difference_.empty()) return;
  story_.push_back(std::exchange(doing_, "at the end\n"));
  for (auto& [number, stream] : streams_) {
    stream.writable = true;
    cluster_.SetWritable(stream.member, number, true);
  }
  cluster_.Isolate(disturbed_, false);
  cluster_.HoldCheckpoints(disturbed_, false);
  if (!cluster_.alive(disturbed_)) cluster_.Restart(disturbed_);
  cluster_.Run(Seconds(3));
  leader_ = cluster_.Elect();
  cluster_.Run(Seconds(1));
  NoteExpired();
  Drain();
  ExpectAllSeen();
  CompareLeases();
  const uint64_t digest = cluster_[leader_].StateDigest();
  for (int round = 0; round < 2; ++round) {
    for (int member = 1; member <= 3; ++member) {
      ExpectEqual("applied", cluster_[member].status().applied.value(),
                  cluster_[leader_].status().applied.value());
      ExpectEqual("digest", cluster_[member].StateDigest(), digest);
      // The hashes that compactions have stored are each member's own.
      for (const int64_t at : SomeRevisions(model_.compact_revision() + 1)) CompareHash(member, at);
      CompareAuth(member);
    }
    for (const int64_t at : SomeRevisions(model_.compact_revision())) {
      etcdserverpb::RangeRequest request;
      etcdserverpb::RangeResponse expected;
      request.set_key(std::string(1, '\0'));
      request.set_range_end(request.key());
      request.set_revision(at);
      const absl::Status status = model_.Range(request, &expected);
      Expect("everything", Call(RequestKind::kRange, request), status, expected);
    }
    if (round > 0) return;
    for (int member = 1; member <= 3; ++member) cluster_.Crash(member);
    for (int member = 1; member <= 3; ++member) cluster_.Restart(member);
    leader_ = cluster_.Elect();
    cluster_.Settle();
  }
}

}  // namespace quorate::engine
