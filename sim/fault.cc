#include "sim/fault.h"

namespace quorate::sim {
namespace {

// In the order of the enum.
constexpr TraceKind kKinds[] = {
    TraceKind("datagram-loss", "detail"),
    TraceKind("datagram-duplicate", "detail"),
    TraceKind("datagram-reorder", "detail"),
    TraceKind("datagram-tail", "detail"),
    TraceKind("datagram-blocked", "detail"),
    TraceKind("datagram-type-drop", "detail"),
    TraceKind("datagram-nobody", "detail"),
    TraceKind("datagram-corrupt", "detail"),
    TraceKind("datagram-cut", "detail"),
    TraceKind("stream-split", "detail"),
    TraceKind("stream-loss", "detail"),
    TraceKind("stream-corrupt", "detail"),
    TraceKind("stream-reset", "detail"),
    TraceKind("stream-stall", "detail"),
    TraceKind("stream-timeout", "detail"),
    TraceKind("stream-half-open", "detail"),
    TraceKind("connect-refused", "detail"),
    TraceKind("connect-timeout", "detail"),
    TraceKind("partition", "detail"),
    TraceKind("one-way-partition", "detail"),
    TraceKind("slow-link", "detail"),
    TraceKind("link-overflow", "detail"),
    TraceKind("accept-refused", "detail"),
    TraceKind("connect-exhausted", "detail"),
    TraceKind("disk-lost-sector", "detail"),
    TraceKind("disk-torn-write", "detail"),
    TraceKind("disk-lost-name", "detail"),
    TraceKind("disk-lost-size", "detail"),
    TraceKind("disk-cut-operation", "detail"),
    TraceKind("disk-sync-error", "detail"),
    TraceKind("disk-sync-lie", "detail"),
    TraceKind("disk-read-error", "detail"),
    TraceKind("disk-write-error", "detail"),
    TraceKind("disk-full", "detail"),
    TraceKind("disk-stall", "detail"),
    TraceKind("disk-slow", "detail"),
    TraceKind("disk-bit-rot", "detail"),
    TraceKind("disk-lost-write", "detail"),
    TraceKind("disk-misdirected-write", "detail"),
    TraceKind("open-refused", "detail"),
    TraceKind("clock-drift", "detail"),
    TraceKind("clock-wall-jump", "detail"),
    TraceKind("process-pause", "detail"),
    TraceKind("process-kill", "detail"),
    TraceKind("power-loss", "detail"),
    TraceKind("restart", "detail"),
    TraceKind("descriptors-short", "detail"),
    TraceKind("apply-held", "detail"),
    TraceKind("reads-held", "detail"),
    TraceKind("watches-held", "detail"),
    TraceKind("leader-transfer", "detail"),
    TraceKind("leader-usurped", "detail"),
    TraceKind("member-add", "detail"),
    TraceKind("learner-add", "detail"),
    TraceKind("member-promote", "detail"),
    TraceKind("member-remove", "detail"),
    TraceKind("member-replace", "detail"),
    TraceKind("rolling-restart", "detail"),
    TraceKind("alarm-raise", "detail"),
    TraceKind("alarm-disarm", "detail"),
    TraceKind("defragment", "detail"),
    TraceKind("checkpoint-out-of-turn", "detail"),
    TraceKind("hash-check", "detail"),
    TraceKind("settings-changed", "detail"),
    TraceKind("directory-exchanged", "detail"),
    TraceKind("directory-copied", "detail"),
    TraceKind("directory-of-cluster", "detail"),
    TraceKind("directory-lost", "detail"),
    TraceKind("log-lost", "detail"),
    TraceKind("checkpoints-lost", "detail"),
    TraceKind("directory-aged", "detail"),
    TraceKind("loss-detected", "detail"),
    TraceKind("directory-refused", "detail"),
    TraceKind("version-announced", "detail"),
    TraceKind("unknown-field", "detail"),
    TraceKind("hedged-request", "detail"),
    TraceKind("queue-full", "detail"),
    TraceKind("client-cancel", "detail"),
    TraceKind("slow-reader", "detail"),
    TraceKind("many-watchers", "detail"),
    TraceKind("lease-storm", "detail"),
};
static_assert(std::size(kKinds) == kFaultKinds);

}  // namespace

absl::string_view FaultName(Fault fault) { return kKinds[static_cast<size_t>(fault)].name(); }

void Context::Inject(Fault fault, HostId host, uint64_t detail) const {
  faults->Add(fault);
  Record(host, kKinds[static_cast<size_t>(fault)], detail);
}

}  // namespace quorate::sim
