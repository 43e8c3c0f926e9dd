#include "server/gateway/json_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "base/wire.h"
#include "server/gateway/base64.h"
#include "server/log/logger.h"

namespace quorate::gateway {
namespace {

using google::protobuf::FieldDescriptor;

// Messages in messages. Nothing here recurses, but somewhere it has to end.
constexpr size_t kMaxDepth = 10'000;
constexpr uint64_t kEndless = std::numeric_limits<uint64_t>::max();

// Two characters for each twelve bits: half the look-ups.
struct PairTable {
  std::array<char, size_t{2} << 12> pairs = {};
  constexpr PairTable() {
    for (size_t bits = 0; bits < pairs.size() / 2; ++bits) {
      pairs[2 * bits] = kBase64Alphabet[bits >> 6];
      pairs[2 * bits + 1] = kBase64Alphabet[bits & 63];
    }
  }
};
constexpr PairTable kPairs;

char* EncodeGroup(const unsigned char* from, char* to) {
  const uint32_t bits = uint32_t{from[0]} << 16 | uint32_t{from[1]} << 8 | from[2];
  std::memcpy(to, &kPairs.pairs[2 * (bits >> 12)], 2);
  std::memcpy(to + 2, &kPairs.pairs[2 * (bits & 0xfff)], 2);
  return to + 4;
}

bool IsText(const FieldDescriptor* field) { return field->type() == FieldDescriptor::TYPE_STRING; }
bool IsBytes(const FieldDescriptor* field) { return field->type() == FieldDescriptor::TYPE_BYTES; }
bool IsMessage(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// Left out while it has its default value.
bool OmitsDefault(const FieldDescriptor* field) {
  return !field->is_repeated() && !field->has_presence();
}

// 64-bit integers as strings, since numbers of JavaScript cannot hold them.
template <typename T>
void AppendLong(T value, BytesBuilder* out) {
  out->Append('"');
  out->Append(absl::AlphaNum(value).Piece());
  out->Append('"');
}

// False for a kind that the API does not have.
bool AppendNumber(const FieldDescriptor* field, uint64_t value, BytesBuilder* out) {
  switch (field->type()) {
    case FieldDescriptor::TYPE_INT64:
      AppendLong(static_cast<int64_t>(value), out);
      return true;
    case FieldDescriptor::TYPE_UINT64:
      AppendLong(value, out);
      return true;
    case FieldDescriptor::TYPE_INT32:
      out->Append(absl::AlphaNum(static_cast<int32_t>(value)).Piece());
      return true;
    case FieldDescriptor::TYPE_UINT32:
      out->Append(absl::AlphaNum(static_cast<uint32_t>(value)).Piece());
      return true;
    case FieldDescriptor::TYPE_BOOL:
      out->Append(value != 0 ? "true" : "false");
      return true;
    case FieldDescriptor::TYPE_ENUM: {
      const auto number = static_cast<int32_t>(value);
      const auto* const known = field->enum_type()->FindValueByNumber(number);
      out->Append(known == nullptr ? absl::StrCat(number)
                                   : absl::StrCat("\"", known->name(), "\""));
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

JsonWriter::JsonWriter(const google::protobuf::Descriptor* type) {
  Level& root = levels_.emplace_back();
  root.type = type;
  root.left = kEndless;
}

absl::Status JsonWriter::Malformed() const {
  return absl::InternalError(absl::StrCat("the answer is no ", levels_.front().type->full_name()));
}

absl::Status JsonWriter::Write(absl::string_view wire, BytesBuilder* out) {
  if (!std::exchange(begun_, true)) out->Append('{');
  while (!wire.empty()) {
    if (step_ < Step::kText) {
      bool whole = false;
      RETURN_IF_ERROR(TakeVarint(&wire, &whole));
      if (whole) RETURN_IF_ERROR(OnVarint(std::exchange(number_, 0), out));
    } else {
      TakeContent(&wire, out);
    }
    if (step_ >= Step::kText && length_ == 0) EndContent(out);
    EndLevels(out);
  }
  return absl::OkStatus();
}

absl::Status JsonWriter::End(BytesBuilder* out) {
  if (!std::exchange(begun_, true)) out->Append('{');
  if (levels_.size() != 1 || step_ != Step::kTag || shift_ != 0) return Malformed();
  levels_.back().left = 0;
  EndLevels(out);
  return absl::OkStatus();
}

void JsonWriter::EndLevels(BytesBuilder* out) {
  while (!levels_.empty() && levels_.back().left == 0) {
    const Level& level = levels_.back();
    if (level.type == nullptr) {
      if (step_ != Step::kNumber || shift_ != 0) return;  // cut off: the next byte finds that out
      step_ = Step::kTag;
    } else {
      if (step_ != Step::kTag || shift_ != 0) return;
      if (level.list != nullptr) out->Append(']');
      out->Append('}');
      if (levels_.size() == 1) return;  // at the end
    }
    levels_.pop_back();
  }
}

absl::Status JsonWriter::TakeVarint(absl::string_view* wire, bool* whole) {
  Level& level = levels_.back();
  while (!wire->empty()) {
    if (level.left == 0 || shift_ > 63) return Malformed();
    const auto byte = static_cast<unsigned char>(wire->front());
    wire->remove_prefix(1);
    if (level.left != kEndless) --level.left;
    number_ |= uint64_t{byte & 0x7fu} << shift_;
    shift_ += 7;
    if ((byte & 0x80) != 0) continue;
    shift_ = 0;
    *whole = true;
    break;
  }
  return absl::OkStatus();
}

absl::Status JsonWriter::OnVarint(uint64_t number, BytesBuilder* out) {
  switch (step_) {
    case Step::kTag:
      return OnTag(number);
    case Step::kNumber:
      return OnNumber(number, out);
    default:
      return OnLength(number, out);
  }
}

absl::Status JsonWriter::OnTag(uint64_t tag) {
  const uint64_t number = tag >> 3;
  if (number == 0 || number > FieldDescriptor::kMaxNumber) return Malformed();
  field_ = levels_.back().type->FindFieldByNumber(static_cast<int>(number));
  switch (tag & 7) {
    case kWireVarint:
      step_ = Step::kNumber;
      if (field_ != nullptr && (IsText(field_) || IsBytes(field_) || IsMessage(field_))) {
        return Malformed();
      }
      return absl::OkStatus();
    case kWireLen:
      step_ = Step::kLength;
      return absl::OkStatus();
    case kWireFixed64:
    case kWireFixed32:
      if (field_ != nullptr) return Malformed();
      length_ = (tag & 7) == kWireFixed64 ? 8 : 4;
      step_ = Step::kSkip;
      return length_ <= levels_.back().left ? absl::OkStatus() : Malformed();
    default:
      return Malformed();
  }
}

absl::Status JsonWriter::OnNumber(uint64_t number, BytesBuilder* out) {
  if (levels_.back().type != nullptr) step_ = Step::kTag;
  if (field_ == nullptr || (number == 0 && OmitsDefault(field_))) return absl::OkStatus();
  RETURN_IF_ERROR(BeginField(out));
  return AppendNumber(field_, number, out) ? absl::OkStatus() : Malformed();
}

absl::Status JsonWriter::OnLength(uint64_t length, BytesBuilder* out) {
  Level& level = levels_.back();
  if (length > level.left) return Malformed();
  length_ = length;
  step_ = Step::kSkip;
  if (field_ == nullptr) return absl::OkStatus();
  if (IsText(field_) || IsBytes(field_)) {
    if (length == 0 && OmitsDefault(field_)) return absl::OkStatus();
    RETURN_IF_ERROR(BeginField(out));
    step_ = IsText(field_) ? Step::kText : Step::kBase64;
    if (step_ == Step::kBase64) out->Append('"');
    return absl::OkStatus();
  }
  if (levels_.size() == kMaxDepth) return Malformed();
  Level inner;
  inner.left = length;
  if (IsMessage(field_)) {
    RETURN_IF_ERROR(BeginField(out));
    out->Append('{');
    inner.type = field_->message_type();
    step_ = Step::kTag;
  } else {
    if (!field_->is_repeated()) return Malformed();
    step_ = Step::kNumber;
  }
  if (level.left != kEndless) level.left -= length;
  levels_.push_back(std::move(inner));
  return absl::OkStatus();
}

void JsonWriter::TakeContent(absl::string_view* wire, BytesBuilder* out) {
  const absl::string_view part = wire->substr(0, std::min<uint64_t>(length_, wire->size()));
  wire->remove_prefix(part.size());
  length_ -= part.size();
  if (levels_.back().left != kEndless) levels_.back().left -= part.size();
  if (step_ == Step::kText) {
    text_.append(part.data(), part.size());
  } else if (step_ == Step::kBase64) {
    AppendBase64(part, out);
  }
}

void JsonWriter::EndContent(BytesBuilder* out) {
  if (step_ == Step::kText) {
    std::string quoted;
    log::AppendJsonString(text_, &quoted);
    out->Append(quoted);
    text_.clear();
  } else if (step_ == Step::kBase64) {
    if (carried_ > 0) {
      std::fill(carry_ + carried_, carry_ + 3, static_cast<unsigned char>(0));
      char group[4];
      EncodeGroup(carry_, group);
      std::fill(group + carried_ + 1, group + 4, '=');
      out->Append(absl::string_view(group, 4));
      carried_ = 0;
    }
    out->Append('"');
  }
  step_ = Step::kTag;
}

absl::Status JsonWriter::BeginField(BytesBuilder* out) {
  // A packed list belongs to the message around it.
  Level& level = levels_.back().type != nullptr ? levels_.back() : levels_[levels_.size() - 2];
  if (level.list == field_) {
    out->Append(',');
    return absl::OkStatus();
  }
  CHECK_LT(field_->index(), 64);
  const uint64_t bit = uint64_t{1} << field_->index();
  if ((level.seen & bit) != 0) return Malformed();
  level.seen |= bit;
  if (level.list != nullptr) out->Append(']');
  level.list = field_->is_repeated() ? field_ : nullptr;
  if (std::exchange(level.has_fields, true)) out->Append(',');
  out->Append('"');
  out->Append(field_->name());
  out->Append(level.list != nullptr ? "\":[" : "\":");
  return absl::OkStatus();
}

void JsonWriter::AppendBase64(absl::string_view bytes, BytesBuilder* out) {
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t left = bytes.size();
  while (left > 0 && carried_ > 0) {
    carry_[carried_++] = *from++;
    --left;
    if (carried_ < 3) continue;
    EncodeGroup(carry_, out->Grow(4));
    carried_ = 0;
  }
  char* to = out->Grow(left / 3 * 4);
  for (; left >= 3; left -= 3, from += 3) to = EncodeGroup(from, to);
  for (; left > 0; --left) carry_[carried_++] = *from++;
}

}  // namespace quorate::gateway
