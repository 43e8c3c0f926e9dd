// A log file that is rotated, on the real file system.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "io/uv/world.h"

namespace quorate::testing {
namespace {

namespace fs = std::filesystem;

class LogRotationTest : public ::testing::Test {
 protected:
  LogRotationTest() {
    std::string name = ::testing::TempDir() + "/rotation-XXXXXX";
    directory_ = mkdtemp(name.data());
    path_ = directory_ / "etcd.log";
  }
  ~LogRotationTest() override { fs::remove_all(directory_); }

  io::uv::WorldOptions Options(const io::LogRotation& rotation) const {
    io::uv::WorldOptions options;
    options.log_fds = {};
    options.rotated_log = io::uv::RotatedLog{
        open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640), path_, rotation};
    return options;
  }

  // Full files, the oldest first.
  std::vector<fs::path> Full() const {
    std::vector<fs::path> full;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      if (absl::StartsWith(entry.path().filename().string(), "etcd-")) full.push_back(entry);
    }
    std::sort(full.begin(), full.end());
    return full;
  }

  static std::string Text(const fs::path& path) {
    // Reads plain files, too.
    gzFile file = gzopen(path.c_str(), "rb");
    std::string text(1 << 20, '\0');
    const int n = gzread(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    text.resize(static_cast<size_t>(std::max(n, 0)));
    return text;
  }

  static void RunUntil(io::uv::World* world, const std::function<bool()>& condition) {
    // The loop would sleep when nothing is to come.
    const auto timer = world->env().loop->NewTimer([] {});
    while (!condition()) {
      timer->Set(world->env().loop->Now() + Milliseconds(1));
      world->RunOnce();
    }
  }

  void Touch(const std::string& name) const { std::ofstream(directory_ / name) << "x"; }

  fs::path directory_;
  fs::path path_;
};

TEST_F(LogRotationTest, EachLineStandsOnceInOrderInFilesThatAreNotTooLarge) {
  io::LogRotation rotation;
  rotation.max_bytes = 100;
  std::string all;
  {
    io::uv::World world(Options(rotation));
    for (int i = 0; i < 200; ++i) {
      const std::string line =
          absl::StrCat("line ", i, std::string(static_cast<size_t>(i % 40), '.'));
      world.env().log->WriteLine(line);
      all += line + "\n";
    }
  }
  std::string found;
  for (const fs::path& file : Full()) {
    EXPECT_LE(fs::file_size(file), 100u);
    found += Text(file);
  }
  EXPECT_EQ(found + Text(path_), all);
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u) << "a new file is as open as the first one was";
}

TEST_F(LogRotationTest, ALineLargerThanAFileIsNotLost) {
  io::LogRotation rotation;
  rotation.max_bytes = 10;
  {
    io::uv::World world(Options(rotation));
    world.env().log->WriteLine("a");
    world.env().log->WriteLine(std::string(50, 'b'));
    world.env().log->WriteLine("c");
  }
  ASSERT_EQ(Full().size(), 2u);
  EXPECT_EQ(Text(Full()[1]), std::string(50, 'b') + "\n");
  EXPECT_EQ(Text(path_), "c\n");
}

TEST_F(LogRotationTest, AFileThatIsThereIsContinuedAndItsSizeCounts) {
  std::ofstream(path_) << std::string(95, 'x') << '\n';
  io::LogRotation rotation;
  rotation.max_bytes = 100;
  io::uv::World world(Options(rotation));
  world.env().log->WriteLine("abc");
  EXPECT_TRUE(Full().empty());
  world.env().log->WriteLine("d");
  ASSERT_EQ(Full().size(), 1u);
  EXPECT_EQ(Text(Full()[0]), std::string(95, 'x') + "\nabc\n");
}

TEST_F(LogRotationTest, TooManyAndTooOldFilesAreRemovedAndNoOthers) {
  for (const char* name :
       {"etcd-2001-01-01T00-00-00.000.log", "etcd-2001-01-01T00-00-00.000.log.gz",
        "etcd-2001-01-01.log", "etcd-other.log", "etcd.log.1"}) {
    Touch(name);
  }
  io::LogRotation rotation;
  rotation.max_bytes = 1;
  rotation.max_backups = 3;
  rotation.max_age_days = 365;
  io::uv::World world(Options(rotation));
  for (int i = 0; i < 20; ++i) world.env().log->WriteLine("x");
  // Three, and the two that are none of ours.
  RunUntil(&world, [this] { return Full().size() == 5; });
  EXPECT_TRUE(fs::exists(directory_ / "etcd-2001-01-01.log"));
  EXPECT_TRUE(fs::exists(directory_ / "etcd-other.log"));
  EXPECT_TRUE(fs::exists(directory_ / "etcd.log.1"));
}

