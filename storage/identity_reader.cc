#include "storage/identity_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/manifest.h"
#include "storage/segment.h"

namespace quorate::storage {

IdentityReader::IdentityReader(io::Disk* disk, const DataPaths& paths, Callback callback)
    : disk_(disk), paths_(paths), callback_(std::move(callback)), meta_(disk, paths) {
  meta_.Read([this](absl::StatusOr<Identity> identity) {
    if (identity.ok()) return Finish(FoundIdentity{*identity, absl::OkStatus()});
    if (!absl::IsDataLoss(identity.status())) return Finish(identity.status());
    damage_ = identity.status();
    ListSegments();
  });
}

void IdentityReader::ListSegments() {
  for (const std::string& path : {paths_.manifest_previous, paths_.manifest}) {
    witnesses_.push_back({path, 0});
  }
  disk_->List(paths_.log, lifetime_.Guard([this](absl::StatusOr<std::vector<std::string>> names) {
    if (names.ok()) {
      for (const std::string& name : *names) {
        const std::optional<SegmentNumber> segment = ParseSegmentName(name);
        if (!segment.has_value()) continue;
        witnesses_.push_back({absl::StrCat(paths_.log, "/", name), *segment});
      }
    }
    AskNext();
  }));
}

// One that cannot be read, or is damaged, tells nothing; the recovery that follows judges it.
void IdentityReader::AskNext() {
  file_.reset();
  if (witnesses_.empty()) {
    if (!heard_.has_value()) return Finish(damage_);
    return Finish(FoundIdentity{*heard_, damage_});
  }
  Witness witness = std::move(witnesses_.back());
  witnesses_.pop_back();
  disk_->Open(witness.path, {.write = false},
              lifetime_.Guard([this, witness](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (!file.ok()) return AskNext();
                file_ = *std::move(file);
                const size_t bytes = witness.segment == 0 ? file_->size() : io::kSectorBytes;
                file_->Read(0, bytes, [this, witness](absl::StatusOr<Bytes> read) {
                  if (!read.ok()) return AskNext();
                  Hear(witness, *read);
                });
              }));
}

void IdentityReader::Hear(const Witness& witness, const Bytes& bytes) {
  std::optional<Identity> said;
  if (witness.segment == 0) {
    const absl::StatusOr<Manifest> manifest = DecodeManifest(bytes, witness.path);
    if (manifest.ok()) said = manifest->identity;
  } else if (bytes.size() == io::kSectorBytes) {
    SegmentHeader header;
    const SectorState state = DecodeSegmentHeader(bytes.data(), witness.segment, &header);
    if (state == SectorState::kLive && header.version == kLogFormatVersion) {
      said = Identity{header.cluster_id, header.member_id};
    }
  }
  if (!said.has_value()) return AskNext();
  if (heard_.has_value() && *heard_ != *said) return Finish(damage_);
  heard_ = said;
  AskNext();
}

void IdentityReader::Finish(absl::StatusOr<FoundIdentity> found) {
  const Callback callback = std::move(callback_);
  callback(std::move(found));
}

}  // namespace quorate::storage
