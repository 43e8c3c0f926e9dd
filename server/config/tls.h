// What the security flags say of one port: the client port's, or the peer port's with the
// calls to other members.
#ifndef QUORATE_SERVER_CONFIG_TLS_H_
#define QUORATE_SERVER_CONFIG_TLS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quorate::config {

enum class TlsVersion { kAny, kTls12, kTls13 };

struct TlsSettings {
  // Before the names of this port's flags in messages: "" or "peer-".
  std::string flag_prefix;
  std::string cert_file;
  std::string key_file;
  // Shown instead of cert_file where this member is the client; both or neither.
  std::string client_cert_file;
  std::string client_key_file;
  // As in etcd, a CA alone asks for client certificates too; client_cert_auth without a CA
  // takes the system's.
  std::string trusted_ca_file;
  bool client_cert_auth = false;
  bool auto_tls = false;
  std::string crl_file;
  // Empty: anyone whom the CA vouches for.
  std::vector<std::string> allowed_cns;
  std::vector<std::string> allowed_hostnames;
  bool skip_client_san_verification = false;
  // Of both ports. IANA's names; empty: the library's choice.
  std::vector<std::string> cipher_suites;
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kAny;

  bool has_certificate() const { return !cert_file.empty() || !key_file.empty(); }
  // True if whoever connects must show a certificate.
  bool wants_client_certificate() const { return client_cert_auth || !trusted_ca_file.empty(); }
  // What contradicts itself, naming the flags. Files are not looked at.
  absl::Status Validate() const;
};

}  // namespace quorate::config

#endif  // QUORATE_SERVER_CONFIG_TLS_H_
