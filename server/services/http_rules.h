// What holds for every HTTP/1.1 request on the client port: which hosts and origins are
// served, and what those hear who speak the API of etcd's second version.
#ifndef QUORATE_SERVER_SERVICES_HTTP_RULES_H_
#define QUORATE_SERVER_SERVICES_HTTP_RULES_H_

#include "server/config/config.h"
#include "server/http1/server.h"

namespace quorate::services {

// Adds CORS fields to all answers and answers OPTIONS by itself; 421 for a host that is not
// on the list (`check_hosts`: not where a certificate already says who is meant). `config`
// outlives the server's last exchange.
void AddHttpRules(http1::Server* server, const config::Config* config, bool check_hosts);

// Answers /v2/ with an error that etcd's v2 clients show to their users.
void AddV2Explanation(http1::Server* server);

}  // namespace quorate::services

#endif  // QUORATE_SERVER_SERVICES_HTTP_RULES_H_
