#include "server/gateway/json_reader.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/descriptor.h"
#include "server/gateway/base64.h"

namespace quorate::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

// A whole number as its sign and digits.
struct Integer {
  bool negative = false;
  uint64_t magnitude = 0;
};

absl::string_view TakeDigits(absl::string_view* text) {
  size_t n = 0;
  while (n < text->size() && absl::ascii_isdigit(static_cast<unsigned char>((*text)[n]))) ++n;
  const absl::string_view digits = text->substr(0, n);
  text->remove_prefix(n);
  return digits;
}

// A number in JSON's grammar with a whole value of up to 64 bits: "10", "1.0", "1e1", "10e-1".
std::optional<Integer> ParseInteger(absl::string_view text) {
  constexpr int64_t kMaxShift = 1000;  // beyond it only zero is whole and small enough
  Integer number;
  number.negative = !text.empty() && text[0] == '-';
  if (number.negative) text.remove_prefix(1);
  const absl::string_view whole = TakeDigits(&text);
  if (whole.empty() || (whole.size() > 1 && whole[0] == '0')) return std::nullopt;
  std::string digits(whole);
  int64_t shift = 0;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    const absl::string_view fraction = TakeDigits(&text);
    if (fraction.empty()) return std::nullopt;
    absl::StrAppend(&digits, fraction);
    shift -= static_cast<int64_t>(fraction.size());
  }
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    const bool down = !text.empty() && text[0] == '-';
    if (down || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
    const absl::string_view exponent = TakeDigits(&text);
    int64_t by = 0;
    if (exponent.empty()) return std::nullopt;
    if (!absl::SimpleAtoi(exponent, &by) || by > kMaxShift) by = kMaxShift;
    shift += down ? -by : by;
  }
  if (!text.empty()) return std::nullopt;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) return number;
  for (; shift < 0 && !digits.empty() && digits.back() == '0'; ++shift) digits.pop_back();
  if (shift < 0 || shift > kMaxShift) return std::nullopt;
  digits.append(static_cast<size_t>(shift), '0');
  if (!absl::SimpleAtoi(digits, &number.magnitude)) return std::nullopt;
  return number;
}

template <typename T>
std::optional<T> Narrow(const Integer& number) {
  const auto max = static_cast<uint64_t>(std::numeric_limits<T>::max());
  if (!number.negative) {
    if (number.magnitude > max) return std::nullopt;
    return static_cast<T>(number.magnitude);
  }
  if (number.magnitude == 0) return T{0};
  if (std::is_unsigned_v<T> || number.magnitude - 1 > max) return std::nullopt;
  // The least one has no positive counterpart.
  return static_cast<T>(-static_cast<int64_t>(number.magnitude - 1) - 1);
}

// Either alphabet, but not both. As Go's: a text of a multiple of four characters has padding, any
// other has none; line breaks count among them, and mean nothing else.
std::optional<std::string> DecodeBase64(absl::string_view text) {
  std::string compact = absl::StrReplaceAll(text, {{"\r", ""}, {"\n", ""}});
  size_t padding = 0;
  while (!compact.empty() && compact.back() == '=') {
    compact.pop_back();
    ++padding;
  }
  const bool padded = text.size() % 4 == 0;
  if (padding > 2 || (padded ? (compact.size() + padding) % 4 != 0 : padding > 0)) {
    return std::nullopt;
  }
  const bool web = compact.find_first_of("-_") != std::string::npos;
  if (web && compact.find_first_of("+/") != std::string::npos) return std::nullopt;
  std::string bytes;
  bytes.reserve(compact.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : compact) {
    const uint8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (value == kNoBase64) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xff));
  }
  if (compact.size() % 4 == 1) return std::nullopt;
  return bytes;
}

// Takes nlohmann's events (whose parser does not recurse) and fills messages.
class Reader {
 public:
  explicit Reader(Message* root) : root_(root) {}

  const std::string& error() const { return error_; }

