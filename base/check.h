// Assertions that stay on in every build.
//
// CHECK is for what only a mistake of ours can break: a failed one prints the
// condition, its place and its operands, calls the crash hook and aborts, so
// that a broken invariant stops the member before it can spread. Input from
// outside (clients, peers, disk, flags) never reaches a CHECK: it gets an
// absl::Status.
//
//   CHECK(index <= last_index());
//   CHECK_EQ(entry.term, term);            // prints both operands
//   CHECK_MSG(ok, "segment has no header");
//   UNREACHABLE("every message type has a handler");
#ifndef QUORATE_BASE_CHECK_H_
#define QUORATE_BASE_CHECK_H_

#include <string>
#include <type_traits>

namespace quorate {

// Called once, before abort, with the whole failure text. The simulator's main
// prints the seed there. Set by mains only.
using CrashHook = void (*)(const char* text);
void SetCrashHook(CrashHook hook);

namespace check_internal {

[[noreturn]] void Fail(const char* file, int line, const char* condition,
                       const std::string& detail);

template <typename T>
std::string Show(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (requires { std::to_string(value.value()); }) {
    return std::to_string(value.value());
  } else {
    return "?";
  }
}

template <typename A, typename B>
[[noreturn]] __attribute__((noinline, cold)) void FailOp(const char* file, int line,
                                                         const char* condition, const A& a,
                                                         const B& b) {
  Fail(file, line, condition, Show(a) + " vs " + Show(b));
}

}  // namespace check_internal
}  // namespace quorate

#define CHECK(condition)              \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::quorate::check_internal::Fail(__FILE__, __LINE__, #condition, ::std::string()))

#define CHECK_MSG(condition, message) \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::quorate::check_internal::Fail(__FILE__, __LINE__, #condition, ::std::string(message)))

#define QUORATE_CHECK_OP(op, a, b)                                                       \
  do {                                                                                   \
    const auto& check_a_ = (a);                                                          \
    const auto& check_b_ = (b);                                                          \
    if (__builtin_expect(!(check_a_ op check_b_), 0)) {                                  \
      ::quorate::check_internal::FailOp(__FILE__, __LINE__, #a " " #op " " #b, check_a_, \
                                        check_b_);                                       \
    }                                                                                    \
  } while (false)

#define CHECK_EQ(a, b) QUORATE_CHECK_OP(==, a, b)
#define CHECK_NE(a, b) QUORATE_CHECK_OP(!=, a, b)
#define CHECK_LT(a, b) QUORATE_CHECK_OP(<, a, b)
#define CHECK_LE(a, b) QUORATE_CHECK_OP(<=, a, b)
#define CHECK_GT(a, b) QUORATE_CHECK_OP(>, a, b)
#define CHECK_GE(a, b) QUORATE_CHECK_OP(>=, a, b)

#define UNREACHABLE(message) \
  ::quorate::check_internal::Fail(__FILE__, __LINE__, "unreachable", ::std::string(message))

#endif  // QUORATE_BASE_CHECK_H_
