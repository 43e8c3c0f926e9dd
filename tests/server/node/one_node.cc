#include "tests/server/node/one_node.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::node {

OneNode::OneNode() : world_(7), host_(world_.context(), &world_.network(), "m1", {}) {}

OneNode::~OneNode() {
  if (host_.running()) host_.Crash(sim::CrashKind::kKill);
  Forget();
}

void OneNode::Forget() {
  node_.reset();
  lock_.reset();
}

void OneNode::Boot(int members) {
  env_ = host_.Boot();
  host_.Run([this, members] {
    storage::OpenOptions options;
    options.data_dir = "/data";
    options.cluster_id = ClusterId(77);
    options.member_id = MemberId(1);
    options.create = true;
    Adjust(&options);
    opening_ = storage::OpenStorage(env_, options,
                                    [this, members](absl::StatusOr<storage::OpenedStorage> opened) {
                                      ASSERT_TRUE(opened.ok()) << opened.status();
                                      OnOpened(*std::move(opened), members);
                                    });
  });
  ASSERT_TRUE(world_.RunUntil([this] { return node_ != nullptr; }));
}

void OneNode::OnOpened(storage::OpenedStorage opened, int members) {
  lock_ = std::move(opened.lock);
  wal_ = std::move(opened.wal);
  checkpoints_ = std::move(opened.checkpoints);
  recovered_ = engine::Recovered();
  recovered_.hard_state = opened.state.hard_state;
  recovered_.entries = std::move(opened.state.entries);
  if (!recovered_.entries.empty()) return MakeNode();
  std::vector<engine::BootstrapMember> founders;
  for (int i = 1; i <= members; ++i) {
    const std::string name = absl::StrCat("m", i);
    founders.push_back(
        {MemberId(static_cast<uint64_t>(i)), name, {absl::StrCat("http://", name, ":1")}});
  }
  recovered_ = engine::Replica::Bootstrap(founders);
  wal_->Append(recovered_.entries, &recovered_.hard_state, true,
               [this](const absl::Status& status) {
                 ASSERT_TRUE(status.ok()) << status;
                 env_.loop->Defer([this] { MakeNode(); });
               });
}

void OneNode::MakeNode() {
  Options options;
  options.replica.cluster_id = ClusterId(77);
  options.replica.member_id = MemberId(1);
  options.replica.server_version = "3.7.1";
  options.on_halt = [this](const absl::Status& why) { halts_.push_back(why); };
  Adjust(&options);
  node_ = std::make_unique<Node>(env_, options, std::move(recovered_), std::move(wal_),
                                 std::move(checkpoints_), &transport_);
}

void OneNode::WaitForLeadership() {
  ASSERT_TRUE(world_.RunUntil([this] { return node_->status().role == engine::Role::kLeader; }));
}

}  // namespace quorate::node
