#include "sim/study/trials.h"

#include <poll.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::sim::study {
namespace {

constexpr uint64_t kMostTrials = 100'000'000;
constexpr int kTickMillis = 200;
// Trials between two reports of progress in a single process.
constexpr uint64_t kTrialsPerReport = 64;

// One trial to run, and where its row belongs.
struct Order {
  uint32_t of_case;
  uint64_t slot;
};

uint64_t TrialsOf(const Case& of, const TrialOptions& options) {
  return of.trials != 0 ? of.trials : options.trials;
}

// Slots of this shard: trials shard-1, shard-1+shards, ...
uint64_t SlotsOf(const Case& of, const TrialOptions& options) {
  const uint64_t trials = TrialsOf(of, options);
  if (trials < options.shard) return 0;
  return (trials - options.shard) / options.shards + 1;
}

Trial RunOne(const Plan& plan, const TrialOptions& options, const Order& order) {
  const uint64_t seed = options.seed + (options.shard - 1) + order.slot * options.shards;
  return Trial{seed, plan.cases[order.of_case].run(seed, nullptr)};
}

std::vector<Order> Orders(const Plan& plan, const TrialOptions& options) {
  std::vector<Order> orders;
  for (uint32_t c = 0; c < plan.cases.size(); ++c) {
    const uint64_t slots = SlotsOf(plan.cases[c], options);
    for (uint64_t slot = 0; slot < slots; ++slot) orders.push_back({c, slot});
  }
  return orders;
}

// A child runs every jobs-th order and writes the trials down the pipe, in that order.
struct Child {
  pid_t pid = 0;
  int descriptor = -1;
  size_t next = 0;  // the order that its next trial is of
  std::string buffer;
};

[[noreturn]] void RunChild(const Plan& plan, const TrialOptions& options,
                           const std::vector<Order>& orders, size_t first, int descriptor) {
  for (size_t at = first; at < orders.size(); at += options.jobs) {
    const Trial trial = RunOne(plan, options, orders[at]);
    const char* data = reinterpret_cast<const char*>(&trial);
    size_t left = sizeof(trial);
    while (left > 0) {
      const ssize_t n = write(descriptor, data, left);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) _exit(1);  // nobody listens any more
      data += n;
      left -= static_cast<size_t>(n);
    }
  }
  _exit(0);
}

class Processes {
 public:
  Processes(const Plan& plan, const TrialOptions& options, const std::vector<Order>& orders,
            Results* results)
      : plan_(plan), options_(options), orders_(orders), results_(*results) {}
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;
  ~Processes() {
    for (Child& child : children_) End(&child);
  }

  absl::Status Run() {
    for (size_t i = 0; i < std::min<size_t>(options_.jobs, orders_.size()); ++i) Spawn(i);
    while (open_ > 0) {
      std::vector<pollfd> polled;
      std::vector<Child*> who;
      for (Child& child : children_) {
        if (child.descriptor < 0) continue;
        polled.push_back(pollfd{child.descriptor, POLLIN, 0});
        who.push_back(&child);
      }
      poll(polled.data(), polled.size(), kTickMillis);
      for (size_t i = 0; i < polled.size(); ++i) {
        if (polled[i].revents != 0) RETURN_IF_ERROR(ReadFrom(who[i]));
      }
      if (options_.on_progress) options_.on_progress(done_, orders_.size());
    }
    return absl::OkStatus();
  }

 private:
  void Spawn(size_t first) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    std::fflush(nullptr);  // or the child would write it again
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      close(ends[0]);
      for (const Child& other : children_) close(other.descriptor);
      RunChild(plan_, options_, orders_, first, ends[1]);
    }
    close(ends[1]);
    children_.push_back(Child{pid, ends[0], first, {}});
    ++open_;
  }

  absl::Status ReadFrom(Child* child) {
    char chunk[65536];
    const ssize_t n = read(child->descriptor, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) return absl::OkStatus();
    if (n <= 0) return OnEnd(child);
    child->buffer.append(chunk, static_cast<size_t>(n));
    size_t at = 0;
    for (; child->buffer.size() - at >= sizeof(Trial); at += sizeof(Trial)) {
      const Order& order = orders_[child->next];
      std::memcpy(&results_[order.of_case][order.slot], child->buffer.data() + at, sizeof(Trial));
      child->next += options_.jobs;
      ++done_;
    }
    child->buffer.erase(0, at);
    return absl::OkStatus();
  }

  absl::Status OnEnd(Child* child) {
    const size_t next = child->next;
    End(child);
    if (next >= orders_.size()) return absl::OkStatus();
    const Order& order = orders_[next];
    const uint64_t seed = options_.seed + (options_.shard - 1) + order.slot * options_.shards;
    return absl::InternalError(absl::StrCat("a process ended in this trial: ",
                                            ReplayCommand(plan_.cases[order.of_case], seed)));
  }

  // Closing its pipe ends a child that still runs.
  void End(Child* child) {
    if (child->descriptor < 0) return;
    close(child->descriptor);
    child->descriptor = -1;
    --open_;
    while (waitpid(child->pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  const Plan& plan_;
  const TrialOptions& options_;
  const std::vector<Order>& orders_;
  Results& results_;
  std::vector<Child> children_;
  size_t open_ = 0;
  uint64_t done_ = 0;
};

}  // namespace

std::string ReplayCommand(const Case& of, uint64_t seed) {
  return absl::StrCat(of.command, " --replay ", seed);
}

absl::StatusOr<uint64_t> CountTrials(const Plan& plan, const TrialOptions& options) {
  uint64_t total = 0;
  for (const Case& of : plan.cases) {
    const uint64_t trials = TrialsOf(of, options);
    if (trials > kMostTrials) {
      return absl::OutOfRangeError(
          absl::StrCat("--trials ", trials, ": at most ", kMostTrials, " in all"));
    }
    if (options.seed > std::numeric_limits<uint64_t>::max() - trials) {
      return absl::OutOfRangeError(
          absl::StrCat("--seed ", options.seed, ": no room for ", trials, " seeds after it"));
    }
    total += SlotsOf(of, options);
  }
  if (total > kMostTrials) {
    return absl::OutOfRangeError(
        absl::StrCat(total, " trials: at most ", kMostTrials, " in one process; use --shard I/N"));
  }
  return total;
}

absl::StatusOr<Results> RunTrials(const Plan& plan, const TrialOptions& options) {
  RETURN_IF_ERROR(CountTrials(plan, options).status());
  CHECK(options.shards >= 1 && options.shard >= 1 && options.shard <= options.shards);
  Results results;
  for (const Case& of : plan.cases) results.emplace_back(SlotsOf(of, options));
  const std::vector<Order> orders = Orders(plan, options);
  if (options.jobs > 1) {
    RETURN_IF_ERROR(Processes(plan, options, orders, &results).Run());
    return results;
  }
  for (size_t i = 0; i < orders.size(); ++i) {
    results[orders[i].of_case][orders[i].slot] = RunOne(plan, options, orders[i]);
    if (options.on_progress && i % kTrialsPerReport == 0) options.on_progress(i, orders.size());
  }
  return results;
}

}  // namespace quorate::sim::study
