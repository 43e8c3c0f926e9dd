// The life of a simulated byte stream: queue, window, flight, arrival, reading,
// acknowledgement, partitions, resets, ends.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/network_impl.h"
#include "sim/story.h"

namespace quorate::sim {
namespace {

constexpr uint32_t kPpm = 1'000'000;
constexpr TraceKind kData("data", "bytes", "from");
constexpr TraceKind kResumed("resumed");
constexpr TraceKind kWritable("writable", "to");
constexpr TraceKind kClosed("closed", "peer");

absl::Status ResetStatus() { return absl::UnavailableError("connection reset by peer"); }
absl::Status TimeoutStatus() { return absl::UnavailableError("connection timed out"); }

// Takes the first `bytes` off the queue.
Segment TakeFromQueue(Pipe* pipe, size_t bytes) {
  Segment segment;
  segment.bytes = bytes;
  pipe->queued_bytes -= bytes;
  while (bytes > 0) {
    Bytes& front = pipe->queue.front();
    if (front.size() > bytes) {
      segment.pieces.push_back(front.Slice(0, bytes));
      front = front.Slice(bytes, front.size() - bytes);
      break;
    }
    bytes -= front.size();
    segment.pieces.push_back(std::move(front));
    pipe->queue.pop_front();
  }
  return segment;
}

// The first `bytes` of a segment.
void CutSegment(Segment* segment, size_t bytes) {
  size_t left = segment->bytes - bytes;
  segment->bytes = bytes;
  while (left > 0) {
    Bytes& back = segment->pieces.back();
    if (back.size() > left) {
      back = back.Slice(0, back.size() - left);
      break;
    }
    left -= back.size();
    segment->pieces.pop_back();
  }
}

void FlipBit(Segment* segment, uint64_t bit) {
  BytesBuilder builder(segment->bytes);
  for (const Bytes& piece : segment->pieces) builder.Append(piece.view());
  builder.data()[bit / 8] = static_cast<char>(builder.data()[bit / 8] ^ (1 << (bit % 8)));
  segment->pieces.clear();
  segment->pieces.push_back(std::move(builder).Finish());
}

}  // namespace

Connection* Network::Impl::Find(EndRef ref) {
  Connection* connection = connections[ref.slot].get();
  const bool same = connection->generation == ref.generation_and_side >> 1;
  return same && connection->in_use ? connection : nullptr;
}

EndRef Network::Impl::NewConnection(HostId from, Loop* from_loop, HostId to, Loop* to_loop) {
  if (free_connections.empty()) {
    free_connections.push_back(static_cast<uint32_t>(connections.size()));
    connections.push_back(std::make_unique<Connection>());
  }
  const uint32_t slot = free_connections.back();
  free_connections.pop_back();
  Connection& connection = *connections[slot];
  connection.in_use = true;
  connection.ends[0] = End{.host = from, .loop = from_loop, .unclaimed = true};
  connection.ends[1] = End{.host = to, .loop = to_loop, .unclaimed = true};
  return {slot, connection.generation << 1};
}

// A connection that no process holds and no system remembers is forgotten.
void Network::Impl::FreeIfUnused(EndRef ref) {
  Connection* connection = Find(ref);
  if (connection == nullptr) return;
  for (const End& end : connection->ends) {
    if (end.stream != nullptr || end.unclaimed) return;
  }
  for (Pipe& pipe : connection->pipes) {
    context.scheduler->Cancel(pipe.arrival);
    context.scheduler->Cancel(pipe.acknowledged);
    context.scheduler->Cancel(pipe.give_up);
    pipe = Pipe();
  }
  connection->in_use = false;
  connection->generation = connection->generation % 0x7fffffff + 1;
  free_connections.push_back(ref.slot);
}

// --- Writing ---

void Network::Impl::DeferFlush(EndRef writer) {
  Connection* connection = Find(writer);
  Pipe& pipe = connection->pipes[writer.side()];
  if (std::exchange(pipe.flush_deferred, true)) return;
  connection->ends[writer.side()].loop->Defer([this, writer] { Flush(writer); });
}

void Network::Impl::Flush(EndRef writer) {
  Connection* connection = Find(writer);
  if (connection == nullptr) return;
  Pipe& pipe = connection->pipes[writer.side()];
  pipe.flush_deferred = false;
  if (connection->ends[writer.side()].state != EndState::kOpen) return;
  const End& from = connection->ends[writer.side()];
  Edge& edge = this->edge(from.host, connection->ends[writer.side() ^ 1].host);
  const size_t window = stream_options.window_bytes > pipe.in_flight
                            ? stream_options.window_bytes - pipe.in_flight
                            : 0;
  const size_t bytes = std::min(window, pipe.queued_bytes);
  if (bytes > 0) CutSegments(&pipe, &edge, writer, bytes);
  if (pipe.fin_wanted && pipe.queued_bytes == 0 && !std::exchange(pipe.fin_sent, true)) {
    Segment fin;
    fin.fin = true;
    Launch(&pipe, &edge, writer, std::move(fin));
  }
  if (pipe.above_high_water && pipe.queued_bytes <= io::Stream::kWriteLowWater) {
    pipe.above_high_water = false;
    context.scheduler->After(Duration(), [this, writer] { TellWritable(writer); });
  }
}

void Network::Impl::CutSegments(Pipe* pipe, Edge* edge, EndRef writer, size_t bytes) {
  uint64_t pieces = 1;
  const LinkOptions& link = edge->options;
  if (bytes > 1 && link.split_ppm > 0 && edge->stream_prng.Chance(link.split_ppm, kPpm)) {
    pieces = 2 + edge->stream_prng.Below(std::max<uint32_t>(link.max_pieces, 2) - 1);
    context.faults->Add(Fault::kStreamSplit);
  }
  while (bytes > 0) {
    size_t size = bytes;
    if (pieces > 1) {
      const size_t mean = bytes / pieces;
      size = std::min<size_t>(bytes, 1 + edge->stream_prng.Below(2 * mean + 1));
      --pieces;
    }
    bytes -= size;
    pipe->in_flight += size;
    Launch(pipe, edge, writer, TakeFromQueue(pipe, size));
  }
}

// Sends a segment on its way: draws when it arrives and what happens to it.
void Network::Impl::Launch(Pipe* pipe, Edge* edge, EndRef writer, Segment segment) {
  const LinkOptions& link = edge->options;
  Prng& prng = edge->stream_prng;
  const HostId from = Find(writer)->ends[writer.side()].host;
  VirtualTime arrival = LineTime(edge, segment.bytes) + Latency(link, &prng);
  if (link.loss_ppm > 0 && prng.Chance(link.loss_ppm, kPpm)) {
    context.Inject(Fault::kStreamLoss, from, segment.bytes);
    arrival = arrival + stream_options.retransmit_timeout;
  }
  if (link.tail_ppm > 0 && prng.Chance(link.tail_ppm, kPpm)) {
    arrival = arrival + prng.Between(Duration(), link.tail_max);
  }
  if (segment.bytes > 0 && link.corrupt_ppm > 0 && prng.Chance(link.corrupt_ppm, kPpm)) {
    context.Inject(Fault::kStreamCorrupt, from, segment.bytes);
    FlipBit(&segment, prng.Below(segment.bytes * 8));
  }
  if (segment.bytes > 0 && link.reset_ppm > 0 && prng.Chance(link.reset_ppm, kPpm)) {
    const size_t kept = prng.Below(segment.bytes);
    context.Inject(Fault::kStreamReset, from, kept);
    CutSegment(&segment, kept);
    segment.reset = true;
  }
  // First in, first out, and never in the same nanosecond.
  arrival = std::max(arrival, pipe->last_arrival + Nanoseconds(1));
  pipe->last_arrival = arrival;
  segment.arrival = arrival;
  if (context.story != nullptr && segment.bytes > 0) {
    Story::Message told{
        ++segments_told,
        from,
        Find(writer)->ends[writer.side() ^ 1].host,
        context.now(),
        arrival,
        "bytes",
        absl::StrCat(segment.bytes, " bytes", segment.reset ? ", then a reset" : "")};
    context.story->Sent(std::move(told));
  }
  const bool reset = segment.reset;
  pipe->flying.push_back(std::move(segment));
  if (pipe->flying.size() == 1) ScheduleArrival(pipe, writer);
  if (reset) FailLater(writer, arrival - context.now(), ResetStatus());
}

void Network::Impl::TellWritable(EndRef writer) {
  Connection* connection = Find(writer);
  if (connection == nullptr) return;
  const End& end = connection->ends[writer.side()];
  if (end.state != EndState::kOpen || end.stream == nullptr || end.handler == nullptr) return;
  const HostId to = connection->ends[writer.side() ^ 1].host;
  end.loop->Enter(kWritable, to.value(), 0, [this, writer] {
    Connection* again = Find(writer);
    if (again == nullptr) return;
    const End& self = again->ends[writer.side()];
    if (self.state != EndState::kOpen || self.handler == nullptr) return;
    if (again->pipes[writer.side()].queued_bytes > io::Stream::kWriteHighWater) return;
    self.handler->OnWritable();
  });
}

// --- Arriving ---

void Network::Impl::ScheduleArrival(Pipe* pipe, EndRef writer) {
  pipe->stalled = false;
  pipe->arrival =
      context.scheduler->At(pipe->flying.front().arrival, [this, writer] { Arrive(writer); });
}

void Network::Impl::Arrive(EndRef writer) {
  Connection* connection = Find(writer);
  if (connection == nullptr) return;
  Pipe& pipe = connection->pipes[writer.side()];
  const HostId from = connection->ends[writer.side()].host;
  const EndRef reader = OtherEnd(writer);
  End& to = connection->ends[reader.side()];
  const bool dead = to.state == EndState::kVanished && host(to.host).loop == nullptr;
  if (blocked(from, to.host) || dead) {
    // A reset is sent only once: lost, it leaves the reader half-open.
    if (pipe.flying.front().reset && pipe.flying.front().bytes == 0) {
      context.Inject(Fault::kStreamHalfOpen, to.host, from.value());
      pipe.flying.clear();
      return;
    }
    context.Inject(Fault::kStreamStall, from, to.host.value());
    pipe.stalled = true;
    pipe.stalled_since = context.now();
    ArmGiveUp(writer);
    return;
  }
  Segment segment = std::move(pipe.flying.front());
  pipe.flying.pop_front();
  if (!pipe.flying.empty()) ScheduleArrival(&pipe, writer);
  if (to.state == EndState::kOpen) return Receive(reader, &pipe, std::move(segment));
  // Nobody is there: the system answers with a reset, except to an end.
  if (segment.bytes > 0 && connection->ends[writer.side()].state == EndState::kOpen) {
    Edge& back = edge(to.host, from);
    FailLater(writer, Latency(back.options, &back.stream_prng), ResetStatus());
  }
}

void Network::Impl::Receive(EndRef reader, Pipe* pipe, Segment segment) {
  Connection* connection = Find(reader);
  const EndRef writer = OtherEnd(reader);
  End& end = connection->ends[reader.side()];
  const HostId from = connection->ends[writer.side()].host;
  if (blocked(end.host, from)) ArmGiveUp(writer);  // no acknowledgement will get back
  const size_t bytes = segment.bytes;
  if (segment.reset && bytes == 0) return Fail(reader, ResetStatus());
  pipe->received.push_back(std::move(segment));
  if (end.stream == nullptr || end.handler == nullptr || end.paused) return;
  end.loop->Enter(kData, bytes, from.value(), [this, reader] { ReadAll(reader); });
}

// --- Reading ---

void Network::Impl::ScheduleRead(EndRef reader) {
  End& end = Find(reader)->ends[reader.side()];
  if (std::exchange(end.read_scheduled, true)) return;
  context.scheduler->After(Duration(), [this, reader] {
    Connection* connection = Find(reader);
    if (connection == nullptr) return;
    End& self = connection->ends[reader.side()];
    if (self.stream == nullptr) return;
    self.loop->Enter(kResumed, 0, 0, [this, reader] { ReadAll(reader); });
  });
}

void Network::Impl::ReadAll(EndRef reader) {
  if (Connection* connection = Find(reader)) connection->ends[reader.side()].read_scheduled = false;
  while (ReadOne(reader)) {
  }
}

// Gives the process what arrived first. False if it cannot or will not take more.
bool Network::Impl::ReadOne(EndRef reader) {
  Connection* connection = Find(reader);
  if (connection == nullptr) return false;
  End& end = connection->ends[reader.side()];
  if (end.state != EndState::kOpen || end.stream == nullptr || end.handler == nullptr) return false;
  const EndRef writer = OtherEnd(reader);
  Pipe& pipe = connection->pipes[writer.side()];
  if (end.paused || pipe.received.empty()) return false;
  const Segment segment = std::move(pipe.received.front());
  pipe.received.pop_front();
  Acknowledge(writer, segment.bytes);
  if (segment.pieces.size() == 1) {
    end.handler->OnData(segment.pieces[0].view());
  } else if (segment.bytes > 0) {
    scratch.clear();
    for (const Bytes& piece : segment.pieces) scratch.append(piece.data(), piece.size());
    end.handler->OnData(scratch);
  }
  connection = Find(reader);  // the process may have let go of it
  if (connection == nullptr || connection->ends[reader.side()].stream == nullptr) return false;
  if (segment.reset) {
    Fail(reader, ResetStatus());
    return false;
  }
  if (segment.fin) {
    connection->ends[reader.side()].handler->OnEnd();
    return false;
  }
  return true;
}

// The reader has taken `bytes`: there is room in the window again.
void Network::Impl::Acknowledge(EndRef writer, size_t bytes) {
  Connection* connection = Find(writer);
  Pipe& pipe = connection->pipes[writer.side()];
  const HostId from = connection->ends[writer.side()].host;
  const HostId to = connection->ends[writer.side() ^ 1].host;
  Edge& back = edge(to, from);
  if (back.blocked) {
    pipe.hidden_acks += bytes;
    return;
  }
  pipe.in_flight -= bytes;
  const bool waiting = pipe.queued_bytes > 0 || pipe.above_high_water;
  if (!waiting || context.scheduler->pending(pipe.acknowledged)) return;
  pipe.acknowledged = context.scheduler->After(Latency(back.options, &back.stream_prng),
                                               [this, writer] { Flush(writer); });
}

// --- Partitions ---

void Network::Impl::ArmGiveUp(EndRef writer) {
  Connection* connection = Find(writer);
  Pipe& pipe = connection->pipes[writer.side()];
  if (connection->ends[writer.side()].state != EndState::kOpen) return;
  if (context.scheduler->pending(pipe.give_up)) return;
  pipe.give_up =
      context.scheduler->After(stream_options.give_up_timeout, [this, writer] { GiveUp(writer); });
}

void Network::Impl::GiveUp(EndRef writer) {
  Connection* connection = Find(writer);
  if (connection == nullptr) return;
  const HostId from = connection->ends[writer.side()].host;
  const HostId to = connection->ends[writer.side() ^ 1].host;
  if (!connection->pipes[writer.side()].stalled && !blocked(to, from)) return;
  context.Inject(Fault::kStreamTimeout, from, to.value());
  Fail(writer, TimeoutStatus());
}

// The edge works again: what it held up goes on, some retransmission later.
void Network::Impl::EdgeOpened(HostId from, HostId to) {
  ForEachEnd([&](EndRef writer, End& end) {
    Connection& connection = *Find(writer);
    End& other = connection.ends[writer.side() ^ 1];
    if (end.host == from && other.host == to) {
      Pipe& pipe = connection.pipes[writer.side()];
      if (!pipe.stalled) return;
      // Backed off: the longer the stall, the longer the wait, up to ten timeouts.
      const Duration stall = context.now() - pipe.stalled_since;
      const Duration wait = std::min(stall, stream_options.retransmit_timeout * 10);
      Edge& edge = this->edge(from, to);
      // Two draws, two statements: compilers evaluate the operands of + in different orders.
      const Duration latency = Latency(edge.options, &edge.stream_prng);
      const Duration backed_off = edge.stream_prng.Between(Duration(), wait);
      const VirtualTime arrival = context.now() + latency + backed_off;
      pipe.flying.front().arrival = arrival;
      pipe.last_arrival = std::max(pipe.last_arrival, arrival);
      VirtualTime previous = arrival;
      for (size_t i = 1; i < pipe.flying.size(); ++i) {
        Segment& segment = pipe.flying[i];
        segment.arrival = std::max(segment.arrival, previous + Nanoseconds(1));
        previous = segment.arrival;
      }
      pipe.last_arrival = std::max(pipe.last_arrival, previous);
      context.scheduler->Cancel(pipe.give_up);
      ScheduleArrival(&pipe, writer);
    } else if (end.host == to && other.host == from) {
      // Acknowledgements of what `end` wrote come through.
      Pipe& pipe = connection.pipes[writer.side()];
      if (!pipe.stalled) context.scheduler->Cancel(pipe.give_up);
      const size_t acknowledged = std::exchange(pipe.hidden_acks, 0);
      if (acknowledged > 0) Acknowledge(writer, acknowledged);
    }
  });
}

// --- Ending ---

void Network::Impl::FailLater(EndRef end, Duration delay, absl::Status status) {
  context.scheduler->After(delay, [this, end, status = std::move(status)] { Fail(end, status); });
}

void Network::Impl::Fail(EndRef ref, absl::Status status) {
  Connection* connection = Find(ref);
  if (connection == nullptr) return;
  End& end = connection->ends[ref.side()];
  if (end.state != EndState::kOpen) return;
  end.state = EndState::kClosed;
  end.failure = std::move(status);
  Pipe& written = connection->pipes[ref.side()];
  written.queue.clear();
  written.queued_bytes = 0;
  if (written.stalled) {
    written.flying.clear();
    written.stalled = false;
  }
  context.scheduler->Cancel(written.give_up);
  connection->pipes[ref.side() ^ 1].received.clear();
  TellFailure(ref);
}

void Network::Impl::TellFailure(EndRef ref) {
  Connection* connection = Find(ref);
  const End& end = connection->ends[ref.side()];
  if (end.stream == nullptr || end.handler == nullptr || end.failure_told) return;
  const HostId peer = connection->ends[ref.side() ^ 1].host;
  end.loop->Enter(kClosed, peer.value(), 0, [this, ref] {
    Connection* again = Find(ref);
    if (again == nullptr) return;
    End& self = again->ends[ref.side()];
    if (self.handler == nullptr || std::exchange(self.failure_told, true)) return;
    const absl::Status failure = self.failure;
    self.handler->OnClose(failure);
  });
}

void Network::Impl::Close(EndRef ref) {
  Connection* connection = Find(ref);
  if (connection == nullptr) return;
  End& end = connection->ends[ref.side()];
  end.stream = nullptr;
  end.handler = nullptr;
  end.unclaimed = false;
  if (end.state == EndState::kOpen) {
    end.state = EndState::kClosed;
    Pipe& written = connection->pipes[ref.side()];
    Pipe& read = connection->pipes[ref.side() ^ 1];
    written.queue.clear();
    written.queued_bytes = 0;
    // As TCP does: bytes that nobody will read are answered by a reset, a tidy end by
    // an end.
    Segment last;
    last.reset = !read.received.empty();
    last.fin = !last.reset;
    read.received.clear();
    if (last.reset || !std::exchange(written.fin_sent, true)) {
      Edge& edge = this->edge(end.host, connection->ends[ref.side() ^ 1].host);
      Launch(&written, &edge, ref, std::move(last));
    }
  }
  FreeIfUnused(ref);
}

void Network::Impl::Vanish(EndRef ref) {
  Connection* connection = Find(ref);
  End& end = connection->ends[ref.side()];
  if (end.state == EndState::kOpen) {
    const End& other = connection->ends[ref.side() ^ 1];
    if (other.state == EndState::kOpen) {
      context.Inject(Fault::kStreamHalfOpen, other.host, end.host.value());
    }
    end.state = EndState::kVanished;
  }
  end.stream = nullptr;
  end.handler = nullptr;
  end.unclaimed = false;
  Pipe& written = connection->pipes[ref.side()];
  written.queue.clear();
  written.queued_bytes = 0;
  connection->pipes[ref.side() ^ 1].received.clear();
  FreeIfUnused(ref);
}

}  // namespace quorate::sim
