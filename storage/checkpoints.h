// Checkpoints: the member's state at one applied index, kept so that the log before it can
// be cut.
//
//   checkpoints->Write(std::move(image), Checkpoints::Origin::kLocal,
//                      [](const absl::Status& status) { ... });
//
// A checkpoint is a small manifest, replaced atomically, and segments of the revision log
// in pack files. Segments don't change: what an earlier checkpoint wrote is referred to,
// not written again. A pack is appended to until it is large; bytes that the newest
// manifest refers to are never written to again. A pack of which little is still needed
// is given up: what is left of it goes along with the next checkpoint, out of memory.
//
// The checkpoint before the newest stays, with what it refers to and with the log behind it
// (fallback_index), so that a start survives damage of what the newest one brought.
//
// Durability: OK comes once the segments, the manifest, its name and the directory are
// synced. Until then the checkpoint before holds, and everything that it refers to stays.
// After a failure nothing that was written since the last success is referred to; a later
// Write begins anew in a fresh file.
#ifndef QUORATE_STORAGE_CHECKPOINTS_H_
#define QUORATE_STORAGE_CHECKPOINTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "base/limits.h"
#include "engine/image/image.h"
#include "io/disk.h"
#include "io/loop.h"
#include "storage/data_dir.h"
#include "storage/lifetime.h"
#include "storage/manifest.h"

namespace quorate::storage {

// Since the directory was opened.
struct CheckpointStats {
  uint64_t taken = 0;      // of this member's own state
  uint64_t installed = 0;  // that came from a peer
  uint64_t failed = 0;
  uint64_t repaired = 0;        // files that were damaged and are replaced
  uint64_t bytes_written = 0;   // segments and manifests
  uint64_t manifest_bytes = 0;  // of those, manifests
  // As of the newest checkpoint.
  uint64_t packs = 0;
  uint64_t pack_bytes = 0;  // in those
  uint64_t live_bytes = 0;  // of those, still referred to
  // What only the checkpoint before it needs.
  uint64_t kept_packs = 0;
  uint64_t kept_bytes = 0;
};

class Checkpoints {
 public:
  enum class Origin : uint8_t { kLocal, kPeer };
  using Callback = std::function<void(const absl::Status&)>;

  struct Start {
    io::Loop* loop = nullptr;
    io::Disk* disk = nullptr;
    std::string data_dir;
    Identity identity;
    // The newest checkpoint and the one before it, if they are there, and packs that lie in
    // the directory.
    std::optional<Manifest> newest;
    std::optional<Manifest> previous;
    absl::btree_set<PackNumber> packs;
    uint64_t pack_bytes = 16 * limits::kMiB;
  };
  explicit Checkpoints(Start start);
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;
  // Drops what is under way; no callback comes afterwards.
  ~Checkpoints();

  // Makes `image` the newest checkpoint, after those asked for earlier. `done` is called
  // once, later, on the loop. Not older than the newest.
  void Write(engine::StateImage image, Origin origin, Callback done);
  // Writes the newest manifest again, unless there is none: recovery does so, since what
  // could be read need not be durable. Where there is no space for that, what is there is
  // synced instead.
  void Reinstall(Callback done);
  // The entry that the newest one ends with; 0 if there is none.
  LogIndex index() const { return newest_.has_value() ? newest_->index : LogIndex(0); }
  // The log must be kept behind this entry: from there on it leads from the checkpoint that
  // a start falls back to, or from nothing, to what the newest one holds.
  LogIndex fallback_index() const;

  // The file is damaged: the next checkpoint writes what it needs of it anew.
  void GiveUp(PackNumber pack) { damaged_.insert(pack); }
  // So is the manifest: it does not become the one before.
  void GiveUpManifest() { manifest_damaged_ = newest_.has_value(); }
  // Whether the newest one's manifest has its name. While another is installed, and after an
  // attempt at that which failed, there may be none of that name, or a later one.
  bool manifest_settled() const { return !unsettled_; }
  const Identity& identity() const { return identity_; }
  // What the newest checkpoint consists of.
  std::vector<PlacedSegment> Segments() const;
  // Whether it still needs this segment, in this place.
  bool RefersTo(const PlacedSegment& segment) const;

  const CheckpointStats& stats() const { return stats_; }

 private:
  struct Job {
    engine::StateImage image;
    Origin origin = Origin::kLocal;
    bool manifest_only = false;
    Callback done;
  };
  // A segment that goes to the disk, and its place in the manifest under way.
  struct Pending {
    engine::LogSegment segment;
    size_t at = 0;
  };

  void Begin();
  void PlanSegments();
  absl::btree_set<PackNumber> PacksToGiveUp(
      const absl::btree_map<PackNumber, uint64_t>& live) const;
  void MakeDirectory();
  void OpenPack();
  void WriteSegments();
  void SyncPack(bool last);
  void SyncPackName();
  void RemoveTemporary();
  void WriteManifest();
  void SyncInstalled(const absl::Status& why);
  void InstallManifest();
  bool NewestBecomesPrevious() const;
  void ReplaceManifest();
  void Succeed();
  void CountPacks();
  // Then the job ends with `result`.
  void RemoveUnused(const absl::Status& result);
  void GiveBack(const absl::Status& why);
  void Finish(const absl::Status& status);
  std::string PackPath(PackNumber pack) const;
  std::function<void(absl::Status)> Then(void (Checkpoints::*next)());

  io::Loop* const loop_;
  io::Disk* const disk_;
  const DataPaths paths_;
  const Identity identity_;
  const uint64_t pack_bytes_;

  std::optional<Manifest> newest_;
  std::optional<Manifest> previous_;
  absl::btree_map<uint64_t, PlacedSegment> known_;  // of the newest, by id
  absl::btree_map<PackNumber, uint64_t> packs_;     // in the directory, and their bytes
  absl::btree_set<PackNumber> damaged_;
  bool manifest_damaged_ = false;  // the newest one's
  PackNumber last_pack_ = 0;
  bool directory_made_ = false;

  std::deque<Job> jobs_;
  bool busy_ = false;
  // The job under way.
  Manifest next_;
  std::deque<Pending> pending_;
  uint64_t unsynced_ = 0;
  bool pack_is_new_ = false;
  bool newest_becomes_previous_ = false;  // of the job in progress
  // Since the last success: the newest has given its name to the one before; a manifest that
  // `newest_` is not may be there.
  bool newest_moved_ = false;
  bool unsettled_ = false;
  bool given_up_ = false;           // the job in progress has failed and cleans up
  std::unique_ptr<io::File> pack_;  // the one that is appended to
  PackNumber pack_number_ = 0;
  uint64_t pack_end_ = 0;
  std::unique_ptr<io::File> manifest_;
  std::vector<PackNumber> unused_;

  CheckpointStats stats_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_CHECKPOINTS_H_
