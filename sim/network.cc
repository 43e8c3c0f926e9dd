// Hosts, edges, partitions and datagrams of the simulated network.
#include "sim/network.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/network_impl.h"

namespace quorate::sim {
namespace {

constexpr uint32_t kPpm = 1'000'000;
constexpr TraceKind kBlock("block", "from", "to");
constexpr TraceKind kUnblock("unblock", "from", "to");

// A host reaches itself through its kernel: fast and without faults.
LinkOptions LoopbackLink() {
  LinkOptions link;
  link.latency_min = Microseconds(10);
  link.latency_mean = Duration();
  return link;
}

}  // namespace

Edge::Arrivals& Edge::arrivals_of(DatagramType type) {
  for (Arrivals& known : arrivals) {
    if (known.type == type) return known;
  }
  arrivals.push_back({type, VirtualTime(), VirtualTime()});
  return arrivals.back();
}

Edge& Network::Impl::NewEdge(HostId from, HostId to) {
  if (edges.size() < hosts.size()) edges.resize(hosts.size());
  std::vector<std::unique_ptr<Edge>>& row = edges[from.value()];
  if (row.size() < hosts.size()) row.resize(hosts.size());
  const uint64_t component =
      HashName("edge") ^ (uint64_t{from.value()} << 32 | uint64_t{to.value()});
  row[to.value()] =
      std::make_unique<Edge>(from == to ? LoopbackLink() : default_link,
                             NamedDraw(context.seed, component, HashName("datagram"), 0),
                             NamedDraw(context.seed, component, HashName("stream"), 0));
  return *row[to.value()];
}

Duration Network::Impl::Latency(const LinkOptions& link, Prng* prng) {
  Duration latency = link.latency_min;
  if (link.latency_mean > Duration()) latency = latency + prng->Exponential(link.latency_mean);
  return latency;
}

VirtualTime Network::Impl::LineTime(Edge* edge, size_t bytes) {
  const VirtualTime now = context.now();
  if (edge->options.bytes_per_second == 0) return now;
  const VirtualTime start = std::max(now, edge->line_free);
  const auto nanos =
      static_cast<unsigned __int128>(bytes) * 1'000'000'000 / edge->options.bytes_per_second;
  edge->line_free = start + Nanoseconds(static_cast<int64_t>(nanos));
  return edge->line_free;
}

bool Network::Impl::Block(HostId from, HostId to) {
  if (from == to || std::exchange(edge(from, to).blocked, true)) return false;
  context.Record(HostId(), kBlock, from.value(), to.value());
  return true;
}

absl::StatusOr<HostId> Network::Impl::Resolve(HostId self, const std::string& name) const {
  for (const char* loopback : {"localhost", "127.0.0.1", "0.0.0.0", "::1", "::", ""}) {
    if (name == loopback) return self;
  }
  const auto found = names.find(name);
  if (found == names.end()) {
    return absl::UnavailableError(absl::StrCat("look up ", name, ": unknown node or service"));
  }
  return found->second;
}

uint16_t Network::Impl::FreePort(HostId id) {
  constexpr uint16_t kFirst = 32768;
  HostState& state = host(id);
  do {
    state.next_port =
        state.next_port < kFirst ? kFirst : static_cast<uint16_t>(state.next_port + 1);
  } while (state.next_port < kFirst || state.listeners.contains(state.next_port));
  return state.next_port;
}

Network::Network(const Context& context, const StreamOptions& streams)
    : context_(context), impl_(std::make_unique<Impl>(context, streams)) {}

Network::~Network() = default;

HostId Network::AddHost(const std::string& name) {
  const HostId id(static_cast<uint32_t>(impl_->hosts.size()));
  CHECK_MSG(impl_->names.emplace(name, id).second, "two hosts of one name");
  impl_->hosts.emplace_back().name = name;
  return id;
}

const std::string& Network::host_name(HostId host) const { return impl_->host(host).name; }

size_t Network::hosts() const { return impl_->hosts.size() - 1; }

std::unique_ptr<io::Network> Network::Attach(HostId host, Loop* loop) {
  HostState& state = impl_->host(host);
  CHECK(state.loop == nullptr);
  state.loop = loop;
  state.powered = true;
  // Peers that were left half-open get an answer now: a reset.
  impl_->ForEachEnd([&](EndRef ref, End& end) {
    if (end.host != host || end.state != EndState::kVanished) return;
    const EndRef writer = Impl::OtherEnd(ref);
    Pipe& pipe = impl_->Find(ref)->pipes[writer.side()];
    if (pipe.stalled) impl_->ScheduleArrival(&pipe, writer);
  });
  return std::make_unique<HostNetwork>(impl_.get(), host, loop);
}

void Network::Detach(HostId host, Ending ending) {
  HostState& state = impl_->host(host);
  CHECK(state.loop != nullptr);
  state.loop = nullptr;
  state.powered = ending != Ending::kPowerLoss;
  state.listeners.clear();
  impl_->ForEachEnd([&](EndRef ref, End& end) {
    if (end.host != host || end.state == EndState::kVanished) return;
    if (ending == Ending::kPowerLoss) {
      impl_->Vanish(ref);
    } else {
      impl_->Close(ref);
    }
  });
}

void Network::SetLink(HostId from, HostId to, const LinkOptions& options) {
  CHECK(from != to);
  impl_->edge(from, to).options = options;
}

void Network::SetAllLinks(const LinkOptions& options) {
  impl_->default_link = options;
  for (size_t from = 0; from < impl_->edges.size(); ++from) {
    for (size_t to = 0; to < impl_->edges[from].size(); ++to) {
      Edge* edge = impl_->edges[from][to].get();
      if (edge != nullptr && from != to) edge->options = options;
    }
  }
}

const LinkOptions& Network::link(HostId from, HostId to) const {
  return impl_->edge(from, to).options;
}

void Network::Block(HostId from, HostId to) {
  if (impl_->Block(from, to)) impl_->context.faults->Add(Fault::kOneWayPartition);
}

void Network::BlockBoth(HostId a, HostId b) {
  const bool forth = impl_->Block(a, b);
  const bool back = impl_->Block(b, a);
  if (forth || back) impl_->context.faults->Add(Fault::kPartition);
}

void Network::Unblock(HostId from, HostId to) {
  Edge* const edge = impl_->FindEdge(from, to);
  if (edge == nullptr || !std::exchange(edge->blocked, false)) return;
  impl_->context.Record(HostId(), kUnblock, from.value(), to.value());
  impl_->EdgeOpened(from, to);
}

void Network::UnblockAll() {
  for (uint32_t from = 1; from < impl_->hosts.size(); ++from) {
    for (uint32_t to = 1; to < impl_->hosts.size(); ++to) Unblock(HostId(from), HostId(to));
  }
}

bool Network::blocked(HostId from, HostId to) const { return impl_->blocked(from, to); }

void Network::SetTypeFilter(HostId from, HostId to, uint64_t dropped_types) {
  impl_->edge(from, to).dropped_types = dropped_types;
}

void Network::ResetStreams(HostId a, HostId b) {
  impl_->ForEachEnd([&](EndRef ref, End& end) {
    const End& other = impl_->Find(ref)->ends[ref.side() ^ 1];
    const bool between = (end.host == a && other.host == b) || (end.host == b && other.host == a);
    if (!between || end.state != EndState::kOpen) return;
    if (ref.side() == 0) impl_->context.Inject(Fault::kStreamReset, end.host, other.host.value());
    impl_->Fail(ref, absl::UnavailableError("connection reset by peer"));
  });
}

size_t Network::StreamCount(HostId host) const { return impl_->OpenStreams(host); }

size_t Network::Impl::OpenStreams(HostId host) {
  size_t count = 0;
  ForEachEnd([&](EndRef, const End& end) {
    if (end.host == host && end.state == EndState::kOpen) ++count;
  });
  return count;
}

void Network::SetMaxStreams(HostId host, size_t most) { impl_->host(host).max_streams = most; }

VirtualTime Network::Impl::DatagramArrival(HostId from, HostId to, DatagramType type, size_t bytes,
                                           bool again) {
  Edge& way = edge(from, to);
  const LinkOptions& link = way.options;
  Edge::Arrivals& arrivals = way.arrivals_of(type);
  VirtualTime arrival = LineTime(&way, bytes) + Latency(link, &way.datagram_prng);
  const bool tail = link.tail_ppm > 0 && way.datagram_prng.Chance(link.tail_ppm, kPpm);
  if (tail) {
    context.Inject(Fault::kDatagramTail, from, to.value());
    arrival = arrival + way.datagram_prng.Between(Duration(), link.tail_max);
  } else if (link.ordered && !again) {
    arrival = std::max(arrival, arrivals.last_in_order + Nanoseconds(1));  // ties are drawn
    arrivals.last_in_order = arrival;
  }
  if (arrival < arrivals.last) context.Inject(Fault::kDatagramReorder, from, to.value());
  arrivals.last = std::max(arrivals.last, arrival);
  return arrival;
}

Network::Fate Network::DrawFate(HostId from, HostId to, DatagramType type, size_t bytes) {
  CHECK(type < kDatagramTypes);
  Edge& edge = impl_->edge(from, to);
  const Context& context = impl_->context;
  Fate fate;
  if (edge.blocked) {
    context.Inject(Fault::kDatagramBlocked, from, to.value());
    return fate;
  }
  if ((edge.dropped_types >> type & 1) != 0) {
    context.Inject(Fault::kDatagramTypeDrop, from, to.value());
    return fate;
  }
  const LinkOptions& link = edge.options;
  Prng& prng = edge.datagram_prng;
  if (link.loss_ppm > 0 && prng.Chance(link.loss_ppm, kPpm)) {
    context.Inject(Fault::kDatagramLoss, from, to.value());
    return fate;
  }
  if (link.bytes_per_second > 0 && edge.line_free > context.now() + link.line_queue_max) {
    context.Inject(Fault::kLinkOverflow, from, to.value());
    return fate;
  }
  fate.copies = 1;
  if (link.duplicate_ppm > 0 && prng.Chance(link.duplicate_ppm, kPpm)) {
    context.Inject(Fault::kDatagramDuplicate, from, to.value());
    fate.copies = 2;
  }
  for (int i = 0; i < fate.copies; ++i) {
    fate.delay[i] = impl_->DatagramArrival(from, to, type, bytes, i > 0) - context.now();
  }
  return fate;
}

Loop* Network::Receiver(HostId from, HostId to) {
  Loop* const loop = impl_->host(to).loop;
  if (loop == nullptr) {
    context_.Inject(Fault::kDatagramNobody, to, from.value());
  } else if (impl_->blocked(from, to) && impl_->edge(from, to).options.cuts_in_flight) {
    context_.Inject(Fault::kDatagramBlocked, to, from.value());
    return nullptr;
  }
  return loop;
}

}  // namespace quorate::sim
