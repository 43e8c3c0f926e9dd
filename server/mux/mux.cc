#include "server/mux/mux.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace quorate::mux {
namespace {

// RFC 9113 section 3.4. Its first line is no HTTP/1.1 request that anybody serves, so
// those bytes decide.
constexpr absl::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace

// Owns an accepted stream. Until the protocol is known it keeps what came in (at most a
// preface and one read); then it is the stream of its new owner, to whom it gives that
// first and then passes everything through.
class Mux::SniffedStream final : public io::Stream, private io::Stream::Handler {
 public:
  SniffedStream(Mux* mux, uint64_t id, std::unique_ptr<io::Stream> stream)
      : mux_(mux), id_(id), stream_(std::move(stream)) {}
  ~SniffedStream() override {
    if (destroyed_ != nullptr) *destroyed_ = true;
  }

  void Sniff() { stream_->Start(this); }

  // The mux let go of this stream: its new owner has it.
  void Release() { mux_ = nullptr; }

  // Gives the new owner the bytes that decided.
  void DeliverFirst() {
    if (handler_ == nullptr || first_.empty()) return;
    const std::string first = std::exchange(first_, std::string());
    handler_->OnData(first);
  }

  void Start(io::Stream::Handler* handler) override {
    CHECK(handler_ == nullptr);
    handler_ = handler;
  }
  void Write(Bytes data) override { stream_->Write(std::move(data)); }
  size_t write_queue_bytes() const override { return stream_->write_queue_bytes(); }
  void PauseReading() override { stream_->PauseReading(); }
  void ResumeReading() override { stream_->ResumeReading(); }
  void CloseAfterFlush() override { stream_->CloseAfterFlush(); }
  const std::string& peer_address() const override { return stream_->peer_address(); }

 private:
  void OnData(absl::string_view data) override {
    if (handler_ != nullptr) return handler_->OnData(data);
    if (mux_ == nullptr) return;
    first_.append(data.data(), data.size());
    const size_t known = std::min(first_.size(), kHttp2Preface.size());
    if (absl::string_view(first_).substr(0, known) != kHttp2Preface.substr(0, known)) {
      return HandOver(false);
    }
    if (known == kHttp2Preface.size()) HandOver(true);
  }
  void HandOver(bool is_http2) {
    bool destroyed = false;
    destroyed_ = &destroyed;
    mux_->Decide(id_, is_http2);
    if (destroyed) return;
    destroyed_ = nullptr;
    DeliverFirst();
  }
  void OnWritable() override {
    if (handler_ != nullptr) handler_->OnWritable();
  }
  void OnEnd() override {
    if (handler_ != nullptr) return handler_->OnEnd();
    if (mux_ != nullptr) mux_->Drop(id_);
  }
  void OnClose(const absl::Status& status) override {
    if (handler_ != nullptr) return handler_->OnClose(status);
    if (mux_ != nullptr) mux_->Drop(id_);
  }

  Mux* mux_;
  const uint64_t id_;
  std::unique_ptr<io::Stream> stream_;
  io::Stream::Handler* handler_ = nullptr;
  std::string first_;
  bool* destroyed_ = nullptr;
};

Mux::Mux(io::Loop* loop, const Options& options, AcceptCallback on_http2, AcceptCallback on_http1)
    : loop_(loop),
      options_(options),
      on_http2_(std::move(on_http2)),
      on_http1_(std::move(on_http1)),
      timer_(loop->NewTimer([this] { OnTimer(); })) {}

Mux::~Mux() = default;

void Mux::Accept(std::unique_ptr<io::Stream> stream) {
  const uint64_t id = next_id_++;
  auto sniffed = std::make_unique<SniffedStream>(this, id, std::move(stream));
  SniffedStream* const raw = sniffed.get();
  const Instant deadline = loop_->Now() + options_.handshake_timeout;
  undecided_.emplace(id, Undecided{std::move(sniffed), deadline});
  if (!timer_set_) {
    timer_set_ = true;
    timer_->Set(deadline);
  }
  raw->Sniff();
}

void Mux::Decide(uint64_t id, bool is_http2) {
  const auto found = undecided_.find(id);
  CHECK(found != undecided_.end());
  std::unique_ptr<SniffedStream> stream = std::move(found->second.stream);
  undecided_.erase(found);
  stream->Release();
  (is_http2 ? on_http2_ : on_http1_)(std::move(stream));
}

void Mux::Drop(uint64_t id) { undecided_.erase(id); }

void Mux::OnTimer() {
  timer_set_ = false;
  while (!undecided_.empty()) {
    const Instant deadline = undecided_.begin()->second.deadline;
    if (deadline > loop_->Now()) {
      timer_set_ = true;
      timer_->Set(deadline);
      return;
    }
    undecided_.erase(undecided_.begin());
  }
}

}  // namespace quorate::mux
