#include "sim/disk_pages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/hash/hash.h"

namespace quorate::sim {
namespace {

constexpr std::array<char, io::kSectorBytes> kZeroSector = {};

}  // namespace

const FilePages::Chunk* FilePages::FindChunk(uint64_t index) const {
  return index < chunks_.size() ? chunks_[index].get() : nullptr;
}

FilePages::Chunk* FilePages::OwnChunk(uint64_t index) {
  if (index >= chunks_.size()) chunks_.resize(index + 1);
  std::shared_ptr<Chunk>& chunk = chunks_[index];
  if (chunk == nullptr) {
    chunk = std::make_shared<Chunk>();
  } else if (chunk.use_count() > 1) {
    chunk = std::make_shared<Chunk>(*chunk);
  }
  return chunk.get();
}

void FilePages::Read(uint64_t offset, size_t size, char* out) const {
  while (size > 0) {
    const size_t within = offset % kChunk;
    const size_t step = std::min(size, kChunk - within);
    const Chunk* chunk = FindChunk(offset / kChunk);
    if (chunk == nullptr) {
      std::memset(out, 0, step);
    } else {
      std::memcpy(out, chunk->data() + within, step);
    }
    offset += step;
    out += step;
    size -= step;
  }
}

FilePages::Content FilePages::Snapshot(uint64_t sector) const {
  const Chunk* chunk = FindChunk(sector / kSectorsPerChunk);
  if (chunk == nullptr) return nullptr;
  const char* at = chunk->data() + sector % kSectorsPerChunk * kSector;
  if (std::memcmp(at, kZeroSector.data(), kSector) == 0) return nullptr;
  auto content = std::make_shared<Sector>();
  std::memcpy(content->data(), at, kSector);
  return content;
}

// Remembers the sector's content before it changes.
void FilePages::Touch(uint64_t sector) {
  broken_.erase(sector);
  Older& older = dirty_[sector];
  older.orphaned = false;  // dirty again: the next sync covers it
  if (older.versions.size() < kMaxVersions) older.versions.push_back(Snapshot(sector));
}

void FilePages::Store(uint64_t offset, const char* data, size_t size) {
  const uint64_t index = offset / kChunk;
  if (data == nullptr && FindChunk(index) == nullptr) return;  // zeros over zeros
  Touch(offset / kSector);
  char* at = OwnChunk(index)->data() + offset % kChunk;
  if (data == nullptr) {
    std::memset(at, 0, size);
  } else {
    std::memcpy(at, data, size);
  }
}

void FilePages::Write(uint64_t offset, absl::string_view data) {
  const uint64_t end = offset + data.size();
  while (!data.empty()) {
    const size_t step = std::min(data.size(), kSector - offset % kSector);
    Store(offset, data.data(), step);
    data.remove_prefix(step);
    offset += step;
  }
  if (end > size()) SetSize(end);
}

void FilePages::WriteZeros(uint64_t offset, uint64_t size) {
  const uint64_t end = offset + size;
  const uint64_t held = std::min<uint64_t>(end, chunks_.size() * kChunk);
  while (offset < held) {
    if (chunks_[offset / kChunk] == nullptr) {
      offset = (offset / kChunk + 1) * kChunk;
      continue;
    }
    const size_t step =
        static_cast<size_t>(std::min<uint64_t>(held - offset, kSector - offset % kSector));
    Store(offset, nullptr, step);
    offset += step;
  }
  if (end > this->size()) SetSize(end);
}

void FilePages::Truncate(uint64_t new_size) {
  if (new_size < size()) WriteZeros(new_size, size() - new_size);
  if (new_size != size()) SetSize(new_size);
}

void FilePages::SetSize(uint64_t new_size) {
  *used_ += new_size - size();
  if (sizes_.size() == kMaxSizes) sizes_.erase(sizes_.begin() + 1);
  sizes_.push_back(new_size);
}

bool FilePages::Sync() {
  bool complete = true;
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    if (it->second.orphaned) {
      complete = false;
      ++it;
    } else {
      it = dirty_.erase(it);
    }
  }
  sizes_ = {size()};
  return complete;
}

