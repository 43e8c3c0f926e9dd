// Watch: everybody who asked learns of every change, in order, each revision whole.
//
// A watcher is *synced* when it has been sent all events before live(): then it is fed
// as revisions are made, one response per revision. Where very many are to be fed, and
// writers never pause, that falls behind: then with a batch of revisions in each response,
// and with more of each Pump. Else it stands at a position (the
// next revision that it needs) and catches up from the store in bounded batches. A
// stream that takes no bytes costs nothing but its watchers' positions: no event is
// buffered for it, and it delays nobody.
//
// Watchers of one range with the same options form a group, and those of a group at one
// position a cohort: what they see is looked for and encoded once, and shared.
//
// Behaviour is etcd's. Nothing is sent but through the sink;
// event responses come only out of Pump().
#ifndef QUORATE_ENGINE_MVCC_WATCH_H_
#define QUORATE_ENGINE_MVCC_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/strong_int.h"
#include "base/time.h"
#include "engine/mvcc/interval_tree.h"
#include "engine/mvcc/key_range.h"
#include "engine/mvcc/paged.h"
#include "engine/mvcc/range.h"
#include "engine/mvcc/reply.h"
#include "engine/mvcc/requests.h"
#include "engine/mvcc/store.h"
#include "engine/mvcc/watch_events.h"
#include "engine/mvcc/work.h"

namespace quorate::mvcc {

// Where encoded WatchResponses go: `head` followed by `events`, to one stream.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  virtual void OnWatchReply(uint64_t stream, Bytes head, Bytes events) = 0;
  // The hub closed the stream by itself, and this is why.
  virtual void OnWatchEnd(uint64_t stream, absl::Status status) = 0;
  // Who answers; asked for every response.
  virtual Identity WatchIdentity() const = 0;
  // Why the stream may not watch the range, as the client is to be told; empty if it may.
  // Asked when a watch is created.
  virtual std::string WatchRefusal(uint64_t /*stream*/, const KeyRange& /*range*/) { return ""; }
};

struct WatchOptions {
  // A response of a watcher that allows fragments is split from this size on.
  size_t fragment_bytes = limits::kMaxGrpcReceiveBytes;
  // Between the progress notes to idle watchers that want them; each stream adds a
  // jitter of up to a tenth, drawn from the seed.
  Duration progress_interval = Seconds(600);
  uint64_t seed = 0;
  // A batch holds at most so many revisions, and ends with the revision that brings it to so many
  // bytes.
  size_t batch_revisions = 1000;
  size_t batch_bytes = limits::kMiB;
};

class WatchHub {
 public:
  // Control responses that wait for a stream to take bytes; one more request ends the stream with
  // ResourceExhausted. A shell does not read requests while a stream takes no responses.
  static constexpr size_t kMaxControlBacklog = 65536;
  // A revision of more changes is not begun anew because records were moved meanwhile; no other
  // is more than once.
  static constexpr size_t kManyChanges = 1000;
  static constexpr uint64_t kPumpWork = 2000;

  // `store` and `sink` are borrowed.
  WatchHub(const Store* store, const WatchOptions& options, WatchSink* sink);
  ~WatchHub();
  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  // Streams, named by tokens that are not reused. Calls for unknown ones do nothing.
  void Open(uint64_t stream);
  void Close(uint64_t stream);
  // Whether the stream takes responses now; true at first.
  void SetWritable(uint64_t stream, bool writable);
  // An encoded WatchRequest. The stream ends with Internal if it is none, and with
  // ResourceExhausted beyond kMaxControlBacklog.
  void Request(uint64_t stream, const Bytes& body, Instant now);

  // Answers a request that could not be taken: with a watch that was refused for `reason`.
  void Refuse(uint64_t stream, absl::string_view reason);

  // The store was replaced by a later state of itself: live watchers catch up from where
  // they stand, as far as the history is still there.
  void Rebase();

  // Sends what is due, about `max_bytes` of responses at most (whole responses; at
  // least some progress is made). What takes more than `work` to be found and encoded is
  // gone on with by the next call.
  void Pump(size_t max_bytes, Work* work);
  void Pump(size_t max_bytes) {
    Work work(kPumpWork);
    Pump(max_bytes, &work);
  }
  // Whether Pump() has something to do.
  bool HasWork() const;

