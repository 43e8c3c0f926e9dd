// One watcher, on both servers: what it must see, what it was sent, and whether both
// servers sent the same.
//
// A live watcher's responses are compared one by one. One that catches up gets batches
// whose borders are a matter of time: there the events are compared in order, and on each
// side by itself that no response divides a revision and no header is behind its events.
// A live one may fall behind, too, while its socket takes nothing on a busy machine: a few
// batches of its are forgiven.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_PAIR_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_PAIR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "tests/clients/comparison/compare.h"

namespace quorate::differential {

enum Side : size_t { kReference = 0, kSubject = 1 };
inline constexpr Side kSides[] = {kReference, kSubject};
// Of a live watcher, on each side.
inline constexpr int kBatchesOfLive = 3;

class WatchPair {
 public:
  // A watcher created at `revision` of a store compacted at `compacted`.
  WatchPair(const etcdserverpb::WatchCreateRequest& request, int64_t revision, int64_t compacted,
            const Release& release);

  // An event of the history, each once and in order, from the first on.
  void Expect(const mvccpb::Event& event);
  // What the server sent for the watcher's id: events, progress notes, that a compaction
  // ended it.
  void Deliver(Side side, const etcdserverpb::WatchResponse& response);

  // Whether everything has come that must.
  bool Complete(Side side) const;
  // Compares what has come to both and forgets it; what is different, or empty.
  std::string Check();

  // A compaction is about to happen. If the watcher stands in the past and has nothing to
  // show for it, only its server knows whether it has begun or the compaction ends it.
  void OnCompaction(int64_t revision);
  // One of the servers ended it so: it is not compared any more.
  bool forgiven() const { return forgiven_; }
  // The first revision that it wants.
  int64_t from() const { return from_; }
  uint64_t events() const { return compared_; }
  // Fragments and progress notes that the reference has sent.
  uint64_t fragments() const { return in_[kReference].fragments; }
  uint64_t notes() const { return in_[kReference].all_notes; }
  std::string Describe() const;

 private:
  struct Incoming {
    std::deque<etcdserverpb::WatchResponse> responses;  // not yet compared
    uint64_t events = 0;                                // in all
    int64_t last_revision = 0;                          // of an event
    int64_t last_header = 0;
    bool in_fragments = false;
    int batches = 0;  // that were forgiven
    uint64_t fragments = 0;
    uint64_t all_notes = 0;
    std::string ending;  // the response by which a compaction ended it, as text
    // (header revision, events before it) of progress notes not yet judged.
    std::deque<std::pair<int64_t, uint64_t>> notes;
    std::string broken;  // what was wrong with it by itself
  };

  bool Wants(const mvccpb::Event& event) const;
  void CheckOrder(Incoming* in, const etcdserverpb::WatchResponse& response) const;
  std::string CheckNotes(Side side);
  // If the next response of a live watcher is a batch that is forgiven.
  static void DivideBatch(Incoming* in);
  std::string CompareLive();
  std::string CompareEvents();

  etcdserverpb::WatchCreateRequest request_;
  int64_t from_;
  bool live_;
  // The start revision is compacted: cancelled right after the creation.
  bool ends_at_once_;
  // Deletions at this revision are not to be compared.
  int64_t forgotten_revision_;
  bool may_end_ = false;
  bool forgiven_ = false;
  uint64_t expected_ = 0;
  std::vector<int64_t> expected_revisions_;  // only for watchers with progress notes
  std::array<Incoming, 2> in_;
  uint64_t compared_ = 0;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_PAIR_H_
