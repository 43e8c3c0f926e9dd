// --auto-tls: a certificate of the member's own making. It encrypts and proves nothing.
#ifndef QUORATE_SERVER_TLS_SELF_SIGNED_H_
#define QUORATE_SERVER_TLS_SELF_SIGNED_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/time.h"
#include "io/disk.h"

namespace quorate::tls {

// PEM.
struct CertificateAndKey {
  std::string cert;
  std::string key;
};

// For these names and addresses, from `now` on. The key comes from OpenSSL's own generator.
absl::StatusOr<CertificateAndKey> NewSelfSigned(const std::vector<std::string>& hosts, WallTime now,
                                                size_t years);

// Leaves a certificate and its key in `directory`, as cert.pem and key.pem, unless both are
// there from an earlier time. The disk is borrowed until `done`, which comes later, with
// whether they were made now.
void EnsureSelfSigned(io::Disk* disk, const std::string& directory,
                      const std::vector<std::string>& hosts, WallTime now, size_t years,
                      const std::function<void(const absl::StatusOr<bool>&)>& done);

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_SELF_SIGNED_H_
