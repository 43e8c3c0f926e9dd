// Beast asserts that a last chunk which it has seen in part is behind another one. It need not be,
// and nothing depends on it: builds with assertions must not end for that.
#define BOOST_DISABLE_ASSERTS

#include "server/http1/parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::http1 {
namespace {

namespace beast = boost::beast;
using BeastError = beast::error_code;

absl::string_view View(beast::string_view text) {
  return absl::string_view(text.data(), text.size());
}
std::string String(beast::string_view text) { return std::string(text.data(), text.size()); }

// The same with "\r\n" for each bare "\n" up to the end of the head (or of what is there of it):
// some clients end lines so, and Go's servers take it. nullopt if there is none.
std::optional<std::string> WithWholeLineEnds(absl::string_view input) {
  std::string out;
  size_t copied = 0;
  size_t line = 0;
  for (size_t end; (end = input.find('\n', line)) != absl::string_view::npos; line = end + 1) {
    const bool whole = end > line && input[end - 1] == '\r';
    if (!whole) {
      absl::StrAppend(&out, input.substr(copied, end - copied), "\r\n");
      copied = end + 1;
    }
    if (end - line == (whole ? 1u : 0u)) break;  // the empty line
  }
  if (copied == 0) return std::nullopt;
  absl::StrAppend(&out, input.substr(copied));
  return out;
}

}  // namespace

class Parser::Impl {
 public:
  virtual ~Impl() = default;
  virtual size_t Put(absl::string_view data, BeastError& error) = 0;
  virtual void PutEnd(BeastError& error) = 0;
  virtual void SkipBody() = 0;
  virtual bool started() const = 0;
  virtual bool head_done() const = 0;
  virtual bool done() const = 0;
};

template <bool is_request>
class Parser::BeastParser final : public Parser::Impl,
                                  private beast::http::basic_parser<is_request> {
  using Base = beast::http::basic_parser<is_request>;

 public:
  BeastParser(size_t max_header_bytes, Sink* sink) : sink_(sink) {
    Base::header_limit(static_cast<uint32_t>(max_header_bytes));
    Base::body_limit(std::numeric_limits<uint64_t>::max());  // the sink's owner counts
    Base::eager(false);
  }

  size_t Put(absl::string_view data, BeastError& error) override {
    return Base::put(boost::asio::const_buffer(data.data(), data.size()), error);
  }
  void PutEnd(BeastError& error) override { Base::put_eof(error); }
  void SkipBody() override { Base::skip(true); }
  bool started() const override { return Base::got_some(); }
  bool head_done() const override { return Base::is_header_done(); }
  bool done() const override { return Base::is_done(); }

 private:
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, BeastError&) override {
    head_.method = String(method);
    head_.target = String(target);
    head_.http11 = version >= 11;
  }
  void on_response_impl(int code, beast::string_view, int version, BeastError&) override {
    head_.status = code;
    head_.http11 = version >= 11;
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     BeastError&) override {
    head_.fields.Add(String(name), String(value));
  }
  void on_header_impl(BeastError&) override {
    head_.keep_alive = Base::keep_alive();
    head_.chunked = Base::chunked();
    if (const auto length = Base::content_length(); length.has_value()) {
      head_.content_length = *length;
    }
    sink_->OnHead(std::move(head_));
  }
  void on_body_init_impl(const boost::optional<uint64_t>&, BeastError&) override {}
  size_t on_body_impl(beast::string_view body, BeastError&) override {
    sink_->OnBody(View(body));
    return body.size();
  }
  void on_chunk_header_impl(uint64_t, beast::string_view, BeastError&) override {}
  size_t on_chunk_body_impl(uint64_t, beast::string_view body, BeastError&) override {
    sink_->OnBody(View(body));
    return body.size();
  }
  void on_finish_impl(BeastError&) override {}

  Sink* const sink_;
  Head head_;
};

Parser::Parser(Kind kind, size_t max_header_bytes, Sink* sink)
    : is_request_(kind == Kind::kRequest), max_header_bytes_(max_header_bytes) {
  if (kind == Kind::kRequest) {
    impl_ = std::make_unique<BeastParser<true>>(max_header_bytes, sink);
  } else {
    impl_ = std::make_unique<BeastParser<false>>(max_header_bytes, sink);
  }
}

Parser::~Parser() = default;

bool Parser::started() const { return impl_->started() || !kept_.empty(); }
bool Parser::head_done() const { return impl_->head_done(); }
bool Parser::done() const { return impl_->done(); }
void Parser::SkipBody() { impl_->SkipBody(); }

absl::Status Parser::Put(absl::string_view* data) {
  std::string joined;
  absl::string_view input = *data;
  if (!kept_.empty()) {
    joined = std::exchange(kept_, std::string());
    joined.append(data->data(), data->size());
    input = joined;
  }
  bool had_head = impl_->head_done();
  if (!had_head && is_request_) {
    if (std::optional<std::string> mended = WithWholeLineEnds(input)) {
      joined = *std::move(mended);
      input = joined;
    }
  }
  while (!input.empty() && !impl_->done()) {
    BeastError error;
    const size_t taken = impl_->Put(input, error);
    input.remove_prefix(taken);
    if (error == beast::http::error::need_more) {
      if (input.size() > max_header_bytes_) {  // an endless chunk header or trailer
        return absl::OutOfRangeError("the header is too large");
      }
      kept_ = std::string(input);
      input = absl::string_view();
      break;
    }
    if (error == beast::http::error::header_limit) {
      return absl::OutOfRangeError("the header is too large");
    }
    if (error) return absl::InvalidArgumentError(error.message());
    if (stop_after_head_ && !std::exchange(had_head, impl_->head_done()) && had_head) break;
  }
  // What is left is at the end of what the caller gave: earlier bytes were kept only
  // because they were needed.
  data->remove_prefix(data->size() - std::min(input.size(), data->size()));
  return absl::OkStatus();
}

absl::Status Parser::PutEnd() {
  if (!impl_->started()) return absl::InvalidArgumentError("the connection closed");
  BeastError error;
  impl_->PutEnd(error);
  if (error) return absl::InvalidArgumentError("the connection closed in the middle of a message");
  return absl::OkStatus();
}

}  // namespace quorate::http1
