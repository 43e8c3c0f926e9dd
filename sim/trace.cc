#include "sim/trace.h"

#include <cstring>
#include <string>

#include "absl/strings/str_format.h"

namespace quorate::sim {
namespace {

std::string Prefix(VirtualTime when, HostId host, const TraceKind& kind) {
  const int64_t ns = when.nanos();
  std::string line = absl::StrFormat("%d.%09d ", ns / 1'000'000'000, ns % 1'000'000'000);
  if (host == HostId()) {
    line += "world ";
  } else {
    absl::StrAppendFormat(&line, "host %d ", host.value());
  }
  line += kind.name();
  return line;
}

}  // namespace

void Trace::AppendText(VirtualTime when, HostId host, const TraceKind& kind,
                       absl::string_view text) {
  Fold(static_cast<uint64_t>(when.nanos()));
  Fold(kind.hash() + host.value());
  Fold(text.size());
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    Fold(word);
  }
  uint64_t rest = 0;
  if (at < text.size()) std::memcpy(&rest, text.data() + at, text.size() - at);
  Fold(rest);
  ++events_;
  if (sink_) sink_(absl::StrFormat("%s %s", Prefix(when, host, kind), text));
}

void Trace::Print(VirtualTime when, HostId host, const TraceKind& kind, uint64_t a,
                  uint64_t b) const {
  std::string line = Prefix(when, host, kind);
  if (kind.a() != nullptr) absl::StrAppendFormat(&line, " %s=%d", kind.a(), a);
  if (kind.b() != nullptr) absl::StrAppendFormat(&line, " %s=%d", kind.b(), b);
  sink_(line);
}

}  // namespace quorate::sim
