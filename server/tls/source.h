// Certificates and the like as they are on the disk now. Each new connection asks, so that a
// file that was replaced counts from then on; etcd reads them for each handshake, too. Asking
// costs a few small reads, however many ask at the same time; only changed contents are
// parsed.
#ifndef QUORATE_SERVER_TLS_SOURCE_H_
#define QUORATE_SERVER_TLS_SOURCE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/env.h"
#include "server/config/tls.h"
#include "server/log/logger.h"
#include "server/tls/context.h"

namespace quorate::tls {

class Source {
 public:
  using ContextOr = absl::StatusOr<std::shared_ptr<const Context>>;
  using Callback = std::function<void(const ContextOr&)>;

  // All borrowed. `alpn`: protocols in order of preference.
  Source(const io::Env& env, log::Logger* log, Role role, config::TlsSettings settings,
         std::vector<std::string> alpn);
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  // Callbacks that have not come yet do not come any more.
  ~Source();

  // Reads the files anew. The callback comes later, with what they hold, or, if that cannot
  // be used (one of two files has been replaced so far, say), with what they held before: a
  // log line tells. An error only if nothing has ever been loaded.
  void Get(Callback callback);

 private:
  struct Load;
  void Begin();
  void ReadFile(const std::string& path, std::string Material::*content, absl::string_view flag);
  void OnFile(const std::shared_ptr<Load>& load, const absl::Status& status);
  void Finish(const Load& load);

  const io::Env env_;
  log::Logger* const log_;
  const Role role_;
  const config::TlsSettings settings_;
  const std::vector<std::string> alpn_;
  std::shared_ptr<Load> load_;            // in progress
  std::vector<Callback> served_by_load_;  // asked before it began
  std::vector<Callback> waiting_;         // asked since: need another
  Material material_;                     // of current_
  std::shared_ptr<const Context> current_;
  std::string last_complaint_;
};

}  // namespace quorate::tls

#endif  // QUORATE_SERVER_TLS_SOURCE_H_
