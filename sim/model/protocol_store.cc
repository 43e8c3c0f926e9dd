#include "sim/model/protocol_store.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/crc32c.h"
#include "sim/model/rules.h"

namespace quorate::sim {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;

absl::Status Compacted() {
  return absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted");
}
absl::Status Future() {
  return absl::OutOfRangeError("etcdserver: mvcc: required revision is a future revision");
}
absl::Status KeyNotFound() { return absl::InvalidArgumentError("etcdserver: key not found"); }
absl::Status LeaseNotFound() {
  return absl::NotFoundError("etcdserver: requested lease not found");
}

std::string BigEndian(int64_t v) {
  std::string s;
  for (int shift = 56; shift >= 0; shift -= 8) s.push_back(static_cast<char>(v >> shift));
  return s;
}

}  // namespace

const mvccpb::KeyValue* ProtocolStore::At(const std::string& key, int64_t revision) const {
  const mvccpb::KeyValue* found = nullptr;
  for (const Change& change : changes_) {
    if (change.main > revision) break;
    if (change.kv.key() == key) found = change.tombstone ? nullptr : &change.kv;
  }
  return found;
}

std::vector<const mvccpb::KeyValue*> ProtocolStore::LiveIn(const std::string& key,
                                                           const std::string& end,
                                                           int64_t revision) const {
  std::map<std::string, const mvccpb::KeyValue*> live;
  for (const Change& change : changes_) {
    if (change.main > revision) break;
    if (!InRange(change.kv.key(), key, end)) continue;
    if (change.tombstone) {
      live.erase(change.kv.key());
    } else {
      live[change.kv.key()] = &change.kv;
    }
  }
  std::vector<const mvccpb::KeyValue*> out;
  for (const auto& [name, kv] : live) out.push_back(kv);
  return out;
}

absl::Status ProtocolStore::RangeAt(const RangeRequest& request, int64_t view,
                                    etcdserverpb::RangeResponse* response) const {
  if (request.revision() > view) return Future();
  const int64_t at = request.revision() <= 0 ? view : request.revision();
  if (at < compacted_) return Compacted();
  std::vector<const mvccpb::KeyValue*> kvs = LiveIn(request.key(), request.range_end(), at);
  response->mutable_header()->set_revision(view);
  response->set_count(static_cast<int64_t>(kvs.size()));
  if (request.count_only()) return absl::OkStatus();
  const size_t limit = request.limit() > 0 ? static_cast<size_t>(request.limit()) : kvs.size();
  const bool filtered = request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
                        request.min_create_revision() != 0 || request.max_create_revision() != 0;
  if (request.sort_order() == RangeRequest::NONE && !filtered && kvs.size() > limit) {
    kvs.resize(limit + 1);
  }
  std::vector<const mvccpb::KeyValue*> kept;
  for (const mvccpb::KeyValue* kv : kvs) {
    const bool out =
        (request.max_mod_revision() != 0 && kv->mod_revision() > request.max_mod_revision()) ||
        (request.min_mod_revision() != 0 && kv->mod_revision() < request.min_mod_revision()) ||
        (request.max_create_revision() != 0 &&
         kv->create_revision() > request.max_create_revision()) ||
        (request.min_create_revision() != 0 &&
         kv->create_revision() < request.min_create_revision());
    if (!out) kept.push_back(kv);
  }
  const auto less = [&](const mvccpb::KeyValue* a, const mvccpb::KeyValue* b) {
    switch (request.sort_target()) {
      case RangeRequest::VERSION:
        return a->version() < b->version();
      case RangeRequest::CREATE:
        return a->create_revision() < b->create_revision();
      case RangeRequest::MOD:
        return a->mod_revision() < b->mod_revision();
      case RangeRequest::VALUE:
        return a->value() < b->value();
      default:
        return a->key() < b->key();
    }
  };
  std::stable_sort(kept.begin(), kept.end(), [&](const auto* a, const auto* b) {
    return request.sort_order() == RangeRequest::DESCEND ? less(b, a) : less(a, b);
  });
  if (kept.size() > limit) {
    kept.resize(limit);
    response->set_more(true);
  }
  for (const mvccpb::KeyValue* kv : kept) {
    mvccpb::KeyValue* out = response->add_kvs();
    *out = *kv;
    if (!request.keys_only()) continue;
    out->clear_value();
    if (request.sort_target() != RangeRequest::VALUE) out->clear_lease();
  }
  return absl::OkStatus();
}

absl::Status ProtocolStore::Range(const RangeRequest& request,
                                  etcdserverpb::RangeResponse* response) const {
  return RangeAt(request, revision_, response);
}

