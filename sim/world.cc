#include "sim/world.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/oracle/search.h"
#include "sim/wire.h"
#include "sim/workload/generator.h"
#include "sim/workload/port.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kPhase("phase", "number");
constexpr TraceKind kViolation("violation");

// How long the faults wait for users and roles.
constexpr Duration kSetup = Seconds(5);

// A seed that needs more has lost its way.
constexpr uint64_t kMaxEvents = 100'000'000;

// How often it is asked whether a phase has reached its goal.
constexpr Duration kAskEvery = Milliseconds(5);

// A read of everything, dead keys that are not compacted included, beside hashes of everything,
// where a turn does the least work and turns are 5 ms apart (seed 161).
constexpr Duration kLocalRead = Seconds(30);
// Attempts of one group of keys that are judged by search, at most; and its steps.
constexpr size_t kSearchCalls = 600;
constexpr uint64_t kSearchSteps = 50'000;

Context MakeContext(uint64_t seed, Scheduler* scheduler, Trace* trace, FaultCounters* faults,
                    Story* story) {
  Context context;
  context.seed = seed;
  context.scheduler = scheduler;
  context.trace = trace;
  context.faults = faults;
  context.story = story;
  return context;
}

std::string GroupOf(const Request& request) {
  const std::string& key = request.success[0].key;
  return key.substr(0, key.find('/'));
}

// What rests on what clients asked and were told.
constexpr Rule kClientRules[] = {
    Rule::kReadSafety, Rule::kLinearizability, Rule::kGeneralChecker, Rule::kSerializableReads,
    Rule::kWatch,      Rule::kLease,           Rule::kWorkload,       Rule::kAuth,
    Rule::kNoLostWrite};

// What rests on promises to other members, and what rests on leases for reads.
constexpr Rule kRulesOnPromises[] = {Rule::kCommitDurability, Rule::kVoteDurability,
                                     Rule::kElectionSafety,   Rule::kLeaderCompleteness,
                                     Rule::kLogMatching,      Rule::kStateMachineSafety,
                                     Rule::kMonotonicity};
constexpr Rule kRulesOnReads[] = {Rule::kReadSafety,     Rule::kLinearizability,
                                  Rule::kGeneralChecker, Rule::kWorkload,
                                  Rule::kAuth,           Rule::kLease};

bool StaysInGroup(const Request& request) {
  const std::string group = GroupOf(request) + "/";
  const auto inside = [&group](const auto& part) { return absl::StartsWith(part.key, group); };
  return std::all_of(request.compare.begin(), request.compare.end(), inside) &&
         std::all_of(request.success.begin(), request.success.end(), inside) &&
         std::all_of(request.failure.begin(), request.failure.end(), inside);
}

}  // namespace

World::World(const Options& options, Trace::LineSink print, Story* story)
    : options_(options),
      scheduler_(options.seed),
      context_(MakeContext(options.seed, &scheduler_, &trace_, &faults_, story)) {
  trace_.PrintTo(std::move(print));
  if (story != nullptr) {
    trace_.TellTo([story](VirtualTime when, HostId host, const TraceKind& kind, uint64_t a,
                          uint64_t b) { story->OnTrace(when, host, kind, a, b); });
  }
  if (Garbled(options_)) {
    for (const Rule rule : kClientRules) judge_.Ignore(rule);
  }
  ExpectLosses();
  judge_.OnFirst([this] { scheduler_.RequestStop(); });
  kv_ = std::make_unique<KvOracle>(&judge_, &history_);
  const FaultPlan& clocks = options.plan(FaultClass::kClock);
  leases_ = std::make_unique<LeaseOracle>(&judge_, &history_, clocks.on ? clocks.ppm : 0);
  network_ = std::make_unique<Network>(context_, options_.stream);
  network_->SetAllLinks(options_.link);
  cluster_ = std::make_unique<Cluster>(
      context_, network_.get(), options_, &judge_,
      [this](VirtualTime when, const raft::Entry& entry) { OnCommit(when, entry); });
  if (options_.workload.auth) {
    auth_ = std::make_unique<AuthOracle>(&judge_, &history_, &kv_->model(), [this](size_t member) {
      node::Node* const node = cluster_->node(member);
      return node == nullptr ? LogIndex(0) : node->status().applied;
    });
  }
  MakeClients();
}

