#include "engine/membership/membership.h"

#include <algorithm>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "engine/image/image.h"

namespace quorate::membership {

absl::Status Membership::CheckPeerUrls(const Member& member) const {
  // There may be very many, which are not to be compared each with each.
  const absl::btree_set<absl::string_view> urls(member.peer_urls.begin(), member.peer_urls.end());
  for (const auto& [id, other] : members_) {
    if (id == member.id) continue;
    const auto taken = [&urls](const std::string& url) { return urls.contains(url); };
    if (std::any_of(other.peer_urls.begin(), other.peer_urls.end(), taken)) {
      return absl::FailedPreconditionError("etcdserver: Peer URLs already exists");
    }
  }
  return absl::OkStatus();
}

absl::Status Membership::CheckAdd(const Change& change) const {
  if (members_.contains(change.member.id)) {
    return absl::FailedPreconditionError("etcdserver: member ID already exist");
  }
  return CheckPeerUrls(change.member);
}

absl::Status Membership::Check(const Change& change) const {
  const MemberId id = change.member.id;
  if (removed_.contains(id)) return absl::NotFoundError("etcdserver: member not found");
  if (change.kind == Change::Kind::kAdd || change.kind == Change::Kind::kAddLearner) {
    return CheckAdd(change);
  }
  const auto it = members_.find(id);
  if (it == members_.end()) return absl::NotFoundError("etcdserver: member not found");
  if (change.kind == Change::Kind::kPromote && !it->second.is_learner) {
    return absl::FailedPreconditionError("etcdserver: can only promote a learner member");
  }
  if (change.kind == Change::Kind::kUpdate) return CheckPeerUrls(change.member);
  return absl::OkStatus();
}

void Membership::Apply(const Change& change) {
  CHECK(Check(change).ok());
  const MemberId id = change.member.id;
  switch (change.kind) {
    case Change::Kind::kAdd:
    case Change::Kind::kAddLearner: {
      Member member = change.member;
      member.is_learner = change.kind == Change::Kind::kAddLearner;
      members_.emplace(id, std::move(member));
      break;
    }
    case Change::Kind::kPromote:
      members_.at(id).is_learner = false;
      break;
    case Change::Kind::kUpdate:
      members_.at(id).peer_urls = change.member.peer_urls;
      break;
    case Change::Kind::kRemove:
      members_.erase(id);
      removed_.insert(id);
      break;
  }
}

void Membership::SetAttributes(MemberId id, std::string name,
                               std::vector<std::string> client_urls) {
  const auto it = members_.find(id);
  if (it == members_.end()) return;
  it->second.name = std::move(name);
  it->second.client_urls = std::move(client_urls);
}

absl::Status Membership::SetClusterVersion(absl::string_view version) {
  int dots = 0;
  bool digit = false;
  for (const char c : version) {
    if (c == '.' && digit) {
      ++dots;
      digit = false;
    } else if (c >= '0' && c <= '9') {
      digit = true;
    } else {
      dots = -1;
      break;
    }
  }
  if (dots != 2 || !digit) {
    return absl::InvalidArgumentError(
        absl::StrCat("cluster version \"", version, "\" is not of the form X.Y.Z"));
  }
  cluster_version_ = std::string(version);
  return absl::OkStatus();
}

namespace {

// Of a member, at least: id, three lengths, learner.
constexpr size_t kMinMemberBytes = 36;

void PutStrings(BytesBuilder* out, const std::vector<std::string>& list) {
  engine::PutU64(out, list.size());
  for (const std::string& s : list) engine::PutString(out, s);
}

std::vector<std::string> ReadStrings(engine::FieldReader* in) {
  std::vector<std::string> list;
  for (uint64_t n = in->Count(/*min_bytes=*/8); n > 0 && in->ok(); --n) {
    list.emplace_back(in->String());
  }
  return list;
}

}  // namespace

void Membership::Encode(BytesBuilder* out) const {
  engine::PutU64(out, members_.size());
  for (const auto& [id, member] : members_) {
    engine::PutU64(out, id.value());
    engine::PutString(out, member.name);
    PutStrings(out, member.peer_urls);
    PutStrings(out, member.client_urls);
    engine::PutU32(out, uint32_t{member.is_learner});
  }
  engine::PutU64(out, removed_.size());
  for (const MemberId id : removed_) engine::PutU64(out, id.value());
  engine::PutString(out, cluster_version_);
  // Releases without downgrades know nothing behind the version.
  if (!downgrade_target_.empty()) engine::PutString(out, downgrade_target_);
}

absl::Status Membership::Decode(absl::string_view section) {
  *this = Membership();
  engine::FieldReader in(section);
  for (uint64_t n = in.Count(kMinMemberBytes); n > 0 && in.ok(); --n) {
    Member member;
    member.id = MemberId(in.U64());
    member.name = std::string(in.String());
    member.peer_urls = ReadStrings(&in);
    member.client_urls = ReadStrings(&in);
    member.is_learner = in.Bool();
    members_[member.id] = std::move(member);
  }
  for (uint64_t n = in.Count(/*min_bytes=*/8); n > 0; --n) removed_.insert(MemberId(in.U64()));
  cluster_version_ = std::string(in.String());
  if (in.ok() && !in.complete()) downgrade_target_ = std::string(in.String());
  if (in.complete()) return absl::OkStatus();
  return absl::DataLossError("membership: the section is malformed");
}

namespace {

uint64_t Fold(uint64_t digest, uint64_t v) { return Mix64(digest ^ Mix64(v)); }
uint64_t Fold(uint64_t digest, const std::string& s) {
  return Fold(Fold(digest, s.size()), Crc32c(s));
}
uint64_t Fold(uint64_t digest, const std::vector<std::string>& list) {
  digest = Fold(digest, list.size());
  for (const std::string& s : list) digest = Fold(digest, s);
  return digest;
}

}  // namespace

uint64_t Membership::Digest(uint64_t digest) const {
  digest = Fold(digest, members_.size());
  for (const auto& [id, member] : members_) {
    digest = Fold(digest, id.value());
    digest = Fold(digest, member.name);
    digest = Fold(digest, member.peer_urls);
    digest = Fold(digest, member.client_urls);
    digest = Fold(digest, uint64_t{member.is_learner});
  }
  digest = Fold(digest, removed_.size());
  for (const MemberId id : removed_) digest = Fold(digest, id.value());
  digest = Fold(digest, cluster_version_);
  return downgrade_target_.empty() ? digest : Fold(digest, downgrade_target_);
}

}  // namespace quorate::membership