  // Whether records of the present revision log are being looked at in pieces: they must not
  // be moved meanwhile.
  bool HoldsRecords() const {
    return preparation_.under_way &&
           (preparation_.begun_anew || preparation_.changes.size() > kManyChanges);
  }

  // Sends progress notes that have fallen due, with the next calls of Pump() if they are many; when
  // the next ones will be.
  void Tick(Instant now);
  Instant next_tick() const;

  // The next revision that synced watchers will be sent.
  Revision live() const { return live_; }
  size_t streams() const { return streams_.size(); }
  size_t watchers() const { return watchers_; }
  // Those that are catching up, or wait for their stream.
  size_t slow_watchers() const { return slow_watchers_; }
  // Since the beginning, once for each watcher.
  uint64_t events_sent() const { return events_sent_; }

 private:
  struct Group;
  struct Stream;

  struct Watcher {
    Stream* stream = nullptr;
    std::shared_ptr<Group> group;
    int64_t id = 0;
    uint64_t number = 0;  // order of creation, the order of everything here
    Revision start;       // as asked for; 0 = from now on
    // Events before it are not wanted (any more).
    Revision next;
    bool synced = false;
    bool was_live = false;  // it fell behind since its stream was not writable
    bool notify = false;
    bool idle = true;  // no event since the last progress note
  };
  using Watchers = absl::btree_map<uint64_t, Watcher*>;  // by number

  // What makes two watchers see the same events.
  struct GroupKey {
    std::string begin;
    std::string end;
    KeyRange::Kind kind = KeyRange::Kind::kSingle;
    bool no_put = false;
    bool no_delete = false;
    bool prev_kv = false;
    bool fragment = false;

    friend auto operator<=>(const GroupKey&, const GroupKey&) = default;
  };
  struct Group {
    GroupKey key;
    uint64_t number = 0;
    size_t watchers = 0;
    Watchers synced;

    KeyRange range() const { return {key.begin, key.end, key.kind}; }
    bool Wants(const Record& record) const {
      return record.tombstone ? !key.no_delete : !key.no_put;
    }
  };
  using Groups = absl::btree_map<GroupKey, std::shared_ptr<Group>>;

  struct Stream {
    uint64_t token = 0;
    bool writable = true;
    absl::btree_map<int64_t, std::unique_ptr<Watcher>> watchers;  // by watch id
    // Watchers that a compaction ended. Their ids stay taken until they are cancelled, and
    // meanwhile the stream counts as behind: etcd's clients know it so.
    absl::btree_set<int64_t> ended;
    int64_t next_id = 0;
    size_t synced = 0;
    // Where watchers begin that were created before the store was there, for as long as they live.
    absl::btree_multiset<Revision> later;
    size_t notified = 0;  // watchers with `notify`
    Instant next_note;
    std::deque<Bytes> control;
    bool closed = false;  // it waits for its watchers to be removed; not writable then
    // Walks over all watchers that are under way, by the next watch id.
    std::optional<int64_t> note_from;  // for progress notes
    // Since the stream became writable, once around: from where the last one stopped until there.
    int64_t requeue_from = std::numeric_limits<int64_t>::min();
    std::optional<int64_t> requeue_until;
    bool requeue_wrapped = false;
    bool requeueing = false;  // it waits for that among others
  };

  // Watchers of one group at one position that are to catch up, on streams that are writable, or
  // were a short while ago.
  struct CohortKey {
    Revision next;
    uint64_t group = 0;
    friend auto operator<=>(const CohortKey&, const CohortKey&) = default;
  };
  using Cohorts = absl::btree_map<CohortKey, Watchers>;

  // Encoded events and where each of them ends.
  struct Batch {
    Bytes events;
    Paged<size_t> ends;
    Revision last;  // that of the last event, in one for live watchers
  };
  // Events being encoded.
  struct Encoding {
    Reply reply;
    Batch batch;
  };
  // The events of the revisions under way for one group.
  struct Delivery {
    std::shared_ptr<Group> group;
    std::shared_ptr<const Batch> batch;
  };