// What a profile breaks on purpose must be noticed.
void World::ExpectLosses() {
  const bool forget = options_.plan(FaultClass::kAgedDirectory).on;
  if (forget) {
    for (const Rule rule : kRulesOnPromises) judge_.Expect(rule);
  }
  if (options_.plan(FaultClass::kUnderstatedDrift).on) {
    for (const Rule rule : kRulesOnReads) judge_.Expect(rule);
  }
  judge_.OnExpected([this, forget](Rule rule) {
    context_.Inject(Fault::kLossDetected, HostId(0), static_cast<uint64_t>(rule));
    forgotten_ = forget;
    if (forgotten_) scheduler_.RequestStop();
  });
}

// Clients first: their ports hold on to members' watches.
World::~World() {
  watchers_.clear();
  clients_.clear();
  access_.reset();
}

void World::OnCommit(VirtualTime when, const raft::Entry& entry) {
  if (Garbled(options_)) return;  // nobody knows what was asked
  if (auth_ != nullptr && auth_->Refuses(when, entry)) return;
  if (alarms_.Refuses(entry.data)) return;
  kv_->OnCommit(when, entry);
  leases_->OnCommit(when, entry);
}

Host* World::NewClientHost(const std::string& name, std::vector<HostId>* ids) {
  client_hosts_.push_back(std::make_unique<Host>(context_, network_.get(), name, HostOptions()));
  ids->push_back(client_hosts_.back()->id());
  return client_hosts_.back().get();
}

std::unique_ptr<ClientPort> World::NewPort(Host* host, const io::Env& env) {
  return options_.streams ? NewStreamPort(env)
                          : NewTypedPort(context_, host, network_.get(), cluster_.get(),
                                         options_.workload.slow_reader_percent);
}

void World::MakeClients() {
  const size_t count = options_.workload.clients + options_.workload.watchers;
  const FaultPlan& clocks = options_.plan(FaultClass::kClock);
  std::vector<Workload*> workloads;
  for (size_t i = 0; i < kWorkloadKinds; ++i) {
    if (!options_.workload.kinds[i] || options_.workload.kinds_percent == 0) continue;
    workloads_.push_back(
        NewWorkload(static_cast<WorkloadKind>(i), &judge_, clocks.on ? clocks.ppm : 0));
    workloads.push_back(workloads_.back().get());
  }
  std::vector<HostId> ids;
  for (size_t i = 0; i < count; ++i) {
    Host* const host = NewClientHost(absl::StrCat("c", i + 1), &ids);
    const io::Env env = host->Boot();
    std::unique_ptr<ClientPort> port = NewPort(host, env);
    const auto number = static_cast<uint32_t>(i + 1);
    const std::string user = AccessAdministrator::UserOf(number);
    if (i < options_.workload.clients) {
      // For requests that go to two members; who must log in first does not do that, nor who
      // cannot believe what it is told.
      const bool hedges =
          options_.workload.hedge_percent > 0 && auth_ == nullptr && !Garbled(options_);
      clients_.push_back(std::make_unique<Client>(
          context_, number, host->id(), env, std::move(port), hedges ? NewPort(host, env) : nullptr,
          cluster_.get(), options_, workloads, &judge_, &history_, kv_.get(), leases_.get(),
          auth_.get(), user));
    } else {
      // The first watcher sees everything, the others a group each.
      std::string key = Generator::kPrefix;
      if (i > options_.workload.clients) {
        absl::StrAppend(&key, absl::Dec(i % options_.workload.groups, absl::kZeroPad2), "/");
      }
      watchers_.push_back(std::make_unique<Watcher>(
          context_, number, host->id(), env, std::move(port), cluster_.get(), &judge_,
          &kv_->model(), key, PrefixEnd(key),
          /*historian=*/i % 3 == 2, auth_.get(), user, options_.workload.slow_reader_percent));
    }
  }
  MakeAdministrators(&ids);
  operator_ = std::make_unique<Operator>(context_, cluster_.get());
  caretaker_ = std::make_unique<Caretaker>(context_, cluster_.get(), &judge_);
  nemesis_ = std::make_unique<Nemesis>(context_, cluster_.get(), network_.get(), operator_.get(),
                                       caretaker_.get(), options_, std::move(ids));
}

