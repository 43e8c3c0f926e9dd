// Our raftpb codec against the library's, in both directions, and against garbage.
#include "engine/raft/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/raft.pb.h"

namespace quorate::raft {
namespace {

// Small and boundary numbers, since varints change their length there.
rc::Gen<uint64_t> Numbers() {
  return rc::gen::oneOf(rc::gen::element<uint64_t>(0, 1, 127, 128, 16383, 16384, ~uint64_t{0}),
                        rc::gen::arbitrary<uint64_t>());
}

Bytes AnyBytes() {
  const auto size = *rc::gen::element<size_t>(0, 1, 5, 127, 128, 1023, 1024, 5000);
  return Bytes::Copy(std::string(size, static_cast<char>(*rc::gen::arbitrary<char>())));
}

Entry AnyEntry() {
  Entry entry;
  entry.type = static_cast<EntryType>(*rc::gen::inRange(0, 3));
  entry.term = Term(*Numbers());
  entry.index = LogIndex(*Numbers());
  entry.data = AnyBytes();
  return entry;
}

std::vector<MemberId> AnyIds() {
  std::vector<MemberId> ids;
  for (const uint64_t id : *rc::gen::resize(4, rc::gen::container<std::set<uint64_t>>(Numbers()))) {
    ids.push_back(MemberId(id));
  }
  return ids;
}

ConfState AnyConfState() {
  ConfState state;
  state.voters = AnyIds();
  state.learners = AnyIds();
  state.voters_outgoing = AnyIds();
  state.learners_next = AnyIds();
  state.auto_leave = *rc::gen::arbitrary<bool>();
  return state;
}

Message AnyMessage(int depth = 0) {
  Message m;
  m.type = static_cast<MessageType>(*rc::gen::inRange(0, kMessageTypes));
  m.to = MemberId(*Numbers());
  m.from = MemberId(*Numbers());
  m.term = Term(*Numbers());
  m.log_term = Term(*Numbers());
  m.index = LogIndex(*Numbers());
  const auto count = *rc::gen::inRange(0, 4);
  for (int i = 0; i < count; ++i) m.entries.push_back(AnyEntry());
  m.commit = LogIndex(*Numbers());
  m.vote = MemberId(*Numbers());
  if (*rc::gen::arbitrary<bool>()) {
    Snapshot snapshot;
    snapshot.meta.index = LogIndex(*rc::gen::inRange<uint64_t>(1, 1u << 20));
    snapshot.meta.term = Term(*Numbers());
    snapshot.meta.conf_state = AnyConfState();
    snapshot.data = AnyBytes();
    m.snapshot = std::make_shared<Snapshot>(snapshot);
  }
  m.reject = *rc::gen::arbitrary<bool>();
  m.reject_hint = LogIndex(*Numbers());
  m.context = AnyBytes();
  if (depth == 0 && *rc::gen::arbitrary<bool>()) m.responses.push_back(AnyMessage(1));
  return m;
}

bool Same(const Message& a, const Message& b) {
  if ((a.snapshot == nullptr) != (b.snapshot == nullptr)) return false;
  if (a.snapshot != nullptr && !(*a.snapshot == *b.snapshot)) return false;
  if (a.responses.size() != b.responses.size()) return false;
  for (size_t i = 0; i < a.responses.size(); ++i) {
    if (!Same(a.responses[i], b.responses[i])) return false;
  }
  return a.type == b.type && a.to == b.to && a.from == b.from && a.term == b.term &&
         a.log_term == b.log_term && a.index == b.index && a.entries == b.entries &&
         a.commit == b.commit && a.vote == b.vote && a.reject == b.reject &&
         a.reject_hint == b.reject_hint && a.context == b.context;
}

void Fill(const ConfState& from, raftpb::ConfState* to, bool zeros) {
  for (const MemberId id : from.voters) to->add_voters(id.value());
  for (const MemberId id : from.learners) to->add_learners(id.value());
  for (const MemberId id : from.voters_outgoing) to->add_voters_outgoing(id.value());
  for (const MemberId id : from.learners_next) to->add_learners_next(id.value());
  if (zeros || from.auto_leave) to->set_auto_leave(from.auto_leave);
}

void Fill(const Snapshot& from, raftpb::Snapshot* to, bool zeros) {
  if (!from.data.empty()) to->set_data(from.data.data(), from.data.size());
  raftpb::SnapshotMetadata* meta = to->mutable_metadata();
  Fill(from.meta.conf_state, meta->mutable_conf_state(), zeros);
  if (zeros || from.meta.index != LogIndex(0)) meta->set_index(from.meta.index.value());
  if (zeros || from.meta.term != Term(0)) meta->set_term(from.meta.term.value());
}

// As releases write it: all scalars (3.6 and earlier) or those that are set (3.7).
void Fill(const Message& from, raftpb::Message* to, bool zeros) {
  to->set_type(static_cast<raftpb::MessageType>(from.type));
#define SET(field, value) \
  if (zeros || (value) != 0) to->set_##field(value)
  SET(to, from.to.value());
  SET(from, from.from.value());
  SET(term, from.term.value());
  SET(logterm, from.log_term.value());
  SET(index, from.index.value());
  SET(commit, from.commit.value());
  SET(reject, from.reject);
  SET(rejecthint, from.reject_hint.value());
  SET(vote, from.vote.value());
#undef SET
  for (const Entry& entry : from.entries) {
    raftpb::Entry* e = to->add_entries();
    if (zeros || entry.type != EntryType::kNormal) {
      e->set_type(static_cast<raftpb::EntryType>(entry.type));
    }
    if (zeros || entry.term != Term(0)) e->set_term(entry.term.value());
    if (zeros || entry.index != LogIndex(0)) e->set_index(entry.index.value());
    if (!entry.data.empty()) e->set_data(entry.data.data(), entry.data.size());
  }
  if (from.snapshot != nullptr) {
    Fill(*from.snapshot, to->mutable_snapshot(), zeros);
  } else if (zeros) {
    Fill(Snapshot(), to->mutable_snapshot(), zeros);  // up to 3.5
  }
  if (!from.context.empty()) to->set_context(from.context.data(), from.context.size());
  for (const Message& response : from.responses) Fill(response, to->add_responses(), zeros);
}

RC_GTEST_PROP(Codec, ReadsWhatEitherKindOfReleaseWrites, ()) {
  const Message message = AnyMessage();
  raftpb::Message proto;
  Fill(message, &proto, /*zeros=*/*rc::gen::arbitrary<bool>());
  const auto decoded = DecodeMessage(Bytes::Copy(proto.SerializeAsString()));
  RC_ASSERT(decoded.ok());
  RC_ASSERT(Same(*decoded, message));
}

RC_GTEST_PROP(Codec, WritesWhatTheLibraryWritesForTheFieldsThatAreSet, ()) {
  const Message message = AnyMessage();
  raftpb::Message proto;
  Fill(message, &proto, /*zeros=*/false);
  const Bytes encoded = EncodeToBytes(message);
  const std::string expected = proto.SerializeAsString();
  RC_ASSERT(encoded.size() == EncodedSize(message));
  RC_ASSERT(std::string(encoded.data(), encoded.size()) == expected);
  // The same in pieces, behind a head; large payloads are not copied.
  std::vector<Bytes> pieces;
  EncodeMessagePieces(message, "head", &pieces);
  std::string joined;
  for (const Bytes& piece : pieces) joined.append(piece.data(), piece.size());
  RC_ASSERT(joined == "head" + expected);
  for (const Entry& entry : message.entries) {
    if (entry.data.size() < kSharedPayloadBytes) continue;
    RC_ASSERT(std::any_of(pieces.begin(), pieces.end(),
                          [&](const Bytes& piece) { return piece.data() == entry.data.data(); }));
  }
}

RC_GTEST_PROP(Codec, SmallMessagesComeBackAsTheyWent, ()) {
  const Entry entry = AnyEntry();
  RC_ASSERT(*DecodeEntry(EncodeToBytes(entry)) == entry);
  const HardState state{Term(*Numbers()), MemberId(*Numbers()), LogIndex(*Numbers())};
  RC_ASSERT(*DecodeHardState(EncodeToBytes(state)) == state);
  raftpb::HardState library;
  const Bytes bytes = EncodeToBytes(state);
  RC_ASSERT(library.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  RC_ASSERT(library.vote() == state.vote.value());
  const ConfState config = AnyConfState();
  RC_ASSERT(*DecodeConfState(EncodeToBytes(config)) == config);
  const ConfChange change{*Numbers(), static_cast<ConfChangeType>(*rc::gen::inRange(0, 4)),
                          MemberId(*Numbers()), AnyBytes()};
  RC_ASSERT(*DecodeConfChange(EncodeToBytes(change)) == change);
  ConfChangeV2 v2;
  v2.transition = static_cast<ConfChangeTransition>(*rc::gen::inRange(0, 3));
  v2.changes.resize(*rc::gen::inRange<size_t>(0, 3), {change.type, change.node_id});
  v2.context = AnyBytes();
  RC_ASSERT(*DecodeConfChangeV2(EncodeToBytes(v2)) == v2);
}

// Whatever the bytes are: an error or a message, and what we accept the library accepts.
RC_GTEST_PROP(Codec, SurvivesDamage, ()) {
  const Bytes encoded = EncodeToBytes(AnyMessage());
  std::string bytes(encoded.data(), encoded.size());
  const auto edits = *rc::gen::inRange(1, 6);
  for (int i = 0; i < edits && !bytes.empty(); ++i) {
    const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        bytes[at] = *rc::gen::arbitrary<char>();
        break;
      case 1:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, 1, *rc::gen::arbitrary<char>());
        break;
    }
  }
  if (DecodeMessage(Bytes::Copy(bytes)).ok()) {
    raftpb::Message library;
    RC_ASSERT(library.ParsePartialFromString(bytes));
  }
}

RC_GTEST_PROP(Codec, SurvivesNoise, (const std::string& noise)) {
  const Bytes bytes = Bytes::Copy(noise);
  DecodeMessage(bytes).status().IgnoreError();
  DecodeSnapshot(bytes).status().IgnoreError();
  DecodeEntry(bytes).status().IgnoreError();
  DecodeHardState(noise).status().IgnoreError();
  DecodeConfState(noise).status().IgnoreError();
  DecodeConfChange(bytes).status().IgnoreError();
  DecodeConfChangeV2(bytes).status().IgnoreError();
}

TEST(Codec, PayloadsOfDecodedEntriesShareTheInput) {
  Message m;
  m.type = MessageType::kApp;
  m.entries.push_back({.term = Term(1), .index = LogIndex(1), .data = Bytes::Copy("payload")});
  const Bytes encoded = EncodeToBytes(m);
  const auto decoded = DecodeMessage(encoded);
  ASSERT_TRUE(decoded.ok());
  const char* data = decoded->entries[0].data.data();
  EXPECT_TRUE(data > encoded.data() && data < encoded.data() + encoded.size());
}

TEST(Codec, SkipsUnknownFieldsAndTakesPackedLists) {
  // voters = [1, 300] packed, an unknown varint (15), bytes (16) and a group (17).
  const absl::string_view bytes("\x0a\x03\x01\xac\x02\x78\x05\x82\x01\x01z\x8b\x01\x08\x01\x8c\x01",
                                17);
  const auto config = DecodeConfState(bytes);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->voters, (std::vector<MemberId>{MemberId(1), MemberId(300)}));
}

