// The two things that a server itself proposes to its cluster:
// every member its own attributes, the leader the cluster's version.
#ifndef QUORATE_SERVER_PUBLISHER_H_
#define QUORATE_SERVER_PUBLISHER_H_

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"
#include "server/config/config.h"
#include "server/log/logger.h"
#include "server/node/node.h"
#include "server/node/peer_transport.h"

namespace quorate::server {

// Proposes this member's name and client URLs, again and again until they are applied.
class AttributesPublisher {
 public:
  // `done` is called once. All borrowed.
  AttributesPublisher(io::Loop* loop, log::Logger* log, node::Node* node,
                      const config::Config& config, std::function<void()> done);
  AttributesPublisher(const AttributesPublisher&) = delete;
  AttributesPublisher& operator=(const AttributesPublisher&) = delete;
  ~AttributesPublisher();

  void Start() { Propose(); }

 private:
  void Propose();
  void OnAnswer(const absl::Status& status);

  io::Loop* const loop_;
  log::Logger* const log_;
  node::Node* const node_;
  const Bytes body_;
  const Duration attempt_timeout_;
  std::function<void()> done_;
  std::unique_ptr<io::Timer> retry_timer_;
  node::CallId call_;
};

// While this member leads: proposes the smallest server version among the members (3.0.0
// as long as somebody has not told his) as the cluster's version and raises it when all have
// moved on. Lowers it only to the target of a downgrade (services/downgrade.h), and then leaves it
// there until that is cancelled: by the operator, or by a leader of the target's version that finds
// all members to have it.
class VersionMonitor {
 public:
  VersionMonitor(io::Loop* loop, log::Logger* log, node::Node* node,
                 const node::PeerTransport* transport);
  VersionMonitor(const VersionMonitor&) = delete;
  VersionMonitor& operator=(const VersionMonitor&) = delete;
  ~VersionMonitor();

  // To be called when leadership may have changed.
  void Check();

 private:
  // The version that the members' announcements allow.
  config::MajorMinor Allowed() const;
  void Propose(const config::MajorMinor& version);

  io::Loop* const loop_;
  log::Logger* const log_;
  node::Node* const node_;
  const node::PeerTransport* const transport_;
  std::unique_ptr<io::Timer> timer_;
  node::CallId call_;  // 0: none in progress
};

}  // namespace quorate::server

#endif  // QUORATE_SERVER_PUBLISHER_H_
