#include "sim/workload/watcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/wire.h"

namespace quorate::sim {
namespace {

constexpr TraceKind kOpen("watch-open", "member", "revision");
constexpr TraceKind kAnswer("watch-answer", "events", "revision");
constexpr TraceKind kEnd("watch-end");

}  // namespace

Watcher::Watcher(const Context& context, uint32_t number, HostId host, const io::Env& env,
                 std::unique_ptr<ClientPort> port, Cluster* cluster, Judge* judge,
                 const Model* model, std::string key, std::string range_end, bool historian,
                 AuthOracle* auth, const std::string& user, uint32_t slow_percent)
    : context_(context),
      host_(host),
      port_(std::move(port)),
      cluster_(cluster),
      judge_(judge),
      model_(model),
      loop_(env.loop),
      auth_(auth),
      session_(auth == nullptr
                   ? nullptr
                   : std::make_unique<Session>(context, host, env.loop, port_.get(), user)),
      spec_{std::move(key), std::move(range_end)},
      name_(absl::StrCat(historian ? "historian " : "watcher ", number)),
      historian_(historian),
      prng_(NamedDraw(context.seed, HashName("watcher"), HashName("choices"), number)),
      filter_prng_(NamedDraw(context.seed, HashName("watcher"), HashName("filters"), number)),
      tick_(env.loop->NewTimer([this] { OnTick(); })),
      slow_percent_(slow_percent),
      resume_(env.loop->NewTimer([this] { port_->ReadWatch(true); })) {
  spec_.prev_kv = filter_prng_.Chance(1, 2);
  oracle_ = std::make_unique<WatchOracle>(judge, model, name_, spec_, 1);
}

void Watcher::Settle() {
  wanders_ = false;
  if (session_ != nullptr) session_->Become("root");
}

void Watcher::Open() {
  if (session_ == nullptr || !session_->must_log_in()) return OpenStream();
  session_->LogIn(cluster_->PickActive(&prng_), [this] { OpenStream(); });
}

void Watcher::OpenStream() {
  ++streams_;
  heard_ = false;
  if (historian_ && wanders_) BeginElsewhere();
  oracle_->OnOpen();
  const size_t member = cluster_->PickActive(&prng_);
  if (auth_ != nullptr) {
    asked_ = {session_->asker(), spec_.key, spec_.range_end, auth_->Low(member)};
    asked_member_ = member;
    asked_incarnation_ = cluster_->incarnation(member);
  }
  context_.Record(host_, kOpen, member, static_cast<uint64_t>(oracle_->next_revision()));
  const bool notify = prng_.Chance(1, 2);
  port_->OpenWatch(member, EncodeWatchCreate(spec_, oracle_->next_revision(), notify), this);
  // Asks at once how far the stream is: before it has caught up, if there is much to tell.
  if (prng_.Chance(1, 2)) port_->SendWatch(EncodeWatchProgress());
  tick_->Set(loop_->Now() + Milliseconds(500) + prng_.Exponential(Seconds(1)));
}

// Around the revision of the last compaction, or anywhere up to a bit beyond the newest.
void Watcher::BeginElsewhere() {
  const int64_t low = std::max<int64_t>(1, model_->compacted() - 1);
  int64_t from = low + prng_.Between(0, 2);
  if (prng_.Chance(1, 2)) from = prng_.Between(low, model_->revision() + 2);
  delivered_ += oracle_->delivered();
  ChooseFilters();
  oracle_ = std::make_unique<WatchOracle>(judge_, model_, name_, spec_, from);
}

// One kind at most: who wants neither is told nothing.
void Watcher::ChooseFilters() {
  const uint64_t which = filter_prng_.Below(4);
  spec_.no_put = which == 1;
  spec_.no_delete = which == 2;
  spec_.prev_kv = filter_prng_.Chance(1, 2);
}

void Watcher::OnWatchAnswer(absl::string_view head, absl::string_view events) {
  heard_ = true;
  const absl::StatusOr<WatchAnswer> answer = DecodeWatchResponse(head, events);
  if (!answer.ok()) {
    judge_->Report(Rule::kWatch, context_.now(),
                   absl::StrCat("a watch response cannot be decoded: ", answer.status().message()));
    return;
  }
  context_.Record(host_, kAnswer, answer->changes.size(), static_cast<uint64_t>(answer->revision));
  if (auth_ != nullptr) {
    const bool same = cluster_->incarnation(asked_member_) == asked_incarnation_;
    if (!same) asked_.low = LogIndex(0);
    auth_->OnWatchAnswer(context_.now(), asked_, *answer);
  }
  oracle_->OnAnswer(context_.now(), *answer);
  if (answer->canceled) {
    if (session_ != nullptr) session_->OnRefused(answer->cancel_reason);
    port_->CloseWatch();
    OnWatchEnd();
  }
}

void Watcher::OnWatchEnd() {
  context_.Record(host_, kEnd);
  // Not at once: whoever ended it may be on its way down.
  tick_->Set(loop_->Now() + Milliseconds(20) + prng_.Exponential(Milliseconds(100)));
  heard_ = false;
}

// Silence: asks how far the stream is; if even that stays without an answer, or now and
// then anyway, goes elsewhere.
void Watcher::OnTick() {
  if (!heard_ || prng_.Chance(1, historian_ ? 2 : 10)) {
    port_->CloseWatch();
    return Open();
  }
  heard_ = false;
  if (wanders_ && slow_percent_ > 0 && prng_.Chance(slow_percent_, 100)) {
    // Longer than its patience, sometimes.
    const Duration time = prng_.Exponential(Seconds(1));
    context_.Inject(Fault::kSlowReader, host_, static_cast<uint64_t>(time.nanos()));
    port_->ReadWatch(false);
    resume_->Set(loop_->Now() + time);
  }
  port_->SendWatch(EncodeWatchProgress());
  tick_->Set(loop_->Now() + Milliseconds(500) + prng_.Exponential(Seconds(1)));
}

}  // namespace quorate::sim
