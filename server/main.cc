// The server binary: flags, the real world, signals, exit status.
//
// Exit status: 0 help or version, or a member that was removed from its cluster; 1 settings that
// do not fit, or a server that cannot start or go on; 2 an unknown flag or a malformed value.
// After SIGTERM or SIGINT the server stops in order and the signal is raised again, as etcd does
// (143, 130); as process 1, which its own signals do not end, it exits with 0. SIGUSR1 switches
// the log to debug and back.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "google/protobuf/stubs/logging.h"
#include "io/uv/allocator.h"
#include "io/uv/linked_directory.h"
#include "io/uv/resolver.h"
#include "io/uv/world.h"
#include "server/config/discovery.h"
#include "server/config/flags.h"
#include "server/config/log_rotation.h"
#include "server/server.h"

namespace quorate {
namespace {

// Open entries of /proc/self/fd; 0 if it cannot be read.
uint64_t CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  uint64_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count < 3 ? 0 : count - 3;  // ".", ".." and the directory itself
}

// Two lines of headings, then "  eth0: " and numbers: the first is of bytes received, the ninth of
// bytes sent.
void ReadNetworkStats(metrics::ProcessStats* stats) {
  std::ifstream devices("/proc/self/net/dev");
  std::string line;
  for (int i = 0; std::getline(devices, line); ++i) {
    const size_t colon = line.find(':');
    if (i < 2 || colon == std::string::npos) continue;
    std::istringstream numbers(line.substr(colon + 1));
    uint64_t number = 0;
    for (int column = 0; numbers >> number && column < 9; ++column) {
      if (column == 0) stats->network_received_bytes += number;
      if (column == 8) stats->network_sent_bytes += number;
    }
  }
}

metrics::ProcessStats ReadProcessStats(double start_time_seconds) {
  metrics::ProcessStats stats;
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.cpu_seconds = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                        static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  }
  std::ifstream statm("/proc/self/statm");
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  if (statm >> total_pages >> resident_pages) {
    const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    stats.virtual_bytes = total_pages * page;
    stats.resident_bytes = resident_pages * page;
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_open_files = limit.rlim_cur;
  stats.open_files = CountOpenFiles();
  if (getrlimit(RLIMIT_AS, &limit) == 0) stats.max_virtual_bytes = limit.rlim_cur;
  ReadNetworkStats(&stats);
  stats.start_time_seconds = start_time_seconds;
  return stats;
}

// A server has many connections: take all the descriptors that we may have, and share them
// out. Without descriptors for its log and its peers a member could not go on, so clients
// leave 150 of them (as etcd does) or half, and an eighth is for members that call.
void ShareOutDescriptors(config::Config* config) {
  constexpr uint64_t kReserved = 150;
  constexpr uint64_t kMost = 1'000'000;  // of an unlimited supply
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t all = std::min<uint64_t>(limit.rlim_cur, kMost);
  const uint64_t for_peers = std::min<uint64_t>(config->max_peer_connections, all / 8);
  const uint64_t ours = std::min(kReserved, all / 2);
  config->max_peer_connections = for_peers;
  config->max_client_connections =
      std::min<uint64_t>(config->max_client_connections, all - ours - for_peers);
}

// Tells systemd, if it started us, how far we are (sd_notify(3)): one datagram to the socket
// that the environment names. A name that begins with '@' is an abstract one.
void NotifySystemd(absl::string_view state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  if (path == nullptr || *path == '\0' || std::strlen(path) >= sizeof(address.sun_path)) return;
  const int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  // Nobody is there to hear of a failure.
  (void)!sendto(socket_fd, state.data(), state.size(), MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&address), size);
  close(socket_fd);
}

