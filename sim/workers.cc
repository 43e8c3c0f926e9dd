#include "sim/workers.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/report.h"

namespace quorate::sim {
namespace {

constexpr int kTickMillis = 200;

// Where a child's crash hook writes; set in children only.
int crash_descriptor = -1;

void WriteAll(int descriptor, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// A failed assertion in a child: says so to the parent and ends, without a core file.
void ReportCrash(const char* text) {
  std::string line = absl::StrCat("!", text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  line.push_back('\n');
  WriteAll(crash_descriptor, line);
  _exit(70);
}

// The next line without its newline; nullopt when the other side is gone.
std::optional<std::string> ReadLine(int descriptor) {
  std::string line;
  for (;;) {
    char c = 0;
    const ssize_t n = read(descriptor, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    if (c == '\n') return line;
    line.push_back(c);
  }
}

SeedReport Failed(uint64_t seed, std::string text) {
  SeedReport report;
  report.seed = seed;
  report.options = "(see replay)";
  report.violations.push_back(Violation{Rule::kAssertion, VirtualTime(), std::move(text), {}});
  return report;
}

}  // namespace

Workers::Workers(WorkerOptions options, uint64_t first, uint64_t last)
    : options_(std::move(options)), next_(first), last_(last), children_(options_.jobs) {}

Workers::~Workers() {
  for (Child& child : children_) End(&child);
}

void Workers::RunChild(int orders, int reports) {
  crash_descriptor = reports;
  SetCrashHook(ReportCrash);
  while (const std::optional<std::string> order = ReadLine(orders)) {
    const SeedReport report = options_.run(std::strtoull(order->c_str(), nullptr, 10));
    WriteAll(reports, absl::StrCat(ToJson(report), "\n"));
  }
  _exit(0);
}

void Workers::Spawn(Child* child) {
  int orders[2];
  int reports[2];
  CHECK(pipe(orders) == 0);
  CHECK(pipe(reports) == 0);
  std::fflush(nullptr);  // or the child would write it again
  const pid_t parent = getpid();
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    // A seed that goes on for ever must not outlive a campaign that was killed.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    for (const Child& other : children_) {
      if (other.orders >= 0) close(other.orders);
      if (other.reports >= 0) close(other.reports);
    }
    close(orders[1]);
    close(reports[0]);
    RunChild(orders[0], reports[1]);
  }
  close(orders[0]);
  close(reports[1]);
  *child = Child();
  child->pid = pid;
  child->orders = orders[1];
  child->reports = reports[0];
}

void Workers::GiveNext(Child* child) {
  child->seed.reset();
  if (exhausted_ || stopped_) return End(child);
  child->seed = next_;
  if (last_ - next_ < options_.stride) {
    exhausted_ = true;
  } else {
    next_ += options_.stride;
  }
  child->since = options_.now();
  WriteAll(child->orders, absl::StrCat(*child->seed, "\n"));
}

void Workers::End(Child* child) {
  if (child->pid == 0) return;
  if (child->seed.has_value()) kill(child->pid, SIGKILL);
  close(child->orders);  // the child sees the end and leaves
  close(child->reports);
  while (waitpid(child->pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  *child = Child();
}

void Workers::TakeLine(Child* child, const std::string& line) {
  if (!line.empty() && line[0] == '!') {
    child->last_words = line.substr(1);
    return;
  }
  const uint64_t seed = *child->seed;
  const absl::StatusOr<SeedReport> report = SeedReportFromJson(line);
  if (!options_.on_report(report.ok() ? *report
                                      : Failed(seed, std::string(report.status().message())))) {
    stopped_ = true;
  }
  GiveNext(child);
}

void Workers::OnGone(Child* child) {
  int status = 0;
  while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::string text = child->last_words;
  if (text.empty()) {
    text = WIFSIGNALED(status)
               ? absl::StrCat("the process died of signal ", WTERMSIG(status), " (",
                              strsignal(WTERMSIG(status)), ")")
               : absl::StrCat("the process ended with status ", WEXITSTATUS(status));
  }
  const uint64_t seed = *child->seed;
  close(child->orders);
  close(child->reports);
  *child = Child();
  if (!options_.on_report(Failed(seed, std::move(text)))) stopped_ = true;
  if (exhausted_ || stopped_) return;
  Spawn(child);
  GiveNext(child);
}

void Workers::ReadFrom(Child* child) {
  char chunk[65536];
  const ssize_t n = read(child->reports, chunk, sizeof(chunk));
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) return OnGone(child);
  child->buffer.append(chunk, static_cast<size_t>(n));
  for (;;) {
    const size_t end = child->buffer.find('\n');
    if (end == std::string::npos) return;
    const std::string line = child->buffer.substr(0, end);
    child->buffer.erase(0, end + 1);
    TakeLine(child, line);
    if (child->pid == 0) return;
  }
}

bool Workers::Run() {
  signal(SIGPIPE, SIG_IGN);
  for (Child& child : children_) {
    if (exhausted_) break;
    Spawn(&child);
    GiveNext(&child);
  }
  for (;;) {
    std::vector<pollfd> polled;
    std::vector<Child*> who;
    for (Child& child : children_) {
      if (child.pid == 0) continue;
      polled.push_back(pollfd{child.reports, POLLIN, 0});
      who.push_back(&child);
    }
    if (polled.empty() || stopped_) break;
    poll(polled.data(), polled.size(), kTickMillis);
    for (size_t i = 0; i < polled.size() && !stopped_; ++i) {
      if (polled[i].revents != 0) {
        ReadFrom(who[i]);
      } else if (options_.now() - who[i]->since > options_.seed_timeout) {
        who[i]->last_words = absl::StrCat("the seed did not end within ",
                                          options_.seed_timeout.millis() / 1000, " s");
        kill(who[i]->pid, SIGKILL);
        who[i]->since = options_.now();
      }
    }
    if (!options_.on_tick()) stopped_ = true;
  }
  return exhausted_ && !stopped_;
}

}  // namespace quorate::sim
