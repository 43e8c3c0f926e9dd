#include "io/uv/world.h"

#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <utility>

#include "base/check.h"
#include "io/uv/disk.h"
#include "io/uv/log_files.h"
#include "io/uv/loop.h"
#include "io/uv/network.h"
#include "io/uv/threads.h"

namespace quorate::io::uv {
namespace {

class Random final : public io::Random {
 public:
  void Fill(void* out, size_t size) override {
    char* at = static_cast<char*>(out);
    while (size > 0) {
      const ssize_t n = getrandom(at, size, 0);
      if (n < 0) {
        CHECK_EQ(errno, EINTR);
        continue;
      }
      at += n;
      size -= static_cast<size_t>(n);
    }
  }
};

class ComputeWork final : public Work {
 public:
  ComputeWork(std::function<void()> work, std::function<void()> done)
      : work_(std::move(work)), done_(std::move(done)) {}
  void Run() override { work_(); }
  void Complete() override { done_(); }

 private:
  const std::function<void()> work_;
  const std::function<void()> done_;
};

class Compute final : public io::Compute {
 public:
  Compute(Loop* loop, int threads) : loop_(loop), pool_(threads) {}
  void Run(std::function<void()> work, std::function<void()> done) override {
    // A job is copyable and so cannot own the work; a queue of one item can.
    std::make_shared<SerialQueue>(loop_, &pool_)
        ->Submit(std::make_unique<ComputeWork>(std::move(work), std::move(done)));
  }
  void Stop() { pool_.Stop(); }

 private:
  Loop* const loop_;
  Pool pool_;
};

struct SignalWatch {
  uv_signal_t handle;
  Loop* loop = nullptr;
  std::function<void()> callback;
};

}  // namespace

struct World::Impl {
  explicit Impl(const WorldOptions& options)
      : network(&loop, options.reuse_port),
        disk(&loop, options.disk_threads),
        compute(&loop, options.compute_threads),
        log(options.log_fds) {
    if (!options.rotated_log.has_value()) return;
    const RotatedLog& rotated = *options.rotated_log;
    log.Add(std::make_unique<RotatedFile>(rotated.fd, rotated.path, rotated.rotation, &compute));
  }
  ~Impl() {
    // A callback that never comes may own streams and files: it goes while all is there.
    // No end waits for the compression of a large log file.
    log.StopCleaning();
    compute.Stop();
    disk.Stop();
    loop.DropPending();
    for (auto& [number, watch] : signals) {
      uv_close(reinterpret_cast<uv_handle_t*>(&watch.release()->handle),
               [](uv_handle_t* h) { delete static_cast<SignalWatch*>(h->data); });
    }
  }

  Loop loop;  // first made, last destroyed
  Network network;
  Disk disk;
  Compute compute;
  Random random;
  LogFiles log;
  std::map<int, std::unique_ptr<SignalWatch>> signals;
};

World::World(const WorldOptions& options) {
  signal(SIGPIPE, SIG_IGN);
  // A limit on the size of files (ulimit -f) is an error of the write, EFBIG: a kind of full disk.
  signal(SIGXFSZ, SIG_IGN);
  impl_ = std::make_unique<Impl>(options);
}

World::~World() = default;

Env World::env() const {
  return Env{.loop = &impl_->loop,
             .network = &impl_->network,
             .disk = &impl_->disk,
             .random = &impl_->random,
             .compute = &impl_->compute,
             .log = &impl_->log};
}

void World::Run() { uv_run(impl_->loop.uv(), UV_RUN_DEFAULT); }

void World::Stop() { uv_stop(impl_->loop.uv()); }

void World::RunOnce() {
  // What is due now first: libuv's own "once" would wait for more after having run it.
  const uint64_t before = impl_->loop.callbacks();
  uv_run(impl_->loop.uv(), UV_RUN_NOWAIT);
  if (impl_->loop.callbacks() == before) uv_run(impl_->loop.uv(), UV_RUN_ONCE);
}

void World::OnSignal(int signal_number, std::function<void()> callback) {
  std::unique_ptr<SignalWatch>& watch = impl_->signals[signal_number];
  if (watch == nullptr) {
    watch = std::make_unique<SignalWatch>();
    watch->loop = &impl_->loop;
    CHECK_EQ(uv_signal_init(impl_->loop.uv(), &watch->handle), 0);
    watch->handle.data = watch.get();
    CHECK_EQ(uv_signal_start(
                 &watch->handle,
                 [](uv_signal_t* h, int) {
                   auto* self = static_cast<SignalWatch*>(h->data);
                   self->loop->BeginCallback();
                   self->callback();
                 },
                 signal_number),
             0);
  }
  watch->callback = std::move(callback);
}

}  // namespace quorate::io::uv
