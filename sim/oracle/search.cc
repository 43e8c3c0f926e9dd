#include "sim/oracle/search.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/prng.h"

namespace quorate::sim {
namespace {

// The state searched over: what is there, without revisions.
struct Cell {
  std::string value;
  int64_t version = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};
using State = std::map<std::string, Cell>;

uint64_t HashState(const State& state) {
  uint64_t hash = state.size();
  for (const auto& [key, cell] : state) {
    hash = Mix64(hash ^ HashName(key));
    hash = Mix64(hash ^ HashName(cell.value));
    hash = Mix64(hash ^ static_cast<uint64_t>(cell.version));
  }
  return hash;
}

// A state that the search's steps share until one changes it.
class SharedState {
 public:
  const State& cells() const { return node_->cells; }
  // To be changed: a copy, if somebody else remembers this one.
  State* Change() {
    if (node_.use_count() > 1) node_ = std::make_shared<Node>(Node{node_->cells, std::nullopt});
    node_->hash.reset();
    return &node_->cells;
  }
  uint64_t Hash() const {
    if (!node_->hash.has_value()) node_->hash = HashState(node_->cells);
    return *node_->hash;
  }
  friend bool operator==(const SharedState& a, const SharedState& b) {
    return a.node_ == b.node_ || a.node_->cells == b.node_->cells;
  }

 private:
  struct Node {
    State cells;
    std::optional<uint64_t> hash;  // of these cells, once asked for
  };
  std::shared_ptr<Node> node_ = std::make_shared<Node>();
};

bool Holds(const State& state, const Comparison& comparison) {
  const auto found = state.find(comparison.key);
  const auto stands = [&](const auto& left, const auto& right) {
    switch (comparison.relation) {
      case Comparison::Relation::kEqual:
        return left == right;
      case Comparison::Relation::kGreater:
        return left > right;
      case Comparison::Relation::kLess:
        return left < right;
      case Comparison::Relation::kNotEqual:
        return left != right;
    }
    UNREACHABLE("every relation is handled");
  };
  if (comparison.target == Comparison::Target::kValue) {
    return found != state.end() && stands(found->second.value, comparison.value);
  }
  const int64_t version = found == state.end() ? 0 : found->second.version;
  if (comparison.target == Comparison::Target::kVersion) {
    return stands(version, comparison.number);
  }
  // Searchable() has seen that the number is zero: it asks whether the key is there.
  return stands(version == 0 ? int64_t{0} : int64_t{1}, int64_t{0});
}

bool SameKv(const KeyValue& told, const std::string& key, const Cell& cell, bool keys_only) {
  return told.key == key && told.version == cell.version &&
         (keys_only ? told.value.empty() : told.value == cell.value);
}

// Calls visit(iterator) for each key in the operation's range.
template <typename Cells, typename Visit>
void ForEach(Cells* state, const Operation& operation, Visit visit) {
  auto it = state->lower_bound(operation.key);
  while (it != state->end() && InRange(it->first, operation.key, operation.range_end)) {
    it = visit(it);
  }
}

bool PerformRange(const State& state, const Operation& operation, const OperationResult* told) {
  if (told == nullptr) return true;
  int64_t count = 0;
  bool same = true;
  ForEach(&state, operation, [&](State::const_iterator it) {
    const auto at = static_cast<size_t>(count++);
    const bool shown = !operation.count_only && (operation.limit == 0 || count <= operation.limit);
    if (shown) {
      same = same && at < told->kvs.size() &&
             SameKv(told->kvs[at], it->first, it->second, operation.keys_only);
    }
    return ++it;
  });
  int64_t shown = operation.count_only ? 0 : count;
  if (operation.limit > 0) shown = std::min(shown, operation.limit);
  return same && told->count == count && static_cast<int64_t>(told->kvs.size()) == shown;
}

bool PerformPut(State* state, const Operation& operation, const OperationResult* told) {
  const auto found = state->find(operation.key);
  bool same = true;
  if (told != nullptr && operation.prev_kv) {
    same = found == state->end()
               ? told->kvs.empty()
               : told->kvs.size() == 1 && SameKv(told->kvs[0], operation.key, found->second, false);
  }
  Cell& cell = (*state)[operation.key];
  cell.value = operation.value;
  ++cell.version;
  return same;
}

bool PerformDelete(State* state, const Operation& operation, const OperationResult* told) {
  int64_t count = 0;
  bool same = true;
  ForEach(state, operation, [&](State::iterator it) {
    const auto at = static_cast<size_t>(count++);
    if (told != nullptr && operation.prev_kv) {
      same = same && at < told->kvs.size() && SameKv(told->kvs[at], it->first, it->second, false);
    }
    return state->erase(it);
  });
  return same && (told == nullptr || told->count == count);
}

// Performs the request on *state; false if that is not what its client was told.
bool Perform(const Call& call, SharedState* state) {
  const Result* told = call.outcome == Outcome::kOk ? &call.result : nullptr;
  bool first = true;
  if (call.request.shape == Request::Shape::kTxn) {
    for (const Comparison& comparison : call.request.compare) {
      first = first && Holds(state->cells(), comparison);
    }
    if (told != nullptr && told->succeeded != first) return false;
  }
  const std::vector<Operation>& operations = first ? call.request.success : call.request.failure;
  if (told != nullptr && told->operations.size() != operations.size()) return false;
  for (size_t i = 0; i < operations.size(); ++i) {
    const OperationResult* result = told == nullptr ? nullptr : &told->operations[i];
    bool same = true;
    switch (operations[i].kind) {
      case Operation::Kind::kRange:
        same = PerformRange(state->cells(), operations[i], result);
        break;
      case Operation::Kind::kPut:
        same = PerformPut(state->Change(), operations[i], result);
        break;
      case Operation::Kind::kDelete:
        same = PerformDelete(state->Change(), operations[i], result);
        break;
      case Operation::Kind::kTxn:
        UNREACHABLE("not searchable");
    }
    if (!same) return false;
  }
  return true;
}

// The set of attempts performed so far.
class Done {
 public:
  explicit Done(size_t attempts) : words_((attempts + 63) / 64) {}
  void Add(size_t i) { words_[i / 64] |= uint64_t{1} << i % 64; }
  void Remove(size_t i) { words_[i / 64] &= ~(uint64_t{1} << i % 64); }
  // The first from `i` on that is not in it; any number beyond the last if there is none.
  size_t NextOpen(size_t i) const {
    for (size_t word = i / 64; word < words_.size(); ++word) {
      const uint64_t open = ~words_[word] & (~uint64_t{0} << (word == i / 64 ? i % 64 : 0));
      if (open != 0) return word * 64 + static_cast<size_t>(std::countr_zero(open));
    }
    return words_.size() * 64;
  }
  friend bool operator==(const Done&, const Done&) = default;