// What came before such a field was once taken for its contents: voters became learners too.
TEST(Codec, AListOfAnotherWireTypeIsSkipped) {
  // voters = [1, 2] packed, then learners as each type that such a list does not have.
  const std::string voters("\x0a\x02\x01\x02", 4);
  const std::string of_other_types[] = {
      std::string("\x15\x07\x00\x00\x00", 5),                  // fixed32
      std::string("\x11\x07\x00\x00\x00\x00\x00\x00\x00", 9),  // fixed64
      std::string("\x13\x08\x07\x14", 4),                      // a group
  };
  for (const std::string& learners : of_other_types) {
    const auto config = DecodeConfState(voters + learners);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->voters, (std::vector<MemberId>{MemberId(1), MemberId(2)}));
    EXPECT_TRUE(config->learners.empty());
  }
}

TEST(Codec, NamesWhatItRefuses) {
  const auto error = [](absl::string_view bytes) {
    return std::string(DecodeMessage(Bytes::Copy(bytes)).status().message());
  };
  EXPECT_EQ(error("\x08\x63"), "raftpb.Message.type: unknown value 99");
  EXPECT_EQ(error(absl::string_view("\x3a\x02\x08\x07", 4)), "raftpb.Entry.Type: unknown value 7");
  EXPECT_EQ(error("\x10"), "raftpb.Message: malformed field");
  EXPECT_EQ(error(absl::string_view("\x72\x04\x72\x02\x72\x00", 6)),
            "raftpb.Message: nested too deep");
}

}  // namespace
}  // namespace quorate::raft
