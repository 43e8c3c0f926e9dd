#include "server/tls/certificate.h"

#include <openssl/bn.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace quorate::tls {
namespace {

struct NamesFree {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// How many names of each kind a certificate is for.
struct AlternativeNames {
  int addresses = 0;
  int hosts = 0;
};

AlternativeNames CountNames(const X509* certificate) {
  AlternativeNames count;
  const std::unique_ptr<GENERAL_NAMES, NamesFree> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const int type = sk_GENERAL_NAME_value(names.get(), i)->type;
    if (type == GEN_IPADD) ++count.addresses;
    if (type == GEN_DNS) ++count.hosts;
  }
  return count;
}

// By the alternative names alone, as Go does: an address, or a name with wildcards.
bool IsFor(X509* certificate, const std::string& host) {
  if (X509_check_ip_asc(certificate, host.c_str(), 0) == 1) return true;
  return X509_check_host(certificate, host.data(), host.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                         nullptr) == 1;
}

// A stolen certificate should not work from another machine. Only addresses are compared:
// comparing names would make every handshake wait for a name server, whom an attacker may
// control, so a certificate that has any passes.
absl::Status CheckAddress(X509* certificate, const std::string& remote_host) {
  const AlternativeNames names = CountNames(certificate);
  if (names.addresses == 0 || names.hosts > 0 || remote_host.empty()) return absl::OkStatus();
  if (X509_check_ip_asc(certificate, remote_host.c_str(), 0) == 1) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("the client's certificate is not valid for its address ", remote_host));
}

absl::Status CheckRevoked(const Policy& policy, const STACK_OF(X509) * chain) {
  for (int i = 0; i < sk_X509_num(chain) && !policy.revoked.empty(); ++i) {
    const X509* const one = sk_X509_value(chain, i);
    const Policy::Revoked entry{NameBytes(X509_get_issuer_name(one)),
                                SerialText(X509_get0_serialNumber(one))};
    if (std::binary_search(policy.revoked.begin(), policy.revoked.end(), entry)) {
      return absl::PermissionDeniedError(
          absl::StrCat("transport: certificate serial ", entry.serial, " revoked"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string NameBytes(const X509_NAME* name) {
  const unsigned char* data = nullptr;
  size_t size = 0;
  if (X509_NAME_get0_der(name, &data, &size) != 1) return "";
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string SerialText(const ASN1_INTEGER* serial) {
  BIGNUM* const number = ASN1_INTEGER_to_BN(serial, nullptr);
  char* const hex = number == nullptr ? nullptr : BN_bn2hex(number);
  std::string text = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  BN_free(number);
  return text;
}

std::string CommonName(const X509* certificate) {
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  // The last one, as Go's parser keeps it.
  int at = -1;
  for (int next = 0; (next = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    at = next;
  }
  if (at < 0) return "";
  unsigned char* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return "";
  std::string name(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return name;
}

absl::Status CheckPolicy(const Policy& policy, bool is_client, const std::string& remote_host,
                         const STACK_OF(X509) * chain) {
  CHECK_GT(sk_X509_num(chain), 0);
  X509* const leaf = sk_X509_value(chain, 0);
  const std::vector<std::string>& cns = policy.allowed_cns;
  const std::vector<std::string>& hosts = policy.allowed_hostnames;
  const bool cn_fits =
      cns.empty() || std::find(cns.begin(), cns.end(), CommonName(leaf)) != cns.end();
  const bool host_fits =
      hosts.empty() || std::any_of(hosts.begin(), hosts.end(),
                                   [&](const std::string& host) { return IsFor(leaf, host); });
  if (!cn_fits || !host_fits) {
    return absl::PermissionDeniedError("client certificate authentication failed");
  }
  absl::Status revoked = CheckRevoked(policy, chain);
  if (!revoked.ok() || !is_client || !policy.check_client_address) return revoked;
  return CheckAddress(leaf, remote_host);
}

int VerificationIndex() {
  // Set once, before any connection: the initialization of a local static.
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int VerifyCertificate(X509_STORE_CTX* store, void* unused) {
  (void)unused;
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const verification = static_cast<Verification*>(SSL_get_ex_data(ssl, VerificationIndex()));
  if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) return 1;
  if (X509_verify_cert(store) != 1) {
    verification->error = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    return 0;
  }
  const absl::Status status =
      CheckPolicy(*verification->policy, verification->is_client, verification->remote_host,
                  X509_STORE_CTX_get0_chain(store));
  if (status.ok()) return 1;
  verification->error = std::string(status.message());
  const bool revoked = absl::StrContains(status.message(), "revoked");
  X509_STORE_CTX_set_error(store,
                           revoked ? X509_V_ERR_CERT_REVOKED : X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace quorate::tls
