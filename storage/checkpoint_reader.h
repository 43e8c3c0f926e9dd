// Reads the newest checkpoint of a data directory and checks every byte of it. If it is
// damaged, the one before it, which the log still reaches. Files are read side by side, and what
// has come is checked on io::Compute while the next is read.
#ifndef QUORATE_STORAGE_CHECKPOINT_READER_H_
#define QUORATE_STORAGE_CHECKPOINT_READER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/image.h"
#include "io/compute.h"
#include "io/disk.h"
#include "storage/data_dir.h"
#include "storage/lifetime.h"
#include "storage/log_reader.h"
#include "storage/manifest.h"

namespace quorate::storage {

struct CheckpointContents {
  std::optional<Manifest> manifest;   // nothing: there is no (usable) checkpoint
  engine::StateImage image;           // of the manifest
  absl::btree_set<PackNumber> packs;  // files that are there, referred to or not
  // The checkpoint before that one, if it is there; its segments were not read.
  std::optional<Manifest> previous;
  // `manifest` is manifest.previous: the newest is damaged, or missing after a crash.
  bool from_previous = false;
  // Why the newest checkpoint cannot be used: DataLoss. Then `manifest` is the one before
  // it, or nothing if that one cannot be used either, or there is none. Whether the log
  // reaches so far back is for the caller to find out.
  absl::Status damage;
  // The newest one if just its packs are damaged: what it says of the log holds all the same.
  std::optional<Manifest> damaged;
  // What is damaged, or some of it, is what the disk did not read (DataLoss of io::Disk's): it may
  // another time.
  bool unreadable = false;
};

// Whether the log goes on from the checkpoint that was read (FollowsCheckpoint), if there is one;
// false: it begins anew behind it. Going on from less than the newest must not lose what the newest
// proves to have been in the log: then that one's damage is returned.
absl::StatusOr<bool> LogFollows(const LogContents& log, const CheckpointContents& checkpoint,
                                const DataPaths& paths);

class CheckpointReader {
 public:
  using Callback = std::function<void(absl::Status, CheckpointContents)>;
  // Pure, for a segment that is whole.
  using Prepare =
      std::function<std::shared_ptr<engine::PreparedSegment>(const engine::LogSegment&)>;
  struct Options {
    // Whose the checkpoint must be, if given.
    std::optional<Identity> identity;
    // Make the packs durable, too, since what can be read need not be.
    bool sync = false;
    // Makes StateImage::prepared.
    Prepare prepare;
    // Told how many bytes were read more.
    std::function<void(uint64_t bytes)> progress;
    // Told with which entry the checkpoint ends that is being read, before its segments are; again
    // if it turns out to be damaged and there is another one.
    std::function<void(LogIndex index)> begun;
  };

  // Calls back once unless destroyed before; errors are recovery's.
  CheckpointReader(io::Disk* disk, io::Compute* compute, const DataPaths& paths, Options options,
                   Callback callback);

 private:
  const std::string& ManifestPath() const {
    return at_previous_ ? paths_.manifest_previous : paths_.manifest;
  }
  void OpenManifest();
  void NoManifest();
  absl::Status TakeManifest(const Bytes& bytes);
  void OpenNextPack();
  void OrderReads();
  void ReadSegments();
  void TakeSegment(size_t index, absl::StatusOr<Bytes> bytes);
  void CheckSegment(size_t index);
  void TakeChecked(size_t index, uint32_t crc, std::shared_ptr<engine::PreparedSegment> prepared);
  void FailSegment(size_t index, absl::string_view what);
  void FailUnreadable(absl::string_view path, uint64_t offset, absl::string_view what);
  void SyncPacks();
  void ReadPrevious();
  std::string PackPath(PackNumber pack) const;
  void Fail(absl::Status status);
  void Finish(absl::Status status);

  io::Disk* const disk_;
  io::Compute* const compute_;
  const DataPaths paths_;
  const Options options_;
  Callback callback_;

  CheckpointContents contents_;
  bool at_previous_ = false;  // the newest one is damaged
  std::unique_ptr<io::File> manifest_;
  absl::btree_map<PackNumber, std::unique_ptr<io::File>> packs_;  // referred to
  PackNumber last_opened_ = 0;
  std::vector<size_t> order_;  // of the segments, see OrderReads
  size_t next_ = 0;            // of that: the one to be asked for
  size_t in_flight_ = 0;       // segments asked for and not yet there, or not yet checked
  uint64_t attempt_ = 0;       // counts the checkpoints that were begun
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_CHECKPOINT_READER_H_
