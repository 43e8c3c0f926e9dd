#include "sim/oracle/auth.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sim/oracle/kv.h"

namespace quorate::sim {
namespace {

constexpr absl::string_view kDenied = "etcdserver: permission denied";
constexpr absl::string_view kNobody = "etcdserver: user name is empty";
constexpr absl::string_view kUnknownUser = "etcdserver: user name not found";
constexpr absl::string_view kOldRevision = "etcdserver: revision of auth store is old";
constexpr absl::string_view kBadToken = "etcdserver: invalid auth token";

// To attach one more key to a lease, and to end it, takes the right to write all of its keys.
std::string LeaseRefusal(const AuthModel& auth, const std::string& user, uint64_t revision,
                         const std::set<std::string>& keys) {
  if (auth.CheckAdmin(user).empty()) return "";
  for (const std::string& key : keys) {
    std::string refusal = auth.Check(user, revision, /*write=*/true, key, "");
    if (!refusal.empty()) return refusal;
  }
  return "";
}

std::string ShowUser(const std::string& user) {
  return user.empty() ? "nobody" : absl::StrCat("user ", user);
}

}  // namespace

namespace {

// Who asks for what, with all that decides on it.
struct Asker {
  const AuthModel& auth;
  const std::string& user;
  uint64_t revision;
  const std::function<std::set<std::string>(int64_t lease)>& attached;

