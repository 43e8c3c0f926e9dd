#include "server/services/kv.h"

#include "server/services/forward.h"
#include "server/services/range_stream.h"

namespace quorate::services {

using engine::RequestKind;

void AddKv(grpc::Server* server, node::Node* node) {
  AddForward(server, node, "/etcdserverpb.KV/Range", RequestKind::kRange);
  AddForward(server, node, "/etcdserverpb.KV/Put", RequestKind::kPut);
  AddForward(server, node, "/etcdserverpb.KV/DeleteRange", RequestKind::kDeleteRange);
  AddForward(server, node, "/etcdserverpb.KV/Txn", RequestKind::kTxn);
  AddForward(server, node, "/etcdserverpb.KV/Compact", RequestKind::kCompact);
  AddRangeStream(server, node);
}

}  // namespace quorate::services
