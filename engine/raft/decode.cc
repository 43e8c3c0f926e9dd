#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/wire.h"
#include "engine/raft/codec.h"

namespace quorate::raft {

namespace {

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("raftpb.", what));
}

absl::Status End(const WireReader& reader, absl::string_view message) {
  if (reader.ok()) return absl::OkStatus();
  return Malformed(absl::StrCat(message, ": malformed field"));
}

// Enums are checked against the values that we know: acting on others is not possible.
template <typename Enum>
absl::Status ToEnum(uint64_t value, Enum last, absl::string_view field, Enum* out) {
  if (value > static_cast<uint64_t>(last)) {
    return Malformed(absl::StrCat(field, ": unknown value ", value));
  }
  *out = static_cast<Enum>(value);
  return absl::OkStatus();
}

absl::Status ParseEntry(const Bytes& buffer, absl::string_view in, Entry* entry) {
  WireReader reader(in);
  while (reader.Next()) {
    switch (reader.tag()) {
      case VarintTag(1):
        RETURN_IF_ERROR(
            ToEnum(reader.uint64(), EntryType::kConfChangeV2, "Entry.Type", &entry->type));
        break;
      case VarintTag(2):
        entry->term = Term(reader.uint64());
        break;
      case VarintTag(3):
        entry->index = LogIndex(reader.uint64());
        break;
      case LenTag(4):
        entry->data = buffer.SliceOf(reader.bytes());
        break;
      default:
        break;
    }
  }
  return End(reader, "Entry");
}

bool ParsePacked(absl::string_view in, std::vector<MemberId>* ids) {
  uint64_t value = 0;
  while (!in.empty()) {
    if (!GetVarint(&in, &value)) return false;
    ids->push_back(MemberId(value));
  }
  return true;
}

absl::Status ParseConfState(absl::string_view in, ConfState* state) {
  std::vector<MemberId>* const lists[] = {&state->voters, &state->learners, &state->voters_outgoing,
                                          &state->learners_next};
  WireReader reader(in);
  while (reader.Next()) {
    const uint32_t field = reader.tag() >> 3;
    if (reader.tag() == VarintTag(5)) {
      state->auto_leave = reader.uint64() != 0;
    } else if (field > 4) {
      continue;
    } else if (reader.tag() == VarintTag(field)) {
      lists[field - 1]->push_back(MemberId(reader.uint64()));
    } else if (reader.tag() == LenTag(field) && !ParsePacked(reader.bytes(), lists[field - 1])) {
      return Malformed("ConfState: malformed list");
    }
  }
  for (std::vector<MemberId>* list : lists) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  return End(reader, "ConfState");
}

absl::Status ParseMetadata(absl::string_view in, SnapshotMeta* meta) {
  WireReader reader(in);
  while (reader.Next()) {
    switch (reader.tag()) {
      case LenTag(1):
        RETURN_IF_ERROR(ParseConfState(reader.bytes(), &meta->conf_state));
        break;
      case VarintTag(2):
        meta->index = LogIndex(reader.uint64());
        break;
      case VarintTag(3):
        meta->term = Term(reader.uint64());
        break;
      default:
        break;
    }
  }
  return End(reader, "SnapshotMetadata");
}

absl::Status ParseSnapshot(const Bytes& buffer, absl::string_view in, Snapshot* snapshot) {
  WireReader reader(in);
  while (reader.Next()) {
    switch (reader.tag()) {
      case LenTag(1):
        snapshot->data = buffer.SliceOf(reader.bytes());
        break;
      case LenTag(2):
        RETURN_IF_ERROR(ParseMetadata(reader.bytes(), &snapshot->meta));
        break;
      default:
        break;
    }
  }
  return End(reader, "Snapshot");
}

class MessageParser {
 public:
  explicit MessageParser(const Bytes& buffer) : buffer_(buffer) {}

  absl::Status Parse(absl::string_view in, int depth, Message* m) {
    if (depth > kMaxMessageDepth) return Malformed("Message: nested too deep");
    std::optional<Snapshot> snapshot;
    WireReader reader(in);
    while (reader.Next()) {
      switch (reader.tag()) {
        case LenTag(7):
          m->entries.emplace_back();
          RETURN_IF_ERROR(ParseEntry(buffer_, reader.bytes(), &m->entries.back()));
          break;
        case LenTag(9):
          if (!snapshot.has_value()) snapshot.emplace();
          RETURN_IF_ERROR(ParseSnapshot(buffer_, reader.bytes(), &*snapshot));
          break;
        case LenTag(12):
          m->context = buffer_.SliceOf(reader.bytes());
          break;
        case LenTag(14):
          m->responses.emplace_back();
          RETURN_IF_ERROR(Parse(reader.bytes(), depth + 1, &m->responses.back()));
          break;
        default:
          RETURN_IF_ERROR(ParseScalar(reader, m));
      }
    }
    // Releases up to 3.5 write an empty snapshot into every message.
    if (snapshot.has_value() && *snapshot != Snapshot()) {
      m->snapshot = std::make_shared<const Snapshot>(*std::move(snapshot));
    }
    return End(reader, "Message");
  }

