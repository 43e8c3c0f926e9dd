// A certificate authority for tests: keys and certificates of any kind, also bad ones.
#ifndef QUORATE_TESTS_SERVER_TLS_TEST_CA_H_
#define QUORATE_TESTS_SERVER_TLS_TEST_CA_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "server/tls/self_signed.h"

namespace quorate {

struct TestCertificate {
  std::string common_name = "test";
  std::string names = "IP:127.0.0.1,DNS:localhost";  // alternative names; "" for none
  std::string usage = "serverAuth,clientAuth";
  int64_t valid_from = -3600;  // seconds from the authority's now
  int64_t valid_for = 86'400;  // and from there
  int64_t serial = 1000;
};

class TestCa {
 public:
  TestCa(const std::string& name, WallTime now);
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;
  ~TestCa();

  std::string pem() const;
  tls::CertificateAndKey Issue(const TestCertificate& wanted) const;
  // A revocation list in PEM, or in DER.
  std::string Revoke(const std::vector<int64_t>& serials, bool der = false) const;

 private:
  X509* NewCertificate(const TestCertificate& wanted, EVP_PKEY* key, bool authority) const;

  const WallTime now_;
  const std::string name_;
  EVP_PKEY* const key_;
  X509* certificate_ = nullptr;
};

}  // namespace quorate

#endif  // QUORATE_TESTS_SERVER_TLS_TEST_CA_H_
