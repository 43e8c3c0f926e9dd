#include "server/http1/server.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "server/http1/server_connection.h"

namespace quorate::http1 {
namespace {

// What may stand in a path as it is, RFC 3986 (section 3.3) says; of the rest come no controls and
// no blanks here. Browsers read "/\" as "//", behind which stands a host.
std::string EscapePath(absl::string_view path) {
  std::string escaped;
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    const bool as_it_is = byte < 0x80 && !absl::StrContains("\"<>\\^`{|}", c);
    absl::StrAppend(&escaped, as_it_is ? std::string(1, c) : absl::StrFormat("%%%02X", byte));
  }
  return escaped;
}

}  // namespace

void Exchange::Respond(Response response) {
  if (connection_ == nullptr) return;
  CHECK(!streaming_);
  connection_->Respond(std::move(response));
}

void Exchange::StartStream(int status, const Fields& fields) {
  if (connection_ == nullptr) return;
  CHECK(!std::exchange(streaming_, true));
  connection_->StartStream(status, fields);
}

void Exchange::Write(Bytes data) {
  std::vector<Bytes> pieces;
  pieces.push_back(std::move(data));
  Write(std::move(pieces));
}

void Exchange::Write(std::vector<Bytes> pieces) {
  if (connection_ == nullptr) return;
  CHECK(streaming_);
  connection_->Write(std::move(pieces));
}

void Exchange::EndStream() {
  if (connection_ == nullptr) return;
  CHECK(streaming_);
  connection_->EndStream();
}

void Exchange::Abort() {
  if (connection_ != nullptr) connection_->Abort();
}

size_t Exchange::queued_bytes() const {
  return connection_ == nullptr ? 0 : connection_->queued_bytes();
}

bool Exchange::MakeRoom(size_t bytes) {
  return connection_ != nullptr && connection_->MakeRoom(bytes);
}

void Exchange::PauseBody() {
  if (connection_ != nullptr) connection_->PauseBody();
}

void Exchange::ResumeBody() {
  if (connection_ != nullptr) connection_->ResumeBody();
}

bool Server::RouteEntry::Allows(absl::string_view method) const {
  const auto has = [this](absl::string_view wanted) {
    return std::find(methods.begin(), methods.end(), wanted) != methods.end();
  };
  return methods.empty() || has(method);
}

std::string Server::RouteEntry::AllowHeader() const { return absl::StrJoin(methods, ", "); }

Server::Server(io::Loop* loop, const ServerOptions& options)
    : loop_(loop), options_(options), alive_(std::make_shared<bool>(true)) {}

Server::~Server() {
  *alive_ = false;
  connections_.clear();
}

void Server::Route(std::vector<std::string> methods, std::string path, RouteOptions options,
                   Handler handler) {
  const bool added =
      exact_.emplace(std::move(path), RouteEntry{std::move(methods), options, std::move(handler)})
          .second;
  CHECK_MSG(added, "route registered twice");
}

void Server::RoutePrefix(std::vector<std::string> methods, std::string prefix, RouteOptions options,
                         Handler handler) {
  const bool added =
      prefixes_
          .emplace(std::move(prefix), RouteEntry{std::move(methods), options, std::move(handler)})
          .second;
  CHECK_MSG(added, "route registered twice");
}

const Server::RouteEntry* Server::FindRoute(absl::string_view path) const {
  const auto exact = exact_.find(path);
  if (exact != exact_.end()) return &exact->second;
  // A longer prefix sorts behind a shorter one of the same path.
  for (auto it = prefixes_.upper_bound(path); it != prefixes_.begin();) {
    --it;
    if (absl::StartsWith(path, it->first)) return &it->second;
  }
  return nullptr;
}

// Not of CONNECT, whose target is no path.
std::optional<std::string> Server::RedirectOf(const Request& request) const {
  if (request.method == "CONNECT") return std::nullopt;
  const absl::string_view raw = request.raw_path();
  std::string clean = CleanPath(raw);
  if (clean == raw) {
    const std::string below = absl::StrCat(request.path, "/");
    if (exact_.contains(request.path) || !prefixes_.contains(below)) return std::nullopt;
    clean.push_back('/');
  }
  clean = EscapePath(clean);
  if (!request.query.empty()) absl::StrAppend(&clean, "?", request.query);
  return clean;
}

void Server::Accept(std::unique_ptr<io::Stream> stream) {
  if (draining_ || connections_.size() >= options_.max_connections) return;
  const uint64_t id = next_connection_id_++;
  const auto added =
      connections_.emplace(id, std::make_unique<ServerConnection>(this, id, std::move(stream)));
  added.first->second->Start();
}

void Server::Drain() {
  draining_ = true;
  for (const auto& [id, connection] : connections_) connection->Drain();
}

const std::string& Server::HttpDate() {
  static constexpr std::array<absl::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                             "Thu", "Fri", "Sat"};
  static constexpr std::array<absl::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t second = loop_->WallNow().unix_nanos() / 1'000'000'000;
  if (std::exchange(date_second_, second) == second) return date_;
  std::tm utc = {};
  gmtime_r(&second, &utc);
  date_ =
      absl::StrFormat("%s, %02d %s %d %02d:%02d:%02d GMT", kDays[static_cast<size_t>(utc.tm_wday)],
                      utc.tm_mday, kMonths[static_cast<size_t>(utc.tm_mon)], 1900 + utc.tm_year,
                      utc.tm_hour, utc.tm_min, utc.tm_sec);
  return date_;
}

bool Server::MakeRoom(size_t bytes) {
  size_t held = reserved_bytes_;
  std::vector<ServerConnection*> stalled;
  for (const auto& [id, connection] : connections_) {
    if (connection->Stalls()) stalled.push_back(connection.get());
    held += connection->queued_bytes();
  }
  if (held + bytes <= options_.max_total_answer_bytes) return true;
  for (ServerConnection* const connection : stalled) {
    held -= std::min(held, connection->queued_bytes());
    connection->Abort();
  }
  return held + bytes <= options_.max_total_answer_bytes;
}

void Server::RemoveLater(uint64_t connection_id) {
  loop_->Defer([this, connection_id, alive = alive_] {
    if (*alive) connections_.erase(connection_id);
  });
}

}  // namespace quorate::http1
