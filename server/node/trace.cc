#include "server/node/trace.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/log/logger.h"

namespace quorate::node {

void Trace::NoteWrite(Instant begun, Instant ended) {
  if (ended - begun >= kLong) Add({Kind::kWrite, begun, ended - begun});
}

void Trace::NoteTurn(Instant now, Duration took) {
  if (took >= kLong) Add({Kind::kTurn, now, took});
}

void Trace::NoteLeader(Instant now, bool known) {
  if (known == !leaderless_) return;
  leaderless_ = !known;
  Add({known ? Kind::kLeaderKnown : Kind::kLeaderLost, now, Duration()});
}

void Trace::Add(const Event& event) {
  if (events_.size() == kKept) events_.pop_front();
  events_.push_back(event);
}

std::string Trace::Tell(const Event& event, Instant begun) {
  std::string text = event.begun < begun ? "before, " : "+";
  if (event.begun >= begun) {
    log::AppendGoDuration(event.begun - begun, &text);
    text += ' ';
  }
  switch (event.kind) {
    case Kind::kWrite:
      text += "a write of the log, took ";
      break;
    case Kind::kTurn:
      text += "a turn of the engine, took ";
      break;
    case Kind::kLeaderLost:
      return text + "the leader was lost";
    case Kind::kLeaderKnown:
      return text + "a leader is known";
  }
  log::AppendGoDuration(event.took, &text);
  return text;
}

std::vector<std::string> Trace::Since(Instant begun) const {
  std::vector<std::string> told;
  bool known = true;  // a leader, at the beginning
  for (const Event& event : events_) {
    if (event.begun + event.took >= begun) {
      told.push_back(Tell(event, begun));
    } else if (event.kind == Kind::kLeaderLost || event.kind == Kind::kLeaderKnown) {
      known = event.kind == Kind::kLeaderKnown;
    }
  }
  if (told.size() > kTold) told.erase(told.begin(), told.end() - kTold);
  if (!known || (events_.empty() && leaderless_)) told.insert(told.begin(), "no leader was known");
  return told;
}

}  // namespace quorate::node
