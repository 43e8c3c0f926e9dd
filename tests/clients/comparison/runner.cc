#include "tests/clients/comparison/runner.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "base/check.h"
#include "base/status.h"

namespace quorate::differential {
namespace {

using etcdserverpb::WatchResponse;
using Kind = WatchJudge::Kind;

// What must come takes at most so long, on however slow a machine.
constexpr Duration kPatience = Seconds(30);
// What may not come at all is waited for so long.
constexpr Duration kSilence = Milliseconds(150);
constexpr int kAttempts = 20;
// The stream that watches everything.
constexpr int kObserver = 0;
// Steps after which watch streams are compared.
constexpr uint64_t kSettleEvery = 25;

}  // namespace

Runner::Runner(RunOptions options)
    : options_(std::move(options)),
      generator_(options_.seed, options_.types, options_.release),
      judge_(options_.release) {}

Runner::~Runner() = default;

bool Runner::Wait(Duration limit, const std::function<bool()>& condition) {
  bool over = false;
  const std::unique_ptr<io::Timer> timer = world_.env().loop->NewTimer([&] { over = true; });
  timer->Set(world_.env().loop->Now() + limit);
  while (!condition()) {
    if (over) return false;
    world_.RunOnce();
  }
  return true;
}

absl::Status Runner::CheckConnections() const {
  for (const Side side : kSides) {
    const absl::Status status = servers_[side]->connection();
    if (status.ok()) continue;
    return absl::InternalError(absl::StrCat("the connection to the ",
                                            side == kReference ? "reference" : "subject",
                                            " is lost: ", status.ToString()));
  }
  return absl::OkStatus();
}

absl::Status Runner::Connect() {
  const std::string addresses[] = {options_.reference, options_.subject};
  for (const Side side : kSides) {
    servers_[side] = std::make_unique<Server>(world_.env(), addresses[side]);
    servers_[side]->set_on_watch(
        [this, side](int stream, const WatchResponse& response) {
          judge_.OnResponse(side, stream, response);
          if (side != kReference || stream != kObserver) return;
          for (const mvccpb::Event& event : response.events()) {
            judge_.Observe(event);
            generator_.Observe(event);
            observed_revision_ = event.kv().mod_revision();
          }
        },
        [this, side](int stream, const absl::Status& status) {
          judge_.OnEnd(side, stream, status);
        });
  }
  Step observe;
  observe.type = Type::kWatch;
  observe.stream = kObserver;
  observe.reopens = true;
  auto request = std::make_shared<etcdserverpb::WatchRequest>();
  request->mutable_create_request()->set_key(std::string(1, '\0'));
  request->mutable_create_request()->set_range_end(std::string(1, '\0'));
  observe.request = request;
  return RunWatch(observe);
}

absl::Status Runner::Run() {
  RETURN_IF_ERROR(Connect());
  report_.by_type.clear();
  while (report_.requests < options_.requests) {
    const Step step = generator_.Next();
    ++report_.requests;
    if (options_.verbose) {
      std::printf("%llu %s\n", static_cast<unsigned long long>(report_.requests),
                  Describe(step).c_str());
    }
    absl::Status status = RunStep(step);
    if (status.ok() && report_.requests % kSettleEvery == 0) status = Settle();
    if (status.ok() && report_.requests % options_.hash_every == 0) {
      status = CompareHash(generator_.known().revision());
    }
    report_.watches = judge_.sums();
    if (status.ok()) continue;
    return absl::InternalError(absl::StrCat("request ", report_.requests, ", ", Describe(step),
                                            "\n", std::string(status.message())));
  }
  return Settle();
}

absl::Status Runner::RunStep(const Step& step) {
  return Info(step.type).group == "watch" ? RunWatch(step) : RunCall(step);
}

// ---- unary calls ----

absl::Status Runner::Ask(const Step& step, std::array<Answer, 2>* answers) {
  auto got = std::make_shared<std::array<std::optional<Answer>, 2>>();
  for (const Side side : kSides) {
    servers_[side]->Call(step, [got, side](Answer answer) { (*got)[side] = std::move(answer); });
  }
  const bool both =
      Wait(kPatience * 3, [&] { return (*got)[0].has_value() && (*got)[1].has_value(); });
  RETURN_IF_ERROR(CheckConnections());
  if (!both) return absl::InternalError("no answer");
  for (const Side side : kSides) (*answers)[side] = std::move(*(*got)[side]);
  return absl::OkStatus();
}

absl::Status Runner::Compare(const Step& step, std::array<Answer, 2>* answers) {
  Answer& reference = (*answers)[kReference];
  Answer& subject = (*answers)[kSubject];
  const std::string difference = Difference(step, options_.release, &reference, &subject);
  if (difference.empty()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(difference, "\n  reference: ", Describe(reference),
                                          "\n  subject:   ", Describe(subject)));
}

// Compares, counts, and lets the generator learn.
absl::Status Runner::Conclude(const Step& step, std::array<Answer, 2> answers) {
  RETURN_IF_ERROR(Compare(step, &answers));
  const Answer& answer = answers[kReference];
  std::string refusal(answer.status.message());
  if (step.type == Type::kWatch && answer.status.ok()) {
    const auto& created = answer.As<WatchResponse>();
    if (created.canceled()) refusal = created.cancel_reason();
  }
  report_.Count(step.type, refusal);
  if (step.type != Type::kWatch || step.stream != kObserver) generator_.Learn(step, answer);
  return absl::OkStatus();
}

absl::Status Runner::AwaitHistory(int64_t revision) {
  if (Wait(kPatience, [&] { return observed_revision_ >= revision; })) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("the reference's watcher of everything has not seen revision ", revision));
}

