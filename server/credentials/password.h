// Passwords to bcrypt hashes and back to an answer (Provos and Mazieres, "A Future-
// Adaptable Password Scheme", 1999), in the form that etcd's members exchange: "$2a$",
// cost, salt, hash.
//
// Pure functions, and slow ones on purpose (about 60 ms at cost 10): for io::Compute.
#ifndef QUORATE_SERVER_CREDENTIALS_PASSWORD_H_
#define QUORATE_SERVER_CREDENTIALS_PASSWORD_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quorate::credentials {

// Cost is the logarithm of the rounds.
inline constexpr int kMinBcryptCost = 4;
inline constexpr int kMaxBcryptCost = 31;
inline constexpr int kDefaultBcryptCost = 10;
// bcrypt looks at no more.
inline constexpr size_t kMaxPasswordBytes = 72;

using Salt = std::array<char, 16>;

// Whether HashPassword takes it. A longer one gets etcd's error; one with a zero byte, of
// which the library would see only the front, an InvalidArgument of ours.
absl::Status CheckPassword(absl::string_view password);

// The hash of a password that CheckPassword takes. `salt` must be random.
std::string HashPassword(absl::string_view password, int cost, const Salt& salt);

// Whether `hash` is one of `password`; false for whatever is no bcrypt hash. Takes the
// time that the cost in the hash asks for.
bool PasswordMatches(absl::string_view password, absl::string_view hash);

}  // namespace quorate::credentials

#endif  // QUORATE_SERVER_CREDENTIALS_PASSWORD_H_
