// How the process's allocator behaves, so that no single allocation or release takes long.
//
// The C library's defaults put work off and then do all of it at once: small blocks that were freed
// are joined when a large one is asked for (some 10 ms for a lease with a million keys), and the
// upper end of the heap is given back to the system in one go (30 ms behind a reply of 300 MB).
#ifndef QUORATE_IO_UV_ALLOCATOR_H_
#define QUORATE_IO_UV_ALLOCATOR_H_

namespace quorate::io::uv {

// To be called first thing in main. Blocks of the size of the store's segments come straight from
// the system and go back there as they are freed; small ones are joined as they are freed, and
// their heap is kept for others: when its end becomes free, all that is free before it would be
// given back in one step, however much that is. Does nothing with another C library than glibc.
// What the environment says in GLIBC_TUNABLES of the same three settings is overruled.
void KeepAllocationsShort();

}  // namespace quorate::io::uv

#endif  // QUORATE_IO_UV_ALLOCATOR_H_
