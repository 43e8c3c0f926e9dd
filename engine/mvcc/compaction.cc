#include "engine/mvcc/compaction.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/mvcc/errors.h"
#include "engine/mvcc/key_value.h"

namespace quorate::mvcc {
namespace {

constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();
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

void Compactor::Step(size_t max_records) {
  size_t budget = max_records;
  while (!jobs_.empty() && budget > 0) {
    Job* job = &jobs_.front();
    switch (job->phase) {
      case Phase::kHash:
        if (StepHash(job, &budget)) {
          job->phase = Phase::kPrune;
          job->cursor = store_->log().Seek(job->previous);
        }
        break;
      case Phase::kPrune:
        if (StepPrune(job, &budget)) job->phase = Phase::kClean;
        break;
      case Phase::kClean:
        if (StepClean(job, &budget)) {
          finished_ = job->at;
          jobs_.pop_front();
        }
        break;
    }
  }
}

bool Compactor::StepHash(Job* job, size_t* budget) {
  if (!job->hash.has_value()) {
    job->hash.emplace(*store_, job->at, job->previous, HashScan::TombstoneAtEnd::kKeep);
  }
  const bool done = job->hash->Step(*budget);
  if (done) {
    Remember({job->hash->hash(), job->previous, job->at});
    --*budget;
  } else {
    *budget = 0;
  }
  return done;
}

bool Compactor::StepPrune(Job* job, size_t* budget) {
  RevisionLog& log = store_->log_;
  while (*budget > 0) {
    if (!log.Valid(&job->cursor)) return true;
    const Record record = log.Get(job->cursor.location());
    if (record.revision.main > job->at) return true;
    const size_t max = *budget;
    const size_t dropped =
        store_->index_.Prune(DecodeKey(record.bytes), job->at, max,
                             [&log](Location location) { log.MarkGarbage(location); });
    *budget -= std::max<size_t>(dropped, 1);
    if (dropped < max) log.Next(&job->cursor);  // else there may be more of this key
  }
  return false;
}

bool Compactor::StepClean(Job* job, size_t* budget) {
  const RevisionLog& log = store_->log();
  for (; *budget > 0; ++job->segment) {
    if (job->segment >= log.segments() || log.IsOpen(job->segment)) return true;
    --*budget;
    const size_t garbage = log.GarbageBytes(job->segment);
    const size_t used = log.UsedBytes(job->segment);
    if (garbage == 0 || garbage < used / kGarbageShare) continue;
    Clean(job->segment);
    const size_t records = used / (RevisionLog::kHeaderBytes + 16);
    *budget -= records < *budget ? records : *budget;
  }
  return false;
}

void Compactor::Clean(uint32_t segment) {
  KeyIndex& index = store_->index_;
  store_->log_.Rewrite(
      segment,
      [&index](const Record& record, Location at) {
        return index.Knows(DecodeKey(record.bytes), at);
      },
      [&index](const Record& record, Location from, Location to) {
        CHECK(index.Relocate(DecodeKey(record.bytes), from, to));
      });
}

void Compactor::Remember(const KvHash& hash) {
  stored_.push_back(hash);
  if (stored_.size() > kStoredHashes) stored_.pop_front();
}

absl::StatusOr<KvHash> Compactor::HashKv(Revision at) const {
  for (const KvHash& stored : stored_) {
    if (stored.hash_revision == at) return stored;
  }
  for (const Job& job : jobs_) {
    if (job.at != at || job.phase == Phase::kClean) continue;
    HashScan scan(*store_, job.at, job.previous, HashScan::TombstoneAtEnd::kKeep);
    scan.Step(kUnbounded);
    return KvHash{scan.hash(), job.previous, job.at};
  }
  const Revision compacted = store_->compact_revision();
  if (at > Revision(0) && at < compacted) return CompactedError();
  if (at > store_->revision()) return FutureRevisionError();
  if (at == Revision(0)) at = store_->revision();
  HashScan scan(*store_, at, compacted, HashScan::TombstoneAtEnd::kForget);
  scan.Step(kUnbounded);
  return KvHash{scan.hash(), compacted, at};
}

}  // namespace quorate::mvcc
