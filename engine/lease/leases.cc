#include "engine/lease/leases.h"

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "engine/image/image.h"
#include "engine/lease/errors.h"
#include "engine/mvcc/errors.h"

namespace quorate::lease {
namespace {

constexpr size_t kIdBytes = 8;
constexpr uint64_t kWord = 1;
// A section of an image: how many leases there are in it, and they.
constexpr size_t kCountBytes = 8;
constexpr size_t kEncodedLeaseBytes = 24;
constexpr uint64_t kLeasesPerSection = engine::kSectionPartBytes / kEncodedLeaseBytes;
// Forgotten for a unit of work.
constexpr uint64_t kLeasesPerUnit = 8;
constexpr uint64_t kReleasedAtOnce = 64;

std::string Prefix(uint64_t id) {
  std::string out(kIdBytes, '\0');
  StoreBe64(out.data(), id);
  return out;
}

std::string AttachmentKey(LeaseId id, absl::string_view key) {
  std::string out = Prefix(static_cast<uint64_t>(id.value()));
  out.append(key.data(), key.size());
  return out;
}

}  // namespace

absl::Status Leases::Grant(LeaseId id, int64_t ttl) {
  if (id == LeaseId()) return mvcc::LeaseNotFoundError();
  if (ttl > kMaxTtl) return TtlTooLargeError();
  if (!leases_.emplace(id, Lease{ttl, 0}).second) return ExistsError();
  return absl::OkStatus();
}

void Leases::Checkpoint(LeaseId id, int64_t remaining) {
  const auto at = leases_.find(id);
  if (at != leases_.end()) at->second.remaining = std::clamp<int64_t>(remaining, 0, kMaxTtl);
}

void Leases::Remove(LeaseId id) {
  CHECK_EQ(CountKeys(id), uint64_t{0});
  CHECK(leases_.erase(id) == 1);
}

const Lease* Leases::Find(LeaseId id) const {
  const auto at = leases_.find(id);
  return at == leases_.end() ? nullptr : &at->second;
}

std::vector<std::string> Leases::Keys(LeaseId id) const {
  std::vector<std::string> keys;
  ForEachKey(id, "", [&keys](absl::string_view key) {
    keys.emplace_back(key.data(), key.size());
    return true;
  });
  return keys;
}

void Leases::ForEachKey(LeaseId id, absl::string_view from,
                        absl::FunctionRef<bool(absl::string_view key)> visit) const {
  const std::string prefix = AttachmentKey(id, "");
  const std::string first = AttachmentKey(id, from);
  for (auto c = attachments_.LowerBound(first); c.valid() && absl::StartsWith(c.key(), prefix);
       c.Next()) {
    if (!visit(c.key().substr(kIdBytes))) return;
  }
}

std::optional<std::string> Leases::KeyFrom(LeaseId id, absl::string_view from) const {
  const auto at = attachments_.LowerBound(AttachmentKey(id, from));
  if (!at.valid() || !absl::StartsWith(at.key(), AttachmentKey(id, ""))) return std::nullopt;
  const absl::string_view key = at.key().substr(kIdBytes);
  return std::string(key.data(), key.size());
}

uint64_t Leases::CountKeys(LeaseId id) const {
  const auto number = static_cast<uint64_t>(id.value());
  const uint64_t end = number == std::numeric_limits<uint64_t>::max()
                           ? attachments_.weight()
                           : attachments_.WeightBefore(Prefix(number + 1));
  return end - attachments_.WeightBefore(Prefix(number));
}

size_t Leases::encoded_bytes() const {
  const size_t sections = leases_.size() / kLeasesPerSection + 1;
  return sections * (engine::SectionWriter::kHeaderBytes + kCountBytes) +
         leases_.size() * kEncodedLeaseBytes;
}

// Ids of leases are never 0, but they may be negative.
bool Leases::EncodeSome(LeaseId* last, BytesBuilder* out) const {
  auto at = *last == LeaseId() ? leases_.begin() : leases_.upper_bound(*last);
  const size_t begin = out->size();
  out->Grow(kCountBytes);
  uint64_t count = 0;
  for (; at != leases_.end() && count < kLeasesPerSection; ++at, ++count) {
    const auto& [id, lease] = *at;
    engine::PutU64(out, static_cast<uint64_t>(id.value()));
    engine::PutU64(out, static_cast<uint64_t>(lease.ttl));
    engine::PutU64(out, static_cast<uint64_t>(lease.remaining));
    *last = id;
  }
  StoreLe64(out->data() + begin, count);
  return count == kLeasesPerSection;
}

absl::Status Leases::Decode(absl::string_view section) {
  engine::FieldReader in(section);
  for (uint64_t left = in.Count(kEncodedLeaseBytes); left > 0; --left) {
    const auto id = LeaseId(static_cast<int64_t>(in.U64()));
    const auto ttl = static_cast<int64_t>(in.U64());
    const absl::Status status = Grant(id, ttl);
    if (!status.ok()) return absl::DataLossError("leases: one is there twice, or cannot be");
    Checkpoint(id, static_cast<int64_t>(in.U64()));
  }
  return in.complete() ? absl::OkStatus() : absl::DataLossError("leases: malformed");
}

bool Leases::Release(mvcc::Work* work) {
  while (!leases_.empty()) {
    if (work->spent()) return false;
    work->Spend(kReleasedAtOnce / kLeasesPerUnit);
    auto end = leases_.begin();
    for (uint64_t n = 0; n < kReleasedAtOnce && end != leases_.end(); ++n) ++end;
    leases_.erase(leases_.begin(), end);
  }
  return attachments_.Release(work);
}

void Leases::Swap(Leases* other) {
  leases_.swap(other->leases_);
  attachments_.Swap(&other->attachments_);
}

size_t Leases::allocated_bytes() const {
  return leases_.size() * sizeof(decltype(leases_)::value_type) * 3 / 2 +
         attachments_.allocated_bytes();
}

uint64_t Leases::Digest(uint64_t digest) const {
  for (const auto& [id, lease] : leases_) {
    digest = Mix64(digest ^ static_cast<uint64_t>(id.value()));
    digest = Mix64(digest ^ static_cast<uint64_t>(lease.ttl));
    digest = Mix64(digest ^ static_cast<uint64_t>(lease.remaining));
  }
  for (auto c = attachments_.First(); c.valid(); c.Next()) {
    digest = Mix64(digest ^ Crc32c(c.key()));
  }
  return digest;
}

void Leases::Move(absl::string_view key, LeaseId from, LeaseId to) {
  noticed_ = noticed_ || from == noticed_id_ || to == noticed_id_;
  if (from != LeaseId()) {
    mvcc::CountedTree::Path path = attachments_.Descend(AttachmentKey(from, key));
    CHECK_MSG(path.found, "a key's record names a lease that it is not attached to");
    attachments_.Erase(path);
  }
  if (to != LeaseId()) {
    CHECK(leases_.contains(to));
    const std::string name = AttachmentKey(to, key);
    mvcc::CountedTree::Path path = attachments_.Descend(name);
    CHECK(!path.found);
    attachments_.Insert(path, name, kWord);
  }
}

}  // namespace quorate::lease
