// differential-client: compares two running servers, request by request. Usually started
// by tests/clients/differential.py, which starts the servers.
//
// Exit status: 0 no difference; 1 a difference, or a type of request that is missing or
// succeeds too rarely; 2 flags that do not fit.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "tests/clients/comparison/runner.h"

namespace quorate::differential {
namespace {

int Main(int argc, char** argv) {
  RunOptions options;
  std::string types = "all";
  std::string release = "3.7";
  bool refusals = false;
  CLI::App app{"Compares two running servers, request by request."};
  app.add_option("--reference", options.reference, "host:port of the real etcd")->required();
  app.add_option("--subject", options.subject, "host:port of the server under test")->required();
  app.add_option("--release", release, "of the reference: 3.4, 3.6 or 3.7");
  app.add_option("--types", types, "types of request, or kv, watch, lease, auth, all");
  app.add_option("--seed", options.seed, "of the requests");
  app.add_option("--requests", options.requests, "how many");
  app.add_option("--hash-every", options.hash_every, "requests between two HashKVs")
      ->check(CLI::PositiveNumber);
  app.add_flag("--verbose", options.verbose, "print every request");
  app.add_flag("--refusals", refusals, "also count refusals by their texts");
  CLI11_PARSE(app, argc, argv);
  const absl::StatusOr<std::set<Type>> wanted = ParseTypes(types);
  const std::optional<Release> known = Release::Of(release);
  if (!wanted.ok() || wanted->empty() || !known.has_value()) {
    std::fprintf(stderr, "differential: %s\n",
                 wanted.ok() ? ("release " + release + " is not known, or no types given").c_str()
                             : std::string(wanted.status().message()).c_str());
    return 2;
  }
  options.types = *wanted;
  options.release = *known;
  if (known->has_early_auth) options.types.erase(Type::kAuthStatus);
  if (known->has_no_range_stream) options.types.erase(Type::kRangeStream);
  Runner runner(options);
  const absl::Status status = runner.Run();
  std::fputs(runner.report().Text(refusals).c_str(), stdout);
  if (!status.ok()) {
    std::printf("DIFFERENCE (seed %llu): %s\n", static_cast<unsigned long long>(options.seed),
                std::string(status.message()).c_str());
    return 1;
  }
  const std::string shortcomings = runner.report().Shortcomings(options.types);
  if (!shortcomings.empty()) std::printf("TOO THIN:\n%s", shortcomings.c_str());
  return shortcomings.empty() ? 0 : 1;
}

}  // namespace
}  // namespace quorate::differential

int main(int argc, char** argv) { return quorate::differential::Main(argc, argv); }
