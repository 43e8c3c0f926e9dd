// quorate-load: drives etcd's API with one kind of call and prints throughput, latency,
// errors by grpc-status, and what the generator itself cost.
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
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "bench/load/generator.h"
#include "io/uv/world.h"
#include "server/log/logger.h"
#include "server/tls/handshake_queue.h"
#include "server/tls/network.h"
#include "server/tls/source.h"

namespace quorate::load {
namespace {

const std::map<std::string, Operation> kOperations = {
    {"put", Operation::kPut},
    {"get", Operation::kGet},
    {"serializable-get", Operation::kSerializableGet},
    {"status", Operation::kStatus},
};

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
  std::string endpoints = "127.0.0.1:2379";
  std::string operation = "put";
  std::string duration = "10s";
  std::string warmup = "1s";
  bool tls = false;
  bool json = false;
};

void Describe(CLI::App* app, Flags* flags) {
  Options& o = flags->options;
  app->add_option("--endpoints", flags->endpoints, "host:port, several with commas");
  app->add_option("--op", flags->operation, "put, get, serializable-get or status")
      ->check(CLI::IsMember(kOperations));
  app->add_option("--clients", o.clients, "calls in flight")->check(CLI::Range(1, 1000000));
  app->add_option("--connections", o.connections, "connections they share")
      ->check(CLI::Range(1, 10000));
  app->add_option("--rate", o.rate, "calls a second (open loop); 0: each client waits");
  app->add_option("--duration", flags->duration, "of the measured part")->check(CheckDuration);
  app->add_option("--requests", o.requests, "measured calls, instead of --duration");
  app->add_option("--warmup", flags->warmup, "before it")->check(CheckDuration);
  app->add_option("--key-size", o.key_size, "bytes")->check(CLI::Range(1, 100000));
  app->add_option("--value-size", o.value_size, "bytes")->check(CLI::Range(0, 1500000));
  app->add_option("--keys", o.keys, "distinct keys")->check(CLI::PositiveNumber);
  app->add_option("--seed", o.seed, "of the order of keys");
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

nlohmann::ordered_json ToJson(const Flags& flags, const Report& report, double cpu_seconds) {
  const double seconds = static_cast<double>(report.measured.nanos()) * 1e-9;
  const Histogram& h = report.latency_us;
  nlohmann::ordered_json out;
  out["op"] = flags.operation;
  out["clients"] = flags.options.clients;
  out["connections"] = flags.options.connections;
  out["rate"] = flags.options.rate;
  out["tls"] = flags.tls;
  out["value_size"] = flags.options.value_size;
  out["seconds"] = seconds;
  out["operations"] = report.operations;
  out["total_operations"] = report.total_operations;
  out["ops_per_second"] = seconds > 0 ? static_cast<double>(report.operations) / seconds : 0;
  out["mean_us"] = h.mean();
  out["p50_us"] = h.Quantile(500);
  out["p90_us"] = h.Quantile(900);
  out["p99_us"] = h.Quantile(990);
  out["p999_us"] = h.Quantile(999);
  out["max_us"] = h.max();
  out["errors"] = nlohmann::ordered_json::object();
  for (const auto& [name, count] : report.errors) out["errors"][name] = count;
  out["late_max_us"] = report.late_max.micros();
  out["cpu_seconds"] = cpu_seconds;
  out["cpu_share"] = seconds > 0 ? cpu_seconds / seconds : 0;
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

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"Load generator for etcd's API."};
  Describe(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  Options& options = flags.options;
  options.operation = kOperations.at(flags.operation);
  options.endpoints = absl::StrSplit(flags.endpoints, ',', absl::SkipEmpty());
  options.duration = ToDuration(flags.duration);
  options.warmup = ToDuration(flags.warmup);
  options.connections = std::min(options.connections, options.clients);
  if (options.endpoints.empty()) {
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
  Generator generator(env, options);
  double cpu_began = 0;
  double cpu = 0;
  generator.set_on_measure(
      [&](bool begins) { begins ? cpu_began = CpuSeconds() : cpu = CpuSeconds() - cpu_began; });
  absl::Status result;
  generator.Run([&](absl::Status status) {
    result = std::move(status);
    world.Stop();
  });
  world.Run();
  if (!result.ok()) {
    std::fprintf(stderr, "quorate-load: %s\n", std::string(result.message()).c_str());
    return 1;
  }
  const nlohmann::ordered_json json = ToJson(flags, generator.report(), cpu);
  if (flags.json) {
    std::printf("%s\n", json.dump().c_str());
  } else {
    PrintText(json);
  }
  return 0;
}

}  // namespace
}  // namespace quorate::load

int main(int argc, char** argv) { return quorate::load::Main(argc, argv); }
