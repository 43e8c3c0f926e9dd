#include "engine/apply/command.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/wire.h"

namespace quorate::apply {
namespace {

constexpr uint32_t kIdField = 1;
constexpr uint32_t kLegacyRequestField = 2;
constexpr uint32_t kHeaderField = 100;

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("InternalRaftRequest ", what));
}

// RequestHeader.
constexpr uint32_t kHeaderIdField = 1;
constexpr uint32_t kHeaderUserField = 2;
constexpr uint32_t kHeaderAuthRevisionField = 3;

bool ReadHeader(absl::string_view header, uint64_t* id, auth::Subject* subject) {
  WireReader in(header);
  while (in.Next()) {
    if (in.tag() == VarintTag(kHeaderIdField)) *id = in.uint64();
    if (in.tag() == LenTag(kHeaderUserField)) subject->user = in.bytes();
    if (in.tag() == VarintTag(kHeaderAuthRevisionField)) subject->revision = in.uint64();
  }
  return in.ok();
}

size_t HeaderBytes(uint64_t id, const auth::Subject& subject) {
  size_t size = 1 + VarintSize(id);
  if (!subject.user.empty()) size += 1 + VarintSize(subject.user.size()) + subject.user.size();
  if (subject.revision != 0) size += 1 + VarintSize(subject.revision);
  return size;
}

}  // namespace

absl::StatusOr<Command> DecodeCommand(absl::string_view data) {
  Command command;
  uint64_t header_id = 0;
  WireReader in(data);
  while (in.Next()) {
    const uint32_t field = in.tag() >> 3;
    if (in.tag() == VarintTag(kIdField)) {
      command.id = in.uint64();
    } else if (in.tag() == LenTag(kHeaderField)) {
      if (!ReadHeader(in.bytes(), &header_id, &command.subject)) {
        return Malformed("with a malformed header");
      }
    } else if (in.tag() == LenTag(kLegacyRequestField)) {
      return Malformed("wraps a legacy v2 request, which is not supported");
    } else if (in.tag() == LenTag(field)) {
      if (command.operation != Operation::kNone) return Malformed("with two operations");
      command.operation = static_cast<Operation>(field);
      command.body = in.bytes();
    } else {
      return Malformed(absl::StrCat("with a field ", field, " of unknown form"));
    }
  }
  if (!in.ok()) return Malformed("is malformed");
  if (command.id == 0) command.id = header_id;
  if (command.id == 0) return Malformed("without an id");
  if (command.operation == Operation::kNone) return Malformed("without an operation");
  return command;
}

LeaseId LeaseOf(const Command& command) {
  const uint32_t id_tag = VarintTag(command.operation == Operation::kLeaseGrant ? 2 : 1);
  LeaseId id;
  WireReader in(command.body);
  while (in.Next()) {
    if (in.tag() == id_tag) id = LeaseId(in.int64());
  }
  return id;
}

size_t EncodedCommandSize(Operation operation, size_t body_size, uint64_t id,
                          const auth::Subject& subject) {
  const size_t header = HeaderBytes(id, subject);
  return VarintSize(LenTag(static_cast<uint32_t>(operation))) + VarintSize(body_size) + body_size +
         VarintSize(LenTag(kHeaderField)) + VarintSize(header) + header;
}

Bytes EncodeCommand(Operation operation, absl::string_view body, uint64_t id,
                    const auth::Subject& subject) {
  const auto field = static_cast<uint32_t>(operation);
  BytesBuilder out(EncodedCommandSize(operation, body.size(), id, subject));
  if (field < kHeaderField) AppendLen(&out, field, body);
  const size_t header = BeginMessage(&out, kHeaderField);
  AppendUint64(&out, kHeaderIdField, id);
  AppendBytes(&out, kHeaderUserField, subject.user);
  AppendUint64(&out, kHeaderAuthRevisionField, subject.revision);
  EndMessage(&out, header);
  if (field > kHeaderField) AppendLen(&out, field, body);
  return std::move(out).Finish();
}

}  // namespace quorate::apply
