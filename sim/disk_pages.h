// The content of one simulated file: pages in memory over durable sectors.
#ifndef QUORATE_SIM_DISK_PAGES_H_
#define QUORATE_SIM_DISK_PAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "base/prng.h"
#include "io/disk.h"

namespace quorate::sim {

// What a power loss did to a file.
struct PageLosses {
  uint64_t kept_sectors = 0;
  uint64_t lost_sectors = 0;
  bool lost_size = false;
};

// Says what a power loss leaves where there are `older` contents besides the newest: the
// number of one of them, from 0 on, or `older` for the newest.
using Survivor = std::function<size_t(size_t older)>;

// Bytes are kept in chunks of which those that were never written (or are zero
// since) take no memory, and copies share what neither has changed. For each sector written since
// the last good sync the contents that a power loss may bring back are kept beside it.
class FilePages {
 public:
  // Adds its size to *used as long as it lives.
  explicit FilePages(uint64_t* used) : used_(used) {}
  FilePages(const FilePages&) = delete;
  FilePages& operator=(const FilePages&) = delete;
  ~FilePages() { *used_ -= size(); }

  uint64_t size() const { return sizes_.back(); }
  uint64_t durable_size() const { return sizes_.front(); }

  // Copies [offset, offset + size) out; zeros beyond the end.
  void Read(uint64_t offset, size_t size, char* out) const;
  void Write(uint64_t offset, absl::string_view data);
  void WriteZeros(uint64_t offset, uint64_t size);
  void Truncate(uint64_t size);

  // Makes what is dirty durable. False if pages that an earlier failed sync marked
  // clean are not among it.
  bool Sync();
  // A sync that fails: a drawn part of the dirty sectors is durable, the rest is marked
  // clean and is not.
  void FailSync(Prng* prng);
  // Keeps, sector by sector, one of the contents since the last good sync.
  PageLosses LosePower(const Survivor& survivor);

  // Flips a bit on the disk itself.
  void FlipBit(uint64_t offset, int bit);
  // Puts other bytes there, on the disk itself. Within its size.
  void Overwrite(uint64_t offset, absl::string_view bytes);
  // Sectors that cannot be read, until they are written.
  void Break(uint64_t offset) { broken_.insert(offset / io::kSectorBytes); }
  void Mend() { broken_.clear(); }
  bool Readable(uint64_t offset, size_t size) const;

  // A copy of the newest / the durable state, all of it durable.
  std::unique_ptr<FilePages> Copy(uint64_t* used, bool durable_only) const;
  // A copy that a power loss harms as it would harm this.
  std::unique_ptr<FilePages> Clone(uint64_t* used) const;
  // Of the size and the newest content; the same only within a process.
  uint64_t Digest() const;

 private:
  static constexpr size_t kSector = io::kSectorBytes;
  static constexpr size_t kSectorsPerChunk = 32;
  static constexpr size_t kChunk = kSector * kSectorsPerChunk;
  static constexpr size_t kMaxVersions = 4;
  static constexpr size_t kMaxSizes = 5;

  using Chunk = std::array<char, kChunk>;
  using Sector = std::array<char, kSector>;
  // Null: zeros.
  using Content = std::shared_ptr<const Sector>;
  // Contents from before: [0] is durable, the others came later.
  struct Older {
    absl::InlinedVector<Content, 1> versions;
    bool orphaned = false;  // clean for the system, though not written
  };

  const Chunk* FindChunk(uint64_t index) const;
  // One that may be written to: made, or no longer shared, from now on.
  Chunk* OwnChunk(uint64_t index);
  Content Snapshot(uint64_t sector) const;
  void Touch(uint64_t sector);
  void Store(uint64_t offset, const char* data, size_t size);  // within a sector; null data: zeros
  void Put(uint64_t sector, const Content& content);
  void SetSize(uint64_t size);
  void ZeroFrom(uint64_t offset);

  uint64_t* const used_;
  std::vector<std::shared_ptr<Chunk>> chunks_;
  absl::btree_map<uint64_t, Older> dirty_;
  absl::btree_set<uint64_t> broken_;
  std::vector<uint64_t> sizes_ = {0};  // durable first, newest last
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DISK_PAGES_H_
