#include "server/storage_metrics.h"

#include <cstdint>
#include <functional>
#include <utility>

namespace quorate::server {
namespace {

using metrics::Registry;

void AddCounter(Registry* registry, const char* name, const char* help,
                std::function<uint64_t()> value) {
  metrics::Counter* const counter = registry->AddCounter(name, help);
  registry->OnScrape([counter, value = std::move(value)] { counter->Set(value()); });
}

void AddGauge(Registry* registry, const char* name, const char* help,
              std::function<uint64_t()> value) {
  metrics::Gauge* const gauge = registry->AddGauge(name, help);
  registry->OnScrape(
      [gauge, value = std::move(value)] { gauge->Set(static_cast<double>(value())); });
}

void AddDisk(Registry* registry, const node::DiskWatch* disk) {
  AddGauge(registry, "quorate_disk_free_bytes",
           "Space left on the disk of the data directory, as last seen.",
           [disk] { return disk->free_bytes(); });
  AddGauge(registry, "quorate_disk_low_space",
           "1 while there is less than --disk-reserve-bytes: writes are refused.",
           [disk] { return disk->state().low_space ? 1 : 0; });
  AddGauge(registry, "quorate_disk_stalled",
           "1 while a write of the log takes longer than an election timeout.",
           [disk] { return disk->state().stalled ? 1 : 0; });
}

void AddLog(Registry* registry, const storage::Wal* wal) {
  // A gauge in etcd, whatever its name says.
  AddGauge(registry, "etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.",
           [wal] { return wal->stats().bytes_written; });
  AddCounter(registry, "quorate_wal_writes_total", "Writes of the log, each with its sync.",
             [wal] { return wal->stats().writes; });
  AddCounter(registry, "quorate_wal_segments_total", "Segments of the log begun.",
             [wal] { return wal->stats().segments; });
  AddCounter(registry, "quorate_wal_segments_cut_total", "Segments of the log given back.",
             [wal] { return wal->stats().segments_cut; });
  AddGauge(registry, "quorate_wal_unsynced_bytes",
           "Bytes appended to the log that are not yet durable.",
           [wal] { return wal->unsynced_bytes(); });
  AddGauge(registry, "quorate_wal_waits_for_space",
           "1 while there is no space on the disk for the log's next segment.",
           [wal] { return wal->waits_for_space() ? 1 : 0; });
}

void AddCheckpoints(Registry* registry, const storage::Checkpoints* checkpoints) {
  AddCounter(registry, "quorate_checkpoint_taken_total",
             "Checkpoints of the own state made durable.",
             [checkpoints] { return checkpoints->stats().taken; });
  AddCounter(registry, "quorate_checkpoint_installed_total", "States from peers made durable.",
             [checkpoints] { return checkpoints->stats().installed; });
  AddCounter(registry, "quorate_checkpoint_failed_total", "Checkpoints that could not be written.",
             [checkpoints] { return checkpoints->stats().failed; });
  AddCounter(registry, "quorate_checkpoint_written_bytes_total", "Bytes written for checkpoints.",
             [checkpoints] { return checkpoints->stats().bytes_written; });
  AddGauge(registry, "quorate_checkpoint_files", "Files that hold the newest checkpoint.",
           [checkpoints] { return checkpoints->stats().packs; });
  AddGauge(registry, "quorate_checkpoint_file_bytes", "Bytes in those files.",
           [checkpoints] { return checkpoints->stats().pack_bytes; });
  AddGauge(registry, "quorate_checkpoint_live_bytes", "Of those, what it needs.",
           [checkpoints] { return checkpoints->stats().live_bytes; });
}

void AddScrubbing(Registry* registry, const storage::Checkpoints* checkpoints,
                  const storage::Scrubber* scrubber) {
  AddCounter(registry, "quorate_scrub_bytes_total",
             "Bytes of checkpoints and of the log read again and checked.",
             [scrubber] { return scrubber->stats().bytes; });
  AddCounter(registry, "quorate_scrub_passes_total",
             "Times that all of the newest checkpoint and of the log was checked.",
             [scrubber] { return scrubber->stats().passes; });
  AddCounter(registry, "quorate_scrub_damaged_total",
             "Segments of checkpoints found damaged, at each pass.",
             [scrubber] { return scrubber->stats().damaged; });
  AddCounter(registry, "quorate_scrub_errors_total",
             "Attempts to open or to read a file that failed.",
             [scrubber] { return scrubber->stats().errors; });
  AddCounter(registry, "quorate_scrub_repaired_total", "Damaged files of checkpoints written anew.",
             [checkpoints] { return checkpoints->stats().repaired; });
  AddCounter(registry, "quorate_scrub_log_damaged_total", "Segments of the log found damaged.",
             [scrubber] { return scrubber->stats().log_damaged; });
  AddCounter(registry, "quorate_scrub_log_repaired_total",
             "Of those, the ones of which the newest checkpoint holds everything.",
             [scrubber] { return scrubber->stats().log_repaired; });
}

}  // namespace

void AddStorageMetrics(metrics::Registry* registry, const node::DiskWatch* disk,
                       const storage::Wal* wal, const storage::Checkpoints* checkpoints,
                       const storage::Scrubber* scrubber, bool repaired) {
  AddCounter(
      registry, "quorate_recovery_repaired_total",
      "Starts that found what had been acknowledged damaged, and got it from another member.",
      [repaired] { return repaired ? 1 : 0; });
  AddDisk(registry, disk);
  AddLog(registry, wal);
  AddCheckpoints(registry, checkpoints);
  AddScrubbing(registry, checkpoints, scrubber);
}

}  // namespace quorate::server
