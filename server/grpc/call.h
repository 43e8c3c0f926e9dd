// One gRPC call on the server.
//
// Life of a call. It begins when its request is accepted and ends when Finish is
// called, when the client goes away (reset, connection lost), or when its deadline
// passes, whichever is first. A Call* is valid from the handler's invocation to that
// end and no longer: code that answers later keeps `id()` and asks `Server::Find`, or
// registers a cancel callback. Ids are never reused.
//
//   server.AddUnary("/etcdserverpb.KV/Put", [&](grpc::Call* call, Bytes request) {
//     node.Propose(call->id(), std::move(request));           // answers later:
//   });
//   ...
//   if (grpc::Call* call = server.Find(token)) call->Finish(status, std::move(body));
#ifndef QUORATE_SERVER_GRPC_CALL_H_
#define QUORATE_SERVER_GRPC_CALL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/time.h"
#include "server/grpc/codec.h"
#include "server/http2/stream.h"

namespace quorate::grpc {

class Call;
class Connection;
class Server;
struct Method;

// The application's side of a streaming call. Owned by the call and destroyed soon
// after its end, never from inside one of its own functions.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // One whole message.
  virtual void OnMessage(Bytes message) = 0;
  // The client will send no more messages. The call goes on until Finish.
  virtual void OnHalfClose() = 0;
  // The call ended without Finish: Cancelled (the client went away) or
  // DeadlineExceeded. The Call must not be used any more. Last.
  virtual void OnCancel(const absl::Status& why) = 0;
  // queued_bytes() fell to http2::Stream::kLowWater or below after it had been above
  // kHighWater.
  virtual void OnWritable() {}
};

// A unary answer that is too large to be in memory at once: its bytes are asked for as the client
// reads. Owned by the call and destroyed when its last piece has been taken, or with the call.
class ResponseSource {
 public:
  virtual ~ResponseSource() = default;
  // Of the whole message.
  virtual size_t size() const = 0;
  // What it takes in memory until it is destroyed.
  virtual size_t held_bytes() const = 0;
  // The next ones, at least one until all came. None: it cannot go on, and the call is reset
  // (ENHANCE_YOUR_CALM, which clients show as ResourceExhausted).
  virtual std::optional<Bytes> Next() = 0;
};

class Call final : private http2::Stream {
 public:
  // Identity of the call within its Server; never 0.
  uint64_t id() const { return id_; }
  const Method& method() const { return *method_; }
  // The client's address, for logs.
  const std::string& peer() const;
  // Who the client's connection proves it to be (Server::Accept's); empty: nobody.
  const std::string& peer_name() const;
  // From grpc-timeout; Instant::Infinite() without one.
  Instant deadline() const { return deadline_; }
  // Of a unary call's request message, once it is there.
  size_t request_bytes() const { return request_bytes_; }
  // When the request's header fields had come.
  Instant start() const { return start_; }

  // The first value of a metadata entry ("token", "authorization", "hasleader",
  // "client-api-version"); lower-case name. Values of "-bin" names are still base64.
  // Header fields of the protocol itself are not metadata.
  std::optional<absl::string_view> Metadata(absl::string_view name) const;

  // Ends the call. Without error the response (unary: exactly one message, made of
  // these pieces in order; streaming: none) goes before the status; with an error the
  // response is dropped. Errors before any message are "trailers only". `this` is
  // invalid afterwards.
  void Finish(const absl::Status& status, Bytes response = Bytes());
  void FinishPieces(absl::Span<Bytes> pieces);  // OK, with a response in pieces
  // OK, with a unary response whose bytes come as the client takes them. The call goes on until it
  // has the last of them: its deadline and its cancellation hold till then. A Finish meanwhile
  // resets it.
  void FinishFrom(std::unique_ptr<ResponseSource> source);

  // Streaming: queues one whole message. One of more than kMaxMessageBytes ends the call soon
  // afterwards, as do all ways above for a response; nothing is sent behind it.
  void Send(Bytes message);
  void SendPieces(absl::Span<Bytes> pieces);
  // Message bytes that wait for flow control or for the socket. Producers pause above
  // http2::Stream::kHighWater, and go on in StreamHandler::OnWritable.
  size_t queued_bytes() const { return http2::Stream::queued_bytes(); }
  bool writable() const { return queued_bytes() <= http2::Stream::kHighWater; }

  // Back-pressure on a streaming call: after Pause no OnMessage or OnHalfClose comes until
  // Resume, and the client can send no more than a window's worth.
  void PauseReading();
  void ResumeReading();

  // For unary calls; streaming ones have their StreamHandler.
  void set_on_cancel(std::function<void(const absl::Status&)> callback) {
    on_cancel_ = std::move(callback);
  }

 private:
  friend class Connection;
  friend class Server;

