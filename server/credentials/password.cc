#include "server/credentials/password.h"

#include <crypt.h>

#include <memory>

#include "base/check.h"

namespace quorate::credentials {
namespace {

// "$2a$10$", 22 characters of salt, 31 of hash.
constexpr size_t kVariantAt = 2;
constexpr size_t kHashBytes = 60;
constexpr size_t kDigestAt = 29;

// The library treats some passwords with bytes above 127 otherwise under "$2a$" than Go
// does; what all others call "$2a$" it calls "$2b$".
constexpr char kLibraryVariant = 'b';
constexpr char kStoredVariant = 'a';

// Empty if the library refuses the setting.
std::string Crypt(absl::string_view password, const std::string& setting) {
  auto data = std::make_unique<crypt_data>();
  const char* result = crypt_r(std::string(password).c_str(), setting.c_str(), data.get());
  return result == nullptr || *result == '*' ? "" : result;
}

// Says nothing by its time about where the texts differ.
bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

absl::Status CheckPassword(absl::string_view password) {
  if (password.size() > kMaxPasswordBytes) {
    return absl::UnknownError("bcrypt: password length exceeds 72 bytes");
  }
  if (password.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("etcdserver: password contains a zero byte");
  }
  return absl::OkStatus();
}

std::string HashPassword(absl::string_view password, int cost, const Salt& salt) {
  CHECK(CheckPassword(password).ok());
  CHECK(cost >= kMinBcryptCost && cost <= kMaxBcryptCost);
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  CHECK(crypt_gensalt_rn("$2b$", static_cast<unsigned long>(cost), salt.data(),
                         static_cast<int>(salt.size()), setting, sizeof(setting)) != nullptr);
  std::string hash = Crypt(password, setting);
  CHECK(hash.size() == kHashBytes);
  hash[kVariantAt] = kStoredVariant;
  return hash;
}

bool PasswordMatches(absl::string_view password, absl::string_view hash) {
  if (hash.size() < kHashBytes || hash.substr(0, kVariantAt) != "$2") return false;
  if (password.find('\0') != absl::string_view::npos) return false;
  std::string setting(hash.substr(0, kHashBytes));
  if (setting.find('\0') != std::string::npos) return false;
  setting[kVariantAt] = kLibraryVariant;
  const std::string made = Crypt(password.substr(0, kMaxPasswordBytes), setting);
  if (made.size() != kHashBytes) return false;
  // Only the digest: the last character of a salt has bits that do not count.
  return EqualInConstantTime(absl::string_view(made).substr(kDigestAt),
                             absl::string_view(setting).substr(kDigestAt));
}

}  // namespace quorate::credentials
