#include "tests/clients/comparison/step.h"

#include <google/protobuf/text_format.h>

#include "absl/strings/str_cat.h"

namespace quorate::differential {
namespace {

constexpr int64_t kShownBytes = 40;
constexpr size_t kShownText = 20000;

}  // namespace

std::string Describe(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetTruncateStringFieldLongerThan(kShownBytes);
  std::string text;
  printer.PrintToString(message, &text);
  if (text.size() > kShownText) text = absl::StrCat(text.substr(0, kShownText), " ...");
  return text;
}

std::string Describe(const Step& step) {
  std::string text = absl::StrCat(Info(step.type).name, " {", Describe(*step.request), "}");
  if (!step.user.empty()) absl::StrAppend(&text, " as ", step.user);
  if (Info(step.type).group == "watch") {
    absl::StrAppend(&text, step.reopens ? " on reopened stream " : " on stream ", step.stream);
  }
  return text;
}

std::string Describe(const Answer& answer) {
  if (!answer.status.ok()) return answer.status.ToString();
  return absl::StrCat("OK {", Describe(*answer.response), "}");
}

}  // namespace quorate::differential