// --discovery-srv: a member without data learns from DNS who founds the cluster. One that did not
// get as far as having an identity has none: it would be alone else, and found a cluster of its
// own.
absl::Status Discover(config::Config* config) {
  const std::string identity = config->DataDir() + "/member/meta";
  if (config->discovery_srv.empty() || access(identity.c_str(), F_OK) == 0) {
    return absl::OkStatus();
  }
  config::Resolver resolver;
  resolver.srv = [](const std::string& name) { return io::uv::LookUpSrv(name); };
  resolver.same_place = [](const std::string& a, const std::string& b) {
    const auto first = io::uv::LookUpAddresses(a);
    const auto second = io::uv::LookUpAddresses(b);
    return first.ok() && second.ok() && *first == *second;
  };
  absl::StatusOr<std::vector<config::InitialMember>> members =
      config::MembersFromDns(*config, resolver);
  if (members.ok()) config->initial_cluster = *std::move(members);
  return members.status();
}

// A path, or a file's URL as of RFC 8089.
absl::StatusOr<std::string> PathOfLog(absl::string_view output) {
  absl::string_view rest = output;
  if (!absl::ConsumePrefix(&rest, "file://")) return std::string(output);
  absl::ConsumePrefix(&rest, "localhost");
  if (absl::StartsWith(rest, "/")) return std::string(rest);
  return absl::FailedPreconditionError(
      absl::StrCat("--log-outputs: \"", output, "\" is a file of another host"));
}

// The descriptors of --log-outputs, which stay open as long as the process lives.
struct Logs {
  std::vector<int> fds;
  std::optional<io::uv::RotatedLog> rotated;
};

absl::StatusOr<Logs> OpenLogs(const config::Config& config) {
  Logs logs;
  ASSIGN_OR_RETURN(const std::optional<io::LogRotation> rotation, config.ParsedLogRotation());
  // As in etcd: with rotation a new file is its owner's alone.
  const mode_t mode = rotation.has_value() ? 0600 : 0666;
  for (const std::string& output : config.log_outputs) {
    if (config::IsStandardOutput(output)) {
      const int fd = output == "stdout" ? STDOUT_FILENO : STDERR_FILENO;
      if (std::find(logs.fds.begin(), logs.fds.end(), fd) == logs.fds.end()) {
        logs.fds.push_back(fd);
      }
      continue;
    }
    ASSIGN_OR_RETURN(const std::string path, PathOfLog(output));
    // As in etcd, too. A failure shows in the next line.
    std::error_code error;
    if (rotation.has_value()) {
      std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    }
    const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode);
    if (fd < 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("--log-outputs: open sink \"", output, "\": ", std::strerror(errno)));
    }
    if (rotation.has_value()) {
      logs.rotated = io::uv::RotatedLog{fd, path, *rotation};
    } else {
      logs.fds.push_back(fd);
    }
  }
  return logs;
}

// Pages that are in memory stay there, and so do others from their first use on.
absl::Status LockMemory() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("--memory-mlock: the memory cannot be locked: ", std::strerror(errno)));
}

// --wal-dir: the log's directory is a link to one in there, so that a later start, and whoever
// looks at the data directory, finds the log without the flag.
absl::Status PlaceLog(config::Config* config) {
  const std::string member = config->DataDir() + "/member";
  const std::string log = member + "/log";
  // Recovery refuses a directory of etcd's: it is left without a trace.
  const bool is_etcds = access((member + "/snap").c_str(), F_OK) == 0;
  if (!config->wal_dir.empty() && !is_etcds) {
    const absl::Status linked = io::uv::LinkDirectory(log, config->wal_dir + "/log");
    if (!linked.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "--wal-dir: ", linked.message(),
          ". To move a log, stop the server, move that directory, and start with the flag"));
    }
  }
  ASSIGN_OR_RETURN(const std::string elsewhere, io::uv::LinkedDirectory(log));
  config->wal_dir = elsewhere.empty() ? "" : log;
  return absl::OkStatus();
}

