// Incremental parser of HTTP/1.1 messages: Boost.Beast's, without its I/O. Private to
// this room; parser.cc alone includes Boost.
#ifndef QUORATE_SERVER_HTTP1_PARSER_H_
#define QUORATE_SERVER_HTTP1_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/http1/message.h"

namespace quorate::http1 {

// The start line and header fields of a message.
struct Head {
  std::string method;  // request
  std::string target;  // request
  int status = 0;      // response
  bool http11 = true;
  bool keep_alive = true;
  bool chunked = false;
  std::optional<uint64_t> content_length;
  Fields fields;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

class Parser {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };

  // Called from inside Put. The sink may not destroy the parser there.
  class Sink {
   public:
    virtual ~Sink() = default;
    // The header is complete.
    virtual void OnHead(Head head) = 0;
    // A piece of the body; chunked coding is undone.
    virtual void OnBody(absl::string_view piece) = 0;
  };

  Parser(Kind kind, size_t max_header_bytes, Sink* sink);
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser();

  // Takes bytes off the front of *data until the message is complete or there are none
  // left (part of a header is kept here). OutOfRange: the header is too large;
  // InvalidArgument: not HTTP.
  absl::Status Put(absl::string_view* data);
  // The input has ended. OK if that completes the message (a response that lasts until
  // the connection closes); InvalidArgument if it cuts it off.
  absl::Status PutEnd();
  // Makes Put return after the header, so that the sink's owner can decide; the next Put
  // goes on.
  void set_stop_after_head(bool stop) { stop_after_head_ = stop; }
  // The response has no body whatever its fields say (it answers HEAD). Before any Put.
  void SkipBody();

  // Some bytes of this message have come.
  bool started() const;
  bool head_done() const;
  bool done() const;

 private:
  class Impl;
  template <bool is_request>
  class BeastParser;

  const bool is_request_;
  const size_t max_header_bytes_;
  std::unique_ptr<Impl> impl_;
  std::string kept_;  // input that the parser wants to see again with more
  bool stop_after_head_ = false;
};

}  // namespace quorate::http1

#endif  // QUORATE_SERVER_HTTP1_PARSER_H_
