#include "storage/data_dir.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "storage/segment.h"

namespace quorate::storage {
namespace {

constexpr char kMagic[] = "QUORMETA";
// Between what is wrong and what to do.
constexpr absl::string_view kNothingChanged =
    ". Nothing was changed. What this member had acknowledged may be lost here, so it must not go "
    "on with this directory by itself. ";
// What to do with a member whose data cannot be used.
constexpr char kReplaceMember[] =
    "remove the member from its cluster (etcdctl member remove), add it again (etcdctl member "
    "add), and start it with an empty data directory and --initial-cluster-state=existing";
constexpr size_t kMagicBytes = 8;
constexpr size_t kCrcAt = 8;
constexpr size_t kVersionAt = 12;
constexpr size_t kClusterAt = 16;
constexpr size_t kMemberAt = 24;
constexpr size_t kMetaBytes = io::kSectorBytes;

uint32_t MetaCrc(absl::string_view bytes) {
  return Crc32cExtend(Crc32c(bytes.substr(0, kCrcAt)), bytes.substr(kVersionAt));
}

std::string Join(const std::string& directory, absl::string_view name) {
  return absl::EndsWith(directory, "/") ? absl::StrCat(directory, name)
                                        : absl::StrCat(directory, "/", name);
}

}  // namespace

DataPaths::DataPaths(std::string data_dir)
    : data(std::move(data_dir)),
      member(Join(data, "member")),
      meta(Join(member, "meta")),
      meta_tmp(Join(member, "meta.tmp")),
      log(Join(member, "log")),
      checkpoint(Join(member, "checkpoint")),
      manifest(Join(checkpoint, "manifest")),
      manifest_tmp(Join(checkpoint, "manifest.tmp")),
      manifest_previous(Join(checkpoint, "manifest.previous")),
      recovering(Join(member, "recovering")) {}

Bytes EncodeMeta(const Identity& identity) {
  BytesBuilder out(kMetaBytes);
  char* const at = out.Grow(kMetaBytes);
  std::memset(at, 0, kMetaBytes);
  std::memcpy(at, kMagic, kMagicBytes);
  StoreLe32(at + kVersionAt, kDataFormatVersion);
  StoreLe64(at + kClusterAt, identity.cluster_id.value());
  StoreLe64(at + kMemberAt, identity.member_id.value());
  StoreLe32(at + kCrcAt, MetaCrc(out.view()));
  return std::move(out).Finish();
}

absl::StatusOr<Identity> DecodeMeta(absl::string_view bytes, const std::string& path) {
  if (bytes.size() != kMetaBytes) {
    return MetaDamageError(
        path, std::min(bytes.size(), kMetaBytes),
        absl::StrCat("the file has ", bytes.size(), " bytes instead of ", kMetaBytes));
  }
  if (std::memcmp(bytes.data(), kMagic, kMagicBytes) != 0) {
    return MetaDamageError(path, 0, "this is not the beginning of such a file");
  }
  if (LoadLe32(bytes.data() + kCrcAt) != MetaCrc(bytes)) {
    return MetaDamageError(path, kCrcAt, "the check does not fit the file");
  }
  const uint32_t version = LoadLe32(bytes.data() + kVersionAt);
  if (version != kDataFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": the data directory has format version ", version, "; this server reads version ",
        kDataFormatVersion, ". Start it with a server of the version that wrote it, or newer"));
  }
  return Identity{ClusterId(LoadLe64(bytes.data() + kClusterAt)),
                  MemberId(LoadLe64(bytes.data() + kMemberAt))};
}

absl::Status CheckIdentity(const Identity& found, const Identity& expected,
                           const std::string& path) {
  if (found.cluster_id != expected.cluster_id) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: the data directory belongs to cluster %x, not to cluster %x; member %x", path,
        found.cluster_id.value(), expected.cluster_id.value(), found.member_id.value()));
  }
  if (found.member_id != expected.member_id) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: the data directory belongs to member %x, not to member %x, of cluster %x", path,
        found.member_id.value(), expected.member_id.value(), found.cluster_id.value()));
  }
  return absl::OkStatus();
}

absl::Status DamageError(absl::string_view path, uint64_t offset, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(
      path, ": damaged at offset ", offset, ": ", what, kNothingChanged,
      "A start gets it back from the other members, where they are a quorum without this one. "
      "Else ",
      kReplaceMember));
}

absl::Status MetaDamageError(absl::string_view path, uint64_t offset, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(path, ": damaged at offset ", offset, ": ", what, kNothingChanged,
                   "Whose directory it is, is not known any more: ", kReplaceMember));
}

absl::string_view DamageText(const absl::Status& status) {
  const absl::string_view text(status.message().data(), status.message().size());
  return text.substr(0, text.find(kNothingChanged));
}

absl::Status MissingLogError(const DataPaths& paths) {
  return DamageError(Join(paths.log, SegmentName(1)), 0,
                     "the directory holds no segment of the log");
}

absl::Status RecoveringError(const DataPaths& paths) {
  return DamageError(paths.recovering, 0,
                     "the member had lost what it had acknowledged, and has not got all of it back "
                     "from the others yet");
}

