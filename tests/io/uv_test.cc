// What only the real world has: threads, signals, a log on a descriptor, real errors.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "io/uv/linked_directory.h"
#include "io/uv/world.h"

namespace quorate::testing {
namespace {

TEST(UvWorldTest, StopEndsRun) {
  io::uv::World world;
  auto timer = world.env().loop->NewTimer([&] { world.Stop(); });
  timer->Set(world.env().loop->Now() + Milliseconds(5));
  world.Run();
}

TEST(UvWorldTest, SignalsBecomeEvents) {
  io::uv::World world;
  int terminated = 0;
  world.OnSignal(SIGTERM, [&] {
    ++terminated;
    world.Stop();
  });
  auto timer = world.env().loop->NewTimer([] { kill(getpid(), SIGTERM); });
  timer->Set(world.env().loop->Now());
  world.Run();
  EXPECT_EQ(terminated, 1);
}

TEST(UvWorldTest, LogLinesGoToAllDescriptors) {
  int ends[2];
  int second[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(pipe(second), 0);
  {
    io::uv::World world({.log_fds = {ends[1], second[1]}});
    world.env().log->WriteLine("{\"level\":\"info\"}");
    world.env().log->WriteLine("");
    world.env().log->WriteLine("last");
  }
  for (const int* pair : {ends, second}) {
    close(pair[1]);
    std::string text(100, '\0');
    text.resize(static_cast<size_t>(std::max<ssize_t>(0, read(pair[0], text.data(), text.size()))));
    close(pair[0]);
    EXPECT_EQ(text, "{\"level\":\"info\"}\n\nlast\n");
  }
}

TEST(UvWorldTest, OthersHaveTheirTurnBesideATimerThatIsAlwaysDue) {
  io::uv::World world;
  io::Loop* const loop = world.env().loop;
  std::unique_ptr<io::Timer> work;
  work = loop->NewTimer([&] { work->Set(loop->Now()); });
  work->Set(loop->Now());
  const auto later =
      loop->NewTimer([&] { world.env().compute->Run([] {}, [&] { world.Stop(); }); });
  later->Set(loop->Now() + Milliseconds(5));
  world.Run();
}

TEST(UvWorldTest, ComputationsRunOnOtherThreads) {
  io::uv::World world;
  std::thread::id worker;
  std::thread::id completer;
  world.env().compute->Run([&] { worker = std::this_thread::get_id(); },
                           [&] {
                             completer = std::this_thread::get_id();
                             world.Stop();
                           });
  world.Run();
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_EQ(completer, std::this_thread::get_id());
}

// Many chains of work whose next piece is asked for when the one before is told: a completion of
// which the loop is not told would be the last of its chain.
TEST(UvWorldTest, NoCompletionIsForgottenBesideOthers) {
  constexpr int kChains = 8;
  constexpr int kPieces = 2000;
  io::uv::World world;
  int left[kChains];
  int chains = kChains;
  std::function<void(int)> next = [&](int chain) {
    if (left[chain]-- == 0) {
      if (--chains == 0) world.Stop();
      return;
    }
    world.env().compute->Run([] {}, [&next, chain] { next(chain); });
  };
  for (int chain = 0; chain < kChains; ++chain) {
    left[chain] = kPieces;
    next(chain);
  }
  world.Run();
  EXPECT_EQ(chains, 0);
}

TEST(UvWorldTest, AWorldMayEndWithWorkInFlight) {
  bool called = false;
  const std::string path = ::testing::TempDir() + "/in_flight";
  {
    io::uv::World world;
    // Owned by the callbacks that never come.
    auto file = std::make_shared<std::unique_ptr<io::File>>();
    world.env().disk->Open(path, {.create = true, .dedicated_thread = true},
                           [&, file](absl::StatusOr<std::unique_ptr<io::File>> opened) {
                             *file = *std::move(opened);
                             world.Stop();
                           });
    world.Run();
    (*file)->WriteAndSync(0, {Bytes::Copy("x")}, [&, file](absl::Status) { called = true; });
    file.reset();
    world.env().compute->Run([] {}, [&] { called = true; });
  }
  EXPECT_FALSE(called);
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 1);
}

// Of the file's pages, how many the system holds in its cache.
size_t CachedPages(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  EXPECT_EQ(fstat(fd, &info), 0);
  const auto size = static_cast<size_t>(info.st_size);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const at = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  EXPECT_NE(at, MAP_FAILED);
  std::vector<unsigned char> pages((size + page - 1) / page);
  EXPECT_EQ(mincore(at, size, pages.data()), 0);
  munmap(at, size);
  close(fd);
  return static_cast<size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }));
}

