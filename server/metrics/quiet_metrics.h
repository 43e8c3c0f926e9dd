// etcd's metrics for which nothing happens in this server: dashboards and alerts name them,
// and an absent series is an error to some. Each of them is zero because what it counts
// does not exist here, and never because nobody counts it.
#ifndef QUORATE_SERVER_METRICS_QUIET_METRICS_H_
#define QUORATE_SERVER_METRICS_QUIET_METRICS_H_

#include "server/metrics/registry.h"

namespace quorate::metrics {

void AddQuietMetrics(Registry* registry);

}  // namespace quorate::metrics

#endif  // QUORATE_SERVER_METRICS_QUIET_METRICS_H_
