#include "server/tls/context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "server/tls/certificate.h"

namespace quorate::tls {
namespace {

using config::TlsVersion;

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioFree>;

BioPtr ReadFrom(absl::string_view text) {
  BIO* const bio = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  CHECK(bio != nullptr);
  return BioPtr(bio);
}

// A key with a password would make the library ask for it at the terminal.
int NoPassword(char* buffer, int size, int writing, void* data) {
  (void)buffer, (void)size, (void)writing, (void)data;
  return 0;
}

// All certificates of a PEM text, in order.
std::vector<X509Ptr> ReadCertificates(const std::string& pem) {
  std::vector<X509Ptr> all;
  const BioPtr bio = ReadFrom(pem);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    all.emplace_back(one);
  }
  ERR_clear_error();  // "no start line" at the end
  return all;
}

struct CrlFree {
  void operator()(X509_CRL* crl) const { X509_CRL_free(crl); }
};
using CrlPtr = std::unique_ptr<X509_CRL, CrlFree>;

std::vector<CrlPtr> ReadCrls(const std::string& text) {
  std::vector<CrlPtr> all;
  const BioPtr bio = ReadFrom(text);
  while (X509_CRL* one = PEM_read_bio_X509_CRL(bio.get(), nullptr, NoPassword, nullptr)) {
    all.emplace_back(one);
  }
  if (all.empty()) {
    const auto* at = reinterpret_cast<const unsigned char*>(text.data());
    X509_CRL* const one = d2i_X509_CRL(nullptr, &at, static_cast<long>(text.size()));
    if (one != nullptr) all.emplace_back(one);
  }
  ERR_clear_error();
  return all;
}

absl::Status LoadRevoked(const std::string& text, absl::string_view what, Policy* policy) {
  const std::vector<CrlPtr> lists = ReadCrls(text);
  if (lists.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " holds no certificate revocation list"));
  }
  for (const CrlPtr& crl : lists) {
    STACK_OF(X509_REVOKED)* const entries = X509_CRL_get_REVOKED(crl.get());
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
      const X509_REVOKED* const entry = sk_X509_REVOKED_value(entries, i);
      policy->revoked.push_back({NameBytes(X509_CRL_get_issuer(crl.get())),
                                 SerialText(X509_REVOKED_get0_serialNumber(entry))});
    }
  }
  std::sort(policy->revoked.begin(), policy->revoked.end());
  return absl::OkStatus();
}

absl::Status LoadCertificate(const Material& material, const Files& files,
                             const std::string& prefix, SSL_CTX* ctx) {
  const std::string cert_name = absl::StrCat("--", prefix, "cert-file ", files.cert);
  const std::string key_name = absl::StrCat("--", prefix, "key-file ", files.key);
  const std::vector<X509Ptr> chain = ReadCertificates(material.cert);
  if (chain.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(cert_name, " holds no certificate in PEM form"));
  }
  if (SSL_CTX_use_certificate(ctx, chain.front().get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(cert_name, ": ", LastSslError()));
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(ctx, chain[i].get()) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(cert_name, ": ", LastSslError()));
    }
  }
  const BioPtr bio = ReadFrom(material.key);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr);
  if (key == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat(key_name, " holds no private key in PEM form (or one with a password)"));
  }
  const bool fits = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
  EVP_PKEY_free(key);
  if (fits) return absl::OkStatus();
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat("the private key of ", key_name, " does not match ", cert_name));
}

absl::Status LoadTrusted(const Material& material, const Files& files, const std::string& prefix,
                         SSL_CTX* ctx) {
  if (files.ca.empty()) {
    SSL_CTX_set_default_verify_paths(ctx);  // the system's, as etcd
    return absl::OkStatus();
  }
  const std::vector<X509Ptr> trusted = ReadCertificates(material.ca);
  if (trusted.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--", prefix, "trusted-ca-file ", files.ca,
                                                   " holds no certificate in PEM form"));
  }
  for (const X509Ptr& one : trusted) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), one.get());
    SSL_CTX_add_client_CA(ctx, one.get());
  }
  ERR_clear_error();  // of one that is in the file twice
  return absl::OkStatus();
}

// Go's older names leave out the hash of two suites.
std::string LibraryName(const std::string& suite) {
  const bool short_name = suite.size() > 9 && suite.substr(suite.size() - 8) == "POLY1305";
  const std::string iana = short_name ? suite + "_SHA256" : suite;
  const char* const name = OPENSSL_cipher_name(iana.c_str());
  return name == nullptr || absl::string_view(name) == "(NONE)" ? "" : name;
}

// As the library wants them.
absl::StatusOr<std::string> CipherList(const std::vector<std::string>& suites) {
  std::string list;
  for (const std::string& suite : suites) {
    const std::string name = LibraryName(suite);
    if (name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--cipher-suites: unexpected TLS cipher suite \"", suite, "\""));
    }
    // Those of TLS 1.3 cannot be chosen, as in Go.
    if (name.substr(0, 4) != "TLS_") absl::StrAppend(&list, list.empty() ? "" : ":", name);
  }
  return list;
}

