// Long random command sequences against the model: every response byte for byte, every
// hash, at every revision that is kept.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <string>

#include "api/rpc.pb.h"
#include "base/prng.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/txn.h"
#include "sim/model/protocol_store.h"
#include "tests/engine/mvcc/draw_requests.h"

namespace quorate::mvcc {
namespace {

using mvcc_model::Requests;

// Store and model side by side.
class Pair {
 public:
  Pair() : store_(/*segment_bytes=*/200) {}

  template <typename Decoded, typename Request, typename Response, typename Apply, typename Model>
  void Run(const Request& request, Apply&& apply, Model&& model) {
    const std::string bytes = request.SerializeAsString();
    Decoded decoded;
    RC_ASSERT(Decode(bytes, &decoded).ok());
    BytesBuilder out;
    const absl::Status status = apply(decoded, &out);
    Response expected;
    const absl::Status expected_status = model(&expected);
    RC_ASSERT(status.ToString() == expected_status.ToString());
    if (!status.ok()) {
      RC_ASSERT(out.size() == 0u);
      return;
    }
    Response response;
    RC_ASSERT(response.ParseFromArray(out.data(), static_cast<int>(out.size())));
    RC_ASSERT(response.DebugString() == expected.DebugString());
    RC_ASSERT(std::string(out.view()) == expected.SerializeAsString());
  }

  void RunRange(Requests* draw) {
    etcdserverpb::RangeRequest request;
    draw->Fill(&request, model_.revision());
    Run<RangeRequest, etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>(
        request,
        [&](const RangeRequest& r, BytesBuilder* out) {
          return Range(store_, store_.revision(), r, Identity(), out);
        },
        [&](etcdserverpb::RangeResponse* out) { return model_.Range(request, out); });
  }
  void RunPut(Requests* draw) {
    etcdserverpb::PutRequest request;
    draw->Fill(&request);
    Run<PutRequest, etcdserverpb::PutRequest, etcdserverpb::PutResponse>(
        request,
        [&](const PutRequest& r, BytesBuilder* out) {
          return ApplyPut(&store_, r, Identity(), out);
        },
        [&](etcdserverpb::PutResponse* out) { return model_.Put(request, out); });
  }
  void RunDelete(Requests* draw) {
    etcdserverpb::DeleteRangeRequest request;
    draw->Fill(&request);
    Run<DeleteRangeRequest, etcdserverpb::DeleteRangeRequest, etcdserverpb::DeleteRangeResponse>(
        request,
        [&](const DeleteRangeRequest& r, BytesBuilder* out) {
          return ApplyDeleteRange(&store_, r, Identity(), out);
        },
        [&](etcdserverpb::DeleteRangeResponse* out) { return model_.DeleteRange(request, out); });
  }
  void RunTxn(Requests* draw) {
    etcdserverpb::TxnRequest request;
    draw->Fill(&request, model_.revision(), 2);
    const std::string bytes = request.SerializeAsString();
    TxnRequest decoded;
    RC_ASSERT(Decode(bytes, &decoded).ok());
    if (!Validate(decoded, 128).ok()) return;  // never reaches the store
    Run<TxnRequest, etcdserverpb::TxnRequest, etcdserverpb::TxnResponse>(
        request,
        [&](const TxnRequest& r, BytesBuilder* out) {
          return ApplyTxn(&store_, r, Identity(), out);
        },
        [&](etcdserverpb::TxnResponse* out) { return model_.Txn(request, out); });
  }
  void RunCompact(Requests* draw) {
    const int64_t at = draw->prng().Between(model_.compact_revision() - 1, model_.revision() + 1);
    RC_ASSERT(compactor_.Start(Revision(at)).ToString() == model_.Compact(at).ToString());
  }
  void CompareHash(int64_t at) {
    sim::ProtocolStore::Hash expected;
    const absl::Status status = model_.HashKv(at, &expected);
    const absl::StatusOr<KvHash> hash = compactor_.HashKv(Revision(at));
    RC_ASSERT(hash.status().ToString() == status.ToString());
    if (!status.ok()) return;
    RC_ASSERT(hash->hash == expected.hash);
    RC_ASSERT(hash->compact_revision.value() == expected.compact_revision);
    RC_ASSERT(hash->hash_revision.value() == expected.hash_revision);
  }

  void RunOne(Requests* draw) {
    switch (draw->prng().Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return RunPut(draw);
      case 4:
      case 5:
        return RunDelete(draw);
      case 6:
      case 7:
      case 8:
      case 9:
        return RunTxn(draw);
      case 10:
        if (draw->prng().Chance(1, 3)) RunCompact(draw);
        return;
      case 11:
        return CompareHash(draw->prng().Between(0, model_.revision() + 1));
      default:
        return RunRange(draw);
    }
  }
  void Background(uint64_t records) { compactor_.Step(records); }
  void CompareEverything() {
    RC_ASSERT(store_.revision().value() == model_.revision());
    RC_ASSERT(store_.compact_revision().value() == model_.compact_revision());
    store_.index().CheckInvariants();
    for (int64_t at = 0; at <= model_.revision() + 1; ++at) CompareHash(at);
    while (compactor_.busy()) compactor_.Step(1000);
    for (int64_t at = 0; at <= model_.revision() + 1; ++at) CompareHash(at);
  }

 private:
  Store store_;
  Compactor compactor_{&store_};
  sim::ProtocolStore model_;
};

RC_GTEST_PROP(StoreProperty, AnswersLikeTheModel, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const auto steps = *rc::gen::inRange<int>(1, 150);
  Requests draw(seed);
  Pair pair;
  for (int i = 0; i < steps; ++i) {
    pair.RunOne(&draw);
    pair.Background(draw.prng().Below(4));
  }
  pair.CompareEverything();
}

}  // namespace
}  // namespace quorate::mvcc
