#include "sim/explore/explorer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/check.h"
#include "base/coding.h"

namespace quorate::sim::explore {

namespace {
// States between two looks at the bounds of the walk.
constexpr uint64_t kStatesBetweenLooks = 4096;
}  // namespace

void Explorer::Level::Add(absl::string_view encoded) {
  char length[kMaxVarint64Bytes];
  const auto head = static_cast<size_t>(StoreVarint(length, encoded.size()) - length);
  if (blocks_.empty() || blocks_.back().size() + head + encoded.size() > kBlock) {
    blocks_.emplace_back().reserve(kBlock);
  }
  blocks_.back().append(length, head).append(encoded.data(), encoded.size());
  ++left_;
}

absl::string_view Explorer::Level::Next() {
  if (!blocks_.empty() && read_ == blocks_.front().size()) {
    blocks_.pop_front();
    read_ = 0;
  }
  if (blocks_.empty()) return absl::string_view();
  absl::string_view rest = absl::string_view(blocks_.front()).substr(read_);
  uint64_t length = 0;
  CHECK(GetVarint(&rest, &length));
  const absl::string_view record = rest.substr(0, length);
  read_ = static_cast<size_t>(record.data() + length - blocks_.front().data());
  --left_;
  return record;
}

Explorer::Explorer(const Bounds& bounds, ExploreOptions options)
    : model_(bounds, options.faults, options.audit), options_(std::move(options)) {}

void Explorer::Count() {
  findings_.distinct = visited_.size();
  findings_.frontier = present_.left() + next_.left();
  findings_.latest_leader = model_.histories().latest_leader();
  findings_.committed = model_.histories().committed();
  findings_.reads_served = model_.members().reads_served();
  findings_.member_states = model_.members().size();
  findings_.messages = model_.messages().size();
  findings_.reactions = model_.members().reactions();
  findings_.memory = visited_.MemoryBytes() + present_.MemoryBytes() + next_.MemoryBytes() +
                     parents_.size() * (sizeof(uint32_t) + sizeof(uint16_t)) + model_.MemoryBytes();
}

bool Explorer::GoOn() {
  Count();
  if (options_.max_states != 0 && findings_.distinct >= options_.max_states) return false;
  if (options_.max_memory_bytes != 0 && findings_.memory >= options_.max_memory_bytes) return false;
  return options_.on_progress == nullptr || options_.on_progress(findings_);
}

void Explorer::Found(const Successor& successor, uint64_t parent) {
  CHECK_LT(parents_.size(), std::numeric_limits<uint32_t>::max());
  CHECK_LE(successor.choice, std::numeric_limits<uint16_t>::max());
  parents_.push_back(static_cast<uint32_t>(parent));
  choices_.push_back(static_cast<uint16_t>(successor.choice));
  findings_.renamed += successor.renamings;
  encoded_.clear();
  model_.Encode(successor.cluster, &encoded_);
  next_.Add(encoded_);
}

const Findings& Explorer::Run() {
  Successor start;
  start.cluster = model_.Start();
  start.digest = model_.CanonicalOf(start.cluster);
  start.renamings = model_.CountRenamings();
  visited_.Insert(start.digest);
  findings_.visited = 1;
  Found(start, 0);
  for (number_ = 0; next_.left() > 0; ++findings_.depth) {
    std::swap(present_, next_);
    while (present_.left() > 0) {
      absl::string_view encoded = present_.Next();
      model_.Decode(&encoded, &cluster_);
      const bool look = number_ % kStatesBetweenLooks == 0;
      if (!Expand(number_) || (look && !GoOn())) {
        Count();
        return findings_;
      }
      ++number_;
    }
    present_ = Level();
    if (next_.left() == 0) break;
  }
  Count();
  findings_.exhaustive = true;
  return findings_;
}

bool Explorer::Expand(uint64_t number) {
  model_.ListChoices(cluster_, &list_);
  if (successors_.size() < list_.size()) successors_.resize(list_.size());
  size_t count = 0;
  for (choice_ = 0; choice_ < list_.size(); ++choice_) {
    Successor& successor = successors_[count];
    const Model::Effect effect = model_.Take(cluster_, list_[choice_], &successor.cluster);
    if (effect == Model::Effect::kNothing) continue;
    ++findings_.visited;
    if (effect == Model::Effect::kBroken) return Broken(number, choice_);
    successor.digest = model_.Canonical();
    successor.renamings = model_.CountRenamings();
    successor.choice = choice_;
    visited_.Prefetch(successor.digest);
    ++count;
  }
  for (size_t i = 0; i < count; ++i) {
    const Successor& successor = successors_[i];
    if (!visited_.Insert(successor.digest)) continue;
    choice_ = successor.choice;
    if (!model_.IsSound(successor.cluster, list_[choice_])) return Broken(number, choice_);
    Found(successor, number);
  }
  return true;
}

bool Explorer::Broken(uint64_t number, size_t choice) {
  ++findings_.depth;
  findings_.violation = model_.violation();
  findings_.violation->evidence = Trace(number, choice);
  return false;
}

std::vector<std::string> Explorer::Trace(uint64_t number, size_t choice) {
  std::vector<size_t> way = {choice};
  for (; number != 0; number = parents_[number]) way.push_back(choices_[number]);
  std::reverse(way.begin(), way.end());
  std::vector<std::string> lines;
  Cluster cluster = model_.Start();
  for (const size_t which : way) {
    std::vector<Choice> list;
    model_.ListChoices(cluster, &list);
    lines.push_back(model_.Describe(cluster, list.at(which)));
    Cluster next;
    model_.Take(cluster, list.at(which), &next);
    cluster = std::move(next);
  }
  return lines;
}

const Findings& Explorer::FailedAssertion(absl::string_view text) {
  Count();
  const std::string what(absl::StripTrailingAsciiWhitespace(text));
  findings_.violation = Violation{Rule::kAssertion, VirtualTime(), what, {}};
  std::vector<std::string>& lines = findings_.violation->evidence;
  // What comes of the last step is not known.
  const std::string last = model_.Describe(list_.at(choice_));
  if (number_ != 0) lines = Trace(parents_[number_], choices_[number_]);
  lines.push_back(last);
  findings_.depth = lines.size();
  return findings_;
}

}  // namespace quorate::sim::explore