absl::Status Runner::RunCall(const Step& step) {
  // What was there to be seen before a compaction must have been sent by then.
  if (step.type == Type::kCompact) {
    RETURN_IF_ERROR(Settle());
    judge_.OnCompaction(step.As<etcdserverpb::CompactionRequest>().revision());
  }
  if (step.awaits_expiry.has_value()) RETURN_IF_ERROR(AwaitExpiry(*step.awaits_expiry));
  std::array<Answer, 2> answers;
  RETURN_IF_ERROR(Ask(step, &answers));
  // A compaction that is not physical goes on for a while behind etcd's answer. Then the
  // hash that it has stored answers for its revision.
  if (step.type == Type::kCompact && answers[kReference].status.ok()) {
    RETURN_IF_ERROR(CompareHash(step.As<etcdserverpb::CompactionRequest>().revision()));
  }
  int64_t revision = 0;
  const Answer& reference = answers[kReference];
  if (reference.status.ok()) {
    const auto* header = reference.response->GetDescriptor()->FindFieldByName("header");
    const auto& message =
        reference.response->GetReflection()->GetMessage(*reference.response, header);
    revision = static_cast<const etcdserverpb::ResponseHeader&>(message).revision();
  }
  RETURN_IF_ERROR(Conclude(step, std::move(answers)));
  return AwaitHistory(revision);
}

// Whoever sends the step may not be allowed to look; and what is not waited for ends on one of them
// before the other.
absl::Status Runner::AwaitExpiry(int64_t lease) {
  Step look;
  look.type = Type::kLeaseTimeToLive;
  if (generator_.known().auth_enabled()) look.user = "root";
  auto request = std::make_shared<etcdserverpb::LeaseTimeToLiveRequest>();
  request->set_id(lease);
  look.request = request;
  for (int attempt = 0; attempt < 2 * kAttempts * 10; ++attempt) {
    std::array<Answer, 2> answers;
    RETURN_IF_ERROR(Ask(look, &answers));
    int expired = 0;
    for (const Answer& answer : answers) {
      if (!answer.status.ok()) return absl::OkStatus();  // the step itself will show why
      if (answer.As<etcdserverpb::LeaseTimeToLiveResponse>().ttl() == -1) ++expired;
    }
    if (expired == 2) return absl::OkStatus();
    Wait(kSilence, [] { return false; });
  }
  return absl::InternalError(absl::StrCat("lease ", lease, " does not expire"));
}

// Until the hashes are the same, or patience is over.
absl::Status Runner::CompareHash(int64_t revision) {
  Step step;
  step.type = Type::kHashKv;
  if (generator_.known().auth_enabled()) step.user = "root";
  auto request = std::make_shared<etcdserverpb::HashKVRequest>();
  request->set_revision(revision);
  step.request = request;
  for (int attempt = 0;; ++attempt) {
    std::array<Answer, 2> answers;
    RETURN_IF_ERROR(Ask(step, &answers));
    const absl::Status status = Compare(step, &answers);
    if (status.ok() && answers[kReference].status.ok()) ++report_.hashes;
    if (status.ok() || attempt == kAttempts) return status;
    Wait(Milliseconds(int64_t{1} << std::min(attempt, 9)), [] { return false; });
  }
}

// ---- watches ----

