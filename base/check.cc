#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace quorate {
namespace {

// The one process-wide variable: it decides nothing but what is printed while dying.
CrashHook crash_hook = nullptr;

}  // namespace

void SetCrashHook(CrashHook hook) { crash_hook = hook; }

namespace check_internal {

void Fail(const char* file, int line, const char* condition, const std::string& detail) {
  std::string text = "CHECK failed at ";
  text += file;
  text += ':';
  text += std::to_string(line);
  text += ": ";
  text += condition;
  if (!detail.empty()) text += " (" + detail + ")";
  text += '\n';
  std::fputs(text.c_str(), stderr);
  if (crash_hook != nullptr) {
    CrashHook hook = crash_hook;
    crash_hook = nullptr;  // a CHECK inside the hook must not recurse
    hook(text.c_str());
  }
  std::abort();
}

}  // namespace check_internal
}  // namespace quorate
