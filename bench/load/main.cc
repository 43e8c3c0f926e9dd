// quorate-load: drives etcd's API with one kind of call, a mixture, or watchers, and prints
// throughput, latency, errors by grpc-status, and what the generator itself cost.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "bench/load/generator.h"
#include "bench/load/watch_load.h"
#include "io/uv/world.h"
#include "server/log/logger.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/network.h"
#include "server/tls/source.h"

namespace quorate::load {
namespace {

// Of --op, which is no operation of a Generator.
constexpr absl::string_view kWatch = "watch";

std::string CheckOperation(const std::string& text) {  // CLI11's shape of a validator
  std::string all;
  for (const OperationName& known : OperationNames()) {
    if (known.name == text) return "";
    absl::StrAppend(&all, known.name, ", ");
  }
  if (text == kWatch) return "";
  return absl::StrCat("\"", text, "\" is none of: ", all, kWatch);
}

Operation OperationOf(const std::string& name) {
  for (const OperationName& known : OperationNames()) {
    if (known.name == name) return known.operation;
  }
  return Operation::kPut;  // checked before
}

// CPU time of this process so far, user and system.
double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string CheckDuration(const std::string& text) {  // CLI11's shape of a validator
  absl::Duration parsed;
  if (absl::ParseDuration(text, &parsed) && parsed >= absl::ZeroDuration()) return "";
  return absl::StrCat("\"", text, "\" is no duration like 10s or 500ms");
}

Duration ToDuration(const std::string& text) {
  absl::Duration parsed;
  absl::ParseDuration(text, &parsed);
  return Nanoseconds(absl::ToInt64Nanoseconds(parsed));
}

struct Flags {
  Options options;
  WatchOptions watch;
  std::string endpoints = "127.0.0.1:2379";
  std::string operation = "put";
  std::string duration = "10s";
  std::string warmup = "1s";
  bool tls = false;
  bool json = false;
};

void Describe(CLI::App* app, Flags* flags) {
  Options& o = flags->options;
  RequestOptions& r = o.requests_of;
  WatchOptions& w = flags->watch;
  app->add_option("--endpoints", flags->endpoints, "host:port, several with commas");
  app->add_option("--op", flags->operation, "what to do; see the error of a wrong one")
      ->check(CheckOperation);
  app->add_option("--clients", o.clients, "calls in flight; of a watch: writers")
      ->check(CLI::Range(1, 1000000));
  app->add_option("--connections", o.connections, "connections they share")
      ->check(CLI::Range(1, 10000));
  app->add_option("--rate", o.rate, "calls a second (open loop); 0: each client waits");
  app->add_option("--duration", flags->duration, "of the measured part")->check(CheckDuration);
  app->add_option("--requests", o.requests, "measured calls, instead of --duration");
  app->add_option("--warmup", flags->warmup, "before it")->check(CheckDuration);
  app->add_option("--key-size", r.key_size, "digits")->check(CLI::Range(1, 100000));
  app->add_option("--value-size", r.value_size, "bytes")->check(CLI::Range(0, 1500000));
  app->add_option("--keys", r.keys, "distinct keys")->check(CLI::PositiveNumber);
  app->add_option("--seed", o.seed, "of the order of keys");
  app->add_flag("--fill", r.fill, "first put all keys once, as what reads them does");
  app->add_flag("--shuffled", r.shuffled, "not in the order of the keys");
  app->add_flag("--prepared", r.prepared, "keys and leases are there from an earlier run");
  app->add_option("--range-size", r.range_size, "keys of a range or page")
      ->check(CLI::PositiveNumber);
  app->add_option("--leases", r.leases, "that are kept alive")->check(CLI::Range(1, 100000000));
  app->add_option("--watchers", w.watchers, "of --op watch")->check(CLI::PositiveNumber);
  app->add_option("--streams", w.streams, "that they share")->check(CLI::PositiveNumber);
  app->add_flag("--tls", flags->tls, "over TLS; whatever certificate the server shows is taken");
  app->add_flag("--json", flags->json, "one line of JSON");
}

// A network whose connections are encrypted, as those of a client that does not ask whom it
// talks to.
struct Encryption {
  explicit Encryption(const io::Env& env)
      : log(env.log, env.loop),
        queue(env.compute, 2),
        source(env, &log, tls::Role::kPeerClient, {.auto_tls = true}, {"h2"}),
        network(env.loop, env.network, &source, &queue) {}

