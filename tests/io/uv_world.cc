#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/check.h"
#include "io/uv/world.h"
#include "tests/io/world.h"

namespace quorate::testing {
namespace {

class UvWorld final : public IoWorld {
 public:
  UvWorld() {
    const char* base = getenv("TEST_TMPDIR");
    std::string name = std::string(base != nullptr ? base : "/tmp") + "/io_test.XXXXXX";
    CHECK(mkdtemp(name.data()) != nullptr);
    directory_ = name;
    watchdog_ = world_.env().loop->NewTimer([this] { expired_ = true; });
  }
  ~UvWorld() override { std::filesystem::remove_all(directory_); }

  io::Env server() override { return world_.env(); }
  io::Env client() override { return world_.env(); }
  std::string listen_address() const override { return "127.0.0.1:0"; }
  std::string directory() const override { return directory_; }
  void InServer(std::function<void()> function) override { InTurn(std::move(function)); }
  void InClient(std::function<void()> function) override { InTurn(std::move(function)); }

  bool RunUntil(const std::function<bool()>& condition, Duration limit) override {
    expired_ = false;
    watchdog_->Set(world_.env().loop->Now() + limit);
    while (!condition()) {
      if (expired_) return false;
      world_.RunOnce();
    }
    watchdog_->Cancel();
    return true;
  }

 private:
  void InTurn(std::function<void()> function) {
    bool done = false;
    world_.env().loop->Defer([&] {
      function();
      done = true;
    });
    while (!done) world_.RunOnce();
  }

  io::uv::World world_;
  std::string directory_;
  std::unique_ptr<io::Timer> watchdog_;
  bool expired_ = false;
};

}  // namespace

std::unique_ptr<IoWorld> NewUvWorld() { return std::make_unique<UvWorld>(); }

}  // namespace quorate::testing
