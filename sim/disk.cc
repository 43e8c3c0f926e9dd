// A simulated disk's operations in time, their faults, and what crashes do.
#include "sim/disk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/disk_impl.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kDiskDone("disk", "operation", "bytes");

Prng DiskPrng(const Context& context, HostId host, absl::string_view purpose) {
  return Prng(NamedDraw(context.seed, HashName("disk") + host.value(), HashName(purpose), 0));
}

uint64_t TotalBytes(const std::vector<Bytes>& pieces) {
  uint64_t total = 0;
  for (const Bytes& piece : pieces) total += piece.size();
  return total;
}

bool IsSync(DiskOperation operation) {
  return operation == DiskOperation::kSync || operation == DiskOperation::kWriteAndSync ||
         operation == DiskOperation::kSyncDir;
}

}  // namespace

absl::string_view DiskOperationName(DiskOperation operation) {
  constexpr absl::string_view kNames[] = {
      "open", "read",      "write",  "sync",   "write-and-sync", "write-zeros", "truncate",
      "list", "make-dirs", "rename", "remove", "sync-dir",       "lock-dir",    "free-space"};
  return kNames[static_cast<size_t>(operation)];
}

// --- Operations in time ---

Disk::Impl::Impl(const Context& c, HostId h, const DiskOptions& o)
    : context(c),
      host(h),
      options(o),
      latency_prng(DiskPrng(c, h, "latency")),
      fault_prng(DiskPrng(c, h, "fault")),
      crash_prng(DiskPrng(c, h, "crash")) {}

std::shared_ptr<Lane> Disk::Impl::NewLane() {
  std::erase_if(lanes, [](const std::shared_ptr<Lane>& lane) { return lane.use_count() == 1; });
  return lanes.emplace_back(std::make_shared<Lane>());
}

void Disk::Impl::Submit(const std::shared_ptr<Lane>& lane, DiskWork work) {
  lane->queue.push_back(std::move(work));
  if (lane->queue.size() == 1) Begin(lane);
}

void Disk::Impl::Begin(const std::shared_ptr<Lane>& lane) {
  const DiskWork& work = lane->queue.front();
  VirtualTime done = context.now() + DrawLatency(work);
  done = std::max(done, stalled_until);
  // The lane is held by its file or its process; Detach cancels this.
  lane->due = done;
  lane->done = context.scheduler->At(done, [this, lane] { Finish(lane); });
  lane->queue.front().number = ++operations;
  if (hook) hook(operations, work.operation);
}

Duration Disk::Impl::DrawLatency(const DiskWork& work) {
  const bool sync = IsSync(work.operation);
  Duration latency = sync ? options.sync_min : options.operation_min;
  const Duration mean = sync ? options.sync_mean : options.operation_mean;
  if (mean > Duration()) latency = latency + latency_prng.Exponential(mean);
  if (options.bytes_per_second > 0) {
    const auto nanos =
        static_cast<unsigned __int128>(work.bytes) * 1'000'000'000 / options.bytes_per_second;
    latency = latency + Nanoseconds(static_cast<int64_t>(nanos));
  }
  latency = latency * slowdown_percent / 100;
  if (options.stall_ppm > 0 && latency_prng.Chance(options.stall_ppm, 1'000'000)) {
    const Duration stall = latency_prng.Between(Duration(), options.stall_max);
    context.Inject(Fault::kDiskStall, host, static_cast<uint64_t>(stall.nanos()));
    latency = latency + stall;
  }
  return latency;
}

void Disk::Impl::Finish(const std::shared_ptr<Lane>& lane) {
  const DiskWork work = std::move(lane->queue.front());
  lane->queue.pop_front();
  if (!lane->queue.empty()) Begin(lane);
  Loop* const loop = attachment->loop;
  if (fault) injected = fault(work.number, work.operation);
  Task tell = work.run();
  loop->Enter(kDiskDone, static_cast<uint64_t>(work.operation), work.bytes, std::move(tell));
}

// --- Effects ---

absl::Status Disk::Impl::CheckWritable(const OpenFileState& file, const char* operation) const {
  if (file.writable) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(operation, " ", file.path, ": bad file descriptor"));
}