 private:
  absl::Status ParseScalar(const WireReader& reader, Message* m) {
    const uint64_t value = reader.uint64();
    switch (reader.tag()) {
      case VarintTag(1):
        return ToEnum(value, MessageType::kForgetLeader, "Message.type", &m->type);
      case VarintTag(2):
        m->to = MemberId(value);
        break;
      case VarintTag(3):
        m->from = MemberId(value);
        break;
      case VarintTag(4):
        m->term = Term(value);
        break;
      case VarintTag(5):
        m->log_term = Term(value);
        break;
      case VarintTag(6):
        m->index = LogIndex(value);
        break;
      case VarintTag(8):
        m->commit = LogIndex(value);
        break;
      case VarintTag(10):
        m->reject = value != 0;
        break;
      case VarintTag(11):
        m->reject_hint = LogIndex(value);
        break;
      case VarintTag(13):
        m->vote = MemberId(value);
        break;
      default:
        break;
    }
    return absl::OkStatus();
  }

  const Bytes& buffer_;
};

absl::Status ParseSingle(absl::string_view in, ConfChangeSingle* change) {
  WireReader reader(in);
  while (reader.Next()) {
    if (reader.tag() == VarintTag(1)) {
      RETURN_IF_ERROR(ToEnum(reader.uint64(), ConfChangeType::kAddLearnerNode,
                             "ConfChangeSingle.type", &change->type));
    } else if (reader.tag() == VarintTag(2)) {
      change->node_id = MemberId(reader.uint64());
    }
  }
  return End(reader, "ConfChangeSingle");
}

}  // namespace

absl::StatusOr<Message> DecodeMessage(const Bytes& in) {
  Message message;
  RETURN_IF_ERROR(MessageParser(in).Parse(in.view(), 0, &message));
  return message;
}

absl::StatusOr<Entry> DecodeEntry(const Bytes& in) {
  Entry entry;
  RETURN_IF_ERROR(ParseEntry(in, in.view(), &entry));
  return entry;
}

absl::StatusOr<Snapshot> DecodeSnapshot(const Bytes& in) {
  Snapshot snapshot;
  RETURN_IF_ERROR(ParseSnapshot(in, in.view(), &snapshot));
  return snapshot;
}

absl::StatusOr<HardState> DecodeHardState(absl::string_view in) {
  HardState state;
  WireReader reader(in);
  while (reader.Next()) {
    if (reader.tag() == VarintTag(1)) state.term = Term(reader.uint64());
    if (reader.tag() == VarintTag(2)) state.vote = MemberId(reader.uint64());
    if (reader.tag() == VarintTag(3)) state.commit = LogIndex(reader.uint64());
  }
  RETURN_IF_ERROR(End(reader, "HardState"));
  return state;
}

absl::StatusOr<ConfState> DecodeConfState(absl::string_view in) {
  ConfState state;
  RETURN_IF_ERROR(ParseConfState(in, &state));
  return state;
}

absl::StatusOr<ConfChange> DecodeConfChange(const Bytes& in) {
  ConfChange change;
  WireReader reader(in.view());
  while (reader.Next()) {
    switch (reader.tag()) {
      case VarintTag(1):
        change.id = reader.uint64();
        break;
      case VarintTag(2):
        RETURN_IF_ERROR(ToEnum(reader.uint64(), ConfChangeType::kAddLearnerNode, "ConfChange.type",
                               &change.type));
        break;
      case VarintTag(3):
        change.node_id = MemberId(reader.uint64());
        break;
      case LenTag(4):
        change.context = in.SliceOf(reader.bytes());
        break;
      default:
        break;
    }
  }
  RETURN_IF_ERROR(End(reader, "ConfChange"));
  return change;
}

absl::StatusOr<ConfChangeV2> DecodeConfChangeV2(const Bytes& in) {
  ConfChangeV2 change;
  WireReader reader(in.view());
  while (reader.Next()) {
    switch (reader.tag()) {
      case VarintTag(1):
        RETURN_IF_ERROR(ToEnum(reader.uint64(), ConfChangeTransition::kJointExplicit,
                               "ConfChangeV2.transition", &change.transition));
        break;
      case LenTag(2):
        change.changes.emplace_back();
        RETURN_IF_ERROR(ParseSingle(reader.bytes(), &change.changes.back()));
        break;
      case LenTag(3):
        change.context = in.SliceOf(reader.bytes());
        break;
      default:
        break;
    }
  }
  RETURN_IF_ERROR(End(reader, "ConfChangeV2"));
  return change;
}

}  // namespace quorate::raft
