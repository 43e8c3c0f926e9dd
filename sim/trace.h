// What happened, in order, and its digest.
//
// Every event that reaches a member or a client, every fault and every decision
// of the world appends one event to the trace. The digest is a hash over the
// fields that the printed line is made of, so two runs have equal digests exactly
// when their printed traces are equal (up to 64-bit collisions), and computing it
// needs no formatting. Same seed, same digest, in every build.
#ifndef QUORATE_SIM_TRACE_H_
#define QUORATE_SIM_TRACE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/prng.h"
#include "sim/scheduler.h"

namespace quorate::sim {

// What kind of event, and what its two numbers are called. Made once, as a constant:
//   inline constexpr TraceKind kElected("elected", "term", "member");
class TraceKind {
 public:
  explicit constexpr TraceKind(const char* name, const char* a = nullptr, const char* b = nullptr)
      : name_(name), a_(a), b_(b), hash_(HashName(name)) {}
  constexpr const char* name() const { return name_; }
  // Null when the event has no such number.
  constexpr const char* a() const { return a_; }
  constexpr const char* b() const { return b_; }
  constexpr uint64_t hash() const { return hash_; }

 private:
  const char* name_;
  const char* a_;
  const char* b_;
  uint64_t hash_;
};

class Trace {
 public:
  // Gets each line of the trace, without its newline.
  using LineSink = std::function<void(absl::string_view line)>;

  Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // Gets each event of the trace with its numbers.
  using EventSink = std::function<void(VirtualTime when, HostId host, const TraceKind& kind,
                                       uint64_t a, uint64_t b)>;

  // From now on also prints. Printing does not change the digest.
  void PrintTo(LineSink sink) { sink_ = std::move(sink); }
  // The same for events as they are, but for those that are text.
  void TellTo(EventSink sink) { events_sink_ = std::move(sink); }

  // "12.345678901 host 3 deliver bytes=345 from=1".
  void Append(VirtualTime when, HostId host, const TraceKind& kind, uint64_t a = 0,
              uint64_t b = 0) {
    Fold(static_cast<uint64_t>(when.nanos()));
    Fold(kind.hash() + host.value());
    Fold(a);
    Fold(b);
    ++events_;
    if (sink_) Print(when, host, kind, a, b);
    if (events_sink_) events_sink_(when, host, kind, a, b);
  }
  // The same with text: "12.345678901 host 3 log {...}". One line.
  void AppendText(VirtualTime when, HostId host, const TraceKind& kind, absl::string_view text);

  uint64_t digest() const { return Mix64(digest_ ^ events_); }
  uint64_t events() const { return events_; }

 private:
  void Fold(uint64_t word) {
    const auto product = static_cast<unsigned __int128>(digest_ ^ word) * 0x9e3779b97f4a7c15ULL;
    digest_ = (static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64)) +
              0xd1b54a32d192ed03ULL;
  }
  void Print(VirtualTime when, HostId host, const TraceKind& kind, uint64_t a, uint64_t b) const;

  uint64_t digest_ = 0x51a7e0c4d9b3f682ULL;
  uint64_t events_ = 0;
  LineSink sink_;
  EventSink events_sink_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_TRACE_H_
