#include "server/gateway/json.h"

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status.h"
#include "server/gateway/json_reader.h"
#include "server/gateway/json_writer.h"

namespace quorate::gateway {

using google::protobuf::Message;

namespace {

constexpr char kNoObject[] = "proto: syntax error: a request is a JSON object";

}  // namespace

absl::StatusOr<std::string> JsonToWire(absl::string_view json, const Message& prototype) {
  const std::unique_ptr<Message> message(prototype.New());
  const absl::string_view text = absl::StripAsciiWhitespace(json);
  if (!text.empty() && text[0] != '{') return absl::InvalidArgumentError(kNoObject);
  if (!text.empty()) RETURN_IF_ERROR(ReadJson(text, message.get()));
  return message->SerializeAsString();
}

absl::StatusOr<std::string> WireToJson(absl::string_view wire, const Message& prototype) {
  JsonWriter writer(prototype.GetDescriptor());
  BytesBuilder json(2 * wire.size() + 64);
  RETURN_IF_ERROR(writer.Write(wire, &json));
  RETURN_IF_ERROR(writer.End(&json));
  return std::string(json.view());
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