// What the system remembers is right also where the disk is not.
TEST(UvWorldTest, UncachedReadsAskTheDisk) {
  const std::string path = ::testing::TempDir() + "/uncached";
  struct statfs where;
  ASSERT_EQ(statfs(::testing::TempDir().c_str(), &where), 0);
  if (where.f_type == TMPFS_MAGIC) GTEST_SKIP() << "SKIPPED: a tmpfs has no disk to ask";
  io::uv::World world;
  std::unique_ptr<io::File> file;
  std::unique_ptr<io::File> reader;
  std::string content;
  io::Disk* const disk = world.env().disk;
  const auto opened = [&](absl::StatusOr<std::unique_ptr<io::File>> again) {
    ASSERT_TRUE(again.ok()) << again.status();
    reader = *std::move(again);
    reader->Read(0, 1 << 20, [&](const absl::StatusOr<Bytes>& bytes) {
      if (bytes.ok()) content = std::string(bytes->view());
      world.Stop();
    });
  };
  disk->Open(path, {.create = true}, [&](absl::StatusOr<std::unique_ptr<io::File>> created) {
    ASSERT_TRUE(created.ok()) << created.status();
    file = *std::move(created);
    file->WriteAndSync(0, {Bytes::Copy(std::string(1 << 20, 'x'))}, [&](const absl::Status&) {
      EXPECT_GT(CachedPages(path), 0u);
      disk->Open(path, {.write = false, .uncached_reads = true}, opened);
    });
  });
  world.Run();
  EXPECT_EQ(content, std::string(1 << 20, 'x'));
  EXPECT_EQ(CachedPages(path), 0u);
}

TEST(UvWorldTest, ADeviceIsNotAFile) {
  io::uv::World world;
  absl::Status status;
  world.env().disk->Open("/dev/full", {}, [&](absl::StatusOr<std::unique_ptr<io::File>> opened) {
    status = opened.status();
    world.Stop();
  });
  world.Run();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("/dev/full"), absl::string_view::npos) << status;
}

TEST(UvWorldTest, NamesAreResolved) {
  io::uv::World world;
  bool connected = false;
  std::unique_ptr<io::Stream> accepted;
  auto listener = world.env().network->Listen(
      "localhost:0", [&](std::unique_ptr<io::Stream> stream) { accepted = std::move(stream); });
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string& bound = (*listener)->address();
  const std::string port = bound.substr(bound.rfind(':'));
  auto pending = world.env().network->Connect(
      "localhost" + port, [&](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
        EXPECT_TRUE(stream.ok()) << stream.status();
        connected = true;
        world.Stop();
      });
  world.Run();
  EXPECT_TRUE(connected);
}

// A listener on a socket in the file system that echoes what its first stream says.
class SocketFileTest : public ::testing::Test {
 protected:
  struct Keeper : io::Stream::Handler {
    void OnData(absl::string_view data) override {
      received.append(data.data(), data.size());
      if (on_data) on_data();
    }
    void OnClose(const absl::Status&) override {}
    std::unique_ptr<io::Stream> stream;
    std::string received;
    std::function<void()> on_data;
  };

  SocketFileTest() {
    // The test's own directory may have too long a name for a socket.
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/s";
  }
  ~SocketFileTest() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  absl::StatusOr<std::unique_ptr<io::Listener>> Listen(io::uv::World* world) {
    return world->env().network->Listen("unix:" + path_, [this](std::unique_ptr<io::Stream> s) {
      server_.stream = std::move(s);
      server_.on_data = [this] { server_.stream->Write(Bytes::Copy(server_.received)); };
      server_.stream->Start(&server_);
    });
  }

  std::string directory_ = "/tmp/quorate-socket-XXXXXX";
  std::string path_;
  Keeper server_;
  Keeper client_;
};

