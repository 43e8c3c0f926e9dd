// What a TLS port needs for its handshakes: certificate, key, whom to trust and whom to
// refuse. Made of the contents of files; immutable, so that handshakes on other threads may
// use one while newer files already make another.
#ifndef QUORATE_SERVER_TLS_CONTEXT_H_
#define QUORATE_SERVER_TLS_CONTEXT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/config/tls.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace quorate::tls {

enum class Role {
  kServer,      // accepts connections
  kPeerClient,  // dials other members
};

// Contents of files (PEM; the revocation list may be DER, as etcd's must be). Empty: none.
struct Material {
  std::string cert;
  std::string key;
  std::string ca;
  std::string crl;

  friend bool operator==(const Material&, const Material&) = default;
};

// Whose certificates are accepted, beyond a chain to a trusted CA.
struct Policy {
  struct Revoked {
    std::string issuer;  // DER
    std::string serial;  // hexadecimal

    friend auto operator<=>(const Revoked&, const Revoked&) = default;
  };
  std::vector<Revoked> revoked;  // sorted
  std::vector<std::string> allowed_cns;
  std::vector<std::string> allowed_hostnames;
  // A server compares the addresses that a client's certificate is for with the client's.
  bool check_client_address = false;
};

// The files that a role reads, "" for none: for loading and for messages.
struct Files {
  std::string cert;
  std::string key;
  std::string ca;
  std::string crl;
};
Files FilesOf(Role role, const config::TlsSettings& settings);

// InvalidArgument if one of --cipher-suites is unknown: a mistake even where nothing uses TLS.
absl::Status CheckCipherSuites(const std::vector<std::string>& suites);

class Context {
 public:
  // `alpn`: protocols in order of preference. Errors name flag and file.
  static absl::StatusOr<std::shared_ptr<const Context>> New(Role role,
                                                            const config::TlsSettings& settings,
                                                            const Material& material,
                                                            const std::vector<std::string>& alpn);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  Role role() const { return role_; }
  ssl_ctx_st* ssl_ctx() const { return ssl_ctx_; }
  const Policy& policy() const { return policy_; }
  // As the extension has them: each behind a byte of its length.
  const std::string& alpn_wire() const { return alpn_wire_; }
  // A client that believes any server: one with a certificate of its own making.
  bool insecure() const { return insecure_; }

 private:
  Context(Role role, ssl_ctx_st* ssl_ctx) : role_(role), ssl_ctx_(ssl_ctx) {}
  absl::Status Load(const config::TlsSettings& settings, const Material& material);

  const Role role_;
  ssl_ctx_st* const ssl_ctx_;
  Policy policy_;
  std::string alpn_wire_;
  bool insecure_ = false;
};

// What a certificate's entries say, in `policy`'s terms; for Context and Session.
std::string LastSslError();

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_CONTEXT_H_
