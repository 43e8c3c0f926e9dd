// Where things lie in a data directory, and the file that says whose it is.
#ifndef QUORATE_STORAGE_DATA_DIR_H_
#define QUORATE_STORAGE_DATA_DIR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "io/disk.h"
#include "storage/identity.h"
#include "storage/lifetime.h"

namespace quorate::storage {

// Raised when a member that knows only lower numbers could misread the directory.
inline constexpr uint32_t kDataFormatVersion = 1;

struct DataPaths {
  explicit DataPaths(std::string data_dir);
  std::string data;               // <data-dir>
  std::string member;             // <data-dir>/member
  std::string meta;               // <data-dir>/member/meta
  std::string meta_tmp;           // <data-dir>/member/meta.tmp
  std::string log;                // <data-dir>/member/log
  std::string checkpoint;         // <data-dir>/member/checkpoint
  std::string manifest;           // <data-dir>/member/checkpoint/manifest
  std::string manifest_tmp;       // <data-dir>/member/checkpoint/manifest.tmp
  std::string manifest_previous;  // <data-dir>/member/checkpoint/manifest.previous
  std::string recovering;         // <data-dir>/member/recovering
};

// The meta file's 512 bytes.
Bytes EncodeMeta(const Identity& identity);
// DataLoss for damage, FailedPrecondition for a newer format; both name `path`.
absl::StatusOr<Identity> DecodeMeta(absl::string_view bytes, const std::string& path);

// FailedPrecondition, naming both, unless they are the same.
absl::Status CheckIdentity(const Identity& found, const Identity& expected,
                           const std::string& path);

// The DataLoss that recovery refuses with: what is wrong where, and what to do.
absl::Status DamageError(absl::string_view path, uint64_t offset, absl::string_view what);
// The same for the file that says whose directory it is: no other member can give that back.
absl::Status MetaDamageError(absl::string_view path, uint64_t offset, absl::string_view what);
// What such a status says is wrong where, without what to do about it.
absl::string_view DamageText(const absl::Status& status);
// The same for a directory that has no log any more.
absl::Status MissingLogError(const DataPaths& paths);
// And for one that was about to be given a state from another member (OpenOptions::repair).
absl::Status RecoveringError(const DataPaths& paths);
// Where nobody has begun anything; and what is not ours.
absl::Status NotInitialisedError(const DataPaths& paths);
absl::Status EtcdDirectoryError(absl::string_view etcd_file);

// What a data directory holds, as far as names tell.
struct Survey {
  bool data_exists = false;
  bool member_exists = false;
  bool has_meta = false;
  bool recovering = false;  // the mark is there
  std::string etcd_file;    // one that only etcd makes; empty if there is none
};

// Looks at the names in a data directory.
class Surveyor {
 public:
  using Callback = std::function<void(absl::StatusOr<Survey>)>;
  // Calls back once unless destroyed before.
  Surveyor(io::Disk* disk, const DataPaths& paths, Callback callback);

 private:
  using Names = std::vector<std::string>;
  // A missing directory is an empty list and `false`.
  void List(const std::string& path, std::function<void(bool exists, const Names& names)> next);
  void LookForWal();
  void LookForSnapshots();
  void Finish(absl::StatusOr<Survey> survey);

  io::Disk* const disk_;
  const DataPaths paths_;
  Callback callback_;
  Survey survey_;
  Lifetime lifetime_;
};

// Reads or makes the meta file; one call at a time.
class MetaFile {
 public:
  using ReadCallback = std::function<void(absl::StatusOr<Identity>)>;
  using WriteCallback = std::function<void(absl::Status)>;

  MetaFile(io::Disk* disk, const DataPaths& paths) : disk_(disk), paths_(paths) {}

  // NotFound if there is none.
  void Read(ReadCallback callback);
  // All or nothing: written beside its place, synced, renamed, the directory synced.
  void Write(const Identity& identity, WriteCallback callback);

 private:
  void WriteTemporary(Bytes bytes);
  void Install();
  void FinishWrite(absl::Status status);

  io::Disk* const disk_;
  const DataPaths paths_;
  std::unique_ptr<io::File> file_;
  ReadCallback read_callback_;
  WriteCallback write_callback_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_DATA_DIR_H_
