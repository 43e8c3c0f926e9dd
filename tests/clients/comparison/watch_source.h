// Draws watch requests over a few streams: every start revision, filter and option, ids
// of the client's choice, taken ones too.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_SOURCE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_SOURCE_H_

#include <cstdint>
#include <string>

#include "api/rpc.pb.h"
#include "tests/clients/comparison/draw.h"
#include "tests/clients/comparison/known.h"
#include "tests/clients/comparison/kv_source.h"
#include "tests/clients/comparison/release.h"

namespace quorate::differential {

class WatchSource {
 public:
  // All borrowed.
  WatchSource(Draw* draw, const Known* known, KvSource* kv, const Release& release)
      : draw_(*draw), known_(*known), kv_(*kv), release_(release) {}

  // A step without its user.
  Step Create();
  // A watcher of a prefix that wants previous values and takes fragments.
  Step CreateForLarge(const std::string& prefix, int64_t start_revision);
  Step Cancel();
  Step Progress();

 private:
  Step CreateOnSomeStream();
  etcdserverpb::WatchCreateRequest CreateRequest(const KnownStream& stream);
  int64_t StartRevision();
  // A stream that is open, such that `wanted` holds if there is one.
  template <typename Wanted>
  int Stream(Wanted wanted);

  Draw& draw_;
  const Known& known_;
  KvSource& kv_;
  const Release release_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_WATCH_SOURCE_H_
