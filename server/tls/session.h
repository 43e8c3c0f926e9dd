// One TLS connection over memory: ciphertext in, plaintext out, and the other way round. No
// socket, no loop.
//
// A session may be used by different threads, one after another: the handshake's steps run
// off the loop.
#ifndef QUORATE_SERVER_TLS_SESSION_H_
#define QUORATE_SERVER_TLS_SESSION_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/time.h"
#include "server/tls/certificate.h"
#include "server/tls/context.h"

struct ssl_st;  // OpenSSL's SSL
struct bio_st;

namespace quorate::tls {

class Session {
 public:
  // `remote_host`: a server's client's address; the name or address that a client dials.
  // `now` judges how long certificates are valid.
  Session(std::shared_ptr<const Context> context, const std::string& remote_host, WallTime now);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // A client does.
  bool speaks_first() const { return context_->role() != Role::kServer; }

  // Ciphertext from the other side.
  void Put(absl::string_view data);
  // Ciphertext for the other side, gathered since the last call.
  Bytes TakeOutput();
  size_t output_bytes() const;
  // Ciphertext that has not been read yet.
  bool has_input() const;

  // Goes on with the handshake as far as the input reaches; true when it is done. The error
  // says why it failed; an alert for the other side may be in the output.
  absl::StatusOr<bool> Handshake();

  enum class ReadResult { kData, kNothing, kEnded, kFailed };
  // At most one record's plaintext, at `buffer`. kEnded: the other side said goodbye.
  ReadResult Read(char* buffer, size_t capacity, size_t* size);
  // Why Read failed.
  const absl::Status& error() const { return error_; }
  // Encrypts; the result is in the output.
  void Write(absl::string_view data);
  // Says goodbye.
  void Shutdown();

  // Once the handshake is done. The protocol agreed on; empty if the client named none.
  std::string alpn() const;
  // The common name of the other side's certificate if that was verified, else empty.
  std::string verified_name() const;

 private:
  absl::Status Failure();

  const std::shared_ptr<const Context> context_;
  Verification verification_;
  ssl_st* const ssl_;
  bio_st* const input_;  // ssl_ owns both
  bio_st* const output_;
  absl::Status error_;
};

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_SESSION_H_
