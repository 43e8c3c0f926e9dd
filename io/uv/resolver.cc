#include "io/uv/resolver.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <uv.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/status.h"
#include "io/address.h"
#include "io/uv/tcp_stream.h"

namespace quorate::io::uv {
namespace {

// Of a DNS message over TCP.
constexpr size_t kMaxAnswerBytes = 64 * 1024;
// Priority, weight and port come before the target.
constexpr size_t kSrvHeadBytes = 6;

// glibc's resolver with the system's settings.
class Resolver {
 public:
  Resolver() { ready_ = res_ninit(&state_) == 0; }
  ~Resolver() {
    if (ready_) res_nclose(&state_);
  }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  absl::Status Use(const std::string& name_server) {
    ASSIGN_OR_RETURN(const HostPort at, ParseHostPort(name_server));
    sockaddr_in address = {};
    if (uv_ip4_addr(at.host.c_str(), at.port, &address) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("no name server's address: ", name_server));
    }
    state_.nscount = 1;
    state_.nsaddr_list[0] = address;
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<unsigned char>> AskSrv(const std::string& name) {
    std::vector<unsigned char> answer(kMaxAnswerBytes);
    if (!ready_) return absl::UnavailableError("cannot read the resolver's settings");
    const int size =
        res_nquery(&state_, name.c_str(), ns_c_in, ns_t_srv, answer.data(), kMaxAnswerBytes);
    if (size >= 0) {
      answer.resize(std::min<size_t>(static_cast<size_t>(size), kMaxAnswerBytes));
      return answer;
    }
    const std::string text = absl::StrCat("look up ", name, ": ", hstrerror(state_.res_h_errno));
    const bool none = state_.res_h_errno == HOST_NOT_FOUND || state_.res_h_errno == NO_DATA;
    return none ? absl::NotFoundError(text) : absl::UnavailableError(text);
  }

 private:
  struct __res_state state_ = {};
  bool ready_ = false;
};

absl::StatusOr<SrvRecord> ParseSrv(const ns_msg& message, const ns_rr& record) {
  const unsigned char* const data = ns_rr_rdata(record);
  char target[NS_MAXDNAME];
  const bool whole = ns_rr_rdlen(record) > kSrvHeadBytes &&
                     dn_expand(ns_msg_base(message), ns_msg_end(message), data + kSrvHeadBytes,
                               target, sizeof(target)) >= 0;
  if (!whole) return absl::UnavailableError("malformed SRV record");
  const auto number = [data](size_t at) { return static_cast<uint16_t>(ns_get16(data + at)); };
  return SrvRecord{number(0), number(2), number(4), target};
}

}  // namespace

absl::StatusOr<std::vector<SrvRecord>> LookUpSrv(const std::string& name,
                                                 const std::string& name_server) {
  Resolver resolver;
  if (!name_server.empty()) {
    RETURN_IF_ERROR(resolver.Use(name_server));
  }
  ASSIGN_OR_RETURN(const std::vector<unsigned char> answer, resolver.AskSrv(name));
  ns_msg message;
  if (ns_initparse(answer.data(), static_cast<int>(answer.size()), &message) != 0) {
    return absl::UnavailableError(absl::StrCat("look up ", name, ": malformed answer"));
  }
  std::vector<SrvRecord> records;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, i, &record) != 0) {
      return absl::UnavailableError(absl::StrCat("look up ", name, ": malformed answer"));
    }
    if (ns_rr_type(record) != ns_t_srv) continue;  // an alias on the way
    ASSIGN_OR_RETURN(SrvRecord srv, ParseSrv(message, record));
    records.push_back(std::move(srv));
  }
  if (records.empty())
    return absl::NotFoundError(absl::StrCat("look up ", name, ": no SRV records"));
  const auto key = [](const SrvRecord& r) {
    return std::make_tuple(r.priority, -int{r.weight}, r.target, r.port);
  };
  std::sort(records.begin(), records.end(),
            [&](const SrvRecord& a, const SrvRecord& b) { return key(a) < key(b); });
  return records;
}

absl::StatusOr<std::vector<std::string>> LookUpAddresses(const std::string& host_port) {
  ASSIGN_OR_RETURN(const HostPort at, ParseHostPort(host_port));
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int result = getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &hints, &list);
  if (result != 0) {
    return absl::UnavailableError(absl::StrCat("look up ", at.host, ": ", gai_strerror(result)));
  }
  std::vector<std::string> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    sockaddr_storage address = {};
    std::memcpy(&address, info->ai_addr, info->ai_addrlen);
    addresses.push_back(FormatAddress(address));
  }
  freeaddrinfo(list);
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

}  // namespace quorate::io::uv
