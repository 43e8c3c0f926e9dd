// Short forms for passing absl::Status upwards.
//
//   RETURN_IF_ERROR(file->Validate());
//   ASSIGN_OR_RETURN(const Header header, ParseHeader(bytes));
#ifndef QUORATE_BASE_STATUS_H_
#define QUORATE_BASE_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define QUORATE_CONCAT_INNER(a, b) a##b
#define QUORATE_CONCAT(a, b) QUORATE_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                                     \
  do {                                                                  \
    ::absl::Status status_macro_ = (expression);                        \
    if (__builtin_expect(!status_macro_.ok(), 0)) return status_macro_; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expression) \
  QUORATE_ASSIGN_OR_RETURN(QUORATE_CONCAT(status_or_, __LINE__), lhs, expression)

#define QUORATE_ASSIGN_OR_RETURN(temporary, lhs, expression)           \
  auto temporary = (expression);                                       \
  if (__builtin_expect(!temporary.ok(), 0)) return temporary.status(); \
  lhs = std::move(temporary).value()

#endif  // QUORATE_BASE_STATUS_H_
