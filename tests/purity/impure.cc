// Everything that the engine must not do, for the test of the purity test.
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>

namespace quorate {

long ReadsTheClock() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
unsigned DrawsRandomness() { return std::random_device()(); }
const char* ReadsTheEnvironment() { return std::getenv("HOME"); }
void TakesALock(std::mutex* mutex) { mutex->lock(); }

}  // namespace quorate