void World::MakeAdministrators(std::vector<HostId>* ids) {
  if (options_.workload.administrator) {
    Host* const host = NewClientHost("admin", ids);
    administrator_ = std::make_unique<Administrator>(context_, host->id(), host->Boot(),
                                                     cluster_.get(), &judge_);
  }
  if (auth_ == nullptr) return;
  Host* const host = NewClientHost("access", ids);
  const io::Env env = host->Boot();
  access_ =
      std::make_unique<AccessAdministrator>(context_, host->id(), env, NewPort(host, env),
                                            cluster_.get(), auth_.get(), options_.workload.groups);
}

bool World::RunUntil(VirtualTime end, const std::function<bool()>& done) {
  VirtualTime ask_at = scheduler_.now();
  while (!Broken()) {
    if (scheduler_.next_time() > end) break;
    scheduler_.RunOne();
    cluster_->Observe();
    if (scheduler_.events_run() > kMaxEvents) bound_reached_ = true;
    if (scheduler_.now() < ask_at) continue;
    ask_at = scheduler_.now() + kAskEvery;
    if (done()) return !Broken();
  }
  if (Broken()) return false;
  scheduler_.RunUntil(end);  // moves the present; no event is due
  return done();
}

void World::SafetyPhase() {
  context_.Record(HostId(0), kPhase, 1);
  cluster_->StartAll();
  const size_t clients = clients_.size();
  for (size_t i = 0; i < client_hosts_.size(); ++i) {
    client_hosts_[i]->Run([this, i, clients] {
      if (i < clients) {
        clients_[i]->Start();
      } else if (i < clients + watchers_.size()) {
        watchers_[i - clients]->Start();
      } else if (administrator_ != nullptr && i == clients + watchers_.size()) {
        administrator_->Start();
      } else {
        access_->Start();
      }
    });
  }
  // Else the faults would often keep authentication from ever being enabled.
  if (access_ != nullptr) RunUntil(VirtualTime() + kSetup, [this] { return access_->set_up(); });
  nemesis_->Start();
  constexpr size_t kMany = 15;
  if (watchers_.size() >= kMany) context_.Inject(Fault::kManyWatchers, HostId(0), watchers_.size());
  if (options_.workload.lease_ids > kMany) {
    context_.Inject(Fault::kLeaseStorm, HostId(0), options_.workload.lease_ids);
  }
  RunUntil(VirtualTime() + options_.duration, [] { return false; });
}

void World::CheckEqualState() {
  const size_t one = cluster_->active().front();
  const engine::Replica& first = cluster_->node(one)->replica();
  const uint64_t digest = first.StateDigest();
  const auto hash = first.HashKv(Revision(0));
  judge_.Checked(Rule::kEqualState);
  for (const size_t m : cluster_->active()) {
    if (m == one) continue;
    const engine::Replica& other = cluster_->node(m)->replica();
    judge_.Checked(Rule::kEqualState);
    if (other.StateDigest() != digest) {
      judge_.Report(
          Rule::kEqualState, scheduler_.now(),
          absl::StrCat("members ", one, " and ", m, " have applied the same log up to index ",
                       first.status().applied.value(), " but their states are different"));
    }
    const auto other_hash = other.HashKv(Revision(0));
    if (hash.ok() != other_hash.ok() || (hash.ok() && hash->hash != other_hash->hash)) {
      judge_.Report(Rule::kEqualState, scheduler_.now(),
                    absl::StrCat("members ", one, " and ", m, " have different HashKV at revision ",
                                 first.status().revision.value()));
    }
  }
  // Nobody but the members' own comparisons raises one here.
  for (const alarm::Alarm& alarm : first.alarms()) {
    judge_.Report(Rule::kEqualState, scheduler_.now(),
                  absl::StrCat("alarm ", alarm::TypeName(alarm.type), " of member ",
                               alarm.member.value(), " stands, and all states are equal"));
  }
  const int64_t revision = first.status().revision.value();
  if (revision != kv_->model().revision()) {
    judge_.Report(Rule::kNoLostWrite, scheduler_.now(),
                  absl::StrCat("the members are at revision ", revision,
                               ", the committed log makes ", kv_->model().revision()));
  }
}