absl::StatusOr<Bytes> Disk::Impl::Read(OpenFileState* file, uint64_t offset, size_t size) {
  FilePages& pages = *file->node->pages;
  if (offset >= pages.size()) return Bytes();
  size = static_cast<size_t>(std::min<uint64_t>(size, pages.size() - offset));
  if (size == 0) return Bytes();
  if (Chance(options.read_error_ppm)) {
    pages.Break(offset + fault_prng.Below(size));
    context.Inject(Fault::kDiskReadError, host, offset);
  }
  if (!pages.Readable(offset, size)) {
    return absl::DataLossError(absl::StrCat("read ", file->path, " at ", offset, ": i/o error"));
  }
  if (Chance(options.bit_rot_ppm)) {
    const uint64_t at = offset + fault_prng.Below(size);
    pages.FlipBit(at, static_cast<int>(fault_prng.Below(8)));
    context.Inject(Fault::kDiskBitRot, host, at);
  }
  BytesBuilder out(size);
  pages.Read(offset, size, out.Grow(size));
  return std::move(out).Finish();
}

// Writes the pieces, at most the first `limit` bytes of them.
void Disk::Impl::StorePieces(OpenFileState* file, uint64_t offset, const std::vector<Bytes>& pieces,
                             uint64_t limit) {
  for (const Bytes& piece : pieces) {
    const size_t step = static_cast<size_t>(std::min<uint64_t>(piece.size(), limit));
    if (step > 0) file->node->pages->Write(offset, piece.view().substr(0, step));
    offset += step;
    limit -= step;
  }
}

absl::Status Disk::Impl::Write(OpenFileState* file, uint64_t offset,
                               const std::vector<Bytes>& pieces) {
  if (absl::Status status = CheckWritable(*file, "write"); !status.ok()) return status;
  const uint64_t total = TotalBytes(pieces);
  if (total == 0) return absl::OkStatus();
  const uint64_t old_size = file->node->pages->size();
  const uint64_t room = old_size + free_bytes();
  if (offset + total > room) {
    context.Inject(Fault::kDiskFull, host, total);
    Tear(file, offset, pieces, total);
    return absl::ResourceExhaustedError(
        absl::StrCat("write ", file->path, ": no space left on device"));
  }
  if (Chance(options.write_error_ppm)) {
    context.Inject(Fault::kDiskWriteError, host, total);
    Tear(file, offset, pieces, fault_prng.Below(total));
    return absl::InternalError(absl::StrCat("write ", file->path, ": i/o error"));
  }
  if (Chance(options.lost_write_ppm)) {
    context.Inject(Fault::kDiskLostWrite, host, offset);
    return absl::OkStatus();
  }
  if (old_size > io::kSectorBytes && Chance(options.misdirected_write_ppm)) {
    context.Inject(Fault::kDiskMisdirectedWrite, host, offset);
    offset = fault_prng.Below(old_size / io::kSectorBytes) * io::kSectorBytes;
  }
  StorePieces(file, offset, pieces, total);
  return absl::OkStatus();
}

absl::Status Disk::Impl::Zero(OpenFileState* file, uint64_t offset, uint64_t size) {
  if (absl::Status status = CheckWritable(*file, "write"); !status.ok()) return status;
  const uint64_t room = file->node->pages->size() + free_bytes();
  if (offset + size > room) {
    context.Inject(Fault::kDiskFull, host, size);
    if (room > offset) file->node->pages->WriteZeros(offset, room - offset);
    return absl::ResourceExhaustedError(
        absl::StrCat("write ", file->path, ": no space left on device"));
  }
  file->node->pages->WriteZeros(offset, size);
  return absl::OkStatus();
}

absl::Status Disk::Impl::Truncate(OpenFileState* file, uint64_t size) {
  if (absl::Status status = CheckWritable(*file, "truncate"); !status.ok()) return status;
  file->node->pages->Truncate(size);
  return absl::OkStatus();
}

absl::Status Disk::Impl::Sync(OpenFileState* file) {
  const bool lie = !file->sync_failed || Chance(options.sync_lie_ppm);
  const bool fails = failing_syncs > 0 || Chance(options.sync_error_ppm);
  if (failing_syncs > 0) --failing_syncs;
  if (fails || !lie) {
    if (!file->sync_failed || fails) context.Inject(Fault::kDiskSyncError, host);
    FailSync(file);
    return absl::InternalError(absl::StrCat("sync ", file->path, ": i/o error"));
  }
  if (!file->node->pages->Sync()) context.Inject(Fault::kDiskSyncLie, host);
  return absl::OkStatus();
}

void Disk::Impl::FailSync(OpenFileState* file) {
  file->sync_failed = true;
  file->node->pages->FailSync(&fault_prng);
}

