// Long random sequences of committed commands about leases and keys, against the model of
// the simulator: every answer, every lease, every attached key.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "engine/apply/applier.h"
#include "sim/model/store.h"
#include "sim/wire.h"

namespace quorate::apply {
namespace {

using sim::Request;

Operation OperationOf(const Request& request) {
  switch (request.shape) {
    case Request::Shape::kPut:
      return Operation::kPut;
    case Request::Shape::kDelete:
      return Operation::kDeleteRange;
    case Request::Shape::kTxn:
      return Operation::kTxn;
    case Request::Shape::kGrant:
      return Operation::kLeaseGrant;
    case Request::Shape::kRevoke:
      return Operation::kLeaseRevoke;
    default:
      return Operation::kNone;
  }
}

// Draws over few keys and few leases, so that they meet.
class Requests {
 public:
  explicit Requests(uint64_t seed) : prng_(seed) {}

  Request Next() {
    Request request;
    switch (prng_.Below(10)) {
      case 0:
      case 1:
        request.shape = Request::Shape::kGrant;
        request.lease = Lease();
        request.ttl = prng_.Between(1, 100);
        break;
      case 2:
        request.shape = Request::Shape::kRevoke;
        request.lease = Lease();
        break;
      case 3:
        request.shape = Request::Shape::kDelete;
        request.success = {Delete(Key())};
        if (prng_.Chance(1, 3)) request.success[0].range_end = Key();
        break;
      case 4:
      case 5:
        request.shape = Request::Shape::kTxn;
        request.compare.emplace_back();
        request.compare[0].key = Key();
        request.compare[0].number = prng_.Between(0, 2);
        request.success = {Put("a"), Put("b"), Delete("c")};
        request.failure = {Delete("a"), Put("d")};
        break;
      default:
        request.shape = Request::Shape::kPut;
        request.success = {Put(Key())};
        break;
    }
    return request;
  }

 private:
  int64_t Lease() { return prng_.Between(-1, 3); }
  std::string Key() { return std::string(1, static_cast<char>('a' + prng_.Below(6))); }

  sim::Operation Put(const std::string& key) {
    sim::Operation operation;
    operation.kind = sim::Operation::Kind::kPut;
    operation.key = key;
    operation.value = std::to_string(prng_.Below(100));
    operation.prev_kv = prng_.Chance(1, 2);
    if (prng_.Chance(1, 5)) {
      operation.ignore_lease = true;
    } else if (prng_.Chance(2, 3)) {
      operation.lease = Lease();
    }
    return operation;
  }
  static sim::Operation Delete(const std::string& key) {
    sim::Operation operation;
    operation.kind = sim::Operation::Kind::kDelete;
    operation.key = key;
    return operation;
  }

  Prng prng_;
};

void CheckLeases(const Applier& applier, const sim::Model& model) {
  RC_ASSERT(applier.leases().all().size() == model.leases().size());
  uint64_t attachments = 0;
  for (const auto& [id, expected] : model.leases()) {
    const lease::Lease* const found = applier.leases().Find(LeaseId(id));
    RC_ASSERT(found != nullptr);
    RC_ASSERT(found->ttl == expected.ttl);
    const std::vector<std::string> keys(expected.keys.begin(), expected.keys.end());
    RC_ASSERT(applier.leases().Keys(LeaseId(id)) == keys);
    RC_ASSERT(applier.leases().CountKeys(LeaseId(id)) == keys.size());
    attachments += keys.size();
  }
  RC_ASSERT(applier.leases().attachments() == attachments);
}

RC_GTEST_PROP(LeaseProperty, CommandsDoWhatTheModelDoes, (uint64_t seed)) {
  Requests draw(seed);
  Applier applier;
  sim::Model model;
  for (uint64_t id = 1; id <= 150; ++id) {
    const Request request = draw.Next();
    // Id 0 is no lease: the model knows no such thing.
    if (request.AboutLease() && request.lease == 0) continue;
    const Bytes data = EncodeCommand(OperationOf(request), sim::EncodeRequest(request), id);
    const auto command = DecodeCommand(data);
    RC_ASSERT(command.ok());
    RC_ASSERT(Applier::Check(*command).ok());
    Outcome outcome;
    RC_ASSERT(applier.Apply(*command, mvcc::Identity(), /*respond=*/true, &outcome).ok());
    const sim::Result expected = model.Apply(request);
    RC_ASSERT(outcome.status.ok() == !expected.refused);
    RC_ASSERT(applier.store().revision().value() == expected.revision);
    if (outcome.status.ok()) {
      const auto answer = sim::DecodeResponse(request, outcome.body.Joined());
      RC_ASSERT(answer.ok());
      RC_ASSERT(answer->result.revision == expected.revision);
      RC_ASSERT(answer->result.operations == expected.operations);
    }
    CheckLeases(applier, model);
  }
  // What is left of the keys says the same as the attachments.
  mvcc::RangeRequest all;
  all.key = absl::string_view("\0", 1);
  all.range_end = all.key;
  Request read;
  read.success.emplace_back();
  read.success[0].key = read.success[0].range_end = std::string("\0", 1);
  const auto run = applier.StartRange(all, mvcc::Identity());
  mvcc::Work work = mvcc::Work::Unlimited();
  RC_ASSERT(run->Step(&work));
  RC_ASSERT(run->result().ok());
  const auto answer = sim::DecodeResponse(read, run->result()->Joined());
  RC_ASSERT(answer.ok());
  RC_ASSERT(answer->result == model.ReadAt(read, model.revision()));
}

// The same entries give the same state, however it came about; another entry another one.
RC_GTEST_PROP(LeaseProperty, TheDigestFollowsFromTheEntries, (uint64_t seed)) {
  Applier first;
  Applier second;
  Requests draw(seed);
  uint64_t id = 0;
  const auto apply = [&id](Applier* applier, const Request& request, bool respond) {
    const Bytes data = EncodeCommand(OperationOf(request), sim::EncodeRequest(request), ++id);
    Outcome outcome;
    RC_ASSERT(applier->Apply(*DecodeCommand(data), mvcc::Identity(), respond, &outcome).ok());
  };
  for (int i = 0; i < 60; ++i) {
    const Request request = draw.Next();
    apply(&first, request, true);
    apply(&second, request, false);
  }
  RC_ASSERT(first.Digest() == second.Digest());
  Request grant;
  grant.shape = Request::Shape::kGrant;
  grant.lease = 1000;
  grant.ttl = 5;
  apply(&second, grant, true);
  RC_ASSERT(first.Digest() != second.Digest());
}

}  // namespace
}  // namespace quorate::apply
