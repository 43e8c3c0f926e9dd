// Whether two servers gave the same answer.
//
// Everything counts but what must differ: cluster and member ids, raft terms, tokens
// (whether they are there counts), lease ids that the servers chose, and TTLs within a
// second; and the order of ties (ties.h). Against an etcd older than 3.7 also what 3.7 has changed;
// Release names each.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_COMPARE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_COMPARE_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <string>

#include "tests/clients/comparison/release.h"
#include "tests/clients/comparison/step.h"

namespace quorate::differential {

// The ids that one server chose for leases, beside our names for them.
class LeaseNames {
 public:
  void Add(int64_t name, int64_t id);
  // Writes this server's ids instead of names, in requests; names instead of ids, in
  // responses.
  void ToServer(google::protobuf::Message* request) const { Translate(to_id_, request); }
  void FromServer(google::protobuf::Message* response) const { Translate(to_name_, response); }

 private:
  static void Translate(const std::map<int64_t, int64_t>& table,
                        google::protobuf::Message* message);

  std::map<int64_t, int64_t> to_id_;
  std::map<int64_t, int64_t> to_name_;
};

// Masks what must differ.
void Mask(google::protobuf::Message* message);

// What is different, for people to read; empty if nothing is. The answers are masked
// and their leases go by names.
std::string Difference(const Step& step, const Release& release, Answer* reference,
                       Answer* subject);

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_COMPARE_H_
