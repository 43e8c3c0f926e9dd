#include "sim/workload/client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sim/wire.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kInvoke("invoke", "call", "member");
constexpr TraceKind kReturn("return", "call", "revision");
constexpr TraceKind kRefused("refused", "call", "code");
constexpr TraceKind kUnknown("unknown", "call", "code");

constexpr absl::string_view kTooManyRequests = "etcdserver: too many requests";

// Does the error promise that nothing was done and never will be?
bool PromisesNoEffect(const Reply& reply) {
  if (reply.unprocessed) return true;
  switch (reply.status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return true;
    default:
      return false;
  }
}

}  // namespace

Client::Client(const Context& context, uint32_t number, HostId host, const io::Env& env,
               std::unique_ptr<ClientPort> port, std::unique_ptr<ClientPort> second_port,
               Cluster* cluster, const Options& options, std::vector<Workload*> workloads,
               Judge* judge, History* history, KvOracle* oracle, LeaseOracle* leases,
               AuthOracle* auth, const std::string& user)
    : context_(context),
      number_(number),
      host_(host),
      port_(std::move(port)),
      second_port_(std::move(second_port)),
      cluster_(cluster),
      options_(options.workload),
      reduction_(options.reduction),
      garbled_(Garbled(options)),
      workloads_(std::move(workloads)),
      judge_(judge),
      history_(history),
      oracle_(oracle),
      leases_(leases),
      loop_(env.loop),
      auth_(auth),
      session_(auth == nullptr
                   ? nullptr
                   : std::make_unique<Session>(context, host, env.loop, port_.get(), user)),
      next_timer_(env.loop->NewTimer([this] { Next(); })),
      timeout_timer_(env.loop->NewTimer([this] { OnTimeout(); })),
      hedge_timer_(env.loop->NewTimer([this] { OnHedgeTimer(); })),
      generator_(context.seed, number, options.workload),
      prng_(NamedDraw(context.seed, HashName("client"), HashName("choices"), number)) {
  member_ = cluster->PickActive(&prng_);
}

void Client::Start() { PlanNext(); }

void Client::BeginProbe() {
  if (session_ != nullptr) session_->Become("root");
  const std::vector<size_t>& members = cluster_->active();
  unproven_.insert(members.begin(), members.end());
}

void Client::PlanNext() {
  if (stopping_) return;
  // Each client waits for its answer; the rate is what they ask together while answers
  // come at once.
  const Duration mean =
      Seconds(1) * static_cast<int64_t>(options_.clients) / static_cast<int64_t>(options_.rate);
  next_timer_->Set(loop_->Now() + prng_.Exponential(mean));
}

void Client::Next() {
  if (stopping_ || open_.has_value()) return;
  probing_ = false;
  if (session_ != nullptr && session_->must_log_in()) {
    return session_->LogIn(member_, [this] { Next(); });
  }
  if (retry_.has_value()) {
    ++retries_;
    return Ask(*std::exchange(retry_, std::nullopt));
  }
  if (!unproven_.empty() && prng_.Chance(1, 2)) {
    probing_ = true;
    auto which = unproven_.begin();
    std::advance(which, static_cast<int64_t>(prng_.Below(unproven_.size())));
    member_ = *which;
    return Ask(generator_.Probe());
  }
  AskFresh();
}

void Client::AskFresh() {
  const uint64_t number = ++number_of_request_;
  const uint64_t stream =
      NamedDraw(context_.seed, HashName("client"), HashName("choices"), number_);
  prng_ = Prng(Mix64(stream ^ number));
  workload_ = nullptr;
  if (!reduction_.Keeps(number_, number)) return PlanNext();
  if (prng_.Chance(1, 20)) member_ = cluster_->PickActive(&prng_);
  if (!workloads_.empty() && prng_.Chance(options_.kinds_percent, 100)) {
    workload_ = workloads_[prng_.Below(workloads_.size())];
    return Ask(workload_->Next(number_, &prng_));
  }
  generator_.Begin(number);
  Ask(generator_.Next());
}

History::Id Client::Begin(Request request, size_t member) {
  sim::Call call;
  call.client = number_;
  call.member = static_cast<uint32_t>(member);
  call.incarnation = cluster_->incarnation(member);
  call.request = std::move(request);
  if (session_ != nullptr) call.user = session_->asker();
  call.invoked = context_.now();
  const History::Id id = history_->Invoke(std::move(call));
  oracle_->OnInvoke(id);
  if (auth_ != nullptr) auth_->OnInvoke(id);
  leases_->OnInvoke(id);
  context_.Record(host_, kInvoke, id, member);
  return id;
}

