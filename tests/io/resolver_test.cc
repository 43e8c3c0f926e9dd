// SRV records from a name server on this machine that answers as it is told.
#include "io/uv/resolver.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::io::uv {
namespace {

void Append16(uint16_t value, std::string* out) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value & 0xff));
}

std::string EncodedName(const std::string& name) {
  std::string out;
  for (const std::string& label : std::vector<std::string>(absl::StrSplit(name, '.'))) {
    out.push_back(static_cast<char>(label.size()));
    out += label;
  }
  return out + std::string(1, '\0');
}

// Answers each question (RFC 1035) from a table, until an empty datagram comes.
class NameServer {
 public:
  explicit NameServer(std::map<std::string, std::vector<SrvRecord>> zone)
      : zone_(std::move(zone)), socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address_), size), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address_), &size), 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~NameServer() {
    const int sender = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(sender, "", 0, 0, reinterpret_cast<sockaddr*>(&address_), sizeof(address_));
    thread_.join();
    close(sender);
    close(socket_);
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", ntohs(address_.sin_port)); }

 private:
  void Serve() {
    for (;;) {
      char question[512];
      sockaddr_in from = {};
      socklen_t size = sizeof(from);
      const ssize_t n = recvfrom(socket_, question, sizeof(question), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
      if (n <= 12) return;
      const std::string answer = Answer(std::string(question, static_cast<size_t>(n)));
      sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  std::string Answer(const std::string& question) const {
    size_t end = 12;
    std::string name;
    while (question[end] != 0) {
      const auto length = static_cast<size_t>(question[end]);
      absl::StrAppend(&name, name.empty() ? "" : ".", question.substr(end + 1, length));
      end += length + 1;
    }
    const auto at = zone_.find(name);
    const bool known = at != zone_.end();
    std::string out = question.substr(0, 2);
    Append16(static_cast<uint16_t>(0x8580 | (known ? 0 : 3)), &out);  // an answer; 3: no such name
    Append16(1, &out);
    Append16(known ? static_cast<uint16_t>(at->second.size()) : 0, &out);
    Append16(0, &out);
    Append16(0, &out);
    out += question.substr(12, end + 5 - 12);
    if (!known) return out;
    for (const SrvRecord& record : at->second) {
      Append16(0xc00c, &out);  // the name in the question
      Append16(33, &out);      // SRV
      Append16(1, &out);
      Append16(0, &out);
      Append16(60, &out);
      const std::string target = EncodedName(record.target);
      Append16(static_cast<uint16_t>(6 + target.size()), &out);
      Append16(record.priority, &out);
      Append16(record.weight, &out);
      Append16(record.port, &out);
      out += target;
    }
    return out;
  }

  const std::map<std::string, std::vector<SrvRecord>> zone_;
  const int socket_;
  sockaddr_in address_ = {};
  std::thread thread_;
};

TEST(ResolverTest, ServicesAreFoundInOrderOfPriorityAndWeight) {
  const NameServer server({{"_etcd-server._tcp.example.com",
                            {{10, 1, 2380, "late.example.com"},
                             {5, 1, 2380, "light.example.com"},
                             {5, 9, 65535, "heavy.example.com"}}}});
  const auto records = LookUpSrv("_etcd-server._tcp.example.com", server.address());
  ASSERT_TRUE(records.ok()) << records.status();
  const std::vector<SrvRecord> expected = {{5, 9, 65535, "heavy.example.com"},
                                           {5, 1, 2380, "light.example.com"},
                                           {10, 1, 2380, "late.example.com"}};
  EXPECT_EQ(*records, expected);
}

TEST(ResolverTest, AServiceWithoutRecordsIsNotFound) {
  const NameServer server(
      std::map<std::string, std::vector<SrvRecord>>{{"_empty._tcp.example.com", {}}});
  for (const char* name : {"_none._tcp.example.com", "_empty._tcp.example.com"}) {
    const auto records = LookUpSrv(name, server.address());
    EXPECT_TRUE(absl::IsNotFound(records.status())) << records.status();
    EXPECT_NE(records.status().message().find(name), absl::string_view::npos);
  }
}

TEST(ResolverTest, AddressesOfThisMachine) {
  const auto addresses = LookUpAddresses("127.0.0.1:2380");
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(*addresses, std::vector<std::string>({"127.0.0.1:2380"}));
  EXPECT_FALSE(LookUpAddresses("no-such-host.invalid:1").ok());
}

}  // namespace
}  // namespace quorate::io::uv