  // Finding out who is to see what of the revisions under way. Groups that see the same changes
  // share what is encoded: what a group sees is a way through a tree, at whose nodes stand changes,
  // and groups that end at one node have seen the same.
  struct Preparation {
    struct Node {
      uint32_t parent = 0;
      uint32_t change = 0;
    };
    bool under_way = false;
    bool collected = false;
    bool begun_anew = false;  // since records were moved: from now on they stay
    LogCursor cursor;         // the next record
    uint64_t rewrites = 0;
    size_t bytes = 0;  // of the changes
    Paged<Location> changes;
    Paged<Node> nodes;  // the first is the root: nothing seen
    // By the number of the group: it, and where it stands.
    absl::btree_map<uint64_t, std::pair<std::shared_ptr<Group>, uint32_t>> seen;
    // By node and whether with prev_kv.
    absl::btree_map<std::pair<uint32_t, bool>, std::shared_ptr<const Batch>> encoded;
    // Of the batch being encoded: the way to its node, and what of it is to be encoded yet.
    uint32_t walked = 0;
    Paged<uint32_t> way;
    // Of the last change while it is not known yet who sees it: from where groups stood to where
    // they went, and the group of a range that was asked last.
    bool seeing = false;
    absl::btree_map<uint32_t, uint32_t> steps;
    std::optional<std::pair<std::string, uint64_t>> asked;
    uint64_t passed = 0;  // groups that were asked and see nothing
    std::unique_ptr<Encoding> encoding;
  };

  // A batch for the watchers of a cohort, while it takes more than one Pump to gather.
  struct Gathering {
    Gathering() {}  // clang 14 takes a defaulted one for none while WatchHub is incomplete

    CohortKey cohort;
    std::shared_ptr<Group> group;
    Revision next;         // to be looked at
    size_t revisions = 0;  // in the batch
    Revision last_seen;
    bool gathered = false;
    Revision present;     // the store's, when all was gathered
    Revision last_event;  // of the batch
    std::unique_ptr<Encoding> encoding;
  };

  // A way through the log, from where the cohort that is furthest behind stands, with all whom it
  // passes; see watch_sweep.cc.
  struct Sweep {
    Sweep() {}  // as above

    struct Member {
      CohortKey cohort;
      std::shared_ptr<Group> group;
      uint64_t number = 0;  // in `ranges`
      size_t revisions = 0;
      Revision last_seen;
      std::unique_ptr<Encoding> encoding;  // null: it saw nothing
      bool left = false;                   // it stays where it was
    };
    Revision from;
    Revision next;    // to be looked at; once scanned: where all of them then stand
    int64_t sub = 0;  // and the first change of it
    LogCursor cursor;
    uint64_t rewrites = ~uint64_t{0};
    CohortKey joined;  // the last one that was considered
    std::deque<Member> members;
    IntervalTree<Member*> ranges;
    size_t looked = 0;              // at records
    size_t bytes = 0;               // encoded for all members
    bool full = false;              // one of them has a batch
    const Member* first = nullptr;  // who saw something
    bool left_some = false;
    bool from_top = false;
    bool scanned = false;
    Revision present;  // the store's, when the scan ended
  };

  // watch.cc: streams and requests
  void OnCreate(Stream* stream, const WatchCreateRequest& request, Instant now);
  void OnCancel(Stream* stream, const WatchCancelRequest& request);
  void Refuse(Stream* stream, absl::string_view reason);
  Watcher* AddWatcher(Stream* stream, int64_t id, const WatchCreateRequest& request,
                      const KeyRange& range, Instant now);
  void Remove(Watcher* watcher);
  bool RemoveSome(Stream* stream, size_t max);
  void RemoveClosed(Work* work);
  bool RequeueSome(Stream* stream, size_t* max);
  bool NoteSome(Stream* stream, size_t* max);
  void VisitSome(Work* work);
  std::shared_ptr<Group> GroupFor(const WatchCreateRequest& request, const KeyRange& range);
  void SendControl(Stream* stream, const WatchHead& head);
  void FlushControl(Stream* stream);
  void SetNextNote(Stream* stream, Instant next);
  bool IsTaken(const Stream& stream, int64_t id) const;