 private:
  std::vector<uint64_t> words_;
};

uint64_t HashBit(size_t i) { return Mix64(0x5eed0000 + i); }

class Search {
 public:
  Search(const std::vector<const Call*>& calls, uint64_t max_steps)
      : calls_(calls), max_steps_(max_steps), done_(calls.size()) {
    std::sort(calls_.begin(), calls_.end(),
              [](const Call* a, const Call* b) { return a->invoked_at < b->invoked_at; });
    times_.reserve(calls_.size());
    for (const Call* call : calls_) {
      times_.push_back(
          {call->invoked_at, call->outcome == Outcome::kOk ? call->returned_at : kNever});
    }
  }

  SearchResult Run();

 private:
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
  struct Times {
    uint64_t invoked;
    uint64_t returned;  // kNever unless it was answered: it may be performed at any later time
  };
  struct Frame {
    size_t call;
    SharedState before;
  };

  // The first attempt from `from` on that may be next: not done, and begun before any
  // other that is not done has ended. calls_.size() if there is none.
  size_t Candidate(size_t from) const;
  bool TryFrom(size_t from);
  bool Remember();

  std::vector<const Call*> calls_;
  std::vector<Times> times_;  // of calls_
  const uint64_t max_steps_;
  SearchResult result_;
  SharedState state_;
  Done done_;
  uint64_t done_hash_ = 0;
  size_t first_open_ = 0;  // everything before it is done
  std::vector<Frame> stack_;
  size_t deepest_ = 0;
  absl::flat_hash_map<uint64_t, std::vector<std::pair<Done, SharedState>>> tried_;  // lookup only
};

size_t Search::Candidate(size_t from) const {
  uint64_t earliest_return = kNever;
  for (size_t i = done_.NextOpen(first_open_); i < times_.size(); i = done_.NextOpen(i + 1)) {
    // An attempt with a later invocation than this return cannot come first; one with
    // an earlier may, wherever it stands in the order.
    if (times_[i].invoked > earliest_return) break;
    earliest_return = std::min(earliest_return, times_[i].returned);
  }
  const size_t next = done_.NextOpen(std::max(from, first_open_));
  return next < times_.size() && times_[next].invoked <= earliest_return ? next : times_.size();
}

// True if this configuration is new.
bool Search::Remember() {
  auto& bucket = tried_[Mix64(done_hash_) ^ state_.Hash()];
  for (const auto& [done, state] : bucket) {
    if (done == done_ && state == state_) return false;
  }
  bucket.emplace_back(done_, state_);
  return true;
}

// Performs one more attempt, the first that fits from `from` on.
bool Search::TryFrom(size_t from) {
  for (size_t i = Candidate(from); i < calls_.size(); i = Candidate(i + 1)) {
    ++result_.steps;
    SharedState before = state_;
    if (Perform(*calls_[i], &state_)) {
      done_.Add(i);
      done_hash_ ^= HashBit(i);
      if (Remember()) {
        stack_.push_back(Frame{i, std::move(before)});
        first_open_ = std::min(done_.NextOpen(first_open_), calls_.size());
        return true;
      }
      done_.Remove(i);
      done_hash_ ^= HashBit(i);
    }
    state_ = std::move(before);
  }
  return false;
}

SearchResult Search::Run() {
  size_t from = 0;
  while (stack_.size() < calls_.size()) {
    if (result_.steps > max_steps_) {
      result_.verdict = SearchVerdict::kGaveUp;
      return result_;
    }
    if (TryFrom(from)) {
      from = 0;
      continue;
    }
    if (stack_.size() >= deepest_ && first_open_ < calls_.size()) {
      deepest_ = stack_.size();
      result_.stuck = calls_[first_open_];
    }
    if (stack_.empty()) {
      result_.verdict = SearchVerdict::kNotLinearizable;
      return result_;
    }
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    state_ = std::move(frame.before);
    done_.Remove(frame.call);
    done_hash_ ^= HashBit(frame.call);
    first_open_ = std::min(first_open_, frame.call);
    from = frame.call + 1;
  }
  result_.stuck = nullptr;
  return result_;
}

}  // namespace

bool Searchable(const Request& request) {
  if (request.serializable || request.shape == Request::Shape::kCompact) return false;
  // A key that is attached to a lease may vanish by itself.
  const auto leased = [](const Operation& operation) {
    return operation.lease != 0 || operation.ignore_lease;
  };
  const auto intricate = [](const Operation& operation) {
    return operation.kind == Operation::Kind::kTxn || operation.filters() ||
           operation.order != Operation::Order::kNone;
  };
  if (std::any_of(request.success.begin(), request.success.end(), intricate)) return false;
  if (std::any_of(request.failure.begin(), request.failure.end(), intricate)) return false;
  if (std::any_of(request.success.begin(), request.success.end(), leased)) return false;
  for (const Comparison& comparison : request.compare) {
    if (!comparison.range_end.empty() || comparison.target == Comparison::Target::kLease) {
      return false;
    }
    const bool of_revision = comparison.target == Comparison::Target::kCreateRevision ||
                             comparison.target == Comparison::Target::kModRevision;
    if (of_revision && comparison.number != 0) return false;
  }
  const auto present = [](const Operation& operation) { return operation.revision == 0; };
  return std::all_of(request.success.begin(), request.success.end(), present) &&
         std::all_of(request.failure.begin(), request.failure.end(), present);
}

SearchResult SearchLinearization(const std::vector<const Call*>& calls, uint64_t max_steps) {
  return Search(calls, max_steps).Run();
}

}  // namespace quorate::sim
