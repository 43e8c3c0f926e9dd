#include "sim/env.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kBoot("boot", "incarnation");
constexpr TraceKind kExit("exit", "incarnation");
constexpr TraceKind kRun("run");
constexpr TraceKind kComputed("computed");
constexpr TraceKind kLog("log");

uint64_t HostDraw(uint64_t seed, HostId host, absl::string_view purpose, uint64_t incarnation) {
  return NamedDraw(seed, HashName("host") + host.value(), HashName(purpose), incarnation);
}

}  // namespace

Random::Random(uint64_t seed, HostId host, uint64_t incarnation)
    : prng_(HostDraw(seed, host, "random", incarnation)) {}

void Random::Fill(void* out, size_t size) {
  char* at = static_cast<char*>(out);
  while (size > 0) {
    const uint64_t word = prng_.Next();
    const size_t step = std::min(size, sizeof(word));
    std::memcpy(at, &word, step);
    at += step;
    size -= step;
  }
}

Compute::Compute(Loop* loop, Duration time_max)
    : loop_(loop),
      time_max_(time_max),
      prng_(HostDraw(loop->context().seed, loop->host(), "compute", loop->incarnation())) {}

void Compute::Run(std::function<void()> work, std::function<void()> done) {
  if (!loop_->alive()) return;
  pending_->push_back({std::move(work), std::move(done)});
  const Duration time = prng_.Between(Duration(), time_max_);
  loop_->context().scheduler->After(
      time, [loop = loop_, job = std::prev(pending_->end()), pending = std::weak_ptr(pending_)] {
        const std::shared_ptr<std::list<Job>> jobs = pending.lock();
        if (jobs == nullptr) return;  // the process is gone
        loop->Enter(kComputed, 0, 0, [jobs, job] {
          const Job ready = std::move(*job);
          jobs->erase(job);
          ready.work();
          ready.done();
        });
      });
}

LogSink::LogSink(Loop* loop, Observer observer) : loop_(loop), observer_(std::move(observer)) {}

void LogSink::WriteLine(absl::string_view line) {
  if (!loop_->alive()) return;  // the dead server is being taken down
  const Context& context = loop_->context();
  context.trace->AppendText(context.now(), loop_->host(), kLog, line);
  if (observer_) observer_(line);
}

// One incarnation.
struct Host::Process {
  Process(const Context& context, sim::Network* network, HostId host, uint64_t incarnation,
          const ClockOptions& clock, const HostOptions& options, sim::Disk* host_disk)
      : loop(context, host, incarnation, clock, options.turns),
        network_view(network->Attach(host, &loop)),
        disk_view(host_disk->Attach(&loop)),
        random(context.seed, host, incarnation),
        compute(&loop, options.compute_max),
        log(&loop, options.on_log_line) {}

  Loop loop;  // first made, last destroyed
  std::unique_ptr<io::Network> network_view;
  std::unique_ptr<io::Disk> disk_view;
  Random random;
  Compute compute;
  LogSink log;
};

Host::Host(const Context& context, Network* network, const std::string& name,
           const HostOptions& options)
    : context_(context),
      network_(network),
      options_(options),
      id_(network->AddHost(name)),
      disk_(context, id_, options.disk) {}

Host::~Host() {
  context_.scheduler->Cancel(resume_);
  if (running()) Exit();
}

const std::string& Host::name() const { return network_->host_name(id_); }

io::Env Host::Boot() {
  CHECK(!running());
  process_.reset();
  ++incarnation_;
  if (incarnation_ > 1) context_.faults->Add(Fault::kRestart);
  context_.Record(id_, kBoot, incarnation_);
  ClockOptions clock = options_.clock;
  if (options_.draw_clock_origin) {
    // Up to 2^50 ns, about two weeks of uptime.
    const uint64_t origin = HostDraw(context_.seed, id_, "clock-origin", incarnation_) >> 14;
    clock.origin = clock.origin + Nanoseconds(static_cast<int64_t>(origin));
  }
  // The wall clock has gone on while the machine was down.
  clock.wall_origin =
      WallTime::FromUnixNanos(options_.clock.wall_origin.unix_nanos() + context_.now().nanos());
  process_ =
      std::make_unique<Process>(context_, network_, id_, incarnation_, clock, options_, &disk_);
  process_running_ = true;
  return io::Env{.loop = &process_->loop,
                 .network = process_->network_view.get(),
                 .disk = process_->disk_view.get(),
                 .random = &process_->random,
                 .compute = &process_->compute,
                 .log = &process_->log};
}

void Host::Run(Task task) { loop()->Enter(kRun, 0, 0, std::move(task)); }

Loop* Host::loop() {
  CHECK(running());
  return &process_->loop;
}

void Host::Crash(CrashKind kind) {
  if (kind == CrashKind::kKill) {
    context_.Inject(Fault::kProcessKill, id_, incarnation_);
    End(Network::Ending::kProcess, Disk::Ending::kKill);
  } else {
    context_.Inject(Fault::kPowerLoss, id_, incarnation_);
    End(Network::Ending::kPowerLoss, Disk::Ending::kPowerLoss);
  }
}

void Host::Exit() {
  context_.Record(id_, kExit, incarnation_);
  End(Network::Ending::kProcess, Disk::Ending::kExit);
}

void Host::End(Network::Ending network_ending, Disk::Ending disk_ending) {
  CHECK(running());
  context_.scheduler->Cancel(resume_);
  process_->loop.Kill();
  network_->Detach(id_, network_ending);
  disk_.Detach(disk_ending);
  process_running_ = false;
}

void Host::PauseFor(Duration time) {
  Loop* const loop = this->loop();
  context_.Inject(Fault::kProcessPause, id_, static_cast<uint64_t>(time.nanos()));
  loop->Pause();
  context_.scheduler->Cancel(resume_);
  resume_ = context_.scheduler->After(time, [loop] { loop->Resume(); });
}

}  // namespace quorate::sim
