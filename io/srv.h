// What DNS says of where a service is (RFC 2782).
#ifndef QUORATE_IO_SRV_H_
#define QUORATE_IO_SRV_H_

#include <cstdint>
#include <string>

namespace quorate::io {

struct SrvRecord {
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;  // a host's name, without a dot at its end

  friend bool operator==(const SrvRecord&, const SrvRecord&) = default;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_SRV_H_
