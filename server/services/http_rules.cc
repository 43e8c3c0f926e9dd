#include "server/services/http_rules.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "io/address.h"

namespace quorate::services {
namespace {

// Of the v2 API's codes, the general one for what is the server's fault: none of those that
// say something of a key, which a client might act on.
constexpr absl::string_view kV2Error =
    R"({"errorCode":300,"message":"this server speaks only the v3 API; use etcdctl with )"
    R"(ETCDCTL_API=3","cause":"/v2","index":0})";

bool AllowsAll(const std::vector<std::string>& list) {
  return list.empty() || std::find(list.begin(), list.end(), "*") != list.end();
}

bool Contains(const std::vector<std::string>& list, absl::string_view wanted) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& entry) {
    return absl::EqualsIgnoreCase(entry, wanted);
  });
}

// Of a Host field, in which the port may be missing: "example.com" of "example.com:2379", "::1" of
// "[::1]".
std::string NamedHost(absl::string_view field) {
  absl::StatusOr<io::HostPort> address = io::ParseHostPort(field);
  if (address.ok()) return std::move(address->host);
  if (absl::ConsumePrefix(&field, "[")) absl::ConsumeSuffix(&field, "]");
  return std::string(field);
}

bool ServesHost(const config::Config& config, const http1::Request& request) {
  if (AllowsAll(config.host_whitelist)) return true;
  return Contains(config.host_whitelist, NamedHost(request.fields.Get("host")));
}

void AddCorsFields(const config::Config& config, http1::Exchange* exchange) {
  std::string origin = "*";
  if (!AllowsAll(config.cors)) {
    origin = std::string(exchange->request().fields.Get("origin"));
    if (origin.empty() || !Contains(config.cors, origin)) return;
    exchange->AddField("Vary", "Origin");
  }
  exchange->AddField("Access-Control-Allow-Headers", "accept, content-type, authorization");
  exchange->AddField("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
  exchange->AddField("Access-Control-Allow-Origin", origin);
}

}  // namespace

void AddHttpRules(http1::Server* server, const config::Config* config, bool check_hosts) {
  server->set_filter([config, check_hosts](const http1::ExchangePtr& exchange) {
    if (check_hosts && !ServesHost(*config, exchange->request())) {
      exchange->Respond(http1::Response::Text(
          421, absl::StrCat("host ", NamedHost(exchange->request().fields.Get("host")),
                            " is not on the --host-whitelist of this server\n")));
      return false;
    }
    AddCorsFields(*config, exchange.get());
    if (exchange->request().method != "OPTIONS") return true;
    exchange->Respond(http1::Response());
    return false;
  });
}

void AddV2Explanation(http1::Server* server) {
  const auto explain = [](int status) {
    return [status](const http1::ExchangePtr& exchange) {
      http1::Response response = http1::Response::Json(status, kV2Error);
      response.fields.Add("X-Etcd-Index", "0");
      exchange->Respond(std::move(response));
    };
  };
  server->RoutePrefix({}, "/v2/", explain(404));
  server->Route({}, "/v2", explain(404));
  // Of these the v2 client prints no text, only the name of a status of the 500s ("returns server
  // error [Not Implemented]") or any other's bare number.
  for (const char* path : {"/v2/members", "/v2/auth/roles"}) {
    server->RoutePrefix({}, path, explain(501));
  }
}

}  // namespace quorate::services
