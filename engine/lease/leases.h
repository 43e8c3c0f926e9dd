// The leases that the committed entries have granted, and the keys attached to them.
//
// Part of the replicated state: it follows from the entries alone and knows no time. When
// a lease ends is the leader's business (lessor.h), which then proposes to revoke it.
#ifndef QUORATE_ENGINE_LEASE_LEASES_H_
#define QUORATE_ENGINE_LEASE_LEASES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/strong_int.h"
#include "engine/image/image.h"
#include "engine/mvcc/counted_tree.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/work.h"

namespace quorate::lease {

// Largest time to live, in seconds, as in etcd.
inline constexpr int64_t kMaxTtl = 9'000'000'000;

struct Lease {
  // Seconds, as granted.
  int64_t ttl = 0;
  // Seconds that were left at the last checkpoint; 0 = all of them (none was taken since
  // the last renewal).
  int64_t remaining = 0;
};

class Leases final : public mvcc::LeaseTable {
 public:
  Leases() = default;
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // NotFound for id 0, OutOfRange above kMaxTtl, FailedPrecondition if there is such a
  // lease: etcd's refusals, in this order.
  absl::Status Grant(LeaseId id, int64_t ttl);
  // Notes what is left of a lease, within [0, kMaxTtl]. Unknown leases are ignored.
  void Checkpoint(LeaseId id, int64_t remaining);
  // Forgets a lease that no key is attached to any more; it exists.
  void Remove(LeaseId id);

  // Null if there is no such lease; valid until the next Grant or Remove.
  const Lease* Find(LeaseId id) const;
  // Calls `visit` with each key attached to a lease, ascending, from `from` on, until it gives
  // false.
  void ForEachKey(LeaseId id, absl::string_view from,
                  absl::FunctionRef<bool(absl::string_view key)> visit) const;
  std::vector<std::string> Keys(LeaseId id) const;
  uint64_t CountKeys(LeaseId id) const;
  // The least of them that is not before `from`, if there is one.
  std::optional<std::string> KeyFrom(LeaseId id, absl::string_view from) const;
  // From now on notices whether any key is attached to the lease or detached from it; one
  // lease at a time.
  void Notice(LeaseId id) {
    noticed_id_ = id;
    noticed_ = false;
  }
  // Of this lease: also if another one was noticed meanwhile, and nothing is known of this one.
  bool Noticed(LeaseId id) const { return noticed_ || noticed_id_ != id; }
  // All leases by id.
  const absl::btree_map<LeaseId, Lease>& all() const { return leases_; }
  // Of all leases together.
  uint64_t attachments() const { return attachments_.size(); }

  // The leases as sections of an image, equal for equal leases; attachments are not among them.
  // Each holds those behind *last, which is 0 at first, as many as make kSectionPartBytes: false
  // with the last one.
  bool EncodeSome(LeaseId* last, BytesBuilder* out) const;
  // How many bytes all sections have together.
  size_t encoded_bytes() const;
  // Back, in fresh Leases, one section after another. DataLoss if they are not what EncodeSome
  // gives; the leases are of no use then.
  absl::Status Decode(absl::string_view section);
  void Swap(Leases* other);
  // Gives memory back in pieces; true once little of it is left. They are of no use any more.
  bool Release(mvcc::Work* work);

  // Memory held, about.
  size_t allocated_bytes() const;
  // Folds leases and attachments into a digest.
  uint64_t Digest(uint64_t digest) const;

  // mvcc::LeaseTable
  bool Exists(LeaseId lease) const override { return leases_.contains(lease); }
  bool HasAttachments() const override { return attachments_.size() > 0; }
  void Move(absl::string_view key, LeaseId from, LeaseId to) override;

 private:
  absl::btree_map<LeaseId, Lease> leases_;
  // Keyed by the lease's id, big-endian, and the key behind it, so that a lease's keys
  // lie together and in order. Every word weighs 1.
  mvcc::CountedTree attachments_;
  LeaseId noticed_id_;
  bool noticed_ = false;
};

}  // namespace quorate::lease

#endif  // QUORATE_ENGINE_LEASE_LEASES_H_
