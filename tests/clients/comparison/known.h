// What the generator knows of the reference's state: enough to ask for things that are
// there, at revisions that exist, by users who may.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_KNOWN_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_KNOWN_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/auth.pb.h"
#include "api/kv.pb.h"
#include "tests/clients/comparison/step.h"

namespace quorate::differential {

struct KnownUser {
  std::string password;
  bool no_password = false;
  bool has_token = false;
  std::set<std::string> roles;
};

struct KnownStream {
  std::string user;  // who opened it
  // Watchers and their start revisions; those that a compaction ended too, until they
  // are cancelled by name.
  std::map<int64_t, int64_t> watches;
};

class Known {
 public:
  // A change of the store, in order.
  void Observe(const mvccpb::Event& event);
  // A request and the reference's answer (a WatchResponse for watch requests).
  void Learn(const Step& step, const Answer& answer);

  int64_t revision() const { return revision_; }
  int64_t compacted() const { return compacted_; }
  // Revisions in which a key was deleted and put again, which one transaction may do where etcd
  // does not notice that the two overlap.
  const std::set<int64_t>& reborn() const { return reborn_; }
  const std::map<std::string, mvccpb::KeyValue>& keys() const { return keys_; }
  const std::set<int64_t>& leases() const { return leases_; }
  bool auth_enabled() const { return auth_enabled_; }
  const std::map<std::string, KnownUser>& users() const { return users_; }
  const std::map<std::string, std::vector<authpb::Permission>>& roles() const { return roles_; }
  const std::map<int, KnownStream>& streams() const { return streams_; }
  bool IsRoot(const std::string& user) const;

 private:
  void LearnKv(const Step& step, const Answer& answer);
  void LearnWatch(const Step& step, const Answer& answer);
  void LearnLease(const Step& step, const Answer& answer);
  void LearnAuth(const Step& step);
  void LearnUsers(const Step& step);
  void LearnRoles(const Step& step);

  int64_t revision_ = 1;
  int64_t compacted_ = 0;
  std::map<std::string, int64_t> deleted_;  // in the newest revision with a deletion
  std::set<int64_t> reborn_;
  std::map<std::string, mvccpb::KeyValue> keys_;
  std::set<int64_t> leases_;
  bool auth_enabled_ = false;
  std::map<std::string, KnownUser> users_;
  std::map<std::string, std::vector<authpb::Permission>> roles_;
  std::map<int, KnownStream> streams_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_KNOWN_H_
