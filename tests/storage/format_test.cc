// The bytes of docs/FORMATS.md, computed independently of this code.
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/image/image.h"
#include "gtest/gtest.h"
#include "storage/data_dir.h"
#include "storage/manifest.h"
#include "storage/record.h"
#include "storage/segment.h"

namespace quorate::storage {
namespace {

constexpr ClusterId kCluster{0x1122334455667788};
constexpr MemberId kMember{0x99aabbccddeeff00};

// Hexadecimal digits up to the last byte that is not zero.
std::string Hex(absl::string_view bytes) {
  while (!bytes.empty() && bytes.back() == '\0') bytes.remove_suffix(1);
  return absl::BytesToHexString(bytes);
}

std::string Repeat(absl::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&out, text);
  return out;
}

SegmentHeader GoldenHeader() {
  return {.cluster_id = kCluster,
          .member_id = kMember,
          .prepared_sectors = 128,
          .previous = 4,
          .previous_end = 7,
          .start = {.chain = 0xdeadbeef,
                    .hard_state = {Term(3), kMember, LogIndex(20)},
                    .last_index = LogIndex(21),
                    .last_term = Term(2)}};
}

TEST(FormatTest, Meta) {
  const Bytes meta = EncodeMeta({kCluster, kMember});
  EXPECT_EQ(meta.size(), 512u);
  EXPECT_EQ(Hex(meta), "51554f524d455441375d80c401000000887766554433221100ffeeddccbbaa99");
  EXPECT_EQ(DecodeMeta(meta, "meta").value(), (Identity{kCluster, kMember}));
}

TEST(FormatTest, SegmentHeader) {
  char sector[io::kSectorBytes];
  EncodeSegmentHeader(5, GoldenHeader(), sector);
  EXPECT_EQ(Hex(absl::string_view(sector, sizeof(sector))),
            "999a7c48000000000500000000000000000000005800010051554f5257414c0a0100000080000000"
            "887766554433221100ffeeddccbbaa99040000000000000007000000efbeadde0300000000000000"
            "00ffeeddccbbaa991400000000000000150000000000000002");
  SegmentHeader read;
  EXPECT_EQ(DecodeSegmentHeader(sector, 5, &read), SectorState::kLive);
  EXPECT_EQ(read, GoldenHeader());
}

TEST(FormatTest, SegmentNames) {
  EXPECT_EQ(SegmentName(0x1f), "000000000000001f.log");
  EXPECT_EQ(ParseSegmentName("000000000000001f.log"), 0x1f);
  for (const char* name : {"", "1f.log", "000000000000001F.log", "000000000000001f.wal",
                           "0000000000000000.log", "000000000000001f.log~"}) {
    EXPECT_EQ(ParseSegmentName(name), std::nullopt) << name;
  }
}

TEST(FormatTest, WriteOfOneUnit) {
  BytesBuilder out;
  WriteEncoder encoder;
  uint32_t chain = 0xdeadbeef;
  encoder.Begin(&out, 5, 9);
  encoder.AddHardState({Term(4), kMember, LogIndex(21)}, false, &chain);
  encoder.AddEntry({Term(4), LogIndex(22), raft::EntryType::kNormal, Bytes::Static("value")}, false,
                   &chain);
  encoder.AddEntry(
      {Term(4), LogIndex(23), raft::EntryType::kConfChange, Bytes::Copy(std::string(600, '\x5a'))},
      true, &chain);
  EXPECT_EQ(encoder.Finish(), 11u);
  EXPECT_EQ(chain, 0xf0ce170du);
  ASSERT_EQ(out.size(), 1024u);
  EXPECT_EQ(Hex(out.view().substr(0, 512)),
            absl::StrCat("6b8f22c009000000050000000000000009000000e8010000"  // sector
                         "ace310861800000002000000"                          // hard state
                         "040000000000000000ffeeddccbbaa991500000000000000"
                         "abdad4d11500000001000000"  // entry 22
                         "0400000000000000160000000000000076616c7565"
                         "0d17cef06802000001010100"  // entry 23, end of unit
                         "04000000000000001700000000000000",
                         Repeat("5a", 488 - 36 - 33 - 28)));
  EXPECT_EQ(Hex(out.view().substr(512)),
            absl::StrCat("e216e7c00a000000050000000000000009000000d1000100",
                         Repeat("5a", 600 - (488 - 36 - 33 - 28))));
}

TEST(FormatTest, Manifest) {
  const engine::LogSegment segment = {7, Revision(12), Bytes::Copy("hello"), {}};
  EXPECT_EQ(SegmentCrc(segment), 0xf7c64275u);
  Manifest manifest;
  manifest.identity = {kCluster, kMember};
  manifest.index = LogIndex(300);
  manifest.term = Term(5);
  manifest.installed = true;
  manifest.sections = Bytes::Copy("SECT");
  manifest.segments = {{7, Revision(12), 3, 4096, 5, SegmentCrc(segment),
                        Bytes::Copy(absl::string_view("\x02\0\0\0", 4))}};
  const Bytes bytes = EncodeManifest(manifest);
  EXPECT_EQ(absl::BytesToHexString(bytes.view()),
            "51554f52434b500a01a426c301000000887766554433221100ffeeddccbbaa992c0100000000"
            "0000050000000000000001000000040000000000000053454354010000000000000007000000"
            "000000000c0000000000000003000000000000000010000000000000050000007542c6f70400"
            "00000000000002000000");
  const absl::StatusOr<Manifest> read = DecodeManifest(bytes, "manifest");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->identity, manifest.identity);
  EXPECT_EQ(read->index, manifest.index);
  EXPECT_EQ(read->term, manifest.term);
  EXPECT_TRUE(read->installed);
  EXPECT_EQ(read->sections, manifest.sections);
  EXPECT_EQ(read->segments, manifest.segments);
}

TEST(FormatTest, StateImage) {
  engine::SectionWriter out;
  out.Begin(engine::Section::kMembership)->Append("members");
  out.Begin(engine::Section::kAlarm);
  const Bytes sections = std::move(out).Finish();
  EXPECT_EQ(absl::BytesToHexString(sections.view()),
            "51554f52494d470a0200000056ab254f0300000007000000000000006d656d62657273fd4d44"
            "8c0600000000000000000000005db5602b000000000000000000000000");
  engine::SectionReader in(sections);
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.tag(), engine::Section::kMembership);
  EXPECT_EQ(in.body(), "members");
  ASSERT_TRUE(in.Next());
  EXPECT_EQ(in.tag(), engine::Section::kAlarm);
  EXPECT_EQ(in.body(), "");
  EXPECT_FALSE(in.Next());
  EXPECT_TRUE(in.status().ok()) << in.status();
}

}  // namespace
}  // namespace quorate::storage