void Client::Ask(Request request) {
  open_ = Begin(std::move(request), member_);
  PlanHedge();
  const bool cancels =
      options_.cancel_percent > 0 && !probing_ && prng_.Chance(options_.cancel_percent, 100);
  const Duration patience =
      cancels ? prng_.Between(Duration(), Milliseconds(50)) : options_.request_timeout;
  if (cancels) context_.Inject(Fault::kClientCancel, host_, *open_);
  timeout_timer_->Set(loop_->Now() + patience);
  port_->Call(member_, history_->call(*open_).request, options_.request_timeout,
              [this, id = *open_](Reply reply) {
                if (open_ == id) OnReply(reply);
              });
}

// A bit that flips in the length of a frame makes its reader take what follows for the rest of it,
// up to 16 KiB: a connection that says nothing more and does not end. One that flips in a header
// field stays in HPACK's table, and every later request that names the field is refused. Neither
// ends by itself.
void Client::DistrustConnection() {
  if (garbled_) port_->Reconnect(history_->call(*open_).member);
}

void Client::OnReply(const Reply& reply) {
  if (!reply.status.ok()) DistrustConnection();
  if (reply.status.ok() && garbled_) {
    if (probing_) unproven_.erase(history_->call(*open_).member);
    return End({Outcome::kUnknown, Result(), "perhaps garbled"});
  }
  End(EndingOf(*open_, reply));
}

Client::Ending Client::EndingOf(History::Id id, const Reply& reply) {
  if (!reply.status.ok()) {
    const bool none = PromisesNoEffect(reply);
    if (reply.status.message() == kTooManyRequests) context_.Inject(Fault::kQueueFull, host_, id);
    context_.Record(host_, none ? kRefused : kUnknown, id,
                    static_cast<uint64_t>(reply.status.code()));
    return {none ? Outcome::kNoEffect : Outcome::kUnknown, Result(),
            std::string(reply.status.message())};
  }
  absl::StatusOr<Answer> answer = DecodeResponse(history_->call(id).request, reply.body);
  if (!answer.ok()) {
    judge_->Report(Rule::kLinearizability, context_.now(),
                   absl::StrCat("an answer cannot be decoded: ", answer.status().message()),
                   {Describe(history_->call(id))});
    return {Outcome::kUnknown, Result(), "malformed answer"};
  }
  context_.Record(host_, kReturn, id, static_cast<uint64_t>(answer->result.revision));
  return {Outcome::kOk, std::move(answer->result), ""};
}

void Client::OnTimeout() {
  if (!open_.has_value()) return;
  port_->GiveUp();
  DistrustConnection();
  context_.Record(host_, kUnknown, *open_,
                  static_cast<uint64_t>(absl::StatusCode::kDeadlineExceeded));
  End({Outcome::kUnknown, Result(), "no answer in time"});
}

const sim::Call& Client::Settle(History::Id id, Ending ending) {
  sim::Call& call = history_->Return(id, context_.now(), ending.outcome);
  call.result = std::move(ending.result);
  call.error = std::move(ending.error);
  call.same_process = cluster_->incarnation(call.member) == call.incarnation;
  if (auth_ != nullptr) auth_->OnReturn(id);
  oracle_->OnReturn(id);
  leases_->OnReturn(id);
  return call;
}

void Client::End(Ending ending) {
  timeout_timer_->Cancel();
  const Outcome outcome = ending.outcome;
  const bool elsewhere = std::exchange(answered_elsewhere_, false);
  const sim::Call& call = Settle(*std::exchange(open_, std::nullopt), std::move(ending));
  if (workload_ != nullptr && !probing_) workload_->OnReturn(call);
  if (outcome == Outcome::kOk) {
    ++answered_;
    generator_.Learn(call.request, call.result);
    if (probing_) unproven_.erase(call.member);
  } else if (!elsewhere) {
    if (session_ != nullptr) session_->OnRefused(call.error);
    // Garbled answers are all of unknown outcome: repetitions would leave no time for probes.
    const bool settling = garbled_ && !unproven_.empty();
    const bool again = outcome == Outcome::kUnknown && !probing_ && !call.request.serializable &&
                       prng_.Chance(options_.retry_percent, 100) && !settling;
    if (again) retry_ = call.request;
    if (outcome == Outcome::kUnknown) ++unknown_;
    member_ = cluster_->PickActive(&prng_);
  }
  PlanNext();
}

}  // namespace quorate::sim
