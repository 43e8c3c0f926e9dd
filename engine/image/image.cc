#include "engine/image/image.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"

namespace quorate::engine {
namespace {

constexpr absl::string_view kMagic = "QUORIMG\n";
constexpr size_t kPreambleBytes = 12;  // magic, version

// A section's header: CRC of what follows it up to the section's end, tag, length.
constexpr size_t kTagAt = 4;
constexpr size_t kLengthAt = 8;
constexpr size_t kHeaderBytes = SectionWriter::kHeaderBytes;

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("state image: ", what));
}

}  // namespace

size_t StateImage::bytes() const {
  size_t bytes = sections.size();
  for (const LogSegment& segment : segments) {
    bytes += segment.records.size() + segment.garbage.size();
  }
  return bytes;
}

SectionWriter::SectionWriter(size_t reserve) : out_(reserve) {
  out_.Append(kMagic);
  PutU32(&out_, kImageVersion);
}

void SectionWriter::Reserve(size_t bytes) {
  const size_t size = out_.size();
  out_.Grow(bytes);
  out_.Truncate(size);
}

BytesBuilder* SectionWriter::Begin(Section tag) {
  Seal();
  begin_ = out_.size();
  open_ = true;
  char* const header = out_.Grow(kHeaderBytes);
  StoreLe32(header + kTagAt, static_cast<uint32_t>(tag));
  return &out_;
}

void SectionWriter::Seal() {
  if (!std::exchange(open_, false)) return;
  char* const header = out_.data() + begin_;
  StoreLe64(header + kLengthAt, out_.size() - begin_ - kHeaderBytes);
  StoreLe32(header, Crc32c(out_.view().substr(begin_ + kTagAt)));
}

Bytes SectionWriter::Finish() && {
  Begin(Section::kEnd);
  Seal();
  return std::move(out_).Finish();
}

SectionReader::SectionReader(Bytes sections) : bytes_(std::move(sections)), rest_(bytes_.view()) {
  if (rest_.size() < kPreambleBytes || rest_.substr(0, kMagic.size()) != kMagic) {
    Fail(Damaged("this is none"));
    return;
  }
  const uint32_t version = LoadLe32(rest_.data() + kMagic.size());
  if (version == 0 || version > kImageVersion) {
    Fail(absl::FailedPreconditionError(absl::StrCat("state image: it has format version ", version,
                                                    "; this server reads up to ", kImageVersion)));
    return;
  }
  rest_.remove_prefix(kPreambleBytes);
}

bool SectionReader::Fail(absl::Status status) {
  status_ = std::move(status);
  return false;
}

bool SectionReader::Next() {
  if (!status_.ok()) return false;
  if (rest_.size() < kHeaderBytes) return Fail(Damaged("it ends too early"));
  const uint32_t crc = LoadLe32(rest_.data());
  const uint64_t length = LoadLe64(rest_.data() + kLengthAt);
  if (length > rest_.size() - kHeaderBytes) return Fail(Damaged("a section ends too early"));
  if (crc != Crc32c(rest_.substr(kTagAt, kHeaderBytes - kTagAt + length))) {
    return Fail(Damaged("a section does not fit its checksum"));
  }
  tag_ = static_cast<Section>(LoadLe32(rest_.data() + kTagAt));
  body_ = rest_.substr(kHeaderBytes, length);
  rest_.remove_prefix(kHeaderBytes + length);
  if (tag_ != Section::kEnd) return true;
  if (!body_.empty() || !rest_.empty()) return Fail(Damaged("something follows its end"));
  return false;
}

uint64_t FieldReader::U64() {
  if (rest_.size() < 8) {
    ok_ = false;
    return 0;
  }
  const uint64_t v = LoadLe64(rest_.data());
  rest_.remove_prefix(8);
  return v;
}

uint32_t FieldReader::U32() {
  if (rest_.size() < 4) {
    ok_ = false;
    return 0;
  }
  const uint32_t v = LoadLe32(rest_.data());
  rest_.remove_prefix(4);
  return v;
}

absl::string_view FieldReader::String() {
  const uint64_t size = U64();
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const absl::string_view v = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return v;
}

uint64_t FieldReader::Count(size_t min_bytes) {
  const uint64_t count = U64();
  if (!ok_ || count > rest_.size() / min_bytes) {
    ok_ = false;
    return 0;
  }
  return count;
}

void PutU64(BytesBuilder* out, uint64_t v) { StoreLe64(out->Grow(8), v); }
void PutU32(BytesBuilder* out, uint32_t v) { StoreLe32(out->Grow(4), v); }
void PutString(BytesBuilder* out, absl::string_view v) {
  PutU64(out, v.size());
  out->Append(v);
}

Bytes EncodeImage(const StateImage& image) {
  SectionWriter out;
  SectionReader in(image.sections);
  while (in.Next()) out.Begin(in.tag())->Append(in.body());
  CHECK_MSG(in.status().ok(), in.status().ToString());
  for (const LogSegment& segment : image.segments) {
    CHECK(segment.garbage.empty());
    BytesBuilder* const body = out.Begin(Section::kSegment);
    PutU64(body, static_cast<uint64_t>(segment.first.value()));
    body->Append(segment.records);
  }
  return std::move(out).Finish();
}

absl::StatusOr<StateImage> DecodeImage(const Bytes& bytes) {
  StateImage image;
  SectionWriter out;
  SectionReader in(bytes);
  while (in.Next()) {
    if (in.tag() != Section::kSegment) {
      out.Begin(in.tag())->Append(in.body());
      continue;
    }
    if (in.body().size() < 8) return Damaged("a segment is too short");
    const auto first = Revision(static_cast<int64_t>(LoadLe64(in.body().data())));
    image.segments.push_back({0, first, in.body_bytes().Slice(8, in.body().size() - 8), {}});
  }
  if (!in.status().ok()) return in.status();
  image.sections = std::move(out).Finish();
  return image;
}

}  // namespace quorate::engine
