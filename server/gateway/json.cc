#include "server/gateway/json.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "server/gateway/json_reader.h"
#include "server/log/logger.h"

namespace quorate::gateway {

using google::protobuf::Message;

namespace {

using google::protobuf::FieldDescriptor;

constexpr char kNoObject[] = "proto: syntax error: a request is a JSON object";
// What its depth in JSON costs a message at most, with room for what answers add to requests.
constexpr int kMaxWireDepth = 3 * static_cast<int>(kMaxMessageDepth);

void AppendMessage(const Message& message, std::string* out);

// 64-bit integers as strings, since numbers of JavaScript cannot hold them.
template <typename T>
void AppendLong(T value, std::string* out) {
  absl::StrAppend(out, "\"", value, "\"");
}

// The value of a field or, with `at` of 0 or more, one of a repeated field's.
void AppendValue(const Message& m, const FieldDescriptor* field, int at, std::string* out) {
  const google::protobuf::Reflection* const r = m.GetReflection();
  const auto get = [&](auto&& single, auto&& repeated) {
    return at < 0 ? (r->*single)(m, field) : (r->*repeated)(m, field, at);
  };
  using R = google::protobuf::Reflection;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrAppend(out, get(&R::GetInt32, &R::GetRepeatedInt32));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrAppend(out, get(&R::GetUInt32, &R::GetRepeatedUInt32));
    case FieldDescriptor::CPPTYPE_INT64:
      return AppendLong(get(&R::GetInt64, &R::GetRepeatedInt64), out);
    case FieldDescriptor::CPPTYPE_UINT64:
      return AppendLong(get(&R::GetUInt64, &R::GetRepeatedUInt64), out);
    case FieldDescriptor::CPPTYPE_BOOL:
      return absl::StrAppend(out, get(&R::GetBool, &R::GetRepeatedBool) ? "true" : "false");
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = get(&R::GetEnumValue, &R::GetRepeatedEnumValue);
      const auto* const value = field->enum_type()->FindValueByNumber(number);
      if (value == nullptr) return absl::StrAppend(out, number);
      return absl::StrAppend(out, "\"", value->name(), "\"");
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = get(&R::GetString, &R::GetRepeatedString);
      if (field->type() == FieldDescriptor::TYPE_STRING) return log::AppendJsonString(text, out);
      return absl::StrAppend(out, "\"", absl::Base64Escape(text), "\"");
    }
    default:  // there are no fractions in the API
      return AppendMessage(at < 0 ? r->GetMessage(m, field) : r->GetRepeatedMessage(m, field, at),
                           out);
  }
}

void AppendMessage(const Message& message, std::string* out) {
  std::vector<const FieldDescriptor*> fields;  // by number
  message.GetReflection()->ListFields(message, &fields);
  *out += '{';
  for (const FieldDescriptor* const field : fields) {
    if (out->back() != '{') *out += ',';
    absl::StrAppend(out, "\"", field->name(), "\":");
    if (!field->is_repeated()) {
      AppendValue(message, field, -1, out);
      continue;
    }
    const int size = message.GetReflection()->FieldSize(message, field);
    for (int i = 0; i < size; ++i) {
      *out += i == 0 ? '[' : ',';
      AppendValue(message, field, i, out);
    }
    *out += ']';
  }
  *out += '}';
}

}  // namespace

absl::StatusOr<std::string> JsonToWire(absl::string_view json, const Message& prototype) {
  const std::unique_ptr<Message> message(prototype.New());
  const absl::string_view text = absl::StripAsciiWhitespace(json);
  if (!text.empty() && text[0] != '{') return absl::InvalidArgumentError(kNoObject);
  if (!text.empty()) RETURN_IF_ERROR(ReadJson(text, message.get()));
  return message->SerializeAsString();
}

absl::StatusOr<std::string> WireToJson(absl::string_view wire, const Message& prototype) {
  const std::unique_ptr<Message> message(prototype.New());
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(wire.data()),
                                            static_cast<int>(wire.size()));
  in.SetRecursionLimit(kMaxWireDepth);  // what was read may be as deep
  if (!message->ParseFromCodedStream(&in) || !in.ConsumedEntireMessage()) {
    return absl::InternalError(absl::StrCat("the answer is no ", prototype.GetTypeName()));
  }
  std::string json;
  json.reserve(wire.size() * 2);
  AppendMessage(*message, &json);
  return json;
}

void DocumentSplitter::SkipSpace() {
  while (begin_ < input_.size() &&
         absl::ascii_isspace(static_cast<unsigned char>(input_[begin_]))) {
    ++begin_;
  }
  scanned_ = begin_;
}

absl::StatusOr<std::optional<std::string>> DocumentSplitter::Next() {
  if (depth_ == 0) {
    SkipSpace();
    if (begin_ == input_.size()) {
      input_.clear();
      begin_ = scanned_ = 0;
      return std::nullopt;
    }
    if (input_[begin_] != '{') {
      return absl::InvalidArgumentError(kNoObject);
    }
  }
  for (; scanned_ < input_.size(); ++scanned_) {
    const char c = input_[scanned_];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      ++scanned_;
      std::string document = input_.substr(begin_, scanned_ - begin_);
      input_.erase(0, scanned_);
      begin_ = scanned_ = 0;
      if (document.size() > max_document_) break;
      return document;
    }
  }
  if (depth_ == 0 || scanned_ - begin_ > max_document_) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request of more than ", max_document_, " bytes is too large"));
  }
  input_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  return std::nullopt;
}

absl::Status DocumentSplitter::AtEnd() {
  if (depth_ == 0) SkipSpace();
  if (begin_ == input_.size()) return absl::OkStatus();
  return absl::InvalidArgumentError("proto: syntax error: unexpected end of the request");
}

}  // namespace quorate::gateway
