#include "tests/peer_cases/cluster.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/raft/codec.h"
#include "tests/peer_cases/describe.h"

namespace quorate::peer_cases {

using raft::Message;
using raft::MessageType;

namespace {

constexpr uint64_t kMaxNodes = 100;
constexpr uint64_t kMaxTicks = 1'000'000;

std::vector<MemberId> ToMembers(const std::vector<uint64_t>& numbers) {
  std::vector<MemberId> members;
  for (const uint64_t number : numbers) members.push_back(MemberId(number));
  std::sort(members.begin(), members.end());
  return members;
}

absl::StatusOr<std::optional<MessageType>> ParseType(const Case& command) {
  const std::string name = command.Value("type", "");
  if (name.empty()) return std::nullopt;
  for (int i = 0; i < raft::kMessageTypes; ++i) {
    const auto type = static_cast<MessageType>(i);
    if (DescribeType(type) == name) return type;
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown message type ", name));
}

absl::StatusOr<raft::Config> ConfigFrom(const Case& command) {
  raft::Config config;
  const std::string reads = command.Value("read-only", "safe");
  if (reads != "safe" && reads != "lease-based") {
    return absl::InvalidArgumentError(absl::StrCat("unknown read-only mode: ", reads));
  }
  config.election_timeout = kTick * kElectionTicks;
  config.heartbeat_interval = kTick * kHeartbeatTicks;
  config.pre_vote = command.Flag("prevote");
  config.check_quorum = command.Flag("checkquorum");
  config.read_only = reads == "safe" ? raft::ReadOnlyMode::kSafe : raft::ReadOnlyMode::kLeaseBased;
  config.max_clock_drift = kTick / 2;
  config.max_append_bytes = std::numeric_limits<uint64_t>::max();
  config.max_inflight_messages = command.Number("inflight", std::numeric_limits<int32_t>::max());
  config.max_committed_bytes_per_ready = command.Number("max-committed-size-per-ready", 0);
  config.max_uncommitted_bytes = 0;
  config.async_storage_writes = command.Flag("async-storage-writes");
  // No script's node forgets: nothing is lost between its disk and its messages.
  config.vote_request_guard = raft::VoteRequestGuard::kEnvironment;
  config.disable_conf_change_validation = command.Flag("disable-conf-change-validation");
  config.step_down_on_removal = command.Flag("step-down-on-removal");
  return config;
}

}  // namespace

void Cluster::Write(absl::string_view text) {
  if (level_ == "none" || text.empty()) return;
  absl::StrAppend(&output_, text, absl::EndsWith(text, "\n") ? "" : "\n");
}

void Cluster::Indented(const std::function<void()>& work) {
  std::string outer;
  outer.swap(output_);
  work();
  outer.swap(output_);
  for (const absl::string_view line : absl::StrSplit(outer, '\n', absl::SkipEmpty())) {
    Write(absl::StrCat("  ", line));
  }
}

absl::StatusOr<Node*> Cluster::NodeById(uint64_t id) {
  if (id == 0 || id > nodes_.size()) {
    return absl::NotFoundError(absl::StrCat("there is no node ", id));
  }
  return nodes_[id - 1].get();
}

absl::StatusOr<Node*> Cluster::NodeOf(const Case& command, size_t n) {
  const std::vector<uint64_t> numbers = command.BareNumbers();
  if (numbers.size() <= n) return absl::InvalidArgumentError("which node?");
  return NodeById(numbers[n]);
}

absl::StatusOr<std::vector<Node*>> Cluster::NodesOf(const Case& command) {
  std::vector<Node*> nodes;
  for (const uint64_t id : command.BareNumbers()) {
    ASSIGN_OR_RETURN(Node * node, NodeById(id));
    nodes.push_back(node);
  }
  return nodes;
}

absl::Status Cluster::AddNodes(const Case& command) {
  const uint64_t count = command.BareNumbers()[0];
  if (count > kMaxNodes) return absl::InvalidArgumentError(absl::StrCat("too many: ", count));
  raft::Snapshot snapshot;
  snapshot.meta.index = LogIndex(command.Number("index", 0));
  snapshot.meta.conf_state.voters = ToMembers(command.Numbers("voters"));
  snapshot.meta.conf_state.learners = ToMembers(command.Numbers("learners"));
  snapshot.data = Bytes::Copy(command.Value("content", ""));
  if (snapshot != raft::Snapshot()) {
    if (snapshot.meta.index <= LogIndex(1)) {
      return absl::InvalidArgumentError("index must be specified as > 1 due to bootstrap");
    }
    snapshot.meta.term = Term(1);
  }
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(raft::Config config, ConfigFrom(command));
    config.id = MemberId(nodes_.size() + 1);
    config.applied = snapshot.meta.index;
    config.seed = config.id.value();
    RETURN_IF_ERROR(config.Validate());
    RETURN_IF_ERROR(raft::Raft::CheckRecovered(config, {.snapshot = snapshot.meta}));
    nodes_.push_back(std::make_unique<Node>(config, snapshot));
  }
  return absl::OkStatus();
}

absl::Status Cluster::Campaign(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  node->raft().Campaign(node->now());
  return absl::OkStatus();
}

absl::Status Cluster::Compact(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  RETURN_IF_ERROR(node->Compact(LogIndex(command.BareNumbers()[1])));
  Write(node->DescribeLog());
  return absl::OkStatus();
}

bool Cluster::IsFor(const Message& m, MemberId to, std::optional<MessageType> type, bool drop) {
  const bool local =
      m.from == m.to || m.from == raft::kLocalAppendThread || m.from == raft::kLocalApplyThread;
  return m.to == to && !(drop && local) && (!type.has_value() || m.type == *type);
}

int Cluster::Deliver(MemberId to, std::optional<MessageType> type, bool drop) {
  std::vector<Message> taken;
  std::vector<Message> left;
  for (Message& m : messages_) {
    (IsFor(m, to, type, drop) ? taken : left).push_back(std::move(m));
  }
  messages_ = std::move(left);
  for (Message& m : taken) {
    Write(absl::StrCat(drop ? "dropped: " : "", DescribeMessage(m)));
    if (drop) continue;
    const absl::StatusOr<Node*> node = NodeById(to.value());
    const absl::Status status = node.ok() ? (*node)->Step(std::move(m)) : node.status();
    if (!status.ok()) Write(status.message());
  }
  return static_cast<int>(taken.size());
}

absl::Status Cluster::DeliverMessages(const Case& command) {
  ASSIGN_OR_RETURN(const std::optional<MessageType> type, ParseType(command));
  int count = 0;
  for (const Argument& argument : command.arguments) {
    uint64_t id = 0;
    if (argument.bare && absl::SimpleAtoi(argument.key, &id)) {
      count += Deliver(MemberId(id), type, /*drop=*/false);
    }
    if (argument.key != "drop") continue;
    for (const std::string& value : argument.values) {
      if (absl::SimpleAtoi(value, &id)) count += Deliver(MemberId(id), type, /*drop=*/true);
    }
  }
  if (count == 0) Write("no messages");
  return absl::OkStatus();
}

absl::Status Cluster::ForgetLeader(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  // With lease-based reads it is only logged that nothing happens.
  node->raft().ForgetLeader(node->now()).IgnoreError();
  return absl::OkStatus();
}

absl::Status Cluster::LogLevel(const Case& command) { return SetLevel(command.arguments[0].key); }

absl::Status Cluster::SetLevel(absl::string_view name) {
  static constexpr absl::string_view kLevels[] = {"debug", "info",  "warn",
                                                  "error", "fatal", "none"};
  const std::string level = absl::AsciiStrToLower(name);
  if (std::find(std::begin(kLevels), std::end(kLevels), level) == std::end(kLevels)) {
    return absl::InvalidArgumentError(absl::StrCat("unknown log level: ", name));
  }
  level_ = level;
  return absl::OkStatus();
}

absl::Status Cluster::ForEach(const Case& command, absl::string_view heading,
                              const std::function<std::string(Node*)>& work) {
  ASSIGN_OR_RETURN(const std::vector<Node*> nodes, NodesOf(command));
  for (Node* node : nodes) {
    if (nodes.size() == 1) {
      Write(work(node));
    } else {
      Write(absl::StrCat("> ", node->raft().id().value(), " ", heading));
      Indented([&] { Write(work(node)); });
    }
  }
  return absl::OkStatus();
}

absl::Status Cluster::ProcessReady(const Case& command) {
  return ForEach(command, "handling Ready",
                 [&](Node* node) { return node->ProcessReady(&messages_); });
}

absl::Status Cluster::ProcessAppendThread(const Case& command) {
  return ForEach(command, "processing append thread",
                 [&](Node* node) { return node->ProcessAppendWork(&messages_); });
}

absl::Status Cluster::ProcessApplyThread(const Case& command) {
  return ForEach(command, "processing apply thread",
                 [&](Node* node) { return node->ProcessApplyWork(&messages_); });
}

absl::Status Cluster::Propose(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  const Bytes data = Bytes::Copy(command.arguments[1].key);
  return node->raft().Propose(absl::MakeSpan(&data, 1), node->now());
}

absl::Status Cluster::ProposeConfChange(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  raft::ConfChangeV2 change;
  ASSIGN_OR_RETURN(change.changes, ParseChanges(command.input));
  const std::string transition = command.Value("transition", "auto");
  if (transition == "implicit") {
    change.transition = raft::ConfChangeTransition::kJointImplicit;
  } else if (transition == "explicit") {
    change.transition = raft::ConfChangeTransition::kJointExplicit;
  } else if (transition != "auto") {
    return absl::InvalidArgumentError(absl::StrCat("unknown transition ", transition));
  }
  Message m;
  m.type = MessageType::kProp;
  m.from = node->raft().id();
  m.entries.emplace_back();
  if (command.Flag("v1")) {
    if (change.changes.size() != 1 || transition != "auto") {
      return absl::InvalidArgumentError(
          "v1 conf change can only have one operation and no transition");
    }
    raft::ConfChange v1;
    v1.type = change.changes[0].type;
    v1.node_id = change.changes[0].node_id;
    m.entries[0].type = raft::EntryType::kConfChange;
    m.entries[0].data = EncodeToBytes(v1);
  } else {
    m.entries[0].type = raft::EntryType::kConfChangeV2;
    m.entries[0].data = EncodeToBytes(change);
  }
  // As if forwarded: a change that is not possible now becomes an empty entry.
  return node->Step(std::move(m));
}

absl::Status Cluster::RaftLog(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  Write(node->DescribeLog());
  return absl::OkStatus();
}

absl::Status Cluster::RaftState(const Case&) {
  for (const std::unique_ptr<Node>& node : nodes_) {
    const raft::Raft& raft = node->raft();
    const bool voter = raft.tracker().voters().Contains(raft.id());
    Write(absl::StrCat(raft.id().value(), ": ", DescribeRole(raft.role()),
                       voter ? " (Voter)" : " (Non-Voter)", " Term:", raft.term().value(),
                       " Lead:", raft.leader().value()));
  }
  return absl::OkStatus();
}

absl::Status Cluster::ReportUnreachable(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  ASSIGN_OR_RETURN(Node * lost, NodeOf(command, 1));
  node->raft().ReportUnreachable(lost->raft().id(), node->now());
  return absl::OkStatus();
}

absl::Status Cluster::SendSnapshot(const Case& command) {
  ASSIGN_OR_RETURN(Node * from, NodeOf(command));
  ASSIGN_OR_RETURN(Node * to, NodeOf(command, 1));
  Message m;
  m.type = MessageType::kSnap;
  m.term = from->raft().term();
  m.from = from->raft().id();
  m.to = to->raft().id();
  m.snapshot = from->snapshot();
  messages_.push_back(m);
  Write(DescribeMessage(m));
  return absl::OkStatus();
}

absl::Status Cluster::SetElectionTimeout(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  const uint64_t ticks = command.Number("timeout", 0);
  if (ticks == 0 || ticks > kMaxTicks) {
    return absl::InvalidArgumentError("timeout is out of range");
  }
  node->raft().SetRandomizedElectionTimeout(kTick * static_cast<int64_t>(ticks));
  return absl::OkStatus();
}

bool Cluster::StabilizeRound(const std::vector<Node*>& nodes) {
  bool worked = false;
  const auto work = [&](Node* node, absl::string_view heading, const std::function<void()>& f) {
    Write(absl::StrCat("> ", node->raft().id().value(), " ", heading));
    Indented(f);
    worked = true;
  };
  for (Node* node : nodes) {
    if (!node->HasReady()) continue;
    work(node, "handling Ready", [&] { Write(node->ProcessReady(&messages_)); });
  }
  for (Node* node : nodes) {
    const MemberId id = node->raft().id();
    const bool any = std::any_of(messages_.begin(), messages_.end(), [&](const Message& m) {
      return IsFor(m, id, std::nullopt, false);
    });
    if (any) work(node, "receiving messages", [&] { Deliver(id, std::nullopt, false); });
  }
  for (Node* node : nodes) {
    if (!node->HasAppendWork()) continue;
    work(node, "processing append thread", [&] {
      while (node->HasAppendWork()) Write(node->ProcessAppendWork(&messages_));
    });
  }
  for (Node* node : nodes) {
    if (!node->HasApplyWork()) continue;
    work(node, "processing apply thread", [&] {
      while (node->HasApplyWork()) Write(node->ProcessApplyWork(&messages_));
    });
  }
  return worked;
}

absl::Status Cluster::Stabilize(const Case& command) {
  ASSIGN_OR_RETURN(std::vector<Node*> nodes, NodesOf(command));
  if (nodes.empty()) {
    for (const std::unique_ptr<Node>& node : nodes_) nodes.push_back(node.get());
  }
  const std::string level = level_;
  RETURN_IF_ERROR(SetLevel(command.Value("log-level", level)));
  // No script needs many rounds; a cluster that never settles is a failure to report.
  int rounds = 0;
  while (rounds < 1000 && StabilizeRound(nodes)) ++rounds;
  level_ = level;
  return rounds < 1000 ? absl::OkStatus() : absl::DeadlineExceededError("does not settle");
}

absl::Status Cluster::ShowStatus(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  Write(DescribeMembers(node->raft().status().members));
  return absl::OkStatus();
}

absl::Status Cluster::TickElection(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  for (int i = 0; i < kElectionTicks; ++i) node->Tick();
  return absl::OkStatus();
}

absl::Status Cluster::TickHeartbeat(const Case& command) {
  ASSIGN_OR_RETURN(Node * node, NodeOf(command));
  for (int i = 0; i < kHeartbeatTicks; ++i) node->Tick();
  return absl::OkStatus();
}

absl::Status Cluster::TransferLeadership(const Case& command) {
  ASSIGN_OR_RETURN(Node * from, NodeById(command.Number("from", 0)));
  ASSIGN_OR_RETURN(Node * to, NodeById(command.Number("to", 0)));
  from->raft().TransferLeader(to->raft().id(), from->now());
  return absl::OkStatus();
}

namespace {

constexpr Option kAddNodesOptions[] = {
    {"voters", ValueKind::kNumbers},
    {"learners", ValueKind::kNumbers},
    {"index", ValueKind::kNumber},
    {"content", ValueKind::kWord},
    {"inflight", ValueKind::kNumber},
    {"prevote", ValueKind::kFlag},
    {"checkquorum", ValueKind::kFlag},
    {"async-storage-writes", ValueKind::kFlag},
    {"read-only", ValueKind::kWord},
    {"max-committed-size-per-ready", ValueKind::kNumber},
    {"disable-conf-change-validation", ValueKind::kFlag},
    {"step-down-on-removal", ValueKind::kFlag},
};
constexpr Option kProposeConfChangeOptions[] = {{"v1", ValueKind::kFlag},
                                                {"transition", ValueKind::kWord}};
constexpr Option kDeliverOptions[] = {{"drop", ValueKind::kNumbers}, {"type", ValueKind::kWord}};
constexpr Option kStabilizeOptions[] = {{"log-level", ValueKind::kWord}};
constexpr Option kTimeoutOptions[] = {{"timeout", ValueKind::kNumber}};
constexpr Option kTransferOptions[] = {{"from", ValueKind::kNumber}, {"to", ValueKind::kNumber}};

}  // namespace

absl::Status Cluster::Dispatch(const Case& command) {
  struct Command {
    absl::string_view name;
    Handler handler;
    Arity bare;
    absl::Span<const Option> options = {};
  };
  static constexpr Arity kNothing{};
  static constexpr Arity kNode{1, 1, 1};
  static constexpr Arity kTwoNodes{2, 2, 2};
  static constexpr Arity kNodes{0, kAny, kAny};
  static const Command kCommands[] = {
      {"add-nodes", &Cluster::AddNodes, kNode, kAddNodesOptions},
      {"campaign", &Cluster::Campaign, kNode},
      {"compact", &Cluster::Compact, {2, 2, 2}},
      {"deliver-msgs", &Cluster::DeliverMessages, kNodes, kDeliverOptions},
      {"forget-leader", &Cluster::ForgetLeader, kNode},
      {"log-level", &Cluster::LogLevel, {1, 1, 0}},
      {"process-append-thread", &Cluster::ProcessAppendThread, {1, kAny, kAny}},
      {"process-apply-thread", &Cluster::ProcessApplyThread, {1, kAny, kAny}},
      {"process-ready", &Cluster::ProcessReady, {1, kAny, kAny}},
      {"propose", &Cluster::Propose, {2, 2, 1}},
      {"propose-conf-change", &Cluster::ProposeConfChange, kNode, kProposeConfChangeOptions},
      {"raft-log", &Cluster::RaftLog, kNode},
      {"raft-state", &Cluster::RaftState, kNothing},
      {"report-unreachable", &Cluster::ReportUnreachable, kTwoNodes},
      {"send-snapshot", &Cluster::SendSnapshot, kTwoNodes},
      {"set-randomized-election-timeout", &Cluster::SetElectionTimeout, kNode, kTimeoutOptions},
      {"stabilize", &Cluster::Stabilize, kNodes, kStabilizeOptions},
      {"status", &Cluster::ShowStatus, kNode},
      {"tick-election", &Cluster::TickElection, kNode},
      {"tick-heartbeat", &Cluster::TickHeartbeat, kNode},
      {"transfer-leadership", &Cluster::TransferLeadership, kNothing, kTransferOptions},
  };
  for (const Command& known : kCommands) {
    if (command.command != known.name) continue;
    RETURN_IF_ERROR(CheckArguments(command, known.bare, known.options));
    return (this->*known.handler)(command);
  }
  return absl::UnimplementedError(absl::StrCat("unknown command: ", command.command));
}

std::string Cluster::Run(const Case& command) {
  output_.clear();
  const absl::Status status = Dispatch(command);
  if (!status.ok()) absl::StrAppend(&output_, status.message(), "\n");
  // Whatever the log level: from here on the script proves nothing.
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (!node->complaint().ok()) absl::StrAppend(&output_, node->complaint().message(), "\n");
  }
  return output_;
}

}  // namespace quorate::peer_cases
