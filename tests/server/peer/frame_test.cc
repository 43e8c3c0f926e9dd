// The framing of message streams: however the bytes come, the same messages come out.
#include "server/peer/frame.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "engine/raft/codec.h"
#include "server/peer/snapshot_chunks.h"

namespace quorate::peer {
namespace {

raft::Message AppendMessage(size_t entries, size_t entry_bytes) {
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.to = MemberId(2);
  message.from = MemberId(1);
  message.term = Term(5);
  message.index = LogIndex(10);
  message.log_term = Term(4);
  message.commit = LogIndex(9);
  for (size_t i = 0; i < entries; ++i) {
    raft::Entry entry;
    entry.term = Term(5);
    entry.index = LogIndex(11 + i);
    entry.data = Bytes::Copy(std::string(entry_bytes, static_cast<char>('a' + i % 26)));
    message.entries.push_back(entry);
  }
  return message;
}

std::string Join(const std::vector<Bytes>& pieces) {
  std::string all;
  for (const Bytes& piece : pieces) all.append(piece.data(), piece.size());
  return all;
}

std::string FrameOf(const std::string& content) {
  std::string frame(8, '\0');
  StoreBe64(frame.data(), content.size());
  return frame + content;
}

// Feeds `wire` in pieces of these sizes, the last ones again and again.
std::vector<std::string> Read(const std::string& wire, const std::vector<size_t>& sizes) {
  FrameReader reader;
  std::vector<std::string> frames;
  size_t at = 0;
  for (size_t i = 0; at < wire.size(); ++i) {
    const size_t n = sizes.empty() ? wire.size() : std::max<size_t>(1, sizes[i % sizes.size()]);
    const absl::Status status =
        reader.Feed(absl::string_view(wire).substr(at, n), [&](Bytes frame) {
          frames.emplace_back(frame.view());
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    at += n;
  }
  return frames;
}

RC_GTEST_PROP(FrameProperty, PiecesDoNotMatter,
              (const std::vector<std::string>& contents, const std::vector<uint8_t>& cuts)) {
  std::string wire;
  for (const std::string& content : contents) wire += FrameOf(content);
  const std::vector<size_t> sizes(cuts.begin(), cuts.end());
  RC_ASSERT(Read(wire, sizes) == contents);
}

TEST(FrameTest, WrittenMessagesAreReadBack) {
  FrameWriter writer;
  const std::vector<raft::Message> messages = {AppendMessage(3, 10), AppendMessage(0, 0),
                                               AppendMessage(2, 100'000), AppendMessage(1, 1)};
  for (const raft::Message& message : messages) writer.Add(message);
  const size_t announced = writer.bytes();
  const std::string wire = Join(writer.Take());
  EXPECT_EQ(wire.size(), announced);
  EXPECT_TRUE(writer.empty());
  const std::vector<std::string> frames = Read(wire, {});
  ASSERT_EQ(frames.size(), messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto decoded = raft::DecodeMessage(Bytes::Copy(frames[i]));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->entries, messages[i].entries);
    EXPECT_EQ(decoded->index, messages[i].index);
    EXPECT_EQ(decoded->commit, messages[i].commit);
  }
}

TEST(FrameTest, LargePayloadsAreNotCopied) {
  const raft::Message message = AppendMessage(2, 100'000);
  FrameWriter writer;
  writer.Add(message);
  const std::vector<Bytes> pieces = writer.Take();
  for (const raft::Entry& entry : message.entries) {
    const bool referred = std::any_of(pieces.begin(), pieces.end(), [&](const Bytes& piece) {
      return piece.data() == entry.data.data();
    });
    EXPECT_TRUE(referred);
  }
}

TEST(FrameTest, SmallMessagesShareOnePiece) {
  FrameWriter writer;
  for (int i = 0; i < 20; ++i) writer.Add(AppendMessage(1, 50));
  EXPECT_EQ(writer.Take().size(), 1u);
}

TEST(FrameTest, ThePostedFormIsTheMessageAlone) {
  const raft::Message message = AppendMessage(2, 5000);
  const auto decoded = raft::DecodeMessage(Bytes::Copy(Join(EncodePost(message))));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->entries, message.entries);
}

TEST(FrameTest, TheLinkHeartbeatIsAMessageOfNobody) {
  const std::vector<std::string> frames = Read(std::string(LinkHeartbeatFrame().view()), {1});
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0], "\x08\x08");
  const auto message = raft::DecodeMessage(Bytes::Copy(frames[0]));
  ASSERT_TRUE(message.ok());
  EXPECT_TRUE(IsLinkHeartbeat(*message));
}

TEST(FrameTest, AFrameThatIsTooLargeIsRefusedByItsLengthAlone) {
  FrameReader reader(1000);
  std::string header(8, '\0');
  StoreBe64(header.data(), 1001);
  const auto nothing = [](const Bytes&) { return absl::OkStatus(); };
  EXPECT_EQ(reader.Feed(header, nothing).code(), absl::StatusCode::kInvalidArgument);
  FrameReader bytewise(1000);
  absl::Status status;
  for (size_t i = 0; i < header.size() && status.ok(); ++i) {
    status = bytewise.Feed(header.substr(i, 1), nothing);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(FrameTest, AClaimedLengthCostsNothingUntilItsBytesCome) {
  FrameReader reader;  // up to 512 MiB
  std::string header(8, '\0');
  StoreBe64(header.data(), limits::kMaxPeerMessageBytes);
  const auto nothing = [](const Bytes&) { return absl::OkStatus(); };
  for (int i = 0; i < 100; ++i) {
    FrameReader another;
    EXPECT_TRUE(another.Feed(header + "x", nothing).ok());
  }
}

// docs/FORMATS.md, computed independently of this code; but for raft's message, which is etcd's.
TEST(SnapshotChunkTest, Bytes) {
  raft::Message message;
  message.type = raft::MessageType::kSnap;
  message.to = MemberId(2);
  message.from = MemberId(1);
  message.term = Term(5);
  engine::StateImage image;
  image.index = LogIndex(300);
  image.term = Term(4);
  image.sections = Bytes::Copy("SECT");
  image.segments = {
      {9, Revision(40), Bytes::Copy("hello"), Bytes::Copy(absl::string_view("\x02\0\0\0", 4))}};
  SnapshotChunker chunker(0x0102030405060708, message, image);
  const std::string first = Join(chunker.Next());
  const std::string encoded(raft::EncodeToBytes(message).view());
  // Version, transfer, number; behind the message: index, term, sections, number of segments.
  EXPECT_EQ(absl::BytesToHexString(first.substr(4, 16)), "01000000080706050403020100000000");
  EXPECT_EQ(LoadLe64(first.data() + 20), encoded.size());
  EXPECT_EQ(first.substr(28, encoded.size()), encoded);
  EXPECT_EQ(absl::BytesToHexString(first.substr(28 + encoded.size())),
            "2c010000000000000400000000000000040000000000000053454354"
            "0100000000000000");
  EXPECT_EQ(LoadLe32(first.data()), Crc32c(absl::string_view(first).substr(4)));
  EXPECT_EQ(absl::BytesToHexString(Join(chunker.Next())),
            "83efbebb010000000807060504030201010000000900000000000000280000000000000004000000"
            "0000000002000000050000000000000068656c6c6f");
  EXPECT_TRUE(chunker.done());
}

}  // namespace
}  // namespace quorate::peer
