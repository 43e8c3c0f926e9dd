// Random KV requests of every kind and option, for properties that compare with the model.
#ifndef QUORATE_TESTS_ENGINE_MVCC_DRAW_REQUESTS_H_
#define QUORATE_TESTS_ENGINE_MVCC_DRAW_REQUESTS_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "api/rpc.pb.h"
#include "base/prng.h"

namespace quorate::mvcc_model {

// Draws requests over a small key space, so that they meet.
class Requests {
 public:
  // Of leases, ids up to `leases` are tried, beside one that is never there.
  explicit Requests(uint64_t seed, int64_t leases = 0) : prng_(seed), leases_(leases) {}

  Prng& prng() { return prng_; }

  std::string Key() {
    static constexpr const char* kKeys[] = {"a", "aa", "ab", "b", "ba", "c", "d", "e"};
    return kKeys[prng_.Below(8)];
  }
  std::string RangeEnd() {
    switch (prng_.Below(5)) {
      case 0:
        return std::string(1, '\0');
      case 1:
      case 2:
        return Key();
      default:
        return "";
    }
  }
  int64_t Lease() { return prng_.Between(1, leases_); }
  int64_t RevisionNear(int64_t revision) {
    return prng_.Chance(1, 2) ? 0 : prng_.Between(-1, revision + 1);
  }

  void Fill(etcdserverpb::RangeRequest* r, int64_t revision) {
    r->set_key(Key());
    r->set_range_end(RangeEnd());
    if (prng_.Chance(1, 3)) r->set_limit(prng_.Between(-1, 4));
    r->set_revision(RevisionNear(revision));
    if (prng_.Chance(1, 3)) {
      r->set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(prng_.Below(3)));
      r->set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(prng_.Below(5)));
    }
    r->set_keys_only(prng_.Chance(1, 4));
    r->set_count_only(prng_.Chance(1, 6));
    if (prng_.Chance(1, 6)) r->set_min_mod_revision(prng_.Between(0, revision));
    if (prng_.Chance(1, 6)) r->set_max_mod_revision(prng_.Between(0, revision));
    if (prng_.Chance(1, 6)) r->set_min_create_revision(prng_.Between(0, revision));
    if (prng_.Chance(1, 6)) r->set_max_create_revision(prng_.Between(0, revision));
  }
  void Fill(etcdserverpb::PutRequest* r) {
    r->set_key(Key());
    r->set_prev_kv(prng_.Chance(1, 2));
    r->set_ignore_value(prng_.Chance(1, 6));
    r->set_ignore_lease(prng_.Chance(1, 8));
    if (!r->ignore_value()) r->set_value(std::to_string(prng_.Below(6)));
    if (r->ignore_lease()) return;
    if (prng_.Chance(1, 20)) r->set_lease(9);
    if (leases_ > 0 && prng_.Chance(1, 2)) r->set_lease(Lease());
  }
  void Fill(etcdserverpb::DeleteRangeRequest* r) {
    r->set_key(Key());
    r->set_range_end(RangeEnd());
    r->set_prev_kv(prng_.Chance(1, 2));
  }
  void Fill(etcdserverpb::Compare* c, int64_t revision) {
    c->set_key(Key());
    if (prng_.Chance(1, 3)) c->set_range_end(RangeEnd());
    c->set_result(static_cast<etcdserverpb::Compare::CompareResult>(prng_.Below(4)));
    c->set_target(static_cast<etcdserverpb::Compare::CompareTarget>(prng_.Below(5)));
    switch (prng_.Chance(1, 10) ? prng_.Below(5) : static_cast<uint64_t>(c->target())) {
      case 0:
        c->set_version(prng_.Between(0, 3));
        break;
      case 1:
        c->set_create_revision(RevisionNear(revision));
        break;
      case 2:
        c->set_mod_revision(RevisionNear(revision));
        break;
      case 3:
        c->set_value(std::to_string(prng_.Below(6)));
        break;
      default:
        c->set_lease(prng_.Between(0, std::max<int64_t>(1, leases_)));
    }
  }
  void Fill(etcdserverpb::TxnRequest* r, int64_t revision, int depth) {
    for (uint64_t n = prng_.Below(3); n > 0; --n) Fill(r->add_compare(), revision);
    for (uint64_t n = prng_.Below(4); n > 0; --n) Fill(r->add_success(), revision, depth);
    for (uint64_t n = prng_.Below(4); n > 0; --n) Fill(r->add_failure(), revision, depth);
  }
  void Fill(etcdserverpb::RequestOp* op, int64_t revision, int depth) {
    switch (prng_.Below(depth > 0 ? 4 : 3)) {
      case 0:
        Fill(op->mutable_request_range(), revision);
        if (prng_.Chance(2, 3)) op->mutable_request_range()->clear_revision();
        break;
      case 1:
        Fill(op->mutable_request_put());
        break;
      case 2:
        Fill(op->mutable_request_delete_range());
        break;
      default:
        Fill(op->mutable_request_txn(), revision, depth - 1);
    }
  }

 private:
  Prng prng_;
  const int64_t leases_;
};

}  // namespace quorate::mvcc_model

#endif  // QUORATE_TESTS_ENGINE_MVCC_DRAW_REQUESTS_H_