TEST_F(LogRotationTest, FullFilesAreCompressed) {
  Touch("etcd-2001-01-01T00-00-00.000.log");
  io::LogRotation rotation;
  rotation.max_bytes = 100;
  rotation.compress = true;
  io::uv::World world(Options(rotation));
  const std::string line(90, 'z');
  for (int i = 0; i < 5; ++i) world.env().log->WriteLine(line);
  RunUntil(&world, [this] {
    const std::vector<fs::path> full = Full();
    return full.size() == 5 && std::all_of(full.begin(), full.end(), [](const fs::path& path) {
             return path.extension() == ".gz";
           });
  });
  const std::vector<fs::path> full = Full();
  EXPECT_EQ(Text(full[0]), "x");
  for (size_t i = 1; i < full.size(); ++i) EXPECT_EQ(Text(full[i]), line + "\n");
}

TEST_F(LogRotationTest, WhatACompressionLeftThatDidNotEndIsRemoved) {
  Touch("etcd-2001-01-01T00-00-00.000.log.gz.part");
  Touch("etcd-other.log.gz.part");
  io::LogRotation rotation;
  io::uv::World world(Options(rotation));
  RunUntil(&world, [this] { return Full().size() == 1; });
  EXPECT_EQ(Full()[0].filename(), "etcd-other.log.gz.part");
}

TEST_F(LogRotationTest, AnEndDoesNotWaitForCompressions) {
  // More than a thread could compress before the world ends.
  constexpr int kFiles = 200;
  for (int i = 0; i < kFiles; ++i) {
    const fs::path path = directory_ / absl::StrCat("etcd-2001-01-01T00-00-00.", 100 + i, ".log");
    std::ofstream(path) << "x";
    fs::resize_file(path, 64 << 20);
  }
  io::LogRotation rotation;
  rotation.compress = true;
  { io::uv::World world(Options(rotation)); }
  int plain = 0;
  for (const fs::path& path : Full()) {
    plain += path.extension() == ".log" ? 1 : 0;
    EXPECT_NE(path.extension(), ".part");
  }
  EXPECT_GT(plain, kFiles / 2);
}

TEST_F(LogRotationTest, AFileThatWasTakenAwayIsMadeAnew) {
  io::LogRotation rotation;
  rotation.max_bytes = 1;
  io::uv::World world(Options(rotation));
  world.env().log->WriteLine("a");
  fs::remove(path_);
  world.env().log->WriteLine("b");
  EXPECT_EQ(Text(path_), "b\n");
  EXPECT_TRUE(Full().empty());
  const fs::path elsewhere = directory_.string() + "-elsewhere";
  fs::rename(directory_, elsewhere);
  world.env().log->WriteLine("c");
  world.env().log->WriteLine("d");
  EXPECT_EQ(Text(elsewhere / "etcd.log"), "b\n");
  EXPECT_EQ(Text(path_), "d\n");
  ASSERT_EQ(Full().size(), 1u);
  EXPECT_EQ(Text(Full()[0]), "c\n");
  fs::remove_all(elsewhere);
}

TEST_F(LogRotationTest, AFileThatCannotBeExchangedGoesOn) {
  io::LogRotation rotation;
  rotation.max_bytes = 1;
  io::uv::World world(Options(rotation));
  world.env().log->WriteLine("a");
  const fs::path elsewhere = directory_.string() + "-elsewhere";
  fs::rename(directory_, elsewhere);
  std::ofstream(directory_) << "where a directory was";
  world.env().log->WriteLine("b");
  world.env().log->WriteLine("c");
  fs::remove(directory_);
  fs::rename(elsewhere, directory_);
  EXPECT_EQ(Text(path_), "a\nb\nc\n");
}

TEST_F(LogRotationTest, APipeIsNotExchanged) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  io::LogRotation rotation;
  rotation.max_bytes = 1;
  io::uv::World world(Options(rotation));
  for (const char* line : {"a", "b", "c"}) world.env().log->WriteLine(line);
  char read_bytes[100];
  const ssize_t n = read(reader, read_bytes, sizeof(read_bytes));
  close(reader);
  EXPECT_EQ(std::string(read_bytes, static_cast<size_t>(std::max<ssize_t>(n, 0))), "a\nb\nc\n");
  EXPECT_TRUE(fs::is_fifo(path_));
  EXPECT_TRUE(Full().empty());
}

}  // namespace
}  // namespace quorate::testing
