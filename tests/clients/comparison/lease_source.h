// Draws lease requests: ids of ours and of the server's choice, TTLs from everywhere.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_LEASE_SOURCE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_LEASE_SOURCE_H_

#include <cstdint>
#include <vector>

#include "tests/clients/comparison/draw.h"
#include "tests/clients/comparison/known.h"

namespace quorate::differential {

class LeaseSource {
 public:
  // Both borrowed.
  LeaseSource(Draw* draw, const Known* known) : draw_(*draw), known_(*known) {}

  // A step without its user.
  Step Grant();
  // A lease with keys, and the wait until it has run out.
  std::vector<Step> Expiry();
  Step Revoke();
  Step KeepAlive();
  Step TimeToLive();
  Step Leases();

 private:
  int64_t KnownId();
  int64_t Ttl();

  Draw& draw_;
  const Known& known_;
  int64_t next_name_ = kFirstLeaseName;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_LEASE_SOURCE_H_
