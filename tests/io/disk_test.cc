// What io::Disk and io::File promise, in both worlds.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/io/param.h"
#include "tests/io/world.h"

namespace quorate::testing {
namespace {

class DiskTest : public IoTest {
 protected:
  io::Disk& disk() { return *world().server().disk; }
  std::string Path(const std::string& name) { return world().directory() + "/" + name; }

  // Starts an operation and waits for its result.
  template <typename Result, typename Start>
  Result Await(Start start) {
    std::optional<Result> result;
    world().InServer([&] {
      start([&](Result r) { result.emplace(std::move(r)); });
      EXPECT_FALSE(result.has_value()) << "called back inside the call";
    });
    EXPECT_TRUE(world().RunUntil([&] { return result.has_value(); }));
    return *std::move(result);
  }

  absl::StatusOr<std::unique_ptr<io::File>> TryOpen(const std::string& path,
                                                    io::OpenOptions options) {
    return Await<absl::StatusOr<std::unique_ptr<io::File>>>(
        [&](auto done) { disk().Open(path, options, done); });
  }
  std::unique_ptr<io::File> Create(const std::string& name, bool dedicated = false) {
    auto file = TryOpen(Path(name), {.create = true, .dedicated_thread = dedicated});
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  absl::Status Write(io::File* file, uint64_t offset, std::vector<std::string> texts) {
    return Await<absl::Status>(
        [&](auto done) { file->Write(offset, Pieces(std::move(texts)), done); });
  }
  std::string Read(io::File* file, uint64_t offset, size_t size) {
    auto bytes = Await<absl::StatusOr<Bytes>>([&](auto done) { file->Read(offset, size, done); });
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return std::string(bytes->view());
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) {
    return Await<absl::StatusOr<std::vector<std::string>>>(
        [&](auto done) { disk().List(path, done); });
  }
  absl::Status MakeDirs(const std::string& path) {
    return Await<absl::Status>([&](auto done) { disk().MakeDirs(path, done); });
  }
  absl::Status Rename(const std::string& from, const std::string& to) {
    return Await<absl::Status>([&](auto done) { disk().Rename(from, to, done); });
  }
  absl::Status Remove(const std::string& path) {
    return Await<absl::Status>([&](auto done) { disk().Remove(path, done); });
  }
  absl::StatusOr<std::unique_ptr<io::DirectoryLock>> Lock(const std::string& path) {
    return Await<absl::StatusOr<std::unique_ptr<io::DirectoryLock>>>(
        [&](auto done) { disk().LockDir(path, done); });
  }

  static std::vector<Bytes> Pieces(std::vector<std::string> texts) {
    std::vector<Bytes> pieces;
    for (const std::string& text : texts) pieces.push_back(Bytes::Copy(text));
    return pieces;
  }
  static bool Names(const absl::Status& status, const std::string& path) {
    return status.message().find(path) != absl::string_view::npos;
  }
};

TEST_P(DiskTest, WhatWasWrittenIsRead) {
  auto file = Create("a");
  EXPECT_EQ(file->path(), Path("a"));
  EXPECT_EQ(file->size(), 0u);
  EXPECT_TRUE(Write(file.get(), 0, {"hello", "", " ", "world"}).ok());
  EXPECT_EQ(file->size(), 11u);
  EXPECT_EQ(Read(file.get(), 0, 11), "hello world");
  EXPECT_EQ(Read(file.get(), 6, 3), "wor");
  EXPECT_TRUE(Write(file.get(), 6, {"there"}).ok());
  EXPECT_EQ(Read(file.get(), 0, 100), "hello there");
}

TEST_P(DiskTest, UncachedReadsTellWhatWasWrittenToo) {
  auto file = Create("a");
  EXPECT_TRUE(Write(file.get(), 0, {std::string(10'000, 'x')}).ok());
  EXPECT_TRUE(Await<absl::Status>([&](auto done) { file->Sync(done); }).ok());
  auto reader = TryOpen(Path("a"), {.write = false, .uncached_reads = true});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(Read(reader->get(), 0, 10'000), std::string(10'000, 'x'));
  EXPECT_TRUE(Write(file.get(), 5'000, {"not synced"}).ok());
  EXPECT_EQ(Read(reader->get(), 5'000, 10), "not synced");
  EXPECT_EQ(Read(reader->get(), 9'000, 10'000), std::string(1'000, 'x'));
}

TEST_P(DiskTest, ReadingIsShortOnlyAtTheEnd) {
  auto file = Create("a");
  EXPECT_TRUE(Write(file.get(), 0, {"0123456789"}).ok());
  EXPECT_EQ(Read(file.get(), 8, 10), "89");
  EXPECT_EQ(Read(file.get(), 10, 10), "");
  EXPECT_EQ(Read(file.get(), 1000, 10), "");
  EXPECT_EQ(Read(file.get(), 3, 0), "");
}

TEST_P(DiskTest, AHoleReadsAsZeros) {
  auto file = Create("a");
  EXPECT_TRUE(Write(file.get(), 100'000, {"end"}).ok());
  EXPECT_EQ(file->size(), 100'003u);
  EXPECT_EQ(Read(file.get(), 0, 100'003), std::string(100'000, '\0') + "end");
}

TEST_P(DiskTest, WriteAndSyncIsOneOperation) {
  auto file = Create("wal", /*dedicated=*/true);
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    const std::string text = "record " + std::to_string(i) + "\n";
    const absl::Status status = Await<absl::Status>([&](auto done) {
      file->WriteAndSync(expected.size(), Pieces({text.substr(0, 3), text.substr(3)}), done);
    });
    ASSERT_TRUE(status.ok()) << status;
    expected += text;
  }
  EXPECT_EQ(Read(file.get(), 0, expected.size()), expected);
}

TEST_P(DiskTest, MoreThanAThousandPiecesAndManyBytesAreWrittenWhole) {
  auto file = Create("big");
  std::vector<std::string> texts;
  std::string expected;
  for (size_t i = 0; i < 3000; ++i) {
    texts.push_back(std::string(1 + i % 2000, static_cast<char>('a' + i % 26)));
    expected += texts.back();
  }
  EXPECT_TRUE(Write(file.get(), 7, texts).ok());
  EXPECT_TRUE(Read(file.get(), 7, expected.size()) == expected);
}

TEST_P(DiskTest, OperationsOfAFileTakeEffectInTheOrderOfTheCalls) {
  auto file = Create("a");
  std::vector<std::string> order;
  std::string middle;
  world().InServer([&] {
    file->Write(0, Pieces({"aaaa"}), [&](absl::Status) { order.push_back("write"); });
    file->Read(0, 10, [&](absl::StatusOr<Bytes> bytes) {
      order.push_back("read");
      middle = std::string(bytes->view());
    });
    file->Write(2, Pieces({"bbbb"}), [&](absl::Status) { order.push_back("write"); });
    file->Sync([&](absl::Status) { order.push_back("sync"); });
    file->Truncate(5, [&](absl::Status) { order.push_back("truncate"); });
  });
  ASSERT_TRUE(world().RunUntil([&] { return order.size() == 5; }));
  EXPECT_EQ(order, std::vector<std::string>({"write", "read", "write", "sync", "truncate"}));
  EXPECT_EQ(middle, "aaaa");
  EXPECT_EQ(Read(file.get(), 0, 10), "aabbb");
}

TEST_P(DiskTest, ZerosReplaceWhatWasThereAndGrowTheFile) {
  auto file = Create("a");
  EXPECT_TRUE(Write(file.get(), 0, {std::string(3000, 'x')}).ok());
  EXPECT_TRUE(
      Await<absl::Status>([&](auto done) { file->WriteZeros(1000, 3'000'000, done); }).ok());
  EXPECT_EQ(file->size(), 3'001'000u);
  EXPECT_EQ(Read(file.get(), 998, 4), std::string("xx\0\0", 4));
  EXPECT_TRUE(Read(file.get(), 1000, 3'000'000) == std::string(3'000'000, '\0'));
}

TEST_P(DiskTest, TruncatingCutsAndGrows) {
  auto file = Create("a");
  EXPECT_TRUE(Write(file.get(), 0, {std::string(2000, 'x')}).ok());
  EXPECT_TRUE(Await<absl::Status>([&](auto done) { file->Truncate(700, done); }).ok());
  EXPECT_EQ(file->size(), 700u);
  EXPECT_EQ(Read(file.get(), 699, 100), "x");
  EXPECT_TRUE(Await<absl::Status>([&](auto done) { file->Truncate(2000, done); }).ok());
  EXPECT_EQ(Read(file.get(), 699, 100), "x" + std::string(99, '\0'));
  EXPECT_EQ(file->size(), 2000u);
}

TEST_P(DiskTest, OpeningKnowsTheSize) {
  { EXPECT_TRUE(Write(Create("a").get(), 0, {"12345"}).ok()); }
  EXPECT_EQ(Create("a")->size(), 5u);
}

TEST_P(DiskTest, AMissingFileIsNotFoundByName) {
  const auto file = TryOpen(Path("missing"), {});
  EXPECT_TRUE(absl::IsNotFound(file.status())) << file.status();
  EXPECT_TRUE(Names(file.status(), Path("missing"))) << file.status();
  const auto deep = TryOpen(Path("no/such/dir"), {.create = true});
  EXPECT_TRUE(absl::IsNotFound(deep.status())) << deep.status();
}

TEST_P(DiskTest, AnExclusiveCreateRefusesAnExistingFile) {
  Create("a");
  const auto file = TryOpen(Path("a"), {.create = true, .exclusive = true});
  EXPECT_TRUE(absl::IsAlreadyExists(file.status())) << file.status();
  EXPECT_TRUE(Names(file.status(), Path("a"))) << file.status();
  EXPECT_TRUE(TryOpen(Path("b"), {.create = true, .exclusive = true}).ok());
}

TEST_P(DiskTest, AFileOpenedForReadingCannotBeWritten) {
  { EXPECT_TRUE(Write(Create("a").get(), 0, {"text"}).ok()); }
  auto file = TryOpen(Path("a"), {.write = false});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(Write(file->get(), 0, {"other"}).ok());
  EXPECT_EQ(Read(file->get(), 0, 10), "text");
}

TEST_P(DiskTest, ADirectoryIsNotAFile) {
  ASSERT_TRUE(MakeDirs(Path("d")).ok());
  const auto file = TryOpen(Path("d"), {});
  EXPECT_TRUE(absl::IsFailedPrecondition(file.status())) << file.status();
}

TEST_P(DiskTest, NamesAreListedSorted) {
  for (const char* name : {"c", "a", "b"}) Create(name);
  ASSERT_TRUE(MakeDirs(Path("dir")).ok());
  const auto names = List(world().directory());
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, std::vector<std::string>({"a", "b", "c", "dir"}));
  const auto missing = List(Path("missing"));
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
  EXPECT_TRUE(Names(missing.status(), Path("missing"))) << missing.status();
}

TEST_P(DiskTest, DirectoriesAreMadeWithTheirParents) {
  EXPECT_TRUE(MakeDirs(Path("x/y/z")).ok());
  EXPECT_TRUE(MakeDirs(Path("x/y/z")).ok());
  EXPECT_TRUE(TryOpen(Path("x/y/z/file"), {.create = true}).ok());
  EXPECT_EQ(*List(Path("x")), std::vector<std::string>({"y"}));
  const absl::Status status = MakeDirs(Path("x/y/z/file/below"));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_P(DiskTest, RenamingReplacesTheTarget) {
  auto from = Create("from");
  EXPECT_TRUE(Write(from.get(), 0, {"new"}).ok());
  EXPECT_TRUE(Write(Create("to").get(), 0, {"old content"}).ok());
  EXPECT_TRUE(Rename(Path("from"), Path("to")).ok());
  EXPECT_EQ(*List(world().directory()), std::vector<std::string>({"to"}));
  auto to = TryOpen(Path("to"), {});
  ASSERT_TRUE(to.ok()) << to.status();
  EXPECT_EQ(Read(to->get(), 0, 100), "new");
  const absl::Status missing = Rename(Path("from"), Path("to"));
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_TRUE(Names(missing, Path("from"))) << missing;
}

TEST_P(DiskTest, ARemovedFileIsGoneForOthersButNotForItsHolder) {
  auto file = Create("a");
  EXPECT_TRUE(Write(file.get(), 0, {"still here"}).ok());
  EXPECT_TRUE(Remove(Path("a")).ok());
  EXPECT_TRUE(List(world().directory())->empty());
  EXPECT_EQ(Read(file.get(), 0, 100), "still here");
  const absl::Status again = Remove(Path("a"));
  EXPECT_TRUE(absl::IsNotFound(again)) << again;
}

TEST_P(DiskTest, DirectoriesCanBeSynced) {
  EXPECT_TRUE(
      Await<absl::Status>([&](auto done) { disk().SyncDir(world().directory(), done); }).ok());
  const absl::Status missing =
      Await<absl::Status>([&](auto done) { disk().SyncDir(Path("missing"), done); });
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
}

TEST_P(DiskTest, ADirectoryIsLockedOnce) {
  auto lock = Lock(world().directory());
  ASSERT_TRUE(lock.ok()) << lock.status();
  const auto second = Lock(world().directory());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_TRUE(Names(second.status(), world().directory())) << second.status();
  lock->reset();
  EXPECT_TRUE(Lock(world().directory()).ok());
  EXPECT_TRUE(absl::IsNotFound(Lock(Path("missing")).status()));
}

TEST_P(DiskTest, ThereIsFreeSpace) {
  const auto space = Await<absl::StatusOr<uint64_t>>(
      [&](auto done) { disk().FreeSpace(world().directory(), done); });
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_GT(*space, 0u);
  const auto missing =
      Await<absl::StatusOr<uint64_t>>([&](auto done) { disk().FreeSpace(Path("missing"), done); });
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
}

TEST_P(DiskTest, ADestroyedFileFinishesItsWorkSilently) {
  bool called = false;
  auto file = Create("a", /*dedicated=*/true);
  world().InServer([&] {
    file->Write(0, Pieces({"written "}), [&](absl::Status) { called = true; });
    file->WriteAndSync(8, Pieces({"anyway"}), [&](absl::Status) { called = true; });
    file.reset();
  });
  ASSERT_TRUE(world().RunUntil([&] {
    auto again = TryOpen(Path("a"), {});
    return again.ok() && Read(again->get(), 0, 100) == "written anyway";
  }));
  EXPECT_FALSE(called);
}

TEST_P(DiskTest, AFileMayBeDestroyedInItsCallback) {
  auto file = Create("a");
  bool synced = false;
  world().InServer([&] {
    file->Write(0, Pieces({"x"}), [&](absl::Status) { file.reset(); });
    file->Sync([&](absl::Status) { synced = true; });
  });
  ASSERT_TRUE(world().RunUntil([&] { return file == nullptr; }));
  world().RunFor(Milliseconds(50));
  EXPECT_FALSE(synced);
}

TEST_P(DiskTest, FilesWorkSideBySide) {
  constexpr size_t kFiles = 12;
  std::vector<std::unique_ptr<io::File>> files;
  for (size_t i = 0; i < kFiles; ++i) files.push_back(Create(std::to_string(i), i % 3 == 0));
  size_t done = 0;
  world().InServer([&] {
    for (size_t i = 0; i < kFiles; ++i) {
      for (uint64_t k = 0; k < 20; ++k) {
        files[i]->WriteAndSync(k * 10, Pieces({std::string(10, static_cast<char>('a' + i))}),
                               [&](absl::Status status) {
                                 EXPECT_TRUE(status.ok()) << status;
                                 ++done;
                               });
      }
    }
  });
  ASSERT_TRUE(world().RunUntil([&] { return done == kFiles * 20; }));
  for (size_t i = 0; i < kFiles; ++i) {
    EXPECT_EQ(Read(files[i].get(), 0, 1000), std::string(200, static_cast<char>('a' + i)));
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, DiskTest, AllIoWorlds(), IoWorldName);

}  // namespace
}  // namespace quorate::testing
