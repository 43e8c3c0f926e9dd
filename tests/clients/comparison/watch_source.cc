#include "tests/clients/comparison/watch_source.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace quorate::differential {
namespace {

using etcdserverpb::WatchCreateRequest;

// Stream 0 is the runner's own.
constexpr int kFirstStream = 1;
constexpr int kStreams = 4;
constexpr size_t kMaxWatches = 12;

Step WatchStep(Type type, int stream) {
  Step step;
  step.type = type;
  step.stream = stream;
  step.request = std::make_shared<etcdserverpb::WatchRequest>();
  return step;
}

etcdserverpb::WatchRequest& RequestOf(const Step& step) {
  return static_cast<etcdserverpb::WatchRequest&>(*step.request);
}

}  // namespace

int64_t WatchSource::StartRevision() {
  const uint64_t n = draw_.Below(100);
  const int64_t now = known_.revision();
  if (n < 50) return 0;
  if (n < 75) return draw_.Between(std::min(known_.compacted(), now), now);
  if (n < 81) return known_.compacted();
  if (n < 86) return std::max<int64_t>(known_.compacted() - 1, 0);
  if (n < 89) return now;
  if (n < 93) return now + 1;
  if (n < 96) return now + 3;
  if (n < 98) return 1;
  const int64_t odd = draw_.Of<int64_t>({-1, kMinInt64, kMaxInt64});
  return release_.takes_negative_start && odd < 0 ? 0 : odd;
}

WatchCreateRequest WatchSource::CreateRequest(const KnownStream& stream) {
  WatchCreateRequest create;
  create.set_key(kv_.Key());
  create.set_range_end(kv_.RangeEnd(create.key()));
  create.set_start_revision(StartRevision());
  create.set_progress_notify(draw_.Percent(20));
  if (draw_.Percent(15)) create.add_filters(WatchCreateRequest::NOPUT);
  if (draw_.Percent(15)) create.add_filters(WatchCreateRequest::NODELETE);
  if (draw_.Percent(3)) create.add_filters(WatchCreateRequest::NODELETE);
  if (draw_.Percent(2)) {
    create.add_filters(static_cast<WatchCreateRequest::FilterType>(draw_.Of<int>({2, -1})));
  }
  create.set_prev_kv(draw_.Percent(35));
  create.set_fragment(draw_.Percent(30));
  const uint64_t n = draw_.Below(100);
  if (n < 5 && !stream.watches.empty()) {
    create.set_watch_id(draw_.Member(stream.watches).first);
  } else if (n < 25) {
    create.set_watch_id(draw_.Between(1, 30));
  } else if (n < 27) {
    // By -1 go the whole stream's notes too.
    create.set_watch_id(draw_.Of<int64_t>({-1, -2, kMinInt64, kMaxInt64}));
    create.set_progress_notify(false);
  }
  return create;
}

template <typename Wanted>
int WatchSource::Stream(Wanted wanted) {
  std::vector<int> all;
  std::vector<int> good;
  for (const auto& [number, stream] : known_.streams()) {
    all.push_back(number);
    if (wanted(stream)) good.push_back(number);
  }
  const std::vector<int>& from = good.empty() || draw_.Percent(10) ? all : good;
  return from.empty() ? kFirstStream : from[draw_.Below(from.size())];
}

Step WatchSource::CreateOnSomeStream() {
  const int number = kFirstStream + static_cast<int>(draw_.Below(kStreams));
  const auto found = known_.streams().find(number);
  const bool open = found != known_.streams().end();
  const KnownStream stream = open ? found->second : KnownStream();
  Step step = WatchStep(Type::kWatch, number);
  step.reopens = !open || draw_.Percent(4) || stream.watches.size() >= kMaxWatches;
  return step;
}

Step WatchSource::Create() {
  Step step = CreateOnSomeStream();
  const auto found = known_.streams().find(step.stream);
  *RequestOf(step).mutable_create_request() =
      CreateRequest(found != known_.streams().end() ? found->second : KnownStream());
  return step;
}

Step WatchSource::CreateForLarge(const std::string& prefix, int64_t start_revision) {
  Step step = CreateOnSomeStream();
  WatchCreateRequest* create = RequestOf(step).mutable_create_request();
  create->set_key(prefix);
  create->set_range_end(prefix);
  create->mutable_range_end()->back() = static_cast<char>(prefix.back() + 1);
  create->set_start_revision(start_revision);
  create->set_prev_kv(true);
  create->set_fragment(true);
  return step;
}

Step WatchSource::Cancel() {
  const int number = Stream([](const KnownStream& stream) { return !stream.watches.empty(); });
  Step step = WatchStep(Type::kWatchCancel, number);
  auto* cancel = RequestOf(step).mutable_cancel_request();
  const auto found = known_.streams().find(number);
  if (found != known_.streams().end() && !found->second.watches.empty() && draw_.Percent(90)) {
    cancel->set_watch_id(draw_.Member(found->second.watches).first);
  } else {
    cancel->set_watch_id(draw_.Of<int64_t>({0, -1, 7, 1000, kMaxInt64, kMinInt64}));
  }
  step.reopens = found == known_.streams().end();
  return step;
}

// Streams are silent if a watcher of theirs waits for the future or was ended by a
// compaction: rather ask others.
Step WatchSource::Progress() {
  const int number = Stream([this](const KnownStream& stream) {
    if (stream.watches.empty()) return false;
    return std::none_of(stream.watches.begin(), stream.watches.end(), [this](const auto& watch) {
      const int64_t start = watch.second;
      return start > known_.revision() || (start > 0 && start < known_.compacted());
    });
  });
  Step step = WatchStep(Type::kWatchProgress, number);
  RequestOf(step).mutable_progress_request();
  step.reopens = !known_.streams().contains(number);
  return step;
}

}  // namespace quorate::differential