absl::Status SetCipherSuites(const std::vector<std::string>& suites, SSL_CTX* ctx) {
  ASSIGN_OR_RETURN(const std::string list, CipherList(suites));
  if (list.empty() || SSL_CTX_set_cipher_list(ctx, list.c_str()) == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--cipher-suites: ", LastSslError()));
}

int Number(TlsVersion version) {
  switch (version) {
    case TlsVersion::kTls12:
      return TLS1_2_VERSION;
    case TlsVersion::kTls13:
      return TLS1_3_VERSION;
    case TlsVersion::kAny:
      break;
  }
  return 0;
}

// The first of our protocols that the client knows. A client that names only others cannot
// be served.
int SelectAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
               const unsigned char* in, unsigned int in_size, void* arg) {
  (void)ssl;
  const std::string& ours = static_cast<const Context*>(arg)->alpn_wire();
  unsigned char* chosen = nullptr;
  const int result =
      SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), in, in_size);
  *out = chosen;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

std::string LastSslError() {
  const unsigned long code = ERR_peek_last_error();
  const char* const reason = ERR_reason_error_string(code);
  std::string text = reason == nullptr ? "unknown error" : reason;
  ERR_clear_error();
  return text;
}

Files FilesOf(Role role, const config::TlsSettings& settings) {
  Files files{settings.cert_file, settings.key_file, settings.trusted_ca_file, ""};
  if (role == Role::kServer) files.crl = settings.crl_file;
  if (role == Role::kPeerClient && !settings.client_cert_file.empty()) {
    files.cert = settings.client_cert_file;
    files.key = settings.client_key_file;
  }
  return files;
}

absl::Status CheckCipherSuites(const std::vector<std::string>& suites) {
  return CipherList(suites).status();
}

absl::StatusOr<std::shared_ptr<const Context>> Context::New(Role role,
                                                            const config::TlsSettings& settings,
                                                            const Material& material,
                                                            const std::vector<std::string>& alpn) {
  ERR_clear_error();
  SSL_CTX* const ssl_ctx =
      SSL_CTX_new(role == Role::kServer ? TLS_server_method() : TLS_client_method());
  CHECK(ssl_ctx != nullptr);
  const std::shared_ptr<Context> context(new Context(role, ssl_ctx));
  for (const std::string& protocol : alpn) {
    context->alpn_wire_ += static_cast<char>(protocol.size());
    context->alpn_wire_ += protocol;
  }
  RETURN_IF_ERROR(context->Load(settings, material));
  return context;
}

Context::~Context() { SSL_CTX_free(ssl_ctx_); }

absl::Status Context::Load(const config::TlsSettings& settings, const Material& material) {
  SSL_CTX* const ctx = ssl_ctx_;
  // Each connection proves itself anew, under the rules of its time: no resumption. One
  // side cannot make the other work by negotiating again.
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  CHECK_EQ(SSL_CTX_set_min_proto_version(ctx, Number(settings.min_version)), 1);
  CHECK_EQ(SSL_CTX_set_max_proto_version(ctx, Number(settings.max_version)), 1);
  RETURN_IF_ERROR(SetCipherSuites(settings.cipher_suites, ctx));
  const Files files = FilesOf(role_, settings);
  const bool client_files = role_ == Role::kPeerClient && !settings.client_cert_file.empty();
  const std::string prefix = settings.flag_prefix + (client_files ? "client-" : "");
  if (!files.cert.empty()) RETURN_IF_ERROR(LoadCertificate(material, files, prefix, ctx));
  RETURN_IF_ERROR(LoadTrusted(material, files, settings.flag_prefix, ctx));
  // A CA may be one in the middle, as in Go.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
  policy_.allowed_cns = settings.allowed_cns;
  policy_.allowed_hostnames = settings.allowed_hostnames;
  policy_.check_client_address = !settings.skip_client_san_verification;
  if (!files.crl.empty()) {
    const bool peer = !settings.flag_prefix.empty();
    RETURN_IF_ERROR(LoadRevoked(
        material.crl, absl::StrCat(peer ? "--peer-crl-file " : "--client-crl-file ", files.crl),
        &policy_));
  }
  if (role_ == Role::kServer) {
    const bool wanted = settings.wants_client_certificate();
    SSL_CTX_set_verify(
        ctx, wanted ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_alpn_select_cb(ctx, SelectAlpn, this);
  } else {
    insecure_ = settings.auto_tls;
    SSL_CTX_set_verify(ctx, insecure_ ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const unsigned char*>(alpn_wire_.data()),
                            static_cast<unsigned int>(alpn_wire_.size()));
  }
  SSL_CTX_set_cert_verify_callback(ctx, VerifyCertificate, nullptr);
  return absl::OkStatus();
}

}  // namespace quorate::tls
