// A hub over a store, and what its streams receive, decoded.
#ifndef QUORATE_TESTS_ENGINE_MVCC_WATCH_FIXTURE_H_
#define QUORATE_TESTS_ENGINE_MVCC_WATCH_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/rpc.pb.h"
#include "engine/mvcc/compaction.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/watch.h"

namespace quorate::mvcc {

using etcdserverpb::WatchResponse;

inline constexpr size_t kPlenty = size_t{1} << 30;

using Strings = std::vector<std::string>;

class WatchTest : public testing::Test, public WatchSink {
 protected:
  void OnWatchReply(uint64_t stream, Bytes head, Bytes events) override {
    WatchResponse response;
    ASSERT_TRUE(response.ParseFromString(std::string(head.view()) + std::string(events.view())));
    received_[stream].push_back(response);
    if (!events.empty()) event_buffers_.push_back(events.data());
  }
  void OnWatchEnd(uint64_t stream, absl::Status status) override {
    ended_.emplace_back(stream, std::move(status));
  }
  Identity WatchIdentity() const override { return {ClusterId(1), MemberId(2), Term(3)}; }

  void UseOptions(const WatchOptions& options) {
    hub_ = std::make_unique<WatchHub>(&store_, options, this);
  }
  void SetUp() override { UseOptions(WatchOptions()); }

  void Put(const std::string& key, const std::string& value) {
    WriteTxn txn(&store_);
    txn.Put(key, value, LeaseId());
    txn.Commit();
  }
  void Delete(const std::string& key) {
    WriteTxn txn(&store_);
    txn.DeleteRange(KeyRange::FromRequest(key, ""));
    txn.Commit();
  }
  void Compact(int64_t at) {
    ASSERT_TRUE(compactor_.Start(Revision(at)).ok());
    while (compactor_.busy()) compactor_.Step(100);
  }
  void Request(uint64_t stream, const etcdserverpb::WatchRequest& request) {
    hub_->Request(stream, Bytes::Copy(request.SerializeAsString()), now_);
  }
  etcdserverpb::WatchCreateRequest Range(const std::string& key, const std::string& end = "",
                                         int64_t start = 0) {
    etcdserverpb::WatchCreateRequest create;
    create.set_key(key);
    create.set_range_end(end);
    create.set_start_revision(start);
    return create;
  }
  void Create(uint64_t stream, const etcdserverpb::WatchCreateRequest& create) {
    etcdserverpb::WatchRequest request;
    *request.mutable_create_request() = create;
    Request(stream, request);
  }
  void Cancel(uint64_t stream, int64_t id) {
    etcdserverpb::WatchRequest request;
    request.mutable_cancel_request()->set_watch_id(id);
    Request(stream, request);
  }
  void AskProgress(uint64_t stream) {
    etcdserverpb::WatchRequest request;
    request.mutable_progress_request();
    Request(stream, request);
  }
  void PumpAll(size_t budget = kPlenty) {
    for (int i = 0; hub_->HasWork() && i < 100000; ++i) hub_->Pump(budget);
    EXPECT_FALSE(hub_->HasWork());
  }
  std::vector<WatchResponse> Take(uint64_t stream) { return std::exchange(received_[stream], {}); }
  // "put k v@rev" and "delete k@rev" of all events, in order.
  static std::vector<std::string> Events(const std::vector<WatchResponse>& responses) {
    std::vector<std::string> out;
    for (const WatchResponse& response : responses) {
      for (const mvccpb::Event& event : response.events()) {
        const std::string at = "@" + std::to_string(event.kv().mod_revision());
        out.push_back(event.type() == mvccpb::Event::PUT
                          ? "put " + event.kv().key() + " " + event.kv().value() + at
                          : "delete " + event.kv().key() + at);
      }
    }
    return out;
  }

  Store store_{/*segment_bytes=*/256};
  Compactor compactor_{&store_};
  std::unique_ptr<WatchHub> hub_;
  Instant now_ = Instant::FromNanos(1);
  std::map<uint64_t, std::vector<WatchResponse>> received_;
  std::vector<const char*> event_buffers_;
  std::vector<std::pair<uint64_t, absl::Status>> ended_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_TESTS_ENGINE_MVCC_WATCH_FIXTURE_H_
