#include "server/tls/self_signed.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/bytes.h"
#include "server/tls/certificate.h"

namespace quorate::tls {
namespace {

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyFree>;

bool AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool SetRandomSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
  BIGNUM* const number = BN_bin2bn(bytes, sizeof(bytes), nullptr);
  const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

std::string AlternativeNames(const std::vector<std::string>& hosts) {
  std::vector<std::string> names;
  for (const std::string& host : hosts) {
    if (host.empty() || host.find_first_of(",\n") != std::string::npos) continue;
    ASN1_OCTET_STRING* const address = a2i_IPADDRESS(host.c_str());
    names.push_back(absl::StrCat(address != nullptr ? "IP:" : "DNS:", host));
    ASN1_OCTET_STRING_free(address);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return absl::StrJoin(names, ",");
}

bool Fill(X509* certificate, EVP_PKEY* key, const std::vector<std::string>& hosts, WallTime now,
          size_t years) {
  time_t begin = static_cast<time_t>(now.unix_millis() / 1000);
  X509_NAME* const name = X509_get_subject_name(certificate);
  const std::string names = AlternativeNames(hosts);
  return X509_set_version(certificate, 2) == 1 && SetRandomSerial(certificate) &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), begin) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), static_cast<int>(365 * years), 0,
                          &begin) != nullptr &&
         X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>("quorate"), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         AddExtension(certificate, NID_key_usage, "critical,digitalSignature") &&
         AddExtension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
         (names.empty() || AddExtension(certificate, NID_subject_alt_name, names)) &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

template <typename Write>
std::string ToPem(const Write& write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  write(bio);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(std::max(size, 0L)));
  BIO_free(bio);
  return pem;
}

// Writes one file after another, then makes their names durable.
struct Writing {
  io::Disk* disk;
  std::string directory;
  std::vector<std::pair<std::string, std::string>> files;  // name and content, the next last
  std::function<void(const absl::StatusOr<bool>&)> done;
};

void WriteNext(const std::shared_ptr<Writing>& writing) {
  if (writing->files.empty()) {
    return writing->disk->SyncDir(writing->directory, [writing](const absl::Status& status) {
      status.ok() ? writing->done(true) : writing->done(status);
    });
  }
  const auto [name, content] = std::move(writing->files.back());
  writing->files.pop_back();
  io::OpenOptions options;
  options.create = true;
  writing->disk->Open(
      absl::StrCat(writing->directory, "/", name), options,
      [writing, content = content](absl::StatusOr<std::unique_ptr<io::File>> opened) {
        if (!opened.ok()) return writing->done(opened.status());
        const std::shared_ptr<io::File> file = *std::move(opened);
        file->Truncate(0, [writing, file, content](const absl::Status& truncated) {
          if (!truncated.ok()) return writing->done(truncated);
          std::vector<Bytes> pieces;
          pieces.push_back(Bytes::Copy(content));
          file->WriteAndSync(0, std::move(pieces), [writing, file](const absl::Status& status) {
            if (!status.ok()) return writing->done(status);
            WriteNext(writing);
          });
        });
      });
}

}  // namespace

absl::StatusOr<CertificateAndKey> NewSelfSigned(const std::vector<std::string>& hosts, WallTime now,
                                                size_t years) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  if (key == nullptr || certificate == nullptr ||
      !Fill(certificate.get(), key.get(), hosts, now, years)) {
    return absl::InternalError(absl::StrCat("cannot make a certificate: ", LastSslError()));
  }
  CertificateAndKey pair;
  pair.cert = ToPem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate.get()); });
  pair.key = ToPem([&](BIO* bio) {
    PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return pair;
}

void EnsureSelfSigned(io::Disk* disk, const std::string& directory,
                      const std::vector<std::string>& hosts, WallTime now, size_t years,
                      const std::function<void(const absl::StatusOr<bool>&)>& done) {
  disk->MakeDirs(directory, [=](const absl::Status& made) {
    if (!made.ok()) return done(made);
    disk->List(directory, [=](const absl::StatusOr<std::vector<std::string>>& names) {
      if (!names.ok()) return done(names.status());
      const auto has = [&](const char* name) {
        return std::find(names->begin(), names->end(), name) != names->end();
      };
      if (has("cert.pem") && has("key.pem")) return done(false);
      const absl::StatusOr<CertificateAndKey> pair = NewSelfSigned(hosts, now, years);
      if (!pair.ok()) return done(pair.status());
      const auto writing = std::make_shared<Writing>();
      writing->disk = disk;
      writing->directory = directory;
      writing->files = {{"key.pem", pair->key}, {"cert.pem", pair->cert}};
      writing->done = done;
      WriteNext(writing);
    });
  });
}

}  // namespace quorate::tls
