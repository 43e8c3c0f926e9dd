#include "engine/mvcc/compaction.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

// A segment is rewritten once a quarter of it is garbage: memory stays below 4/3 of
// what is needed, and a byte is copied about three times in its life at worst.
constexpr size_t kGarbageShare = 4;

}  // namespace

absl::Status Compactor::Start(Revision at) {
  if (at <= store_->compact_revision()) return CompactedError();
  if (at > store_->revision()) return FutureRevisionError();
  Job job;
  job.at = at;
  job.previous = store_->compact_revision();
  jobs_.push_back(job);
  store_->compact_revision_ = at;
  return absl::OkStatus();
}

void Compactor::Resume() {
  CHECK(jobs_.empty());
  if (store_->compact_revision() == kNeverCompacted) return;
  Job job;
  job.at = store_->compact_revision();
  job.phase = Phase::kClean;
  jobs_.push_back(job);
}

void Compactor::Replace(Compactor* loaded) {
  for (const Job& job : loaded->jobs_) CHECK(!job.hash.has_value());
  jobs_ = std::move(loaded->jobs_);
  finished_ = loaded->finished_;
  stored_ = std::move(loaded->stored_);
}

void Compactor::Step(Work* work) {
  while (!jobs_.empty() && !work->spent()) {
    Job* job = &jobs_.front();
    switch (job->phase) {
      case Phase::kHash:
        if (StepHash(job, work)) {
          job->phase = Phase::kPrune;
          job->cursor = store_->log().Seek(job->previous);
        }
        break;
      case Phase::kPrune:
        if (StepPrune(job, work)) job->phase = Phase::kClean;
        break;
      case Phase::kClean:
        if (StepClean(job, work)) {
          finished_ = job->at;
          if (job->hash.has_value()) ++finished_jobs_;
          jobs_.pop_front();
        }
        break;
    }
  }
}

bool Compactor::StepHash(Job* job, Work* work) {
  if (!job->hash.has_value()) {
    job->hash.emplace(*store_, job->at, job->previous, HashScan::TombstoneAtEnd::kKeep);
  }
  if (!job->hash->Step(work)) return false;
  Remember({job->hash->hash(), job->previous, job->at});
  return true;
}

bool Compactor::StepPrune(Job* job, Work* work) {
  RevisionLog& log = store_->log_;
  while (!work->spent()) {
    if (!log.Valid(&job->cursor)) return true;
    const Record record = log.Get(job->cursor.location());
    if (record.revision.main > job->at) return true;
    const size_t max = work->left() / 2 + 1;
    const size_t dropped =
        store_->index_.Prune(DecodeKey(record.bytes), job->at, max,
                             [&log](Location location) { log.MarkGarbage(location); });
    work->SpendFind();
    work->Spend(dropped * 2);
    dropped_records_ += dropped;
    if (dropped < max) log.Next(&job->cursor);  // else there may be more of this key
  }
  return false;
}

bool Compactor::StepClean(Job* job, Work* work) {
  const RevisionLog& log = store_->log();
  for (; !work->spent(); ++job->segment) {
    job->segment = log.NextSegment(job->segment);
    if (job->segment >= log.segments() || log.IsOpen(job->segment)) return true;
    work->SpendLook();
    const size_t garbage = log.GarbageBytes(job->segment);
    const size_t used = log.UsedBytes(job->segment);
    if (garbage == 0 || garbage < used / kGarbageShare) continue;
    work->SpendBytes(used);
    work->Spend(Clean(job->segment) * 4);
  }
  return false;
}

// How many records the segment held.
size_t Compactor::Clean(uint64_t segment) {
  KeyIndex& index = store_->index_;
  return store_->log_.Rewrite(segment, [&index](const Record& record, Location from, Location to) {
    CHECK(index.Relocate(DecodeKey(record.bytes), from, to));
  });
}

void Compactor::Remember(const KvHash& hash) {
  stored_.push_back(hash);
  if (stored_.size() > kStoredHashes) stored_.pop_front();
}

absl::StatusOr<HashRun> Compactor::StartHash(Revision at) const {
  for (const KvHash& stored : stored_) {
    if (stored.hash_revision == at) return HashRun(stored, std::nullopt);
  }
  for (const Job& job : jobs_) {
    if (job.at != at || job.phase == Phase::kClean) continue;
    return HashRun({0, job.previous, job.at},
                   HashScan(*store_, job.at, job.previous, HashScan::TombstoneAtEnd::kKeep));
  }
  const Revision compacted = store_->compact_revision();
  if (at > Revision(0) && at < compacted) return CompactedError();
  if (at > store_->revision()) return FutureRevisionError();
  if (at == Revision(0)) at = store_->revision();
  return HashRun({0, compacted, at},
                 HashScan(*store_, at, compacted, HashScan::TombstoneAtEnd::kForget));
}

absl::StatusOr<KvHash> Compactor::HashKv(Revision at) const {
  absl::StatusOr<HashRun> run = StartHash(at);
  if (!run.ok()) return run.status();
  Work work = Work::Unlimited();
  CHECK(run->Step(&work));
  return run->hash();
}

}  // namespace quorate::mvcc
