#include "world.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/prng.h"
#include "member.h"
#include "sim/env.h"
#include "sim/network.h"
#include "sim/oracle/raft.h"

namespace tickets {
namespace {

using quorate::Duration;
using quorate::LogIndex;
using quorate::MemberId;
using quorate::Milliseconds;
using quorate::Nanoseconds;
using quorate::Prng;
using quorate::Seconds;
namespace raft = quorate::raft;
namespace sim = quorate::sim;

constexpr sim::DatagramType kWishType = 40;
constexpr sim::DatagramType kTicketType = 41;
constexpr size_t kSmallMessageBytes = 64;
constexpr sim::TraceKind kTicket("ticket", "customer", "number");

constexpr Duration kPatience = Milliseconds(500);
constexpr Duration kBetweenWishes = Milliseconds(20);
constexpr Duration kBetweenFaults = Milliseconds(700);
constexpr Duration kFaultTime = Milliseconds(400);
// For an election, the customers' time-outs and reading the disks.
constexpr Duration kRecoveryTime = Seconds(10);

// What customers may rely on: no ticket is given twice, a wish gets one ticket however often it
// is repeated, and who comes later gets a higher number (linearizability of a dispenser).
class TicketOracle {
 public:
  explicit TicketOracle(sim::Judge* judge) : judge_(judge) {}

  void OnWish(const Wish& wish) { floor_.emplace(wish, highest_); }

  void OnTicket(sim::VirtualTime when, const Wish& wish, uint64_t ticket) {
    judge_->Checked(sim::Rule::kLinearizability);
    const auto [holder, fresh] = holders_.emplace(ticket, wish);
    if (!fresh && holder->second != wish) {
      Report(when, wish, ticket,
             absl::StrCat("but customer ", holder->second.customer, " holds it"));
    }
    if (ticket <= floor_.at(wish)) {
      Report(when, wish, ticket,
             absl::StrCat("but ticket ", floor_.at(wish), " had been given before it asked"));
    }
    const auto [held, first] = held_.emplace(wish, ticket);
    if (!first && held->second != ticket) {
      Report(when, wish, ticket, absl::StrCat("and ticket ", held->second, " before"));
    }
    highest_ = std::max(highest_, ticket);
  }

  const std::map<Wish, uint64_t>& held() const { return held_; }

 private:
  void Report(sim::VirtualTime when, const Wish& wish, uint64_t ticket, const std::string& but) {
    judge_->Report(sim::Rule::kLinearizability, when,
                   absl::StrCat("customer ", wish.customer, " got ticket ", ticket,
                                " for its wish ", wish.number, ", ", but));
  }

  sim::Judge* const judge_;
  uint64_t highest_ = 0;
  std::map<Wish, uint64_t> floor_;  // the highest ticket that was out when it was first asked for
  std::map<Wish, uint64_t> held_;
  std::map<uint64_t, Wish> holders_;
};

class World {
 public:
  explicit World(const WorldOptions& options)
      : options_(options),
        scheduler_(options.seed),
        network_(context_, sim::StreamOptions()),
        tickets_(&judge_),
        raft_(&judge_, Ids(), /*founders=*/0, /*on_commit=*/nullptr, /*rule=*/nullptr),
        nemesis_(quorate::NamedDraw(options.seed, quorate::HashName("nemesis"), 0, 0)) {
    raft::ConfState voters;
    voters.voters = Ids();
    raft_.SetFirstConfig(voters);
    for (size_t m = 1; m <= options_.members; ++m) {
      hosts_.push_back(MakeHost(absl::StrCat("m", m)));
    }
    members_.resize(options_.members);
    for (size_t c = 1; c <= options_.customers; ++c) {
      customers_.push_back(Customer{MakeHost(absl::StrCat("c", c)), 0, 0, 0});
      customers_.back().host->Boot();
    }
  }

  // Customers' calls and members hold on to the hosts' processes.
  ~World() {
    for (size_t m = 1; m <= options_.members; ++m) End(m, sim::CrashKind::kKill);
  }

