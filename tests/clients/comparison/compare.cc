#include "tests/clients/comparison/compare.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "absl/strings/str_cat.h"
#include "api/auth_rpc.pb.h"
#include "api/rpc.pb.h"
#include "tests/clients/comparison/ties.h"

namespace quorate::differential {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kShownDifferences = 1000;

// Calls visit(message, field) for each field that is set, at any depth.
void ForEachField(Message* message,
                  const std::function<void(Message*, const FieldDescriptor*)>& visit) {
  const Reflection* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    visit(message, field);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ForEachField(reflection->MutableMessage(message, field), visit);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      ForEachField(reflection->MutableRepeatedMessage(message, field, i), visit);
    }
  }
}

bool IsLeaseId(const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_INT64) return false;
  return field->name() == "lease" ||
         (field->name() == "ID" &&
          absl::string_view(field->containing_type()->name()).substr(0, 5) == "Lease");
}

bool IsIdentity(const FieldDescriptor* field) {
  return field->containing_type()->full_name() == "etcdserverpb.ResponseHeader" &&
         field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
}

// TTLs tick: they may differ by the second that passes between two looks.
void AlignTtl(Answer* reference, Answer* subject) {
  const FieldDescriptor* field = reference->response->GetDescriptor()->FindFieldByName("TTL");
  if (field == nullptr) return;
  const Reflection* reflection = reference->response->GetReflection();
  const int64_t a = reflection->GetInt64(*reference->response, field);
  const int64_t b = reflection->GetInt64(*subject->response, field);
  if (a > 0 && b > 0 && std::abs(a - b) <= 1) {
    reflection->SetInt64(subject->response.get(), field, a);
  }
}

void ForgetLeases(Message* message) {
  ForEachField(message, [](Message* parent, const FieldDescriptor* field) {
    if (field->name() == "lease") parent->GetReflection()->ClearField(parent, field);
  });
}

// Answers to ranges without values, in transactions too.
bool AsksKeysOnly(const Step& step) {
  bool keys_only = false;
  const std::unique_ptr<Message> request(step.request->New());
  request->CopyFrom(*step.request);
  ForEachField(request.get(), [&](Message*, const FieldDescriptor* field) {
    if (field->name() == "keys_only") keys_only = true;
  });
  return keys_only;
}

void Sort(Message* message) {
  if (auto* leases = dynamic_cast<etcdserverpb::LeaseLeasesResponse*>(message)) {
    std::sort(leases->mutable_leases()->begin(), leases->mutable_leases()->end(),
              [](const auto& a, const auto& b) { return a.id() < b.id(); });
  } else if (auto* lease = dynamic_cast<etcdserverpb::LeaseTimeToLiveResponse*>(message)) {
    std::sort(lease->mutable_keys()->begin(), lease->mutable_keys()->end());
  }
}

// Whether the reference's release answers this in its own way altogether.
bool IsIncomparable(const Step& step, const Release& release, const Answer& reference,
                    const Answer& subject) {
  const bool both_refuse = !reference.status.ok() && !subject.status.ok();
  if (release.checks_puts_first && step.type == Type::kTxn) return both_refuse;
  if (release.has_early_auth && Info(step.type).group == "auth") return both_refuse;
  if (!release.hash_is_not_stored || step.type != Type::kHashKv) return false;
  if (!reference.status.ok()) return reference.status.code() == absl::StatusCode::kOutOfRange;
  // A stored hash belongs to an earlier compact revision.
  return subject.status.ok() && reference.As<etcdserverpb::HashKVResponse>().compact_revision() !=
                                    subject.As<etcdserverpb::HashKVResponse>().compact_revision();
}

void SettleTiesOf(const Step& step, Message* response) {
  if (step.type == Type::kRange) {
    SettleTies(step.As<etcdserverpb::RangeRequest>(),
               static_cast<etcdserverpb::RangeResponse*>(response));
  } else if (step.type == Type::kTxn) {
    SettleTies(step.As<etcdserverpb::TxnRequest>(),
               static_cast<etcdserverpb::TxnResponse*>(response));
  }
}

void Forgive(const Step& step, const Release& release, Message* reference, Message* subject) {
  for (Message* message : {reference, subject}) {
    if (release.keys_only_has_lease && AsksKeysOnly(step)) ForgetLeases(message);
    if (auto* hash = dynamic_cast<etcdserverpb::HashKVResponse*>(message)) {
      if (release.hash_is_not_stored) hash->clear_hash_revision();
    }
  }
}

}  // namespace

void LeaseNames::Add(int64_t name, int64_t id) {
  to_id_[name] = id;
  to_name_[id] = name;
}

void LeaseNames::Translate(const std::map<int64_t, int64_t>& table, Message* message) {
  if (table.empty()) return;
  ForEachField(message, [&](Message* parent, const FieldDescriptor* field) {
    if (!IsLeaseId(field)) return;
    const auto found = table.find(parent->GetReflection()->GetInt64(*parent, field));
    if (found != table.end()) parent->GetReflection()->SetInt64(parent, field, found->second);
  });
}

void Mask(Message* message) {
  ForEachField(message, [](Message* parent, const FieldDescriptor* field) {
    if (IsIdentity(field)) parent->GetReflection()->SetUInt64(parent, field, 1);
    if (field->name() == "token") parent->GetReflection()->SetString(parent, field, "token");
  });
  Sort(message);
}

std::string Difference(const Step& step, const Release& release, Answer* reference,
                       Answer* subject) {
  if (IsIncomparable(step, release, *reference, *subject)) return "";
  if (reference->status.code() != subject->status.code() ||
      reference->status.message() != subject->status.message()) {
    return absl::StrCat("status: ", reference->status.ToString(), " -> ",
                        subject->status.ToString());
  }
  if (!reference->status.ok()) return "";
  Mask(reference->response.get());
  Mask(subject->response.get());
  AlignTtl(reference, subject);
  SettleTiesOf(step, reference->response.get());
  SettleTiesOf(step, subject->response.get());
  Forgive(step, release, reference->response.get(), subject->response.get());
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  const bool same = differencer.Compare(*reference->response, *subject->response);
  return same ? "" : report.substr(0, kShownDifferences);
}

}  // namespace quorate::differential
