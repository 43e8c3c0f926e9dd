// Certificates: what they say, and whether to believe them.
#ifndef QUORATE_SERVER_TLS_CERTIFICATE_H_
#define QUORATE_SERVER_TLS_CERTIFICATE_H_

#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "server/tls/context.h"

namespace quorate::tls {

struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using X509Ptr = std::unique_ptr<X509, X509Free>;

std::string NameBytes(const X509_NAME* name);
std::string SerialText(const ASN1_INTEGER* serial);
// Empty if there is none.
std::string CommonName(const X509* certificate);

// Beyond the chain: revocation, names, the client's address. `remote_host` is an IP address
// or empty. The error says what is wrong with the certificate.
absl::Status CheckPolicy(const Policy& policy, bool is_client, const std::string& remote_host,
                         const STACK_OF(X509) * chain);

// What the verification of a handshake needs and leaves; hangs on the SSL object.
struct Verification {
  const Policy* policy = nullptr;
  bool is_client = false;  // the other side is
  std::string remote_host;
  std::string error;  // why it was refused
};
int VerificationIndex();

// SSL_CTX_set_cert_verify_callback's.
int VerifyCertificate(X509_STORE_CTX* store, void* unused);

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_CERTIFICATE_H_