// Runs until the server has stopped or failed; the signal that asked for it, or 0.
int Serve(const config::Config& config, Logs logs, bool* failed) {
  int received = 0;
  const auto start_time = static_cast<double>(std::time(nullptr));
  io::uv::WorldOptions world_options;
  world_options.log_fds = std::move(logs.fds);
  world_options.rotated_log = std::move(logs.rotated);
  world_options.reuse_port = config.socket_reuse_port;
  io::uv::World world(world_options);
  server::Options options;
  options.on_failure = [&](const absl::Status&) {  // logged already
    *failed = true;
    world.Stop();
  };
  options.on_ready = [] { NotifySystemd("READY=1\n"); };
  options.on_removed = [&] { world.Stop(); };
  options.stopwatch = [] {
    timespec time = {};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Instant::FromNanos(int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec);
  };
  options.process_stats = [start_time] { return ReadProcessStats(start_time); };
  {
    server::Server server(world.env(), config, std::move(options));
    const auto stop = [&](int signal_number) {
      if (received != 0) world.Stop();  // asked twice: at once
      NotifySystemd("STOPPING=1\n");
      if (received == 0 && !*failed) server.Stop([&] { world.Stop(); });
      received = signal_number;
    };
    world.OnSignal(SIGTERM, [&] { stop(SIGTERM); });
    world.OnSignal(SIGINT, [&] { stop(SIGINT); });
    world.OnSignal(SIGUSR1, [&] { server.ToggleDebugLog(); });
    server.Start();
    world.Run();
  }
  return received;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  constexpr size_t kMost = 1024 * 1024;
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::FailedPreconditionError(absl::StrCat("open ", path, ": cannot be read"));
  std::string text(kMost + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMost) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is larger than ", kMost, " bytes"));
  }
  return text;
}

// What the user asked for besides serving; false if that is nothing.
bool Show(const config::CommandLine& line) {
  using Action = config::CommandLine::Action;
  switch (line.action) {
    case Action::kServe:
      return false;
    case Action::kShowHelp:
      std::fputs(config::HelpText().c_str(), stdout);
      return true;
    case Action::kShowVersion:
      std::fputs(config::VersionText().c_str(), stdout);
      return true;
    case Action::kShowFlagsPage:
      std::fputs(config::FlagsPage().c_str(), stdout);
      return true;
    case Action::kPrintConfig:
      std::fputs(config::ConfigText(line).c_str(), stdout);
      return true;
    case Action::kCheckConfig:
      for (const std::string& notice : line.config.notices) {
        std::fprintf(stdout, "warning: %s\n", notice.c_str());
      }
      std::fputs("the configuration is valid\n", stdout);
      return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  // Malformed requests are answered; the library's own lines about them would only break
  // up our log.
  google::protobuf::SetLogHandler(nullptr);
  const std::vector<absl::string_view> arguments(argv + 1, argv + argc);
  std::vector<absl::string_view> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const absl::StatusOr<config::CommandLine> line =
      config::ParseCommandLine(arguments, environment, ReadFile);
  if (!line.ok()) {
    const bool bad_flag = absl::IsInvalidArgument(line.status());
    std::fprintf(stderr, "quorate: %s\n", std::string(line.status().message()).c_str());
    if (bad_flag) std::fprintf(stderr, "Run 'quorate --help' for the flags.\n");
    return bad_flag ? config::kExitBadFlag : config::kExitBadSetting;
  }
  if (Show(*line)) return 0;
  config::Config config = line->config;
  absl::Status prepared = config.memory_mlock ? LockMemory() : absl::OkStatus();
  if (prepared.ok()) prepared = Discover(&config);
  if (prepared.ok()) prepared = PlaceLog(&config);
  if (!prepared.ok()) {
    std::fprintf(stderr, "quorate: %s\n", std::string(prepared.message()).c_str());
    return config::kExitBadSetting;
  }
  absl::StatusOr<Logs> logs = OpenLogs(config);
  if (!logs.ok()) {
    std::fprintf(stderr, "quorate: %s\n", std::string(logs.status().message()).c_str());
    return config::kExitBadSetting;
  }
  ShareOutDescriptors(&config);
  bool failed = false;
  const int signal_number = Serve(config, *std::move(logs), &failed);
  if (failed) return 1;
  if (signal_number != 0 && getpid() != 1) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
  }
  return 0;
}

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) {
  quorate::io::uv::KeepAllocationsShort();
  return quorate::Main(argc, argv);
}
