// Text inside XML and HTML.
#ifndef QUORATE_SIM_MARKUP_H_
#define QUORATE_SIM_MARKUP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace quorate::sim {

// The text as the contents of an element or of a quoted attribute. Control characters other than
// the end of a line, which XML has no place for, become question marks.
std::string Escaped(absl::string_view text);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_MARKUP_H_
