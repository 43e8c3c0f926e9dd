// The HTTP/1.1 parser on arbitrary bytes: what comes of them does not depend on how they
// are divided.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/http1/parser.h"

namespace quorate {
namespace {

class Recorder final : public http1::Parser::Sink {
 public:
  void OnHead(http1::Head head) override {
    absl::StrAppend(&text, head.method, " ", head.target, " ", head.status, "\n");
    for (const auto& [name, value] : head.fields) absl::StrAppend(&text, name, ": ", value, "\n");
  }
  void OnBody(absl::string_view piece) override { body.append(piece.data(), piece.size()); }

  std::string text;
  std::string body;
};

constexpr absl::string_view kRefused = "refused";

// Everything that one message gives, and whether it ends well.
std::string Parse(http1::Parser::Kind kind, absl::string_view input, size_t piece) {
  Recorder recorder;
  http1::Parser parser(kind, 8 * 1024, &recorder);
  bool good = true;
  while (good && !parser.done() && !input.empty()) {
    const absl::string_view part = input.substr(0, piece);
    absl::string_view rest = part;
    good = parser.Put(&rest).ok();
    const size_t taken = part.size() - rest.size();
    if (good && taken == 0) break;
    input.remove_prefix(taken);
  }
  // A refused message may have shown more of itself in larger pieces.
  if (!good) return std::string(kRefused);
  return absl::StrCat(parser.done(), "\n", recorder.text, "\n", recorder.body);
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  using Kind = quorate::http1::Parser::Kind;
  for (const Kind kind : {Kind::kRequest, Kind::kResponse}) {
    const std::string whole = quorate::Parse(kind, input, input.size() + 1);
    const std::string bytewise = quorate::Parse(kind, input, 1);
    if (whole == quorate::kRefused || bytewise == quorate::kRefused) {
      // What cannot become a message may be refused sooner in larger pieces.
      CHECK(whole.front() != '1' && bytewise.front() != '1');
    } else {
      CHECK(whole == bytewise);
    }
  }
  return 0;
}