void ProtocolStore::DoPut(const etcdserverpb::PutRequest& request,
                          etcdserverpb::PutResponse* response) {
  const mvccpb::KeyValue* before = At(request.key(), view());
  mvccpb::KeyValue previous;
  if (before != nullptr) previous = *before;
  Change change{revision_ + 1, sub_++, false, {}};
  change.kv.set_key(request.key());
  change.kv.set_create_revision(before == nullptr ? revision_ + 1 : previous.create_revision());
  change.kv.set_mod_revision(revision_ + 1);
  change.kv.set_version(before == nullptr ? 1 : previous.version() + 1);
  change.kv.set_value(request.ignore_value() ? previous.value() : request.value());
  change.kv.set_lease(request.ignore_lease() ? previous.lease() : request.lease());
  changes_.push_back(change);
  response->mutable_header()->set_revision(view());
  if (request.prev_kv() && before != nullptr) *response->mutable_prev_kv() = previous;
}

absl::Status ProtocolStore::Put(const etcdserverpb::PutRequest& request,
                                etcdserverpb::PutResponse* response) {
  if (request.lease() != 0 && !leases_.contains(request.lease())) return LeaseNotFound();
  if ((request.ignore_value() || request.ignore_lease()) &&
      At(request.key(), revision_) == nullptr) {
    return KeyNotFound();
  }
  DoPut(request, response);
  Commit();
  return absl::OkStatus();
}

void ProtocolStore::DoDelete(const etcdserverpb::DeleteRangeRequest& request,
                             etcdserverpb::DeleteRangeResponse* response) {
  std::vector<mvccpb::KeyValue> doomed;
  for (const mvccpb::KeyValue* kv : LiveIn(request.key(), request.range_end(), view())) {
    doomed.push_back(*kv);
  }
  for (const mvccpb::KeyValue& kv : doomed) {
    Change change{revision_ + 1, sub_++, true, {}};
    change.kv.set_key(kv.key());
    changes_.push_back(change);
    if (request.prev_kv()) *response->add_prev_kvs() = kv;
  }
  response->set_deleted(static_cast<int64_t>(doomed.size()));
  response->mutable_header()->set_revision(view());
}

absl::Status ProtocolStore::DeleteRange(const etcdserverpb::DeleteRangeRequest& request,
                                        etcdserverpb::DeleteRangeResponse* response) {
  DoDelete(request, response);
  Commit();
  return absl::OkStatus();
}

bool ProtocolStore::Holds(const Compare& compare) const {
  std::vector<const mvccpb::KeyValue*> kvs = LiveIn(compare.key(), compare.range_end(), revision_);
  const mvccpb::KeyValue nothing;
  if (kvs.empty()) {
    if (compare.target() == Compare::VALUE) return false;
    kvs.push_back(&nothing);
  }
  return std::all_of(kvs.begin(), kvs.end(), [&](const mvccpb::KeyValue* kv) {
    int64_t left = 0;
    int64_t right = 0;
    switch (compare.target()) {
      case Compare::VERSION:
        left = kv->version();
        right = compare.version();
        break;
      case Compare::CREATE:
        left = kv->create_revision();
        right = compare.create_revision();
        break;
      case Compare::MOD:
        left = kv->mod_revision();
        right = compare.mod_revision();
        break;
      case Compare::LEASE:
        left = kv->lease();
        right = compare.lease();
        break;
      default:
        left = kv->value().compare(compare.value());
    }
    return Stands(left, static_cast<Relation>(compare.result()), right);
  });
}

void ProtocolStore::Decide(const etcdserverpb::TxnRequest& request, std::vector<bool>* path) const {
  const bool ok = std::all_of(request.compare().begin(), request.compare().end(),
                              [&](const Compare& compare) { return Holds(compare); });
  path->push_back(ok);
  for (const auto& op : ok ? request.success() : request.failure()) {
    if (op.has_request_txn()) Decide(op.request_txn(), path);
  }
}

