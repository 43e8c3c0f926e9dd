// The gateway's decoders on arbitrary bytes: documents are cut off the same however the bytes
// are divided, and what is read as a message can be written as JSON and read again to the
// same message.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/rpc.pb.h"
#include "base/check.h"
#include "server/gateway/json.h"

namespace quorate {
namespace {

std::vector<std::string> Documents(absl::string_view input, size_t piece) {
  gateway::DocumentSplitter splitter(64 * 1024);
  std::vector<std::string> documents;
  while (true) {
    const absl::StatusOr<std::optional<std::string>> next = splitter.Next();
    if (!next.ok()) return documents;
    if (next->has_value()) {
      documents.push_back(**next);
    } else if (input.empty()) {
      return documents;
    } else {
      splitter.Append(input.substr(0, piece));
      input.remove_prefix(std::min(piece, input.size()));
    }
  }
}

void CheckMessage(absl::string_view json, const google::protobuf::Message& prototype) {
  const absl::StatusOr<std::string> wire = gateway::JsonToWire(json, prototype);
  if (!wire.ok()) return;
  const absl::StatusOr<std::string> back = gateway::WireToJson(*wire, prototype);
  CHECK(back.ok());
  const absl::StatusOr<std::string> again = gateway::JsonToWire(*back, prototype);
  CHECK(again.ok());
  CHECK(*again == *wire);
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> whole = quorate::Documents(input, input.size() + 1);
  CHECK(whole == quorate::Documents(input, 1));
  for (const std::string& document : whole) {
    quorate::CheckMessage(document, etcdserverpb::TxnRequest::default_instance());
    quorate::CheckMessage(document, etcdserverpb::WatchRequest::default_instance());
    quorate::CheckMessage(document, etcdserverpb::StatusResponse::default_instance());
  }
  return 0;
}
