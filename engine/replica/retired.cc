// What is given up in the midst of something, or was replaced: to free all of it at once would
// take as long as it is large.
#include <utility>

#include "engine/replica/impl.h"

namespace quorate::engine {
namespace {

// A run of reads or commands, or a state.
template <typename Large>
class RetiredOf final : public Retired {
 public:
  explicit RetiredOf(std::unique_ptr<Large> large) : large_(std::move(large)) {}
  bool Release(mvcc::Work* work) override { return large_->Release(work); }

 private:
  std::unique_ptr<Large> large_;
};

}  // namespace

void Replica::Impl::Retire(std::unique_ptr<apply::ReadRun> run) {
  if (run != nullptr)
    retired_.push_back(std::make_unique<RetiredOf<apply::ReadRun>>(std::move(run)));
}

void Replica::Impl::Retire(std::unique_ptr<apply::CommandRun> run) {
  if (run == nullptr) return;
  retired_.push_back(std::make_unique<RetiredOf<apply::CommandRun>>(std::move(run)));
}

void Replica::Impl::Retire(std::unique_ptr<apply::Applier> state) {
  retired_.push_back(std::make_unique<RetiredOf<apply::Applier>>(std::move(state)));
}

void Replica::Impl::Retire(std::unique_ptr<apply::ImageLoader> loader) {
  retired_.push_back(std::make_unique<RetiredOf<apply::ImageLoader>>(std::move(loader)));
}

void Replica::Impl::ReleaseRetired(mvcc::Work* work) {
  if (!applier_.store().log().pins()->Release(work)) return;
  if (!applier_.ReleaseDeleted(work)) return;
  while (!retired_.empty() && !work->spent()) {
    if (!retired_.front()->Release(work)) return;
    retired_.pop_front();
    work->SpendFind();
  }
}

}  // namespace quorate::engine