absl::Status ProtocolStore::Check(const etcdserverpb::TxnRequest& request,
                                  const std::vector<bool>& path, size_t* step) const {
  for (const auto& op : path[(*step)++] ? request.success() : request.failure()) {
    if (op.has_request_range()) {
      const int64_t at = op.request_range().revision();
      if (at != 0 && at > revision_) return Future();
      if (at != 0 && at < compacted_) return Compacted();
    } else if (op.has_request_put()) {
      const auto& put = op.request_put();
      if (put.lease() != 0 && !leases_.contains(put.lease())) return LeaseNotFound();
      if ((put.ignore_value() || put.ignore_lease()) && At(put.key(), revision_) == nullptr) {
        return KeyNotFound();
      }
    } else if (op.has_request_txn()) {
      const absl::Status status = Check(op.request_txn(), path, step);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

void ProtocolStore::Perform(const etcdserverpb::TxnRequest& request, const std::vector<bool>& path,
                            size_t* step, etcdserverpb::TxnResponse* response) {
  const bool ok = path[(*step)++];
  response->mutable_header();
  response->set_succeeded(ok);
  for (const auto& op : ok ? request.success() : request.failure()) {
    auto* out = response->add_responses();
    if (op.has_request_range()) {
      CHECK(RangeAt(op.request_range(), view(), out->mutable_response_range()).ok());
    } else if (op.has_request_put()) {
      DoPut(op.request_put(), out->mutable_response_put());
    } else if (op.has_request_delete_range()) {
      DoDelete(op.request_delete_range(), out->mutable_response_delete_range());
    } else if (op.has_request_txn()) {
      Perform(op.request_txn(), path, step, out->mutable_response_txn());
    }
  }
}

absl::Status ProtocolStore::Txn(const etcdserverpb::TxnRequest& request,
                                etcdserverpb::TxnResponse* response) {
  std::vector<bool> path;
  Decide(request, &path);
  size_t step = 0;
  const absl::Status status = Check(request, path, &step);
  if (!status.ok()) return status;
  step = 0;
  Perform(request, path, &step, response);
  response->mutable_header()->set_revision(view());
  Commit();
  return absl::OkStatus();
}

absl::Status ProtocolStore::Grant(int64_t id, int64_t ttl) {
  if (!leases_.emplace(id, ttl).second) {
    return absl::FailedPreconditionError("etcdserver: lease already exists");
  }
  return absl::OkStatus();
}

std::vector<std::string> ProtocolStore::KeysOf(int64_t lease) const {
  std::vector<std::string> keys;
  for (const mvccpb::KeyValue* kv : LiveIn("", std::string(1, '\0'), revision_)) {
    if (kv->lease() == lease) keys.push_back(kv->key());
  }
  return keys;
}

absl::Status ProtocolStore::Revoke(int64_t id) {
  if (leases_.erase(id) == 0) return LeaseNotFound();
  for (const std::string& key : KeysOf(id)) {
    etcdserverpb::DeleteRangeRequest request;
    etcdserverpb::DeleteRangeResponse response;
    request.set_key(key);
    DoDelete(request, &response);
  }
  Commit();
  return absl::OkStatus();
}

void ProtocolStore::Commit() {
  for (size_t i = changes_.size() - static_cast<size_t>(sub_); i < changes_.size(); ++i) {
    physical_.push_back(changes_[i]);
  }
  if (sub_ > 0) ++revision_;
  sub_ = 0;
}

// Whether this change is its key's newest at or before `at`, and not a tombstone.
bool ProtocolStore::KeptBy(const Change& change, int64_t at, bool keep_tombstone_at_end) const {
  const Change* newest = nullptr;
  for (const Change& other : changes_) {
    if (other.main <= at && other.kv.key() == change.kv.key()) newest = &other;
  }
  if (newest == nullptr || newest->main != change.main || newest->sub != change.sub) return false;
  return !change.tombstone || (keep_tombstone_at_end && change.main == at);
}

absl::Status ProtocolStore::Compact(int64_t at) {
  if (at <= compacted_) return Compacted();
  if (at > revision_) return Future();
  stored_[at] = {HashOf(physical_, at, compacted_, true), compacted_, at};
  if (stored_.size() > 10) stored_.erase(stored_.begin());
  std::vector<Change> left;
  for (const Change& change : physical_) {
    if (change.main > at || KeptBy(change, at, true)) left.push_back(change);
  }
  physical_ = left;
  compacted_ = at;
  return absl::OkStatus();
}

uint32_t ProtocolStore::HashOf(const std::vector<Change>& records, int64_t at, int64_t compacted,
                               bool keep_tombstone_at_end) const {
  std::set<std::pair<int64_t, int64_t>> keep;
  for (const Change& change : changes_) {
    if (change.main <= at && KeptBy(change, at, keep_tombstone_at_end)) {
      keep.insert({change.main, change.sub});
    }
  }
  uint32_t crc = Crc32c("key");
  for (const Change& change : records) {
    if (change.main > at) continue;
    if (change.main <= compacted && !keep.empty() && !keep.contains({change.main, change.sub})) {
      continue;
    }
    if (change.main == compacted && change.tombstone) continue;
    std::string key = BigEndian(change.main) + "_" + BigEndian(change.sub);
    if (change.tombstone) key += "t";
    crc = Crc32cExtend(crc, key);
    crc = Crc32cExtend(crc, change.kv.SerializeAsString());
  }
  return crc;
}

absl::Status ProtocolStore::HashKv(int64_t revision, Hash* hash) const {
  const auto stored = stored_.find(revision);
  if (stored != stored_.end()) {
    *hash = stored->second;
    return absl::OkStatus();
  }
  if (revision > 0 && revision < compacted_) return Compacted();
  if (revision > revision_) return Future();
  const int64_t at = revision <= 0 ? revision_ : revision;
  *hash = {HashOf(physical_, at, compacted_, false), compacted_, at};
  return absl::OkStatus();
}

}  // namespace quorate::sim