  // watch_pump.cc: events
  void Sync(Watcher* watcher);
  void LeftSynced(const Group& group);
  void FallBehind(Watcher* watcher, Revision next);
  void Enqueue(Watcher* watcher);
  void Dequeue(Watcher* watcher);
  void Distribute(Work* work, size_t* budget);
  void FinishRevisions();
  int64_t Backlog() const;
  bool DeliverTo(const Delivery& delivery, size_t* budget);
  Cohorts* CohortsOf(const Watcher& watcher) {
    return watcher.group->range().single() ? &cohorts_ : &sweepers_;
  }
  bool CatchUpOne(Work* work, size_t* bytes);
  bool LookUpOne(Work* work, size_t* bytes);
  // What a batch is of: the store's revision when it was gathered, and that of its last event.
  struct Moment {
    Revision present;
    Revision last;
  };
  void SendBatch(Cohorts* cohorts, const CohortKey& key, Revision next, const Moment& moment,
                 const Batch& batch, Work* work, size_t* bytes);
  void CancelCompacted(Cohorts* cohorts, CohortKey key, Work* work);
  size_t Send(Watcher* watcher, Revision revision, const Batch& batch);

  // watch_prepare.cc: finding and encoding events, in pieces
  void BeginRevisions(int64_t most);
  bool PrepareRevisions(Work* work);
  bool CollectChanges(Work* work);
  void BeginSeeing(const Record& record);
  bool See(const std::shared_ptr<Group>& group, const Record& record);
  bool SeeSome(const Record& record, Work* work);
  bool EncodeDeliveries(Work* work);
  bool EncodeWay(uint32_t node, bool prev_kv, Work* work);
  void DropPreparation();
  bool ReleasePreparation(Work* work);
  void BeginPreparationAnew();
  void BeginGathering(const CohortKey& key, const std::shared_ptr<Group>& group);
  void GatherKey(Work* work);
  bool IsFull(const Gathering& gathering) const;
  void Append(const Record& record, bool prev_kv, Work* work, Encoding* encoding) const;

  // watch_sweep.cc: one pass over the log for all who watch ranges
  bool SweepOne(Work* work, size_t* bytes);
  void BeginSweep();
  bool Scan(Work* work);
  bool Join(Revision main, Work* work);
  bool EndsBefore(Revision main) const;
  void SeeInSweep(const Record& record, Work* work);
  bool DeliverSweep(Work* work, size_t* bytes);

  void AnswerProgress();
  bool HasBegun(const Watcher& watcher) const;
  bool IsSynced(const Stream& stream) const;
  bool IsDelivered(Revision next) const;

  const Store* store_;
  WatchOptions options_;
  WatchSink* sink_;

  absl::btree_map<uint64_t, std::unique_ptr<Stream>> streams_;
  // Closed ones with very many watchers, which are removed in pieces.
  std::deque<std::unique_ptr<Stream>> closed_;
  // Streams with walks under way.
  std::deque<uint64_t> requeueing_;
  std::deque<uint64_t> noting_;
  Groups single_groups_;  // watchers of one key
  Groups range_groups_;
  IntervalTree<std::shared_ptr<Group>> ranges_;  // of range_groups_: those with synced watchers
  Cohorts cohorts_;                              // of single keys
  CohortKey last_cohort_;                        // they take turns
  Cohorts sweepers_;                             // of ranges
  absl::btree_set<uint64_t> progress_asked_;
  absl::btree_set<std::pair<Instant, uint64_t>> notes_;
  size_t watchers_ = 0;
  size_t slow_watchers_ = 0;
  uint64_t events_sent_ = 0;
  uint64_t last_watcher_ = 0;
  uint64_t last_group_ = 0;

  Revision live_;
  // Revisions live_ to until_ under way: what is to be sent, and how far that has come. While their
  // changes are collected until_ moves on, up to most_.
  Revision until_;
  Revision most_;
  Preparation preparation_;
  bool delivering_ = false;
  std::deque<Delivery> deliveries_;
  uint64_t delivered_watcher_ = 0;  // last number served in the current delivery
  LogCursor cursor_;                // first record of live_, if cursor_rewrites_ holds
  uint64_t cursor_rewrites_ = ~uint64_t{0};

  std::optional<Gathering> gathering_;
  std::optional<Sweep> sweep_;
  Revision swept_;              // where the last sweep from the bottom came to
  bool top_is_next_ = false;    // the next sweep begins with those who are nearest to the present
  bool sweep_is_next_ = false;  // the sweep and the others take turns

  // The last head made, for the next watcher that needs the same.
  WatchHead head_;
  Bytes head_bytes_;
  Term head_term_;
};

}  // namespace quorate::mvcc

#endif  // QUORATE_ENGINE_MVCC_WATCH_H_