  Report Run() {
    for (size_t m = 1; m <= options_.members; ++m) Start(m);
    for (size_t c = 0; c < customers_.size(); ++c) Next(c);
    PlanFault();
    RunUntil(sim::VirtualTime() + options_.duration, [] { return false; });
    Heal();
    const uint64_t before = tickets_.held().size();
    const bool alive = RunUntil(scheduler_.now() + kRecoveryTime, [&] {
      return tickets_.held().size() >= before + 10 * customers_.size() && Equal();
    });
    if (judge_.clean() && !alive) {
      judge_.Report(sim::Rule::kLiveness, scheduler_.now(),
                    "all is well again, but customers get no tickets or members stay behind");
    }
    if (judge_.clean()) CheckDispensers();
    Report report;
    report.violations = judge_.violations();
    report.tickets = tickets_.held().size();
    report.elections = raft_.leaders_elected();
    report.crashes =
        faults_.count(sim::Fault::kProcessKill) + faults_.count(sim::Fault::kPowerLoss);
    report.partitions = faults_.count(sim::Fault::kPartition);
    report.digest = trace_.digest();
    return report;
  }

 private:
  struct Customer {
    std::unique_ptr<sim::Host> host;
    uint64_t wish = 0;
    uint64_t attempt = 0;
    size_t asks = 0;  // this member, counting from 0
  };

  std::vector<MemberId> Ids() const {
    std::vector<MemberId> ids;
    for (uint64_t id = 1; id <= options_.members; ++id) ids.emplace_back(id);
    return ids;
  }
  std::unique_ptr<sim::Host> MakeHost(const std::string& name) {
    return std::make_unique<sim::Host>(context_, &network_, name, sim::HostOptions());
  }
  sim::Host& host(size_t m) { return *hosts_[m - 1]; }
  std::unique_ptr<Member>& member(size_t m) { return members_[m - 1]; }

  // --- Members ---
  void Start(size_t m) {
    if (member(m) != nullptr) return;
    const quorate::io::Env env = host(m).Boot();
    MemberOptions options;
    options.id = MemberId(m);
    options.voters = Ids();
    options.seed =
        quorate::NamedDraw(options_.seed, quorate::HashName("member"), m, host(m).incarnation());
    options.answer_before_commit = options_.answer_before_commit;
    options.send = [this, m](const raft::Message& message) { Send(m, message); };
    options.on_failure = [this, m](const absl::Status&) {
      context_.scheduler->After(Nanoseconds(0),
                                [this, m] { Crash(m, sim::CrashKind::kKill, kFaultTime); });
    };
    member(m) = std::make_unique<Member>(env, std::move(options));
    host(m).Run([member = member(m).get()] { member->Start(); });
  }

  void End(size_t m, sim::CrashKind kind) {
    if (member(m) == nullptr) return;
    host(m).Crash(kind);
    member(m).reset();
  }

  void Crash(size_t m, sim::CrashKind kind, Duration downtime) {
    End(m, kind);
    context_.scheduler->After(downtime, [this, m] { Start(m); });
  }

  void Send(size_t from, const raft::Message& message) {
    Observe(from);
    raft_.OnSend(scheduler_.now(), from, message);
    const size_t to = message.to.value();
    network_.Send(host(from).id(), host(to).id(), static_cast<sim::DatagramType>(message.type),
                  kSmallMessageBytes, [this, to, message] {
                    if (member(to) != nullptr) member(to)->Receive(message);
                  });
  }

  void Observe(size_t m) {
    if (member(m) == nullptr || !member(m)->started()) return;
    raft_.Observe(scheduler_.now(), m, host(m).incarnation(), *member(m));
  }

  // --- Customers: each asks for one ticket after another, of one member after another ---
  void Next(size_t c) {
    Customer& customer = customers_[c];
    ++customer.wish;
    tickets_.OnWish({c + 1, customer.wish});
    Ask(c);
  }

  void Ask(size_t c) {
    Customer& customer = customers_[c];
    const uint64_t attempt = ++customer.attempt;
    const size_t m = customer.asks + 1;
    const Wish wish{c + 1, customer.wish};
    network_.Send(customer.host->id(), host(m).id(), kWishType, kSmallMessageBytes,
                  [this, c, m, attempt, wish] { Serve(c, m, attempt, wish); });
    scheduler_.After(kPatience, [this, c, attempt] { Elsewhere(c, attempt); });
  }

  void Serve(size_t c, size_t m, uint64_t attempt, const Wish& wish) {
    if (member(m) == nullptr) return;
    member(m)->Take(wish, [this, c, m, attempt, wish](const absl::StatusOr<uint64_t>& ticket) {
      network_.Send(host(m).id(), customers_[c].host->id(), kTicketType, kSmallMessageBytes,
                    [this, c, attempt, wish, ticket] {
                      if (!ticket.ok()) return Elsewhere(c, attempt);
                      OnTicket(c, wish, *ticket);
                    });
    });
  }

