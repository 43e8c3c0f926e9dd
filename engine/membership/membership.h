// The members of the cluster and the version that it speaks, as the committed entries
// decide them. A state machine of its own: knows nothing of raft's configuration, which
// the same entries change alongside.
#ifndef QUORATE_ENGINE_MEMBERSHIP_MEMBERSHIP_H_
#define QUORATE_ENGINE_MEMBERSHIP_MEMBERSHIP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"

namespace quorate::membership {

struct Member {
  MemberId id;
  std::string name;  // empty until the member has announced itself
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool is_learner = false;

  friend bool operator==(const Member&, const Member&) = default;
};

// What a configuration change asks for.
struct Change {
  enum class Kind : uint8_t { kAdd, kAddLearner, kPromote, kUpdate, kRemove };

  Kind kind = Kind::kAdd;
  Member member;  // of kPromote and kRemove only the id counts
};

class Membership {
 public:
  // Why a change cannot be made now, with etcd's code and text; every member finds the
  // same when it applies the entry, and then treats it as changing nothing.
  absl::Status Check(const Change& change) const;
  // Makes a change that passed Check.
  void Apply(const Change& change);

  // A member's own announcement. Ignored for members that are not (or no longer) here.
  void SetAttributes(MemberId id, std::string name, std::vector<std::string> client_urls);

  // InvalidArgument unless it looks like "3.7.0".
  absl::Status SetClusterVersion(absl::string_view version);
  // Empty while undecided.
  const std::string& cluster_version() const { return cluster_version_; }
  // The version to which the cluster is being downgraded; empty: none.
  void SetDowngrade(absl::string_view target) { downgrade_target_ = std::string(target); }
  const std::string& downgrade_target() const { return downgrade_target_; }

  // In ascending id.
  const absl::btree_map<MemberId, Member>& members() const { return members_; }
  bool IsRemoved(MemberId id) const { return removed_.contains(id); }

  // Its section of a state image (engine/image), and back: DataLoss if that is malformed.
  void Encode(BytesBuilder* out) const;
  absl::Status Decode(absl::string_view section);

  // Folds all of it into a digest.
  uint64_t Digest(uint64_t digest) const;

 private:
  absl::Status CheckAdd(const Change& change) const;
  absl::Status CheckPeerUrls(const Member& member) const;

  absl::btree_map<MemberId, Member> members_;
  absl::btree_set<MemberId> removed_;  // ids are never used again
  std::string cluster_version_;
  std::string downgrade_target_;
};

}  // namespace quorate::membership

#endif  // QUORATE_ENGINE_MEMBERSHIP_MEMBERSHIP_H_