  std::string Check(bool write, const std::string& key, const std::string& end) const {
    return auth.Check(user, revision, write, key, end);
  }
};

std::string RefusalOf(const Asker& asker, const std::vector<Comparison>& compare,
                      const std::vector<Operation>& success, const std::vector<Operation>& failure);

std::string RefusalOf(const Asker& asker, const Operation& o) {
  if (o.kind == Operation::Kind::kTxn) return RefusalOf(asker, o.compare, o.success, o.failure);
  const bool reads = o.kind == Operation::Kind::kRange;
  const bool put = o.kind == Operation::Kind::kPut;
  const std::string end = put ? std::string() : o.range_end;
  std::string refusal = asker.Check(/*write=*/!reads, o.key, end);
  if (refusal.empty() && put && o.lease != 0) {
    refusal = LeaseRefusal(asker.auth, asker.user, asker.revision, asker.attached(o.lease));
  }
  if (refusal.empty() && !reads && o.prev_kv) {
    refusal = asker.Check(/*write=*/false, o.key, end);
  }
  return refusal;
}

// Of both branches, whichever is taken.
std::string RefusalOf(const Asker& asker, const std::vector<Comparison>& compare,
                      const std::vector<Operation>& success,
                      const std::vector<Operation>& failure) {
  for (const Comparison& comparison : compare) {
    std::string refusal = asker.Check(/*write=*/false, comparison.key, comparison.range_end);
    if (!refusal.empty()) return refusal;
  }
  for (const auto* operations : {&success, &failure}) {
    for (const Operation& operation : *operations) {
      std::string refusal = RefusalOf(asker, operation);
      if (!refusal.empty()) return refusal;
    }
  }
  return "";
}

}  // namespace

std::string RefusalOf(const AuthModel& auth, const std::string& user, uint64_t revision,
                      const Request& request,
                      const std::function<std::set<std::string>(int64_t lease)>& attached) {
  if (!auth.enabled()) return "";
  if (request.shape == Request::Shape::kRevoke) {
    return LeaseRefusal(auth, user, revision, attached(request.lease));
  }
  const Asker asker{auth, user, revision, attached};
  return RefusalOf(asker, request.compare, request.success, request.failure);
}

AuthOracle::AuthOracle(Judge* judge, const History* history, const Model* model,
                       AppliedOf applied_of)
    : judge_(judge),
      history_(history),
      model_(model),
      applied_of_(std::move(applied_of)),
      states_(1) {}

// ---- what is committed ----

void AuthOracle::Sync() {
  while (static_cast<int64_t>(makers_.size()) + 1 < model_->revision()) makers_.push_back(last_);
  for (; lease_changes_seen_ < model_->lease_changes().size(); ++lease_changes_seen_) {
    const int64_t id = model_->lease_changes()[lease_changes_seen_];
    const auto lease = model_->leases().find(id);
    const std::set<std::string> keys =
        lease == model_->leases().end() ? std::set<std::string>() : lease->second.keys;
    std::vector<Keys>& sets = keys_[id];
    if (sets.empty()) sets.push_back({LogIndex(0), {}});
    if (sets.back().keys != keys) sets.push_back({committed_, keys});
  }
}

bool AuthOracle::Refuses(VirtualTime when, const raft::Entry& entry) {
  Sync();
  committed_ = entry.index;
  last_ = {entry.index, "", ""};
  if (entry.type != raft::EntryType::kNormal || entry.data.empty()) return false;
  const absl::StatusOr<AuthCommand> command = DecodeAuthCommand(entry.data);
  if (!command.ok()) return false;  // KvOracle says so
  if (command->change.has_value()) {
    AuthModel auth = states_.back().auth;
    std::string error = auth.Apply(*command->change, command->user);
    if (error.empty()) states_.push_back({entry.index, std::move(auth)});
    changes_.push_back({entry.index, *command->change, std::move(error)});
    return true;
  }
  const absl::StatusOr<std::optional<Request>> request = DecodeCommand(entry.data);
  if (!request.ok() || !request->has_value()) return false;
  return RefusesRequest(when, *command, **request);
}

bool AuthOracle::RefusesRequest(VirtualTime when, const AuthCommand& command,
                                const Request& request) {
  const AuthModel& auth = present();
  last_.user = command.user;
  last_.fingerprint = request.Fingerprint();
  // Who may grant or compact is asked where the command comes from.
  const bool checked =
      request.shape != Request::Shape::kGrant && request.shape != Request::Shape::kCompact;
  std::string why;
  if (checked) {
    why = RefusalOf(auth, command.user, command.revision, request, [this](int64_t lease) {
      const auto at = model_->leases().find(lease);
      return at == model_->leases().end() ? std::set<std::string>() : at->second.keys;
    });
  }
  const bool refused = !why.empty();
  if (request.shape == Request::Shape::kRevoke) {
    revocations_[request.lease].push_back({committed_, command.user, auth.enabled(), refused});
  }
  if (refused) {
    ++refused_count_;
    refused_[last_.fingerprint].push_back({committed_, when, std::move(why)});
  }
  return refused;
}

LogIndex AuthOracle::MadeAt(int64_t revision) const {
  return revision < 2 ? LogIndex(0) : makers_[static_cast<size_t>(revision - 2)].index;
}

bool AuthOracle::Ever(LogIndex low, LogIndex high,
                      const std::function<bool(const AuthModel&)>& holds) const {
  for (size_t i = 0; i < states_.size() && states_[i].since <= high; ++i) {
    if (i + 1 < states_.size() && states_[i + 1].since <= low) continue;
    if (holds(states_[i].auth)) return true;
  }
  return false;
}

AuthOracle::KeySets AuthOracle::KeysOf(int64_t lease, LogIndex low, LogIndex high) const {
  KeySets out;
  const auto at = keys_.find(lease);
  if (at == keys_.end()) return {{}};
  const std::vector<Keys>& sets = at->second;
  for (size_t i = 0; i < sets.size() && sets[i].since <= high; ++i) {
    if (i + 1 < sets.size() && sets[i + 1].since <= low) continue;
    // A command that detaches one key and attaches another may be half done.
    if (!out.empty()) {
      std::set<std::string> both;
      std::set_intersection(out.back().begin(), out.back().end(), sets[i].keys.begin(),
                            sets[i].keys.end(), std::inserter(both, both.end()));
      out.push_back(std::move(both));
    }
    out.push_back(sets[i].keys);
  }
  if (out.empty()) out.emplace_back();
  return out;
}

// ---- what clients are told ----

void AuthOracle::Report(VirtualTime when, std::string text, const Call& call) {
  judge_->Report(Rule::kAuth, when, std::move(text), {Describe(call)});
}

void AuthOracle::OnInvoke(History::Id id) {
  lows_.push_back(Low(history_->call(id).member));
  floors_.push_back(floor_);
}

void AuthOracle::OnReturn(History::Id id) {
  Sync();
  const Call& call = history_->call(id);
  const LogIndex low = call.same_process ? lows_[id] : LogIndex(0);
  if (call.outcome == Outcome::kOk) CheckAllowed(call, id, low);
  if (call.outcome == Outcome::kNoEffect) CheckDenied(call, id, low);
}

void AuthOracle::CheckAllowed(const Call& call, History::Id id, LogIndex low) {
  judge_->Checked(Rule::kAuth);
  const bool known = Ever(low, committed_, [&](const AuthModel& auth) {
    return !auth.enabled() || auth.HasUser(call.user);
  });
  if (!known) {
    return Report(call.returned,
                  absl::StrCat(ShowUser(call.user), ", who did not exist meanwhile, was served"),
                  call);
  }
  switch (call.request.shape) {
    case Request::Shape::kCompact: {
      const bool admin = Ever(low, committed_, [&](const AuthModel& auth) {
        return auth.CheckAdmin(call.user).empty();
      });
      if (admin) return;
      return Report(call.returned,
                    absl::StrCat(ShowUser(call.user), " compacted, and was never root meanwhile"),
                    call);
    }
    case Request::Shape::kRevoke:
      return CheckRevoked(call, low);
    case Request::Shape::kKeepAlive:
      if (call.result.lease_found) CheckRenewed(call, low);
      return;
    case Request::Shape::kGrant:
    case Request::Shape::kTimeToLive:
      return;  // anybody may
    default:
      if (Changed(call.request, call.result)) return CheckWritten(call);
      return CheckRead(call, id, low);
  }
}

void AuthOracle::CheckWritten(const Call& call) {
  const int64_t revision = call.result.revision;
  const std::string fingerprint = call.request.Fingerprint();
  const Maker* maker = nullptr;
  if (revision >= 2 && revision <= model_->revision()) {
    maker = &makers_[static_cast<size_t>(revision - 2)];
  }
  if (maker != nullptr && maker->fingerprint == fingerprint) {
    const LogIndex before = LogIndex(maker->index.value() - 1);
    const bool named = maker->user == call.user ||
                       Ever(before, before, [](const AuthModel& a) { return !a.enabled(); });
    if (named) return;
    return Report(call.returned,
                  absl::StrCat("a write of ", ShowUser(call.user), " stands in the log at index ",
                               maker->index.value(), " as one of ", ShowUser(maker->user)),
                  call);
  }
  const auto refused = refused_.find(fingerprint);
  if (refused == refused_.end()) return;  // whatever it was, KvOracle judges it
  for (const Refused& refusal : refused->second) {
    if (refusal.when < call.invoked) continue;
    return Report(call.returned,
                  absl::StrCat("a write of ", ShowUser(call.user), " was acknowledged that must ",
                               "be refused where it is applied, at index ", refusal.index.value(),
                               ": ", refusal.why),
                  call);
  }
}

void AuthOracle::CheckRead(const Call& call, History::Id id, LogIndex low) {
  const int64_t revision = call.result.revision;
  if (revision > model_->revision()) return;  // KvOracle judges it
  LogIndex from = std::max(low, MadeAt(revision));
  if (!call.request.serializable) from = std::max(from, floors_[id]);
  LogIndex to = committed_;
  if (revision < model_->revision()) to = LogIndex(MadeAt(revision + 1).value() - 1);
  if (from > to) return;  // an answer from the past: KvOracle's
  std::string why;
  const bool allowed = Ever(from, to, [&](const AuthModel& auth) {
    why = RefusalOf(auth, call.user, auth.revision(), call.request,
                    [](int64_t) { return std::set<std::string>(); });
    return why.empty();
  });
  if (allowed) return;
  Report(call.returned,
         absl::StrCat(ShowUser(call.user), " was answered at revision ", revision,
                      ", which the store had from index ", MadeAt(revision).value(), " to ",
                      to.value(), ", and from index ", from.value(), " on it may not: ", why),
         call);
}

void AuthOracle::CheckRevoked(const Call& call, LogIndex low) {
  for (const Revocation& revocation : revocations_[call.request.lease]) {
    const bool named = revocation.user == call.user || !revocation.enabled;
    if (revocation.index > low && !revocation.refused && named) return;
  }
  Report(call.returned,
         absl::StrCat("a revocation of ", ShowUser(call.user), " was acknowledged, and none ",
                      "of it that is not refused stands in the log"),
         call);
}

void AuthOracle::CheckRenewed(const Call& call, LogIndex low) {
  const KeySets sets = KeysOf(call.request.lease, low, committed_);
  const bool allowed = Ever(low, committed_, [&](const AuthModel& auth) {
    return !auth.enabled() || std::any_of(sets.begin(), sets.end(), [&](const auto& keys) {
      return LeaseRefusal(auth, call.user, auth.revision(), keys).empty();
    });
  });
  if (allowed) return;
  Report(call.returned,
         absl::StrCat(ShowUser(call.user), " renewed a lease, and may not write all of its keys"),
         call);
}

// ---- who is refused ----

bool AuthOracle::CouldBeDenied(const Call& call, LogIndex low, LogIndex floor) const {
  const Request& request = call.request;
  if (request.shape == Request::Shape::kCompact) {
    return Ever(low, committed_,
                [&](const AuthModel& auth) { return !auth.CheckAdmin(call.user).empty(); });
  }
  const bool keep_alive = request.shape == Request::Shape::kKeepAlive;
  const bool about_lease = keep_alive || request.shape == Request::Shape::kRevoke;
  const bool local = keep_alive || request.serializable;
  const LogIndex from = local ? low : std::max(low, floor);
  Request asked = request;
  if (about_lease) asked.shape = Request::Shape::kRevoke;  // the same is needed for both
  const auto attached = [&](int64_t lease) {
    std::set<std::string> all;
    for (const std::set<std::string>& keys : KeysOf(lease, from, committed_)) {
      all.insert(keys.begin(), keys.end());
    }
    return all;
  };
  return Ever(from, committed_, [&](const AuthModel& auth) {
    return !RefusalOf(auth, call.user, auth.revision(), asked, attached).empty();
  });
}

void AuthOracle::CheckDenied(const Call& call, History::Id id, LogIndex low) {
  bool possible = true;
  const auto ever = [&](const std::function<bool(const AuthModel&)>& holds) {
    return Ever(low, committed_, holds);
  };
  if (call.error == kDenied) {
    possible = CouldBeDenied(call, low, floors_[id]);
  } else if (call.error == kNobody) {
    // Or it was asked for while nobody had to say who he is.
    possible = ever([](const AuthModel& auth) { return auth.enabled(); }) &&
               (call.user.empty() || ever([](const AuthModel& auth) { return !auth.enabled(); }));
  } else if (call.error == kOldRevision) {
    std::set<uint64_t> revisions;
    Ever(low, committed_, [&](const AuthModel& auth) {
      revisions.insert(auth.revision());
      return false;
    });
    possible = revisions.size() > 1;
  } else if (call.error == kUnknownUser) {
    possible = ever([&](const AuthModel& auth) { return !auth.HasUser(call.user); });
  } else if (call.error == kBadToken) {
    possible = ever([](const AuthModel& auth) { return auth.enabled(); });
  } else {
    return;
  }
  judge_->Checked(Rule::kAuth);
  ++denied_;
  if (possible) return;
  Report(call.returned,
         absl::StrCat(ShowUser(call.user), " was refused with \"", call.error,
                      "\", and nothing between index ", low.value(), " and ", committed_.value(),
                      " gives a reason for that"),
         call);
}

void AuthOracle::OnWatchAnswer(VirtualTime when, const Watch& watch, const WatchAnswer& answer) {
  const bool denied = answer.canceled && absl::StrContains(answer.cancel_reason, kDenied);
  if (!answer.created || (answer.canceled && !denied)) return;
  judge_->Checked(Rule::kAuth);
  if (denied) ++denied_;
  const bool possible = Ever(watch.low, committed_, [&](const AuthModel& auth) {
    const bool may =
        auth.Check(watch.user, auth.revision(), /*write=*/false, watch.key, watch.range_end)
            .empty();
    return may != denied;
  });
  if (possible) return;
  judge_->Report(Rule::kAuth, when,
                 absl::StrCat("a watch of ", ShowUser(watch.user), " on '", watch.key, "'..'",
                              watch.range_end, "' was ", denied ? "refused" : "let in",
                              ", and between index ", watch.low.value(), " and ",
                              committed_.value(), denied ? " it was permitted" : " it was not"));
}

// ---- the administrator ----

void AuthOracle::OnAcknowledged(VirtualTime when, const AuthChange& change, LogIndex since) {
  judge_->Checked(Rule::kAuth);
  for (const Change& made : changes_) {
    if (made.index <= since || !made.error.empty() || made.change != change) continue;
    floor_ = std::max(floor_, made.index);
    return;
  }
  judge_->Report(Rule::kAuth, when,
                 absl::StrCat("a change of ", change.user.empty() ? "role " : "user ",
                              change.user.empty() ? change.role : change.user,
                              " was acknowledged, but none was made after index ", since.value()));
}

void AuthOracle::CheckUsers(VirtualTime when, size_t member,
                            const std::vector<std::string>& users) {
  judge_->Checked(Rule::kAuth);
  if (users == present().Users()) return;
  judge_->Report(Rule::kAuth, when,
                 absl::StrCat("member ", member, " ended with ", users.size(), " users, and the ",
                              "committed log makes ", present().Users().size(), " others"));
}

}  // namespace quorate::sim