// Reads everything from every member and compares it with the model.
void World::CheckFinalContents() {
  Request all;
  all.serializable = true;
  all.success.push_back(Operation());
  all.success[0].key = std::string("\0", 1);
  all.success[0].range_end = std::string("\0", 1);
  const Result expected = kv_->model().ReadAt(all, kv_->model().revision());
  size_t compared = 0;
  for (const size_t m : cluster_->active()) {
    cluster_->host(m).Run([this, m, &all, &expected, &compared] {
      cluster_->node(m)->Call(
          engine::RequestKind::kRange, EncodeRequest(all), kLocalRead,
          [this, m, &all, &expected, &compared](absl::Status status, Bytes body) {
            ++compared;
            judge_.Checked(Rule::kNoLostWrite);
            const absl::StatusOr<Answer> answer =
                status.ok() ? DecodeResponse(all, body) : absl::StatusOr<Answer>(status);
            if (answer.ok() && answer->result == expected) return;
            judge_.Report(
                Rule::kNoLostWrite, scheduler_.now(),
                absl::StrCat("member ", m,
                             answer.ok()
                                 ? " ended with other contents than the committed log makes: "
                                 : " does not tell its contents, which should be: ",
                             Describe(expected)),
                {answer.ok() ? Describe(answer->result) : std::string(answer.status().message())});
          },
          engine::OwnCredentials());
    });
  }
  Expect(kLocalRead + Seconds(5), "a local read was not answered",
         [this, &compared] { return compared == cluster_->active().size(); });
}

void World::CheckFinalUsers() {
  if (administrator_ == nullptr && auth_ == nullptr) return;
  size_t answered = 0;
  for (const size_t m : cluster_->active()) {
    cluster_->host(m).Run([this, m, &answered] {
      cluster_->node(m)->Call(
          engine::RequestKind::kAuthUserList, Bytes(), Seconds(5),
          [this, m, &answered](const absl::Status& status, const Bytes& body) {
            if (!status.ok()) return;
            ++answered;
            const std::set<std::string> users = Administrator::UsersOf(body);
            if (administrator_ != nullptr) administrator_->Check(m, users);
            if (auth_ != nullptr) {
              auth_->CheckUsers(scheduler_.now(), m, {users.begin(), users.end()});
            }
          },
          engine::OwnCredentials());
    });
  }
  Expect(Seconds(10), "a list of users was not answered",
         [this, &answered] { return answered == cluster_->active().size(); });
}

// Some groups of keys again, by search and without revisions.
void World::SearchSample() {
  const std::vector<History::Id>& took_effect = kv_->took_effect();
  std::map<std::string, std::vector<const Call*>> groups;
  for (History::Id id = 0; id < history_.size(); ++id) {
    const Call& call = history_.call(id);
    if (call.request.shape == Request::Shape::kCompact || call.request.AboutLease()) continue;
    const bool happened = call.outcome == Outcome::kOk ||
                          std::binary_search(took_effect.begin(), took_effect.end(), id);
    // What only reads may be left out where it cannot be judged.
    const bool counts = happened && (Searchable(call.request) || !call.request.ReadOnly());
    if (counts) groups[GroupOf(call.request)].push_back(&call);
  }
  for (const auto& [group, calls] : groups) {
    const bool searchable = calls.size() <= kSearchCalls &&
                            std::all_of(calls.begin(), calls.end(), [](const Call* call) {
                              return Searchable(call->request) && StaysInGroup(call->request);
                            });
    if (!searchable) continue;
    judge_.Checked(Rule::kGeneralChecker);
    const SearchResult result = SearchLinearization(calls, kSearchSteps);
    if (result.verdict == SearchVerdict::kGaveUp) ++searches_given_up_;
    if (result.verdict != SearchVerdict::kNotLinearizable) continue;
    judge_.Report(Rule::kGeneralChecker, scheduler_.now(),
                  absl::StrCat("no order of the ", calls.size(), " requests to keys '", group,
                               "/...' explains their answers"),
                  result.stuck == nullptr ? std::vector<std::string>()
                                          : std::vector<std::string>{Describe(*result.stuck)});
  }
}

