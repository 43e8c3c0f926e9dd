#include "base/check.h"
#include "sim/env.h"
#include "tests/io/world.h"

namespace quorate::testing {
namespace {

class SimWorld final : public IoWorld {
 public:
  SimWorld(const sim::HostOptions& options, const sim::LinkOptions& link)
      : network_(context_, sim::StreamOptions()),
        server_(context_, &network_, "server", options),
        client_(context_, &network_, "client", options) {
    network_.SetAllLinks(link);
    server_env_ = server_.Boot();
    client_env_ = client_.Boot();
    bool made = false;
    InServer([&] {
      server_env_.disk->MakeDirs(directory(), [&](absl::Status status) { made = status.ok(); });
    });
    CHECK(RunUntil([&] { return made; }, Seconds(1)));
  }

  io::Env server() override { return server_env_; }
  io::Env client() override { return client_env_; }
  std::string listen_address() const override { return "server:0"; }
  std::string directory() const override { return "/data/member"; }
  void InServer(std::function<void()> function) override { InTurn(&server_, std::move(function)); }
  void InClient(std::function<void()> function) override { InTurn(&client_, std::move(function)); }

  bool RunUntil(const std::function<bool()>& condition, Duration limit) override {
    const sim::VirtualTime end = scheduler_.now() + limit;
    while (!condition()) {
      if (scheduler_.next_time() > end) {
        scheduler_.RunUntil(end);
        return condition();
      }
      CHECK(scheduler_.RunOne());
    }
    return true;
  }

 private:
  void InTurn(sim::Host* host, std::function<void()> function) {
    bool done = false;
    host->Run([&] {
      function();
      done = true;
    });
    while (!done) CHECK(scheduler_.RunOne());
  }

  sim::Scheduler scheduler_{7};
  sim::Trace trace_;
  sim::FaultCounters faults_;
  const sim::Context context_ = {
      .seed = 7, .scheduler = &scheduler_, .trace = &trace_, .faults = &faults_};
  sim::Network network_;
  sim::Host server_;
  sim::Host client_;
  io::Env server_env_;
  io::Env client_env_;
};

}  // namespace

std::unique_ptr<IoWorld> NewSmoothSimWorld() {
  return std::make_unique<SimWorld>(sim::HostOptions(), sim::LinkOptions());
}

std::unique_ptr<IoWorld> NewRoughSimWorld() {
  sim::HostOptions options;
  options.clock.drift_ppm = 30'000;
  options.turns.busy_min = Microseconds(1);
  options.turns.busy_max = Microseconds(500);
  options.turns.timer_late_max = Milliseconds(1);
  options.disk.stall_ppm = 50'000;
  options.disk.stall_max = Milliseconds(20);
  sim::LinkOptions link;
  link.latency_mean = Milliseconds(1);
  link.tail_ppm = 10'000;
  link.tail_max = Milliseconds(10);
  link.loss_ppm = 5'000;
  link.split_ppm = 500'000;
  link.max_pieces = 40;
  return std::make_unique<SimWorld>(options, link);
}

}  // namespace quorate::testing
