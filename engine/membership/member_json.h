// The JSON in which etcd's configuration changes describe a member:
//   {"id":N,"peerURLs":["..."],"isLearner":true,"name":"...","clientURLs":["..."]}
// and for a promotion {"id":N,"peerURLs":null,"isPromote":true}. Read and written here
// without a general library, since those reach for the locale.
#ifndef QUORATE_ENGINE_MEMBERSHIP_MEMBER_JSON_H_
#define QUORATE_ENGINE_MEMBERSHIP_MEMBER_JSON_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/membership/membership.h"

namespace quorate::membership {

struct MemberContext {
  Member member;
  bool is_promote = false;
};

// Unknown fields are skipped; a missing or null one is empty. InvalidArgument with the
// position if it is no JSON object or a known field has another type.
absl::StatusOr<MemberContext> ParseMemberJson(absl::string_view json);
// A list of such objects, as the members of a cluster tell each other at /members.
absl::StatusOr<std::vector<Member>> ParseMembersJson(absl::string_view json);

// As etcd writes it: id, peerURLs, then what is not empty of isLearner, name, clientURLs.
std::string EncodeMemberJson(const Member& member);
std::string EncodeMembersJson(const std::vector<Member>& members);
// The context of a promotion.
std::string EncodePromotionJson(MemberId id);

}  // namespace quorate::membership

#endif  // QUORATE_ENGINE_MEMBERSHIP_MEMBER_JSON_H_
