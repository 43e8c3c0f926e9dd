#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "storage/data_dir.h"
#include "storage/recovery.h"

namespace quorate::storage {
namespace {

// Reads the identity, and nothing else.
class Peeking final : public PendingOpen {
 public:
  using Callback = std::function<void(absl::StatusOr<Identity>)>;

  Peeking(const io::Env& env, const std::string& data_dir, Callback callback)
      : paths_(data_dir), callback_(std::move(callback)), meta_(env.disk, paths_) {
    surveyor_ = std::make_unique<Surveyor>(env.disk, paths_, [this](absl::StatusOr<Survey> survey) {
      if (!survey.ok()) return Finish(survey.status());
      if (!survey->etcd_file.empty()) return Finish(EtcdDirectoryError(survey->etcd_file));
      if (!survey->has_meta) return Finish(NotInitialisedError(paths_));
      meta_.Read([this](absl::StatusOr<Identity> found) { Finish(std::move(found)); });
    });
  }

 private:
  void Finish(absl::StatusOr<Identity> result) {
    const Callback callback = std::move(callback_);
    callback(std::move(result));
  }

  const DataPaths paths_;
  Callback callback_;
  MetaFile meta_;
  std::unique_ptr<Surveyor> surveyor_;
};

}  // namespace

std::unique_ptr<PendingOpen> PeekIdentity(const io::Env& env, const std::string& data_dir,
                                          std::function<void(absl::StatusOr<Identity>)> callback) {
  return std::make_unique<Peeking>(env, data_dir, std::move(callback));
}

}  // namespace quorate::storage