  bool null() {
    if (Skips()) return true;
    return !InArray() || Fail("null among the values of ", top().field->name());
  }
  bool boolean(bool value) {
    if (Skips()) return true;
    if (!BeginValue()) return false;
    if (field()->cpp_type() != FieldDescriptor::CPPTYPE_BOOL) return Misfit("a boolean");
    Put([&](Message* m, const Reflection* r) { r->SetBool(m, field(), value); },
        [&](Message* m, const Reflection* r) { r->AddBool(m, field(), value); });
    return true;
  }
  bool number_integer(int64_t value) { return Number(absl::StrCat(value)); }
  bool number_unsigned(uint64_t value) { return Number(absl::StrCat(value)); }
  bool number_float(double /*value*/, const std::string& text) { return Number(text); }
  bool string(std::string& text);
  bool binary(nlohmann::json::binary_t& /*value*/) { return false; }  // there is none in JSON
  bool start_object(size_t /*size*/);
  bool end_object() { return End(); }
  bool start_array(size_t /*size*/);
  bool end_array() { return End(); }
  bool key(std::string& name);
  template <typename Exception>
  bool parse_error(size_t position, const std::string& token, const Exception& /*why*/) {
    return Fail("syntax error at byte ", position, " near ", token.substr(0, 50));
  }

 private:
  // An object or, if `array`, the values of a repeated field.
  struct Frame {
    Message* message = nullptr;
    bool array = false;
    const FieldDescriptor* field = nullptr;  // of the value that comes
    absl::flat_hash_set<int> seen;
    absl::flat_hash_set<const OneofDescriptor*> seen_oneofs;
  };

  Frame& top() { return frames_.back(); }
  const FieldDescriptor* field() { return top().field; }
  bool InArray() { return !frames_.empty() && top().array; }

  template <typename... Parts>
  bool Fail(const Parts&... parts) {
    if (error_.empty()) error_ = absl::StrCat(parts...);
    return false;
  }
  bool Misfit(absl::string_view what) {
    return Fail("invalid value for field ", field()->name(), ": ", what);
  }
  // Whether the value belongs to an unknown field.
  bool Skips() {
    if (skipped_ > 0) return true;
    return std::exchange(skip_next_, false);
  }
  bool BeginValue();
  template <typename Set, typename Add>
  void Put(Set&& set, Add&& add) {
    Message* const message = top().message;
    if (field()->is_repeated()) {
      add(message, message->GetReflection());
    } else {
      set(message, message->GetReflection());
    }
  }
  bool Number(absl::string_view text);
  bool PutEnum(int value);
  bool End();

  Message* const root_;
  std::vector<Frame> frames_;
  size_t skipped_ = 0;  // depth within the value of an unknown field
  bool skip_next_ = false;
  std::string error_;
};

// A value of a known field comes that is not null.
bool Reader::BeginValue() {
  if (frames_.empty()) return Fail("syntax error: a request is a JSON object");
  if (field()->is_repeated() && !top().array) return Misfit("not an array");
  const OneofDescriptor* const oneof = field()->real_containing_oneof();
  if (oneof != nullptr && !top().seen_oneofs.insert(oneof).second) {
    return Fail("oneof ", oneof->name(), " is set already");
  }
  return true;
}

bool Reader::key(std::string& name) {
  if (skipped_ > 0) return true;
  const google::protobuf::Descriptor* const type = top().message->GetDescriptor();
  const FieldDescriptor* found = type->FindFieldByName(name);
  if (found == nullptr) {
    for (int i = 0; i < type->field_count(); ++i) {
      if (type->field(i)->json_name() == name) found = type->field(i);
    }
  }
  skip_next_ = found == nullptr;
  if (skip_next_) return true;
  top().field = found;
  return top().seen.insert(found->number()).second || Fail("duplicate field ", name);
}