  Call() = default;
  ~Call() override = default;

  bool OnHeader(absl::string_view name, absl::string_view value) override;
  void OnHeadersEnd(bool trailers) override;
  void OnBody(absl::string_view data) override;
  void OnEnd() override;
  void OnBodySent(size_t bytes) override;
  void OnWritable() override;
  void OnClosed(http2::ErrorCode code) override;

  // The request's header block.
  enum class ContentType : uint8_t { kOther, kGrpc, kGrpcProto, kGrpcSubtype };
  void OnPseudoHeader(absl::string_view name, absl::string_view value);
  void OnContentType(absl::string_view value);
  void OnTimeout(absl::string_view value);
  void AddMetadata(absl::string_view name, absl::string_view value);
  void Begin();
  // Answers a request that no method takes.
  void Refuse(absl::string_view http_status, const absl::Status& status);
  absl::Status PathError() const;

  // The request's messages.
  void ReadMessages(absl::string_view data);
  void OnMessage(Bytes message);
  // A compressed message: a large one is unpacked off the loop, and the rest waits for it.
  void Unpack(const Bytes& packed);
  void OnUnpacked(absl::StatusOr<Bytes> message);
  // Whether what the client sends still matters: not behind the request of an answered call.
  bool reads() const { return open_ && source_ == nullptr; }
  // Whether no message may be read now.
  bool blocked() const { return reading_paused_ || unpacking_ > 0; }
  // Reads on in what was held back.
  void ReadHeld();
  void OnHalfClose();
  void Charge(size_t bytes);
  void ChargeResponse(size_t bytes);
  void ResumeLater();

  // The response.
  absl::string_view ContentTypeText() const;
  void StartResponse();
  void SendMessage(absl::Span<Bytes> pieces);
  // Queues what the client is about to take of source_, and the end behind the last of it.
  void SendFromSource();
  void DropSource();
  // Nothing more comes of source_.
  void Break();
  // Ends the call where it is: there is no place for a status within a message.
  void Abandon(const absl::Status& why);
  void FinishTooMany();
  // Ends the call with this status; its handler hears of it when it does not run itself.
  void FailLater(const absl::Status& status);
  void SendStatus(const absl::Status& status);

  // The call is over for the application; its HTTP/2 stream may live on.
  void End(const absl::Status& status);
  void Cancel(const absl::Status& why);
  void Expire();
  // Ready for the pool.
  void Clear();

  Server* server_ = nullptr;
  Connection* connection_ = nullptr;
  uint64_t id_ = 0;
  uint32_t slot_ = 0;  // of this object in the server's table, for ever
  const Method* method_ = nullptr;
  Instant deadline_ = Instant::Infinite();
  Instant start_;
  Instant answered_;  // when source_ was there

  ContentType content_type_ = ContentType::kOther;
  bool is_post_ = false;
  bool bad_timeout_ = false;
  bool headers_done_ = false;
  bool open_ = false;  // has an id, and the application may use it
  bool response_started_ = false;
  bool got_message_ = false;
  bool reading_ = false;
  bool reading_paused_ = false;
  bool resume_scheduled_ = false;
  bool gzip_ = false;                  // the client's messages may be compressed, and so are ours
  absl::Status failure_;               // FailLater's, until then
  size_t unpacking_ = 0;               // bytes of a message that is being unpacked
  bool half_closed_ = false;           // the client has sent everything
  bool half_close_delivered_ = false;  // and the handler knows
  std::unique_ptr<ResponseSource> source_;
  size_t source_left_ = 0;       // bytes that are still to come of it
  size_t held_response_ = 0;     // of charged_response_, what it holds
  size_t request_bytes_ = 0;     // of the unary request, kept for those who tell of the call
  size_t charged_ = 0;           // request bytes counted against the connection
  size_t charged_response_ = 0;  // bytes of the answer counted likewise
  size_t unconsumed_ = 0;        // not yet given back to the flow-control window

  MessageReader reader_;
  std::string held_;  // input of a paused call
  std::unique_ptr<StreamHandler> handler_;
  std::function<void(const absl::Status&)> on_cancel_;

  // Texts of the header block. Strings keep their capacity in the pool, so that a
  // usual call allocates nothing.
  struct MetadataEntry {
    uint32_t name_size;
    uint32_t value_size;
  };
  std::vector<MetadataEntry> metadata_;
  std::string metadata_text_;      // names and values one after another
  std::string path_;               // of a request that no method takes
  std::string http_method_;        // if it is not POST
  std::string content_type_text_;  // if it is not one of the usual two
  std::string encoding_;           // grpc-encoding, if it is not "identity"
  std::string timeout_text_;       // if it is malformed
};

}  // namespace quorate::grpc

#endif  // QUORATE_SERVER_GRPC_CALL_H_
