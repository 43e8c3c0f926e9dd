// How our members' configuration follows from their log, for the raft oracle.
#ifndef QUORATE_SIM_ORACLE_MEMBERSHIP_H_
#define QUORATE_SIM_ORACLE_MEMBERSHIP_H_

#include "sim/oracle/raft.h"

namespace quorate::sim {

// A rule for one log, from its first entry on: a change that the members do not allow changes
// nothing.
RaftOracle::ConfigRule MembershipRule();

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ORACLE_MEMBERSHIP_H_
