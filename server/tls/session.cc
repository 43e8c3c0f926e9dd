#include "server/tls/session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::tls {
namespace {

bool IsAddress(const std::string& host) {
  ASN1_OCTET_STRING* const address = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(address);
  ERR_clear_error();
  return address != nullptr;
}

// Whom a client expects to meet.
void Expect(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
  if (IsAddress(host)) {
    CHECK_EQ(X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()), 1);
    return;
  }
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  CHECK_EQ(X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()), 1);
  SSL_set_tlsext_host_name(ssl, host.c_str());
}

}  // namespace

Session::Session(std::shared_ptr<const Context> context, const std::string& remote_host,
                 WallTime now)
    : context_(std::move(context)),
      ssl_(SSL_new(context_->ssl_ctx())),
      input_(BIO_new(BIO_s_mem())),
      output_(BIO_new(BIO_s_mem())) {
  CHECK(ssl_ != nullptr && input_ != nullptr && output_ != nullptr);
  BIO_set_mem_eof_return(input_, -1);  // empty means "not yet"
  SSL_set_bio(ssl_, input_, output_);
  const bool is_server = context_->role() == Role::kServer;
  verification_.policy = &context_->policy();
  verification_.is_client = is_server;
  if (is_server && IsAddress(remote_host)) verification_.remote_host = remote_host;
  SSL_set_ex_data(ssl_, VerificationIndex(), &verification_);
  X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl_), static_cast<time_t>(now.unix_millis() / 1000));
  is_server ? SSL_set_accept_state(ssl_) : SSL_set_connect_state(ssl_);
  if (!is_server && !context_->insecure()) Expect(ssl_, remote_host);
}

Session::~Session() { SSL_free(ssl_); }

void Session::Put(absl::string_view data) {
  CHECK_EQ(BIO_write(input_, data.data(), static_cast<int>(data.size())),
           static_cast<int>(data.size()));
}

size_t Session::output_bytes() const { return BIO_ctrl_pending(output_); }
bool Session::has_input() const { return BIO_ctrl_pending(input_) > 0 || SSL_pending(ssl_) > 0; }

Bytes Session::TakeOutput() {
  char* data = nullptr;
  const long size = BIO_get_mem_data(output_, &data);
  if (size <= 0) return Bytes();
  Bytes taken = Bytes::Copy(absl::string_view(data, static_cast<size_t>(size)));
  BIO_reset(output_);
  return taken;
}

absl::StatusOr<bool> Session::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) return true;
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ) return false;
  return Failure();
}

// Of the library's last error, with what the verification had to say.
absl::Status Session::Failure() {
  const std::string reason = LastSslError();
  if (verification_.error.empty()) {
    return absl::UnavailableError(absl::StrCat("tls: ", reason));
  }
  return absl::UnavailableError(absl::StrCat("tls: ", reason, ": ", verification_.error));
}

Session::ReadResult Session::Read(char* buffer, size_t capacity, size_t* size) {
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, buffer, capacity, size);
  if (result == 1) return ReadResult::kData;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return ReadResult::kNothing;
    case SSL_ERROR_ZERO_RETURN:
      return ReadResult::kEnded;
    default:
      error_ = Failure();
      return ReadResult::kFailed;
  }
}

void Session::Write(absl::string_view data) {
  ERR_clear_error();
  size_t written = 0;
  // Memory takes everything. It fails only once the connection has: reading tells.
  if (SSL_write_ex(ssl_, data.data(), data.size(), &written) == 1) {
    CHECK_EQ(written, data.size());
  }
  ERR_clear_error();
}

void Session::Shutdown() {
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

std::string Session::alpn() const {
  const unsigned char* data = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_, &data, &size);
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string Session::verified_name() const {
  X509* const certificate = SSL_get0_peer_certificate(ssl_);
  const bool verified = certificate != nullptr && SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE &&
                        SSL_get_verify_result(ssl_) == X509_V_OK;
  return verified ? CommonName(certificate) : "";
}

}  // namespace quorate::tls