  log::Logger log;
  tls::HandshakeQueue queue;
  tls::Source source;
  tls::Network network;
};

double SecondsOf(Duration span) { return static_cast<double>(span.nanos()) * 1e-9; }

double PerSecond(uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

// What both kinds of load have.
void AddCommon(const Histogram& h, const std::map<std::string, uint64_t>& errors, double seconds,
               double cpu_seconds, nlohmann::ordered_json* out) {
  (*out)["mean_us"] = h.mean();
  (*out)["p50_us"] = h.Quantile(500);
  (*out)["p90_us"] = h.Quantile(900);
  (*out)["p99_us"] = h.Quantile(990);
  (*out)["p999_us"] = h.Quantile(999);
  (*out)["max_us"] = h.max();
  (*out)["errors"] = nlohmann::ordered_json::object();
  for (const auto& [name, count] : errors) (*out)["errors"][name] = count;
  (*out)["cpu_seconds"] = cpu_seconds;
  (*out)["cpu_share"] = seconds > 0 ? cpu_seconds / seconds : 0;
}

nlohmann::ordered_json ToJson(const Flags& flags, const Report& report, double cpu_seconds) {
  const double seconds = SecondsOf(report.measured);
  nlohmann::ordered_json out;
  out["op"] = flags.operation;
  out["clients"] = flags.options.clients;
  out["connections"] = flags.options.connections;
  out["rate"] = flags.options.rate;
  out["tls"] = flags.tls;
  out["value_size"] = flags.options.requests_of.value_size;
  out["seconds"] = seconds;
  out["operations"] = report.operations;
  out["total_operations"] = report.total_operations;
  out["ops_per_second"] = PerSecond(report.operations, seconds);
  out["prepared"] = report.prepared;
  out["prepared_per_second"] = PerSecond(report.prepared, SecondsOf(report.prepared_in));
  out["late_max_us"] = report.late_max.micros();
  AddCommon(report.latency_us, report.errors, seconds, cpu_seconds, &out);
  return out;
}

// An operation is an event that a watcher got.
nlohmann::ordered_json ToJson(const Flags& flags, const WatchReport& report, double cpu_seconds) {
  const double seconds = SecondsOf(report.measured);
  nlohmann::ordered_json out;
  out["op"] = kWatch;
  out["clients"] = flags.watch.writers;
  out["connections"] = flags.watch.connections;
  out["watchers"] = flags.watch.watchers;
  out["keys"] = flags.watch.keys;
  out["tls"] = flags.tls;
  out["value_size"] = flags.watch.value_size;
  out["seconds"] = seconds;
  out["puts"] = report.puts;
  out["operations"] = report.events;
  out["total_operations"] = report.events;
  out["ops_per_second"] = PerSecond(report.events, seconds);
  out["responses"] = report.responses;
  out["bytes"] = report.bytes;
  AddCommon(report.latency_us, report.errors, seconds, cpu_seconds, &out);
  return out;
}

void PrintText(const nlohmann::ordered_json& r) {
  std::printf("%s: %u clients on %u connections, %.2f s\n", r["op"].get<std::string>().c_str(),
              r["clients"].get<unsigned>(), r["connections"].get<unsigned>(),
              r["seconds"].get<double>());
  std::printf("throughput  %.0f/s (%llu calls)\n", r["ops_per_second"].get<double>(),
              r["operations"].get<unsigned long long>());
  std::printf("latency us  mean %.0f, p50 %llu, p90 %llu, p99 %llu, p99.9 %llu, max %llu\n",
              r["mean_us"].get<double>(), r["p50_us"].get<unsigned long long>(),
              r["p90_us"].get<unsigned long long>(), r["p99_us"].get<unsigned long long>(),
              r["p999_us"].get<unsigned long long>(), r["max_us"].get<unsigned long long>());
  std::printf("errors      %s\n", r["errors"].empty() ? "none" : r["errors"].dump().c_str());
  std::printf("generator   %.2f CPU s, %.0f%% of a core\n", r["cpu_seconds"].get<double>(),
              r["cpu_share"].get<double>() * 100);
}

// Runs a load to its end; its report as JSON, or why nothing was measured.
template <typename Load, typename LoadOptions>
absl::StatusOr<nlohmann::ordered_json> Measure(io::uv::World* world, const io::Env& env,
                                               const Flags& flags, const LoadOptions& options) {
  Load load(env, options);
  double cpu_began = 0;
  double cpu = 0;
  load.set_on_measure(
      [&](bool begins) { begins ? cpu_began = CpuSeconds() : cpu = CpuSeconds() - cpu_began; });
  absl::Status result;
  load.Run([&](absl::Status status) {
    result = std::move(status);
    world->Stop();
  });
  world->Run();
  if (!result.ok()) return result;
  return ToJson(flags, load.report(), cpu);
}

// The options that both kinds of load share.
void Complete(Flags* flags) {
  Options& options = flags->options;
  WatchOptions& watch = flags->watch;
  const RequestOptions& requests = options.requests_of;
  options.requests_of.operation = OperationOf(flags->operation);
  options.endpoints = absl::StrSplit(flags->endpoints, ',', absl::SkipEmpty());
  options.duration = ToDuration(flags->duration);
  options.warmup = ToDuration(flags->warmup);
  watch.endpoints = options.endpoints;
  watch.duration = options.duration;
  watch.connections = options.connections;
  watch.writers = options.clients;
  watch.keys = requests.keys;
  watch.key_size = requests.key_size;
  watch.value_size = requests.value_size;
  options.connections = std::min(options.connections, options.clients);
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"Load generator for etcd's API."};
  Describe(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  Complete(&flags);
  if (flags.options.endpoints.empty()) {
    std::fprintf(stderr, "quorate-load: --endpoints names no endpoint\n");
    return 2;
  }

  io::uv::World world;
  io::Env env = world.env();
  std::unique_ptr<Encryption> encryption;
  if (flags.tls) {
    encryption = std::make_unique<Encryption>(env);
    env.network = &encryption->network;
  }
  const absl::StatusOr<nlohmann::ordered_json> measured =
      flags.operation == kWatch ? Measure<WatchLoad>(&world, env, flags, flags.watch)
                                : Measure<Generator>(&world, env, flags, flags.options);
  if (!measured.ok()) {
    std::fprintf(stderr, "quorate-load: %s\n", std::string(measured.status().message()).c_str());
    return 1;
  }
  if (flags.json) {
    std::printf("%s\n", measured->dump().c_str());
  } else {
    PrintText(*measured);
  }
  return 0;
}

}  // namespace
}  // namespace quorate::load

int main(int argc, char** argv) { return quorate::load::Main(argc, argv); }
