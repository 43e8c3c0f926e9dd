// What is sent, and what comes back.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_STEP_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_STEP_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/clients/comparison/types.h"

namespace quorate::differential {

// Leases whose ids the servers choose go by names of ours, numbers from here on; each
// server sees its own id instead. No key is attached to one: keys carry the id, and
// HashKV would differ.
inline constexpr int64_t kFirstLeaseName = int64_t{1} << 40;

// A token that no server ever gave out.
inline constexpr absl::string_view kNobody = "?";

// One request, the same for both servers but for lease ids and tokens.
struct Step {
  Type type = Type::kRange;
  std::shared_ptr<google::protobuf::Message> request;
  // Whose token goes along; empty for none.
  std::string user;
  // The stream of a watch request.
  int stream = 0;
  // The stream is closed and opened anew (with `user`) before the request.
  bool reopens = false;
  // The name of the lease, if the server chooses its id.
  std::optional<int64_t> names_lease;
  // The step is over when this lease has expired on both.
  std::optional<int64_t> awaits_expiry;

  template <typename Request>
  const Request& As() const {
    return static_cast<const Request&>(*request);
  }
};

// How one server answered a unary call.
struct Answer {
  absl::Status status;
  std::unique_ptr<google::protobuf::Message> response;  // if ok

  template <typename Response>
  const Response& As() const {
    return static_cast<const Response&>(*response);
  }
};

// For failure reports: type, user, and the request as text, long bytes shortened.
std::string Describe(const Step& step);
std::string Describe(const Answer& answer);
std::string Describe(const google::protobuf::Message& message);

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_STEP_H_