absl::Status NotInitialisedError(const DataPaths& paths) {
  return absl::NotFoundError(absl::StrCat(paths.data, ": the data directory is not initialised"));
}

absl::Status EtcdDirectoryError(absl::string_view etcd_file) {
  return absl::FailedPreconditionError(
      absl::StrCat(etcd_file,
                   ": this is a data directory of etcd, which this server cannot use. "
                   "Start it with another data directory"));
}

Surveyor::Surveyor(io::Disk* disk, const DataPaths& paths, Callback callback)
    : disk_(disk), paths_(paths), callback_(std::move(callback)) {
  List(paths_.data, [this](bool exists, const Names&) {
    survey_.data_exists = exists;
    if (!exists) return Finish(survey_);
    List(paths_.member, [this](bool member_exists, const Names& names) {
      survey_.member_exists = member_exists;
      survey_.has_meta = std::find(names.begin(), names.end(), "meta") != names.end();
      survey_.recovering = std::find(names.begin(), names.end(), "recovering") != names.end();
      // Ours for certain, whatever else lies there.
      if (!member_exists || survey_.has_meta) return Finish(survey_);
      LookForWal();
    });
  });
}

void Surveyor::List(const std::string& path,
                    std::function<void(bool exists, const Names& names)> next) {
  disk_->List(path,
              lifetime_.Guard([this, path, next = std::move(next)](absl::StatusOr<Names> names) {
                if (absl::IsNotFound(names.status())) return next(false, {});
                if (absl::IsDataLoss(names.status())) {
                  return Finish(DamageError(path, 0, "the directory cannot be read"));
                }
                if (!names.ok()) return Finish(names.status());
                next(true, *names);
              }));
}

void Surveyor::LookForWal() {
  const std::string wal = Join(paths_.member, "wal");
  List(wal, [this, wal](bool, const Names& names) {
    for (const std::string& name : names) {
      if (absl::EndsWith(name, ".wal")) survey_.etcd_file = Join(wal, name);
    }
    LookForSnapshots();
  });
}

void Surveyor::LookForSnapshots() {
  const std::string snap = Join(paths_.member, "snap");
  List(snap, [this, snap](bool, const Names& names) {
    for (const std::string& name : names) {
      if (name == "db" || absl::EndsWith(name, ".snap")) survey_.etcd_file = Join(snap, name);
    }
    Finish(survey_);
  });
}

void Surveyor::Finish(absl::StatusOr<Survey> survey) {
  const Callback callback = std::move(callback_);
  callback(std::move(survey));
}

void MetaFile::Read(ReadCallback callback) {
  read_callback_ = std::move(callback);
  const auto finish = [this](absl::StatusOr<Identity> identity) {
    file_.reset();
    const ReadCallback done = std::exchange(read_callback_, nullptr);
    done(std::move(identity));
  };
  disk_->Open(paths_.meta, {.write = false},
              lifetime_.Guard([this, finish](absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (absl::IsDataLoss(file.status())) {
                  return finish(MetaDamageError(paths_.meta, 0, "the file cannot be opened"));
                }
                if (!file.ok()) return finish(file.status());
                file_ = *std::move(file);
                // One byte more than there should be, to see one that is too long.
                file_->Read(0, kMetaBytes + 1, [this, finish](absl::StatusOr<Bytes> bytes) {
                  if (absl::IsDataLoss(bytes.status())) {
                    return finish(MetaDamageError(paths_.meta, 0, "the file cannot be read"));
                  }
                  if (!bytes.ok()) return finish(bytes.status());
                  finish(DecodeMeta(*bytes, paths_.meta));
                });
              }));
}

void MetaFile::Write(const Identity& identity, WriteCallback callback) {
  write_callback_ = std::move(callback);
  disk_->Open(paths_.meta_tmp, {.create = true},
              lifetime_.Guard([this, bytes = EncodeMeta(identity)](
                                  absl::StatusOr<std::unique_ptr<io::File>> file) {
                if (!file.ok()) return FinishWrite(file.status());
                file_ = *std::move(file);
                WriteTemporary(bytes);
              }));
}

void MetaFile::WriteTemporary(Bytes bytes) {
  file_->Truncate(0, [this, bytes = std::move(bytes)](absl::Status status) {
    if (!status.ok()) return FinishWrite(std::move(status));
    file_->WriteAndSync(0, {bytes}, [this](absl::Status written) {
      if (!written.ok()) return FinishWrite(std::move(written));
      Install();
    });
  });
}

void MetaFile::Install() {
  disk_->Rename(paths_.meta_tmp, paths_.meta, lifetime_.Guard([this](absl::Status status) {
    if (!status.ok()) return FinishWrite(std::move(status));
    disk_->SyncDir(paths_.member, lifetime_.Guard([this](absl::Status synced) {
      FinishWrite(std::move(synced));
    }));
  }));
}

void MetaFile::FinishWrite(absl::Status status) {
  file_.reset();
  const WriteCallback done = std::exchange(write_callback_, nullptr);
  done(std::move(status));
}

}  // namespace quorate::storage