// The first `bytes` of a write, as far as there is room: whole sectors, unless it is all.
void Disk::Impl::Tear(OpenFileState* file, uint64_t offset, const std::vector<Bytes>& pieces,
                      uint64_t bytes) {
  const uint64_t room = file->node->pages->size() + free_bytes();
  uint64_t end = std::min(offset + bytes, room);
  if (end < offset + TotalBytes(pieces)) end -= end % io::kSectorBytes;
  if (end > offset) StorePieces(file, offset, pieces, end - offset);
}

// The operation that the system was working on when the process died.
void Disk::Impl::Cut(DiskWork* work) {
  context.Inject(Fault::kDiskCutOperation, host, static_cast<uint64_t>(work->operation));
  const uint64_t outcomes = work->tear != nullptr ? 3 : 2;
  const uint64_t outcome = choice ? choice(outcomes) : crash_prng.Below(outcomes);
  if (outcome + 1 == outcomes) {
    work->run();
  } else if (outcome == 1) {
    work->tear(choice ? work->bytes : crash_prng.Below(work->bytes + 1));
  }
}

void Disk::Impl::LosePower() {
  CHECK(!options.survive_ppm.empty());
  const uint32_t survive =
      choice ? 0 : options.survive_ppm[crash_prng.Below(options.survive_ppm.size())];
  const Survivor survivor = [&](size_t older) -> size_t {
    if (choice) return choice(older + 1);
    return crash_prng.Chance(survive, 1'000'000) ? older : crash_prng.Below(older);
  };
  const uint64_t lost_names = names.LosePower(survivor);
  if (lost_names > 0) context.Inject(Fault::kDiskLostName, host, lost_names);
  names.ForEachFile([&](const std::string&, DiskNode* file) {
    const PageLosses losses = file->pages->LosePower(survivor);
    if (losses.lost_sectors > 0) context.Inject(Fault::kDiskLostSector, host, losses.lost_sectors);
    if (losses.lost_sectors > 0 && losses.kept_sectors > 0) {
      context.Inject(Fault::kDiskTornWrite, host, losses.kept_sectors);
    }
    if (losses.lost_size) context.Inject(Fault::kDiskLostSize, host);
  });
}

// --- The machine's side ---

Disk::Disk(const Context& context, HostId host, const DiskOptions& options)
    : impl_(std::make_unique<Impl>(context, host, options)) {}

Disk::~Disk() {
  for (const std::shared_ptr<Lane>& lane : impl_->lanes) {
    impl_->context.scheduler->Cancel(lane->done);
    lane->queue.clear();  // its work holds the file, and that the lane
  }
}

std::unique_ptr<io::Disk> Disk::Attach(Loop* loop) {
  CHECK(impl_->attachment == nullptr);
  impl_->attachment = std::make_shared<Attachment>();
  impl_->attachment->loop = loop;
  return std::make_unique<ProcessDisk>(impl_.get(), impl_->attachment);
}

void Disk::Detach(Ending ending) {
  CHECK(impl_->attachment != nullptr);
  impl_->attachment->loop = nullptr;
  impl_->attachment->locks.clear();
  for (const std::shared_ptr<Lane>& lane : impl_->lanes) {
    impl_->context.scheduler->Cancel(lane->done);
    std::deque<DiskWork> queue = std::move(lane->queue);
    lane->queue.clear();
    if (ending == Ending::kExit) {
      for (DiskWork& work : queue) work.run();
    } else if (!queue.empty()) {
      impl_->Cut(&queue.front());  // the others waited for its thread
    }
  }
  impl_->lanes.clear();
  impl_->attachment = nullptr;
  if (ending == Ending::kPowerLoss) impl_->LosePower();
}

void Disk::SetOptions(const DiskOptions& options) { impl_->options = options; }
const DiskOptions& Disk::options() const { return impl_->options; }
void Disk::SetSlowdownPercent(uint32_t percent) { impl_->slowdown_percent = percent; }
void Disk::StallUntil(VirtualTime time) {
  if (time > impl_->context.now()) impl_->context.Inject(Fault::kDiskStall, impl_->host);
  impl_->stalled_until = time;
  for (const std::shared_ptr<Lane>& lane : impl_->lanes) {
    if (lane->queue.empty() || lane->due >= time) continue;
    lane->due = time;
    impl_->context.scheduler->Move(lane->done, time);
  }
}
void Disk::FailNextSyncs(uint32_t count) { impl_->failing_syncs = count; }

