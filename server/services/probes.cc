#include "server/services/probes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/messages.h"
#include "api/rpc.pb.h"
#include "server/config/ids.h"
#include "server/config/version.h"
#include "server/log/logger.h"

namespace quorate::services {
namespace {

Bytes ReadRequest(bool serializable) {
  etcdserverpb::RangeRequest request;
  request.set_key("a");
  request.set_limit(1);
  request.set_keys_only(true);
  request.set_serializable(serializable);
  return SerializeMessage(request);
}

absl::string_view RoleText(engine::Role role) {
  switch (role) {
    case engine::Role::kFollower:
      return "StateFollower";
    case engine::Role::kPreCandidate:
      return "StatePreCandidate";
    case engine::Role::kCandidate:
      return "StateCandidate";
    case engine::Role::kLeader:
      return "StateLeader";
  }
  return "";
}

// As etcd's raft prints its status; of the members' progress, how far their logs agree.
std::string RaftJson(const node::Node& node) {
  const engine::ReplicaStatus status = node.status();
  std::string progress;
  for (const engine::MemberInfo& member : node.members()) {
    if (status.role != engine::Role::kLeader) break;
    absl::StrAppend(&progress, progress.empty() ? "" : ",", "\"", config::HexId(member.id),
                    "\":{\"match\":", node.MatchOf(member.id).value(), "}");
  }
  return absl::StrCat("{\"id\":\"", config::HexId(node.member_id()),
                      "\",\"term\":", status.term.value(), ",\"commit\":", status.commit.value(),
                      ",\"lead\":\"", config::HexId(status.leader), "\",\"raftState\":\"",
                      RoleText(status.role), "\",\"applied\":", status.applied.value(),
                      ",\"progress\":{", progress, "}}");
}

}  // namespace

// The checks of one request, run one after another.
struct Probes::Run {
  http1::ExchangePtr exchange;
  std::vector<NamedCheck> checks;
  size_t next = 0;
  bool failed = false;
  std::string lines;
};

Probes::Probes(node::Node* node, metrics::Registry* metrics)
    : node_(node),
      metrics_(metrics),
      health_successes_(metrics->AddCounter("etcd_server_health_success",
                                            "The total number of successful health checks")),
      health_failures_(metrics->AddCounter("etcd_server_health_failures",
                                           "The total number of failed health checks")),
      scrapes_(metrics->AddCounter("promhttp_metric_handler_requests_total",
                                   "Total number of scrapes by HTTP status code.",
                                   {{"code", "200"}})) {
  for (const char* never : {"500", "503"}) {
    metrics->AddCounter("promhttp_metric_handler_requests_total",
                        "Total number of scrapes by HTTP status code.", {{"code", never}});
  }
  // Of the scrape that asks.
  metrics
      ->AddGauge("promhttp_metric_handler_requests_in_flight",
                 "Current number of scrapes being served.")
      ->Set(1);
}

void Probes::AddCheckMetrics(const NamedCheck& check) {
  const std::string name(check.name);
  const std::string type(check.type);
  CheckMetrics& of = check_metrics_[{check.type, check.name}];
  of.healthy =
      metrics_->AddGauge("etcd_server_healthcheck", "The result of each kind of healthcheck.",
                         {{"name", name}, {"type", type}});
  const auto count = [&](const char* status) {
    return metrics_->AddCounter("etcd_server_healthchecks_total",
                                "The total number of each kind of healthcheck.",
                                {{"name", name}, {"status", status}, {"type", type}});
  };
  of.successes = count("success");
  of.errors = count("error");
}

void Probes::Note(const NamedCheck& check, const absl::Status& status, Run* run) {
  const CheckMetrics& of = check_metrics_.at({check.type, check.name});
  of.healthy->Set(status.ok() ? 1 : 0);
  (status.ok() ? of.successes : of.errors)->Add();
  if (status.ok()) {
    absl::StrAppend(&run->lines, "[+]", check.name, " ok\n");
  } else {
    run->failed = true;
    absl::StrAppend(&run->lines, "[-]", check.name, " failed: ", status.message(), "\n");
  }
}

http1::Response Probes::HealthResponse(absl::string_view failure) {
  (failure.empty() ? health_successes_ : health_failures_)->Add();
  std::string json =
      failure.empty() ? "{\"health\":\"true\",\"reason\":" : "{\"health\":\"false\",\"reason\":";
  log::AppendJsonString(failure, &json);
  json += "}";
  return http1::Response::Json(failure.empty() ? 200 : 503, json);
}

void Probes::AddProbes(http1::Server* server) {
  server->Route({"GET"}, "/health",
                [this](const http1::ExchangePtr& exchange) { AnswerHealth(exchange); });
  AddChecks(server, "/livez", {{"serializable_read", Check::kSerializableRead, "livez"}});
  AddChecks(server, "/readyz",
            {{"data_corruption", Check::kDataCorruption, "readyz"},
             {"serializable_read", Check::kSerializableRead, "readyz"},
             {"linearizable_read", Check::kLinearizableRead, "readyz"},
             {"non_learner", Check::kNonLearner, "readyz"}});
  // Of whichever method, as etcd's.
  server->Route({}, "/metrics",
                [this](const http1::ExchangePtr& exchange) { AnswerMetrics(exchange); });
}

void Probes::AnswerMetrics(const http1::ExchangePtr& exchange) {
  http1::Response response;
  response.fields.Add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  response.body.push_back(Bytes::Copy(metrics_->Text()));
  scrapes_->Add();
  exchange->Respond(std::move(response));
}

void Probes::AddVersion(http1::Server* server) {
  server->Route({"GET"}, "/version", [node = node_](const http1::ExchangePtr& exchange) {
    exchange->Respond(http1::Response::Json(200, config::VersionJson(node->cluster_version())));
  });
}

void Probes::AddDebug(http1::Server* server) {
  server->Route({"GET"}, "/debug/vars", [node = node_](const http1::ExchangePtr& exchange) {
    http1::Response response =
        http1::Response::Json(200, absl::StrCat("{\n\"raft.status\": ", RaftJson(*node), "\n}\n"));
    exchange->Respond(std::move(response));
  });
}

void Probes::AddChecks(http1::Server* server, const std::string& path,
                       std::vector<NamedCheck> checks) {
  for (const NamedCheck& check : checks) {
    AddCheckMetrics(check);
    server->Route(
        {"GET"}, absl::StrCat(path, "/", check.name),
        [this, check](const http1::ExchangePtr& exchange) { AnswerChecks(exchange, {check}); });
  }
  server->Route({"GET"}, path,
                [this, checks = std::move(checks)](const http1::ExchangePtr& exchange) {
                  AnswerChecks(exchange, checks);
                });
}

// `exclude` names alarms that do not count.
void Probes::AnswerHealth(const http1::ExchangePtr& exchange) {
  const std::vector<std::string> excluded = exchange->request().QueryValues("exclude");
  for (const alarm::Alarm& alarm : node_->alarms()) {
    const std::string name = alarm::TypeName(alarm.type);
    if (std::find(excluded.begin(), excluded.end(), name) != excluded.end()) continue;
    const bool known = alarm.type == alarm::kNoSpace || alarm.type == alarm::kCorrupt;
    exchange->Respond(HealthResponse(absl::StrCat("ALARM ", known ? name : "UNKNOWN")));
    return;
  }
  const bool serializable = exchange->request().QueryValue("serializable") == "true";
  if (!serializable && node_->halted().ok() && node_->status().leader == MemberId(0)) {
    exchange->Respond(HealthResponse("RAFT NO LEADER"));
    return;
  }
  Read(exchange, serializable, [this, exchange](const absl::Status& status) {
    exchange->Respond(
        HealthResponse(status.ok() ? "" : absl::StrCat("RANGE ERROR:", status.message())));
  });
}

void Probes::AnswerChecks(const http1::ExchangePtr& exchange, std::vector<NamedCheck> checks) {
  const std::vector<std::string> excluded = exchange->request().QueryValues("exclude");
  auto run = std::make_shared<Run>();
  run->exchange = exchange;
  for (const NamedCheck& check : checks) {
    const bool wanted = std::none_of(excluded.begin(), excluded.end(),
                                     [&](const std::string& name) { return name == check.name; });
    if (wanted) run->checks.push_back(check);
  }
  NextCheck(run);
}

void Probes::NextCheck(const std::shared_ptr<Run>& run) {
  while (run->next < run->checks.size()) {
    const NamedCheck& check = run->checks[run->next++];
    switch (check.check) {
      case Check::kDataCorruption:
        Note(check,
             HasCorruptAlarm() ? absl::DataLossError("alarm activated: CORRUPT") : absl::OkStatus(),
             run.get());
        break;
      case Check::kNonLearner:
        Note(check,
             node_->status().is_learner ? absl::FailedPreconditionError("not supported for learner")
                                        : absl::OkStatus(),
             run.get());
        break;
      case Check::kSerializableRead:
      case Check::kLinearizableRead:
        return Read(run->exchange, check.check == Check::kSerializableRead,
                    [this, run, check](const absl::Status& status) {
                      Note(check, status, run.get());
                      NextCheck(run);
                    });
    }
  }
  const bool verbose = run->exchange->request().QueryValue("verbose").has_value();
  http1::Response response = http1::Response::Text(
      run->failed ? 503 : 200,
      run->failed ? run->lines : absl::StrCat(verbose ? run->lines : "", "ok\n"));
  if (!run->failed) response.fields.Add("X-Content-Type-Options", "nosniff");
  run->exchange->Respond(std::move(response));
}

bool Probes::HasCorruptAlarm() const {
  const std::vector<alarm::Alarm> alarms = node_->alarms();
  return std::any_of(alarms.begin(), alarms.end(),
                     [](const alarm::Alarm& a) { return a.type == alarm::kCorrupt; });
}

void Probes::Read(const http1::ExchangePtr& exchange, bool serializable,
                  std::function<void(const absl::Status&)> done) {
  const node::CallId call = node_->Call(
      engine::RequestKind::kRange, ReadRequest(serializable), node_->request_timeout(),
      [done = std::move(done)](const absl::Status& status, const Bytes&) { done(status); },
      // As etcd does: probes know nobody's password, and read no value.
      engine::OwnCredentials());
  exchange->set_on_close([node = node_, call] { node->Abandon(call); });
}

}  // namespace quorate::services
