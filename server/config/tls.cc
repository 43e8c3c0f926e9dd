#include "server/config/tls.h"

#include "absl/strings/str_cat.h"

namespace quorate::config {

absl::Status TlsSettings::Validate() const {
  if (cert_file.empty() != key_file.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--", flag_prefix, "cert-file and --", flag_prefix,
                     "key-file must both be present [key: ", key_file, ", cert: ", cert_file, "]"));
  }
  if (client_cert_file.empty() != client_key_file.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--", flag_prefix, "client-cert-file and --", flag_prefix,
                     "client-key-file must both be present or both absent [key: ", client_key_file,
                     ", cert: ", client_cert_file, "]"));
  }
  if (!allowed_cns.empty() && !allowed_hostnames.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--", flag_prefix, "cert-allowed-cn and --", flag_prefix,
                     "cert-allowed-hostname are mutually exclusive"));
  }
  const bool only_13 = min_version == TlsVersion::kTls13;
  if (only_13 && max_version == TlsVersion::kTls12) {
    return absl::FailedPreconditionError(
        "--tls-min-version must not be greater than --tls-max-version");
  }
  if (only_13 && !cipher_suites.empty()) {
    return absl::FailedPreconditionError(
        "--cipher-suites cannot be configured when only TLS1.3 is enabled");
  }
  return absl::OkStatus();
}

}  // namespace quorate::config