  // A late answer to an earlier wish is judged as well.
  void OnTicket(size_t c, const Wish& wish, uint64_t ticket) {
    Customer& customer = customers_[c];
    context_.Record(customer.host->id(), kTicket, wish.customer, ticket);
    tickets_.OnTicket(scheduler_.now(), wish, ticket);
    if (wish.number != customer.wish) return;
    ++customer.attempt;
    ++customer.wish;  // nobody waits for this one any more
    scheduler_.After(kBetweenWishes, [this, c] { Next(c); });
  }

  void Elsewhere(size_t c, uint64_t attempt) {
    Customer& customer = customers_[c];
    if (attempt != customer.attempt) return;
    customer.asks = (customer.asks + 1) % options_.members;
    ++customer.attempt;
    scheduler_.After(kBetweenWishes, [this, c, now = customer.attempt] {
      if (customers_[c].attempt == now) Ask(c);
    });
  }

  // --- The nemesis ---
  void PlanFault() {
    scheduler_.After(nemesis_.Exponential(kBetweenFaults), [this] {
      if (healed_) return;
      Break();
      PlanFault();
    });
  }

  void Break() {
    const size_t victim = nemesis_.Below(options_.members) + 1;
    const Duration time = nemesis_.Exponential(kFaultTime);
    switch (nemesis_.Below(5)) {
      case 0:
        return Crash(victim, sim::CrashKind::kKill, time);
      case 1:
        return Crash(victim, sim::CrashKind::kPowerLoss, time);
      case 2:
        for (size_t m = 1; m <= options_.members; ++m) {
          Crash(m, sim::CrashKind::kPowerLoss, time);
        }
        return;
      case 3:
        host(victim).disk().FailNextSyncs(1);
        return;
      default:
        for (size_t m = 1; m <= options_.members; ++m) {
          if (m != victim) network_.BlockBoth(host(victim).id(), host(m).id());
        }
        scheduler_.After(time, [this] { network_.UnblockAll(); });
    }
  }

  void Heal() {
    healed_ = true;
    network_.UnblockAll();
    for (size_t m = 1; m <= options_.members; ++m) {
      host(m).disk().FailNextSyncs(0);
      Start(m);
    }
  }

  // --- Verdicts ---
  // Until `done`, or `end`, or the first violation; true if it is done.
  template <typename Done>
  bool RunUntil(sim::VirtualTime end, Done done) {
    while (judge_.clean() && scheduler_.next_time() <= end) {
      scheduler_.RunOne();
      for (size_t m = 1; m <= options_.members; ++m) Observe(m);
      if (done()) return true;
    }
    return false;
  }

  bool Equal() {
    for (size_t m = 1; m <= options_.members; ++m) {
      if (member(m) == nullptr || !member(m)->started()) return false;
      if (member(m)->applied() != raft_.committed()) return false;
    }
    return true;
  }

  void CheckDispensers() {
    for (size_t m = 1; m <= options_.members; ++m) {
      const Dispenser& dispenser = member(m)->dispenser();
      judge_.Checked(sim::Rule::kEqualState);
      if (dispenser.Digest() != member(1)->dispenser().Digest()) {
        judge_.Report(sim::Rule::kEqualState, scheduler_.now(),
                      absl::StrCat("members 1 and ", m, " have given different tickets"));
      }
      for (const auto& [wish, ticket] : tickets_.held()) {
        judge_.Checked(sim::Rule::kNoLostWrite);
        const auto given = dispenser.tickets().find(wish);
        if (given != dispenser.tickets().end() && given->second == ticket) continue;
        judge_.Report(sim::Rule::kNoLostWrite, scheduler_.now(),
                      absl::StrCat("customer ", wish.customer, " holds ticket ", ticket,
                                   ", of which member ", m, " knows nothing"));
      }
    }
  }

  const WorldOptions options_;
  sim::Scheduler scheduler_;
  sim::Trace trace_;
  sim::FaultCounters faults_;
  const sim::Context context_{
      .seed = options_.seed, .scheduler = &scheduler_, .trace = &trace_, .faults = &faults_};
  sim::Judge judge_;
  sim::Network network_;
  TicketOracle tickets_;
  sim::RaftOracle raft_;
  Prng nemesis_;
  std::vector<std::unique_ptr<sim::Host>> hosts_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<Customer> customers_;
  bool healed_ = false;
};

}  // namespace

Report RunWorld(const WorldOptions& options) { return World(options).Run(); }

}  // namespace tickets
