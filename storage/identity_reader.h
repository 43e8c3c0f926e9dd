// Reads whose a data directory is.
//
// The file `meta` says it, and so do the header of each segment of the log and each manifest of a
// checkpoint, all with a check of their own. Where meta is damaged the others are believed if they
// agree, and whoever opens the directory writes it anew. The number of the data format goes the
// same way (segment.h keeps it and the log's together).
#ifndef QUORATE_STORAGE_IDENTITY_READER_H_
#define QUORATE_STORAGE_IDENTITY_READER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "io/disk.h"
#include "storage/data_dir.h"
#include "storage/identity.h"
#include "storage/lifetime.h"
#include "storage/record.h"

namespace quorate::storage {

struct FoundIdentity {
  Identity identity;
  // Not OK: meta is damaged as this DataLoss says, and the identity is what the others tell.
  absl::Status damage;
};

class IdentityReader {
 public:
  using Callback = std::function<void(absl::StatusOr<FoundIdentity>)>;

  // Calls back once unless destroyed before. Errors are MetaFile::Read's; DataLoss only if nothing
  // else tells whose the directory is, or not all the same.
  IdentityReader(io::Disk* disk, const DataPaths& paths, Callback callback);

 private:
  // A file that may tell.
  struct Witness {
    std::string path;
    SegmentNumber segment = 0;  // 0: a manifest
  };

  void ListSegments();
  void AskNext();
  void Hear(const Witness& witness, const Bytes& bytes);
  void Finish(absl::StatusOr<FoundIdentity> found);

  io::Disk* const disk_;
  const DataPaths paths_;
  Callback callback_;
  MetaFile meta_;
  absl::Status damage_;
  std::vector<Witness> witnesses_;  // yet to be asked
  std::unique_ptr<io::File> file_;
  std::optional<Identity> heard_;
  Lifetime lifetime_;
};

}  // namespace quorate::storage

#endif  // QUORATE_STORAGE_IDENTITY_READER_H_