TEST_F(SocketFileTest, BytesGoBothWays) {
  io::uv::World world;
  auto listener = Listen(&world);
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ((*listener)->address(), "unix:" + path_);
  auto pending = world.env().network->Connect(
      "unix:" + path_, [&](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
        ASSERT_TRUE(stream.ok()) << stream.status();
        client_.stream = *std::move(stream);
        client_.on_data = [&] { world.Stop(); };
        client_.stream->Start(&client_);
        client_.stream->Write(Bytes::Copy("hello"));
      });
  world.Run();
  EXPECT_EQ(client_.received, "hello");
  EXPECT_EQ(server_.stream->peer_address(), "@");
  server_.stream.reset();
  client_.stream.reset();
  listener->reset();
  struct stat info;
  EXPECT_NE(stat(path_.c_str(), &info), 0);  // it goes with its listener
}

TEST_F(SocketFileTest, OneThatIsInUseIsTakenAndOneThatIsLeftOverIsNot) {
  {
    // A process that ends at once leaves its socket behind.
    const int left = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(left, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    close(left);
  }
  io::uv::World world;
  auto listener = Listen(&world);
  ASSERT_TRUE(listener.ok()) << listener.status();
  const auto second = Listen(&world);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  const auto long_one = world.env().network->Listen("unix:/" + std::string(200, 'x'), nullptr);
  EXPECT_TRUE(absl::IsInvalidArgument(long_one.status())) << long_one.status();
}

TEST(UvWorldTest, PortsAreSharedWithThoseWhoShareThem) {
  io::uv::World world({.reuse_port = true});
  io::uv::World other({.reuse_port = true});
  io::uv::World ordinary;
  const auto first = world.env().network->Listen("127.0.0.1:0", [](auto) {});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = other.env().network->Listen((*first)->address(), [](auto) {});
  EXPECT_TRUE(second.ok()) << second.status();
  const auto third = ordinary.env().network->Listen((*first)->address(), [](auto) {});
  EXPECT_TRUE(absl::IsAlreadyExists(third.status())) << third.status();
}

class LinkedDirectoryTest : public ::testing::Test {
 protected:
  LinkedDirectoryTest() : work_(::testing::TempDir() + "linked-XXXXXX") {
    CHECK(mkdtemp(work_.data()) != nullptr);
  }

  std::string work_;
};

TEST_F(LinkedDirectoryTest, IsMadeOnceAndLeftAsItIs) {
  const std::string link = work_ + "/data/log";
  const std::string target = work_ + "/disk/wal/../log/";
  ASSERT_TRUE(io::uv::LinkDirectory(link, target).ok());
  EXPECT_EQ(io::uv::LinkedDirectory(link).value(), work_ + "/disk/log");
  struct stat info;
  ASSERT_EQ(stat((work_ + "/disk/log").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_TRUE(io::uv::LinkDirectory(link, work_ + "/disk/log").ok());
  const absl::Status elsewhere = io::uv::LinkDirectory(link, work_ + "/other");
  EXPECT_TRUE(absl::IsFailedPrecondition(elsewhere)) << elsewhere;
  EXPECT_NE(stat((work_ + "/other").c_str(), &info), 0);
}

TEST_F(LinkedDirectoryTest, WhatIsThereIsNoLinkAndNoLinkLeadsNowhere) {
  EXPECT_EQ(io::uv::LinkedDirectory(work_).value(), "");
  EXPECT_EQ(io::uv::LinkedDirectory(work_ + "/nothing").value(), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(io::uv::LinkDirectory(work_, "/tmp")));
  const std::string link = work_ + "/log";
  ASSERT_EQ(symlink((work_ + "/unmounted").c_str(), link.c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(io::uv::LinkedDirectory(link).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(io::uv::LinkDirectory(link, work_ + "/unmounted")));
  EXPECT_TRUE(absl::IsFailedPrecondition(io::uv::LinkDirectory(link, work_ + "/other")));
}

TEST(UvWorldTest, AnUnknownNameIsUnavailable) {
  io::uv::World world;
  absl::Status status;
  auto pending = world.env().network->Connect(
      "no-such-host.invalid:1", [&](absl::StatusOr<std::unique_ptr<io::Stream>> stream) {
        status = stream.status();
        world.Stop();
      });
  world.Run();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("no-such-host.invalid"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace quorate::testing
