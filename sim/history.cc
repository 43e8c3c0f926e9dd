#include "sim/history.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quorate::sim {
namespace {

constexpr size_t kKeysShown = 6;

void AppendResult(const OperationResult& result, std::string* out) {
  if (!result.operations.empty()) {
    out->append(result.succeeded ? "succeeded" : "not succeeded");
    for (const OperationResult& operation : result.operations) {
      out->append(" [");
      AppendResult(operation, out);
      out->append("]");
    }
    return;
  }
  absl::StrAppend(out, "count ", result.count);
  for (size_t i = 0; i < result.kvs.size() && i < kKeysShown; ++i) {
    const KeyValue& kv = result.kvs[i];
    absl::StrAppend(out, ", ", absl::CEscape(kv.key), "='", absl::CEscape(kv.value), "' (create ",
                    kv.create_revision, ", mod ", kv.mod_revision, ", version ", kv.version);
    if (kv.lease != 0) absl::StrAppend(out, ", lease ", kv.lease);
    out->append(")");
  }
  if (result.kvs.size() > kKeysShown) absl::StrAppend(out, ", ...");
  if (result.more) absl::StrAppend(out, ", more");
}

}  // namespace

std::string Describe(const Result& result) {
  std::string out = absl::StrCat("revision ", result.revision);
  if (result.refused) out.append(", refused");
  if (result.succeeded) out.append(", succeeded");
  if (result.lease_found) absl::StrAppend(&out, ", lease with ", result.ttl, " s");
  for (const OperationResult& operation : result.operations) {
    out.append(" [");
    AppendResult(operation, &out);
    out.append("]");
  }
  return out;
}

std::string Describe(const Call& call) {
  std::string out =
      absl::StrCat(Describe(call.invoked), " client ", call.client, call.user.empty() ? "" : " as ",
                   call.user, " -> member ", call.member, ": ", call.request.Fingerprint(), " -> ");
  switch (call.outcome) {
    case Outcome::kPending:
      out.append("no answer");
      break;
    case Outcome::kOk:
      absl::StrAppend(&out, Describe(call.result), " at ", Describe(call.returned));
      break;
    case Outcome::kNoEffect:
      absl::StrAppend(&out, "refused: ", call.error, " at ", Describe(call.returned));
      break;
    case Outcome::kUnknown:
      absl::StrAppend(&out, "unknown: ", call.error, " at ", Describe(call.returned));
      break;
  }
  return out;
}

}  // namespace quorate::sim
