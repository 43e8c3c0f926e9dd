#include "tests/server/tls/test_ca.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace quorate {
namespace {

template <typename Write>
std::string Written(const Write& write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  CHECK_EQ(write(bio), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

void Extend(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestCa::TestCa(const std::string& name, WallTime now)
    : now_(now), name_(name), key_(EVP_EC_gen("P-256")) {
  TestCertificate own;
  own.common_name = name;
  own.serial = 1;
  own.valid_for = 10 * 365 * 86'400L;
  certificate_ = NewCertificate(own, key_, true);
}

TestCa::~TestCa() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

std::string TestCa::pem() const {
  return Written([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate_); });
}

X509* TestCa::NewCertificate(const TestCertificate& wanted, EVP_PKEY* key, bool authority) const {
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), wanted.serial);
  const time_t begin = static_cast<time_t>(now_.unix_millis() / 1000 + wanted.valid_from);
  ASN1_TIME_set(X509_getm_notBefore(certificate), begin);
  ASN1_TIME_set(X509_getm_notAfter(certificate), begin + wanted.valid_for);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()), -1,
                             -1, 0);
  X509_NAME* const issuer =
      authority ? X509_get_subject_name(certificate) : X509_get_subject_name(certificate_);
  X509_set_issuer_name(certificate, issuer);
  X509_set_pubkey(certificate, key);
  if (authority) {
    Extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    Extend(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    Extend(certificate, NID_ext_key_usage, wanted.usage);
    if (!wanted.names.empty()) Extend(certificate, NID_subject_alt_name, wanted.names);
  }
  CHECK_GT(X509_sign(certificate, key_, EVP_sha256()), 0);
  return certificate;
}

tls::CertificateAndKey TestCa::Issue(const TestCertificate& wanted) const {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = NewCertificate(wanted, key, false);
  tls::CertificateAndKey pair;
  pair.cert = Written([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  pair.key = Written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

std::string TestCa::Revoke(const std::vector<int64_t>& serials, bool der) const {
  X509_CRL* const crl = X509_CRL_new();
  X509_CRL_set_version(crl, 1);
  X509_CRL_set_issuer_name(crl, X509_get_subject_name(certificate_));
  ASN1_TIME* const time = ASN1_TIME_set(nullptr, static_cast<time_t>(now_.unix_millis() / 1000));
  X509_CRL_set1_lastUpdate(crl, time);
  for (const int64_t serial : serials) {
    X509_REVOKED* const entry = X509_REVOKED_new();
    ASN1_INTEGER* const number = ASN1_INTEGER_new();
    ASN1_INTEGER_set_int64(number, serial);
    X509_REVOKED_set_serialNumber(entry, number);
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(crl, entry);
    ASN1_INTEGER_free(number);
  }
  CHECK_GT(X509_CRL_sign(crl, key_, EVP_sha256()), 0);
  std::string text = Written([&](BIO* bio) {
    return der ? i2d_X509_CRL_bio(bio, crl) : PEM_write_bio_X509_CRL(bio, crl);
  });
  ASN1_TIME_free(time);
  X509_CRL_free(crl);
  return text;
}

}  // namespace quorate
