// Runs the seeds FIRST..LAST, a line for each; exit status 1 if a rule was broken.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "world.h"

int main(int argc, char** argv) {
  uint64_t first = 1;
  uint64_t last = 20;
  if (argc > 3 || (argc > 1 && !absl::SimpleAtoi(argv[1], &first)) ||
      (argc > 2 && !absl::SimpleAtoi(argv[2], &last))) {
    std::fprintf(stderr, "usage: tickets-sim [FIRST [LAST]]\n");
    return 2;
  }
  bool clean = true;
  for (uint64_t seed = first; seed <= last; ++seed) {
    tickets::WorldOptions options;
    options.seed = seed;
    const tickets::Report report = tickets::RunWorld(options);
    std::printf("seed %llu: %llu tickets, %llu elections, %llu crashes, digest %016llx\n",
                static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(report.tickets),
                static_cast<unsigned long long>(report.elections),
                static_cast<unsigned long long>(report.crashes),
                static_cast<unsigned long long>(report.digest));
    for (const quorate::sim::Violation& violation : report.violations) {
      clean = false;
      std::printf("  %s: %s\n", std::string(quorate::sim::RuleName(violation.rule)).c_str(),
                  violation.text.c_str());
    }
  }
  return clean ? 0 : 1;
}
