// The directories of a simulated disk: names as the process sees them, and names
// that are durable.
#ifndef QUORATE_SIM_DISK_NAMES_H_
#define QUORATE_SIM_DISK_NAMES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/prng.h"
#include "sim/disk_pages.h"

namespace quorate::sim {

// A file (pages) or a directory (names).
struct DiskNode {
  using Names = absl::btree_map<std::string, std::shared_ptr<DiskNode>>;

  std::unique_ptr<FilePages> pages;  // null for a directory
  Names names;
  Names durable;

  bool is_directory() const { return pages == nullptr; }
};

// Paths are separated by slashes; "." and empty components are skipped. All errors
// name the path.
class NameTree {
 public:
  explicit NameTree(uint64_t* used) : used_(used), root_(std::make_shared<DiskNode>()) {}

  absl::StatusOr<std::shared_ptr<DiskNode>> Find(absl::string_view path) const;
  absl::StatusOr<std::shared_ptr<DiskNode>> FindDirectory(absl::string_view operation,
                                                          absl::string_view path) const;
  // Opens or creates a file, as open(2).
  absl::StatusOr<std::shared_ptr<DiskNode>> OpenFile(absl::string_view path, bool create,
                                                     bool exclusive);
  absl::Status MakeDirs(absl::string_view path);
  absl::Status Rename(absl::string_view from, absl::string_view to);
  absl::Status Remove(absl::string_view path);
  // Makes the changes of the directory's names durable.
  absl::Status SyncDir(absl::string_view path);

  // Each change since its directory was synced is kept (the newer of two contents) or
  // lost. Returns how many were lost. The files' pages are not touched.
  uint64_t LosePower(const Survivor& survivor);

  // A copy in which everything is durable.
  NameTree Copy(uint64_t* used, bool durable_only) const;
  // A copy that a power loss harms as it would harm this.
  NameTree Clone(uint64_t* used) const;
  // Every file, by path, sorted.
  void ForEachFile(const std::function<void(const std::string& path, DiskNode* file)>& visit,
                   bool durable = false) const;
  // Of names and contents as the process sees them; the same only within a process.
  uint64_t Digest() const;

 private:
  // One atomic change: each of these names now leads to this node (null: nowhere).
  struct NameChange {
    std::shared_ptr<DiskNode> directory;
    std::string name;
    std::shared_ptr<DiskNode> node;
  };
  using Change = std::vector<NameChange>;

  struct Place {
    std::shared_ptr<DiskNode> directory;
    std::string name;
  };
  // The parent directory and the last component.
  absl::StatusOr<Place> FindPlace(absl::string_view operation, absl::string_view path) const;
  static void Apply(const Change& change, bool durable);
  void Do(Change change);

  uint64_t* used_;
  std::shared_ptr<DiskNode> root_;
  std::vector<Change> pending_;  // not durable yet, in order
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DISK_NAMES_H_
