#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "storage/data_dir.h"
#include "storage/identity_reader.h"
#include "storage/recovery.h"

namespace quorate::storage {
namespace {

// Reads the identity, and nothing else.
class Peeking final : public PendingOpen {
 public:
  using Callback = std::function<void(absl::StatusOr<Identity>)>;

  Peeking(const io::Env& env, const std::string& data_dir, Callback callback)
      : paths_(data_dir), callback_(std::move(callback)) {
    surveyor_ = std::make_unique<Surveyor>(
        env.disk, paths_, [this, disk = env.disk](absl::StatusOr<Survey> survey) {
          if (!survey.ok()) return Finish(survey.status());
          if (!survey->etcd_file.empty()) return Finish(EtcdDirectoryError(survey->etcd_file));
          if (!survey->has_meta) return Finish(NotInitialisedError(paths_));
          reader_ = std::make_unique<IdentityReader>(
              disk, paths_, [this](const absl::StatusOr<FoundIdentity>& found) {
                if (!found.ok()) return Finish(found.status());
                Finish(found->identity);
              });
        });
  }

 private:
  void Finish(absl::StatusOr<Identity> result) {
    const Callback callback = std::move(callback_);
    callback(std::move(result));
  }

  const DataPaths paths_;
  Callback callback_;
  std::unique_ptr<IdentityReader> reader_;
  std::unique_ptr<Surveyor> surveyor_;
};

}  // namespace

std::unique_ptr<PendingOpen> PeekIdentity(const io::Env& env, const std::string& data_dir,
                                          std::function<void(absl::StatusOr<Identity>)> callback) {
  return std::make_unique<Peeking>(env, data_dir, std::move(callback));
}

}  // namespace quorate::storage