absl::Status Runner::Settle() {
  const bool settled = Wait(kPatience, [&] { return judge_.Settled(); });
  RETURN_IF_ERROR(CheckConnections());
  std::string wrong = judge_.Check();
  if (wrong.empty() && !settled) wrong = judge_.Missing();
  return wrong.empty() ? absl::OkStatus() : absl::InternalError(absl::StrCat("watch: ", wrong));
}

void Runner::OpenWatch(int stream, const std::string& user) {
  open_streams_.insert(stream);
  judge_.OnOpen(stream);
  for (const Side side : kSides) servers_[side]->OpenWatch(stream, user);
}

void Runner::SendWatch(const Step& step) {
  for (const Side side : kSides) {
    servers_[side]->SendWatch(step.stream, step.As<etcdserverpb::WatchRequest>());
  }
}

std::array<Answer, 2> Runner::TakeWatch(const Step& step, Kind kind) {
  std::array<Answer, 2> answers;
  for (const Side side : kSides) {
    Answer& answer = answers[side];
    std::optional<WatchResponse> response = judge_.Take(side, step.stream, kind);
    if (response.has_value()) {
      answer.response = std::make_unique<WatchResponse>(*std::move(response));
    } else {
      answer.status = judge_.ended(side, step.stream).value_or(absl::NotFoundError("silence"));
      if (answer.status.ok()) answer.status = absl::CancelledError("the stream ended");
    }
  }
  return answers;
}

absl::Status Runner::RunWatch(const Step& step) {
  RETURN_IF_ERROR(Settle());
  const bool ended = judge_.ended(kReference, step.stream).has_value();
  if (step.reopens || ended || !open_streams_.contains(step.stream)) {
    OpenWatch(step.stream, step.user);
  }
  if (step.type == Type::kWatch) return Create(step);
  return step.type == Type::kWatchCancel ? Cancel(step) : Progress(step);
}

absl::Status Runner::Create(const Step& step) {
  SendWatch(step);
  Wait(kPatience, [&] {
    return std::all_of(std::begin(kSides), std::end(kSides), [&](Side side) {
      return judge_.Has(side, step.stream, Kind::kCreated) || judge_.ended(side, step.stream);
    });
  });
  RETURN_IF_ERROR(CheckConnections());
  std::array<Answer, 2> answers = TakeWatch(step, Kind::kCreated);
  if (answers[kReference].status.ok()) {
    const auto& created = answers[kReference].As<WatchResponse>();
    if (!created.canceled()) {
      judge_.OnCreated(step.stream, created.watch_id(),
                       step.As<etcdserverpb::WatchRequest>().create_request(),
                       created.header().revision(), generator_.known().compacted());
    }
  }
  return Conclude(step, std::move(answers));
}

// A cancellation of an unknown watcher is not answered.
absl::Status Runner::Cancel(const Step& step) {
  const auto& request = step.As<etcdserverpb::WatchRequest>().cancel_request();
  const auto& streams = generator_.known().streams();
  const auto stream = streams.find(step.stream);
  const bool known = stream != streams.end() && stream->second.watches.contains(request.watch_id());
  SendWatch(step);
  const auto answered = [&](Side side) { return judge_.Has(side, step.stream, Kind::kCancelled); };
  const auto both = [&] { return answered(kReference) && answered(kSubject); };
  if (!Wait(known ? Seconds(1) : kSilence / 5, both) &&
      (answered(kReference) || answered(kSubject))) {
    Wait(kPatience, both);
  }
  RETURN_IF_ERROR(CheckConnections());
  std::array<Answer, 2> answers = TakeWatch(step, Kind::kCancelled);
  if (answers[kReference].status.ok()) judge_.OnCancelled(step.stream, request.watch_id());
  return Conclude(step, std::move(answers));
}

// Answered only if every watcher of the stream has caught up, which is a matter of time.
absl::Status Runner::Progress(const Step& step) {
  std::array<Answer, 2> answers;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (const Side side : kSides) {
      while (judge_.Take(side, step.stream, Kind::kProgress)) {
      }
    }
    SendWatch(step);
    Wait(kSilence, [&] {
      return judge_.Has(kReference, step.stream, Kind::kProgress) &&
             judge_.Has(kSubject, step.stream, Kind::kProgress);
    });
    answers = TakeWatch(step, Kind::kProgress);
    const bool reference = answers[kReference].status.ok();
    if (reference == answers[kSubject].status.ok()) break;
    if (judge_.IsUncertain(step.stream) ||
        (reference && options_.release.progress_unconditionally)) {
      answers[kReference].status = answers[kSubject].status = absl::NotFoundError("not comparable");
      break;
    }
  }
  return Conclude(step, std::move(answers));
}

}  // namespace quorate::differential