bool Reader::start_object(size_t) {
  if (skipped_ > 0 || skip_next_) {
    skip_next_ = false;
    ++skipped_;
    return true;
  }
  Message* message = root_;
  if (!frames_.empty()) {
    if (!BeginValue()) return false;
    if (field()->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return Misfit("an object");
    Put([&](Message* m, const Reflection* r) { message = r->MutableMessage(m, field()); },
        [&](Message* m, const Reflection* r) { message = r->AddMessage(m, field()); });
  }
  if (frames_.size() >= 2 * kMaxMessageDepth) return Fail("exceeded maximum recursion depth");
  Frame frame;
  frame.message = message;
  frames_.push_back(std::move(frame));
  return true;
}

bool Reader::start_array(size_t) {
  if (skipped_ > 0 || skip_next_) {
    skip_next_ = false;
    ++skipped_;
    return true;
  }
  if (frames_.empty()) return Fail("syntax error: a request is a JSON object");
  if (!field()->is_repeated() || top().array) return Misfit("an array");
  Frame frame;
  frame.message = top().message;
  frame.array = true;
  frame.field = field();
  frames_.push_back(std::move(frame));
  return true;
}

bool Reader::End() {
  if (skipped_ > 0) {
    --skipped_;
  } else {
    frames_.pop_back();
  }
  return true;
}

bool Reader::string(std::string& text) {
  if (Skips()) return true;
  if (!BeginValue()) return false;
  switch (field()->type()) {
    case FieldDescriptor::TYPE_STRING:
      break;
    case FieldDescriptor::TYPE_BYTES: {
      std::optional<std::string> bytes = DecodeBase64(text);
      if (!bytes.has_value()) return Misfit("not base64");
      text = *std::move(bytes);
      break;
    }
    case FieldDescriptor::TYPE_ENUM: {
      // As Go's: a name that is not known counts as nothing.
      const auto* value = field()->enum_type()->FindValueByName(text);
      return value == nullptr || PutEnum(value->number());
    }
    case FieldDescriptor::TYPE_BOOL:
    case FieldDescriptor::TYPE_MESSAGE:
      return Misfit("a string");
    default:
      // BeginValue() has been, and a oneof must not count twice.
      top().seen_oneofs.erase(field()->real_containing_oneof());
      return Number(text);
  }
  Put([&](Message* m, const Reflection* r) { r->SetString(m, field(), std::move(text)); },
      [&](Message* m, const Reflection* r) { r->AddString(m, field(), std::move(text)); });
  return true;
}

bool Reader::PutEnum(int value) {
  Put([&](Message* m, const Reflection* r) { r->SetEnumValue(m, field(), value); },
      [&](Message* m, const Reflection* r) { r->AddEnumValue(m, field(), value); });
  return true;
}

bool Reader::Number(absl::string_view text) {
  if (Skips()) return true;
  if (!BeginValue()) return false;
  const std::optional<Integer> number = ParseInteger(text);
  if (!number.has_value()) return Misfit(text.substr(0, 50));
  // Put what fits into the field's type.
  const auto put = [&](auto narrow, auto&& set, auto&& add) {
    if (!narrow.has_value()) return Misfit(text.substr(0, 50));
    Put([&](Message* m, const Reflection* r) { (r->*set)(m, field(), *narrow); },
        [&](Message* m, const Reflection* r) { (r->*add)(m, field(), *narrow); });
    return true;
  };
  switch (field()->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return put(Narrow<int32_t>(*number), &Reflection::SetInt32, &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return put(Narrow<int64_t>(*number), &Reflection::SetInt64, &Reflection::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(Narrow<uint32_t>(*number), &Reflection::SetUInt32, &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(Narrow<uint64_t>(*number), &Reflection::SetUInt64, &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_ENUM:
      return put(Narrow<int32_t>(*number), &Reflection::SetEnumValue, &Reflection::AddEnumValue);
    default:
      return Misfit("a number");
  }
}

}  // namespace

absl::Status ReadJson(absl::string_view json, Message* out) {
  Reader reader(out);
  if (nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("proto: ", reader.error()));
}

}  // namespace quorate::gateway