void FilePages::FailSync(Prng* prng) {
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    if (!it->second.orphaned && prng->Chance(1, 2)) {
      it = dirty_.erase(it);
    } else {
      it->second.orphaned = true;
      ++it;
    }
  }
  if (prng->Chance(1, 2)) sizes_ = {size()};
}

void FilePages::Put(uint64_t sector, const Content& content) {
  const uint64_t index = sector / kSectorsPerChunk;
  if (content == nullptr && FindChunk(index) == nullptr) return;
  const char* from = content == nullptr ? kZeroSector.data() : content->data();
  std::memcpy(OwnChunk(index)->data() + sector % kSectorsPerChunk * kSector, from, kSector);
}

PageLosses FilePages::LosePower(const Survivor& survivor) {
  PageLosses losses;
  size_t kept_size = sizes_.size() - 1;
  if (kept_size > 0) kept_size = survivor(kept_size);
  losses.lost_size = sizes_[kept_size] != size();
  // If a truncation did not happen, neither did what was written there after it.
  uint64_t untouched_from = ~uint64_t{0};
  for (size_t i = kept_size + 1; i < sizes_.size(); ++i) {
    untouched_from = std::min(untouched_from, sizes_[i]);
  }
  for (const auto& [sector, older] : dirty_) {
    const bool oldest = older.orphaned || sector * kSector >= untouched_from;
    const size_t version = oldest ? 0 : survivor(older.versions.size());
    if (version == older.versions.size()) {
      ++losses.kept_sectors;
      continue;
    }
    ++losses.lost_sectors;
    Put(sector, older.versions[version]);
  }
  dirty_.clear();
  const uint64_t new_size = sizes_[kept_size];
  *used_ += new_size - size();
  sizes_ = {new_size};
  ZeroFrom(new_size);
  return losses;
}

// Nothing is kept beyond the end.
void FilePages::ZeroFrom(uint64_t offset) {
  const uint64_t first = (offset + kChunk - 1) / kChunk;
  if (first < chunks_.size()) chunks_.resize(first);
  const uint64_t index = offset / kChunk;
  if (FindChunk(index) == nullptr) return;
  const size_t within = offset % kChunk;
  std::memset(OwnChunk(index)->data() + within, 0, kChunk - within);
}

void FilePages::Overwrite(uint64_t offset, absl::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    (*OwnChunk((offset + i) / kChunk))[(offset + i) % kChunk] = bytes[i];
  }
}

void FilePages::FlipBit(uint64_t offset, int bit) {
  char& byte = (*OwnChunk(offset / kChunk))[offset % kChunk];
  byte = static_cast<char>(byte ^ (1 << (bit & 7)));
}

bool FilePages::Readable(uint64_t offset, size_t size) const {
  if (broken_.empty() || size == 0) return true;
  const auto first = broken_.lower_bound(offset / kSector);
  return first == broken_.end() || *first > (offset + size - 1) / kSector;
}

std::unique_ptr<FilePages> FilePages::Copy(uint64_t* used, bool durable_only) const {
  auto copy = std::make_unique<FilePages>(used);
  copy->chunks_ = chunks_;
  if (durable_only) {
    for (const auto& [sector, older] : dirty_) copy->Put(sector, older.versions[0]);
  }
  copy->SetSize(durable_only ? durable_size() : size());
  copy->sizes_ = {copy->size()};
  copy->ZeroFrom(copy->size());
  copy->broken_ = broken_;
  return copy;
}

std::unique_ptr<FilePages> FilePages::Clone(uint64_t* used) const {
  std::unique_ptr<FilePages> clone = Copy(used, /*durable_only=*/false);
  clone->dirty_ = dirty_;
  clone->sizes_ = sizes_;
  return clone;
}

uint64_t FilePages::Digest() const {
  uint64_t digest = Mix64(size());
  for (size_t i = 0; i < chunks_.size(); ++i) {
    if (chunks_[i] == nullptr) continue;
    digest = Mix64(digest ^ Mix64(i) ^ absl::HashOf(absl::string_view(chunks_[i]->data(), kChunk)));
  }
  return digest;
}

}  // namespace quorate::sim
