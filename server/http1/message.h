// What HTTP/1.1's two sides say to each other.
#ifndef QUORATE_SERVER_HTTP1_MESSAGE_H_
#define QUORATE_SERVER_HTTP1_MESSAGE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/bytes.h"

namespace quorate::http1 {

// Header fields in the order of the message. Names compare without regard to case.
class Fields {
 public:
  Fields() = default;
  Fields(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void Add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  // The first value under that name.
  std::optional<absl::string_view> Find(absl::string_view name) const;
  // The first value, or an empty view.
  absl::string_view Get(absl::string_view name) const { return Find(name).value_or(""); }
  bool Has(absl::string_view name) const { return Find(name).has_value(); }

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }
  void Clear() { fields_.clear(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// A request as its handler sees it.
struct Request {
  std::string method;  // "GET"; always upper case letters for the standard ones
  std::string target;  // as received: "/health?serializable=true"
  std::string path;    // percent-decoded, without the query: "/health"
  std::string query;   // raw, without the "?"
  Fields fields;
  Bytes body;        // whole (empty for routes that stream it)
  std::string peer;  // the client's address
  bool keep_alive = true;

  // The path as received, without scheme, host and query.
  absl::string_view raw_path() const;
  // Percent-decoded values of a query parameter, in order.
  std::vector<std::string> QueryValues(absl::string_view name) const;
  // The first of them.
  std::optional<std::string> QueryValue(absl::string_view name) const;
};

// A whole response.
struct Response {
  int status = 200;
  Fields fields;            // content-length is added
  std::vector<Bytes> body;  // pieces that follow each other

  // text/plain; charset=utf-8. Browsers are told to take an error for nothing else.
  static Response Text(int status, absl::string_view text);
  static Response Json(int status, absl::string_view json);  // application/json
  // 307 to a path of the same server, the answer to a request with that method.
  static Response Redirect(absl::string_view method, absl::string_view location);
};

// The status line and header fields of a response, as a client sees them.
struct ResponseHead {
  int status = 0;
  Fields fields;
};

// The standard reason phrase ("Not Found"); empty for codes without one.
absl::string_view ReasonPhrase(int status);

// An absolute path without empty, "." and ".." elements; "/" is above everything. A '/' at its end
// stays.
std::string CleanPath(absl::string_view path);

// Undoes %XX (and, in a query, '+' for a space). False if malformed.
bool PercentDecode(absl::string_view text, bool plus_is_space, std::string* out);

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_MESSAGE_H_
