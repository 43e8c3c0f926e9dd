// Messages that came compressed.
#include "server/grpc/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "server/grpc/codec.h"

namespace quorate::grpc {
namespace {

std::string Zip(absl::string_view text) {
  const Bytes bytes = Bytes::Copy(text);
  return std::string(Gzip(absl::MakeSpan(&bytes, 1)).view());
}

// As zlib's own compressor does it.
std::string ZlibsGzip(absl::string_view text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), 0);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

TEST(GunzipTest, GivesBackWhatWasCompressed) {
  for (const std::string& text : {std::string(), std::string("hello"), std::string(300'000, 'x')}) {
    const absl::StatusOr<Bytes> bytes = Gunzip(ZlibsGzip(text), 300'000);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(bytes->view(), text);
  }
}

TEST(GunzipTest, PiecesAndMembersFollowEachOther) {
  const std::vector<Bytes> pieces = {Bytes::Copy("hello, "), Bytes(), Bytes::Copy("hello")};
  const Bytes packed = Gzip(pieces);
  EXPECT_EQ(Gunzip(packed, 12)->view(), "hello, hello");
  // As Go's reader, and gzip(1), have it.
  EXPECT_EQ(Gunzip(Zip("one ") + Zip("") + Zip("two"), 12)->view(), "one two");
}

TEST(GunzipTest, ABombIsNotUnpacked) {
  const std::string bomb = ZlibsGzip(std::string(8 << 20, 0));
  EXPECT_LT(bomb.size(), 100'000u);
  EXPECT_EQ(Gunzip(bomb, 1000).status(),
            absl::ResourceExhaustedError(
                "grpc: received message after decompression larger than max 1000"));
  EXPECT_FALSE(Gunzip(ZlibsGzip(std::string(1001, 'x')), 1000).ok());
  EXPECT_TRUE(Gunzip(ZlibsGzip(std::string(1000, 'x')), 1000).ok());
}

TEST(GunzipTest, WhatIsNotWholeIsRefused) {
  const std::string whole = ZlibsGzip("hello, hello, hello");
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_TRUE(absl::IsInternal(Gunzip(whole.substr(0, n), 1000).status())) << n;
  }
  EXPECT_TRUE(absl::IsInternal(Gunzip(whole + "x", 1000).status()));
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string flipped = whole;
    flipped[n] = static_cast<char>(flipped[n] ^ 0x10);
    const absl::StatusOr<Bytes> bytes = Gunzip(flipped, 1000);
    EXPECT_TRUE(!bytes.ok() || bytes->view() == "hello, hello, hello") << n;
  }
}

TEST(MessageReaderTest, CompressedMessagesComeOutWhole) {
  std::string body;
  for (const char* text : {"one", "two"}) {
    const std::string packed = Zip(text);
    std::string header(kFrameHeaderBytes, 0);
    StoreFrameHeader(header.data(), packed.size());
    header[0] = 1;
    body += header + packed;
  }
  body += std::string(Frame("three").view());  // each message says for itself whether it is
  MessageReader reader;
  reader.Reset(1000, /*gzip=*/true);
  std::string all;
  absl::string_view rest = body;
  while (!rest.empty()) {
    absl::string_view byte = rest.substr(0, 1);
    rest.remove_prefix(1);
    const auto message = reader.Next(&byte);
    ASSERT_TRUE(message.ok()) << message.status();
    if (!message->has_value()) continue;
    const Bytes text = reader.compressed() ? Gunzip(**message, 1000).value() : **message;
    all += std::string(text.view()) + ";";
  }
  EXPECT_EQ(all, "one;two;three;");
}

}  // namespace
}  // namespace quorate::grpc
