#include "io/uv/allocator.h"

#include <cstdlib>  // names the C library

#include "base/limits.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace quorate::io::uv {

#ifdef __GLIBC__
namespace {

// A segment of the store (engine/mvcc/revision_log.h) is a little below 256 KiB.
constexpr int kMapFrom = 224 * static_cast<int>(limits::kKiB);
constexpr int kNeverTrim = -1;

}  // namespace

// An allocator that has no such settings (a sanitizer's) has no need of them.
void KeepAllocationsShort() {
  mallopt(M_MXFAST, 0);
  mallopt(M_MMAP_THRESHOLD, kMapFrom);
  mallopt(M_TRIM_THRESHOLD, kNeverTrim);
}
#else
void KeepAllocationsShort() {}
#endif

}  // namespace quorate::io::uv