absl::Status Disk::FlipBit(const std::string& path, uint64_t offset, int bit) {
  const auto node = impl_->names.Find(path);
  if (!node.ok()) return node.status();
  if ((*node)->is_directory() || offset >= (*node)->pages->size()) {
    return absl::OutOfRangeError(absl::StrCat(path, " has no byte ", offset));
  }
  impl_->context.Inject(Fault::kDiskBitRot, impl_->host, offset);
  (*node)->pages->FlipBit(offset, bit);
  return absl::OkStatus();
}

absl::Status Disk::Overwrite(const std::string& path, uint64_t offset, absl::string_view bytes) {
  const auto node = impl_->names.Find(path);
  if (!node.ok()) return node.status();
  if ((*node)->is_directory() || offset + bytes.size() > (*node)->pages->size()) {
    return absl::OutOfRangeError(absl::StrCat(path, " has no byte ", offset + bytes.size()));
  }
  (*node)->pages->Overwrite(offset, bytes);
  return absl::OkStatus();
}

absl::Status Disk::BreakSector(const std::string& path, uint64_t offset) {
  const auto node = impl_->names.Find(path);
  if (!node.ok()) return node.status();
  if ((*node)->is_directory() || offset >= (*node)->pages->size()) {
    return absl::OutOfRangeError(absl::StrCat(path, " has no byte ", offset));
  }
  impl_->context.Inject(Fault::kDiskReadError, impl_->host, offset);
  (*node)->pages->Break(offset);
  return absl::OkStatus();
}

void Disk::MendSectors() {
  impl_->names.ForEachFile([](const std::string&, DiskNode* file) { file->pages->Mend(); });
}

void Disk::SetMaxOpenFiles(size_t most) { impl_->max_open_files = most; }
size_t Disk::open_files() const { return impl_->open_files; }

bool Disk::Forget(const std::string& directory) {
  CHECK(impl_->attachment == nullptr);
  bool any = false;
  for (const std::string& path : Files()) {
    if (!absl::StartsWith(path, directory + "/")) continue;
    any = true;
    CHECK(impl_->names.Remove(path).ok());
  }
  if (any) CHECK(impl_->names.SyncDir(directory).ok());
  return any;
}

void Disk::Wipe() {
  CHECK(impl_->attachment == nullptr);
  impl_->names = NameTree(&impl_->used);
}

void Disk::CopyFrom(const Disk& other) {
  CHECK(impl_->attachment == nullptr);
  impl_->names = other.impl_->names.Copy(&impl_->used, /*durable_only=*/false);
}

void Disk::CloneFrom(const Disk& other) {
  CHECK(impl_->attachment == nullptr);
  impl_->names = other.impl_->names.Clone(&impl_->used);
}

void Disk::LosePower() {
  CHECK(impl_->attachment == nullptr);
  impl_->LosePower();
}

std::unique_ptr<Disk> Disk::DurableCopy() const {
  auto copy = std::make_unique<Disk>(impl_->context, impl_->host, impl_->options);
  copy->impl_->names = impl_->names.Copy(&copy->impl_->used, /*durable_only=*/true);
  return copy;
}

std::vector<std::string> Disk::Files() const {
  std::vector<std::string> paths;
  impl_->names.ForEachFile([&](const std::string& path, DiskNode*) { paths.push_back(path); });
  return paths;
}

absl::StatusOr<std::string> Disk::Peek(const std::string& path) const {
  const auto node = impl_->names.Find(path);
  if (!node.ok()) return node.status();
  if ((*node)->is_directory()) return absl::FailedPreconditionError(path);
  std::string content((*node)->pages->size(), '\0');
  (*node)->pages->Read(0, content.size(), content.data());
  return content;
}

absl::StatusOr<std::string> Disk::PeekDurable(const std::string& path) const {
  return DurableCopy()->Peek(path);
}

uint64_t Disk::used_bytes() const { return impl_->used; }
uint64_t Disk::Digest() const { return impl_->names.Digest(); }
uint64_t Disk::operations() const { return impl_->operations; }
void Disk::SetOperationHook(OperationHook hook) { impl_->hook = std::move(hook); }
void Disk::SetOperationFault(OperationFault fault) { impl_->fault = std::move(fault); }
void Disk::SetCrashChoice(CrashChoice choice) { impl_->choice = std::move(choice); }

}  // namespace quorate::sim