void World::FinalChecks() {
  if (Broken()) return;
  CheckEqualState();
  CheckNothingPiledUp();
  CheckFinalContents();
  CheckFinalUsers();
  if (Broken()) return;
  for (const auto& watcher : watchers_) watcher->Finish();
  kv_->Finish(scheduler_.now());
  for (const auto& workload : workloads_) workload->Finish(scheduler_.now(), kv_->model());
  SearchSample();
  CheckRecovery();
}

SeedReport World::Run() {
  SafetyPhase();
  if (!Broken()) context_.Record(HostId(0), kPhase, 2);
  LivenessPhase();
  FinalChecks();
  for (const Violation& violation : judge_.violations()) {
    trace_.AppendText(violation.when, HostId(0), kViolation,
                      absl::StrCat(RuleName(violation.rule), ": ", violation.text));
  }
  SeedReport report = Report();
  trace_.PrintTo(nullptr);  // how the world is taken apart is no part of the run
  trace_.TellTo(nullptr);
  return report;
}

std::vector<std::string> World::HostNames() const {
  std::vector<std::string> names = {"world"};
  for (uint32_t host = 1; host <= network_->hosts(); ++host) {
    names.push_back(network_->host_name(HostId(host)));
  }
  return names;
}

SeedReport World::Report() {
  SeedReport out;
  out.seed = options_.seed;
  out.options = Describe(options_);
  out.members = static_cast<uint64_t>(options_.members);
  out.streams = options_.streams;
  for (size_t i = 0; i < kFaultClasses; ++i) out.classes[i] = options_.faults[i].on;
  out.digest = trace_.digest();
  out.simulated = scheduler_.now() - VirtualTime();
  out.events = scheduler_.events_run();
  out.trace_events = trace_.events();
  for (size_t i = 0; i < kFaultKinds; ++i) out.faults[i] = faults_.count(static_cast<Fault>(i));
  for (size_t i = 0; i < kRules; ++i) out.checks[i] = judge_.checks(static_cast<Rule>(i));
  out.elections = cluster_->oracle().leaders_elected();
  out.checkpoints = cluster_->checkpoints().taken;
  out.snapshots_installed = cluster_->checkpoints().installed;
  out.restarts_from_checkpoints = cluster_->checkpoints().restarts;
  out.repairs = cluster_->checkpoints().repairs;
  out.log_segments_cut = cluster_->checkpoints().segments_cut;
  out.requests = history_.size();
  for (const auto& client : clients_) {
    out.answered += client->answered();
    out.unknown += client->unknown();
    out.retries += client->retries();
    out.numbered.push_back(client->numbered());
  }
  for (size_t i = 0; i < kFaultClasses; ++i) {
    out.actions[i] = nemesis_->actions(static_cast<FaultClass>(i));
  }
  out.acknowledged_writes = kv_->acknowledged_writes();
  out.checked_reads = kv_->checked_reads();
  for (const auto& watcher : watchers_) out.watch_events += watcher->delivered();
  out.leases_expired = leases_->expired();
  if (auth_ != nullptr) {
    out.auth_changes = auth_->changes();
    out.auth_refusals = auth_->refused();
    out.auth_denials = auth_->denied();
  }
  out.searches_given_up = searches_given_up_;
  out.sometimes = cluster_->Sometimes();
  out.answered_after = answered_after_;
  out.converged_after = converged_after_;
  out.bound_reached = bound_reached_;
  out.violations = judge_.violations();
  out.failures = cluster_->failures();
  return out;
}

}  // namespace quorate::sim
