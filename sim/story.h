// What there is to tell about a run to a person: who was what at which time, which messages
// went from whom to whom, what was broken, when. Kept only when somebody wants to be told
// (sim/explain); no part of the digest, and nothing in a run depends on it.
#ifndef QUORATE_SIM_STORY_H_
#define QUORATE_SIM_STORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/scheduler.h"
#include "sim/trace.h"

namespace quorate::sim {

class Story {
 public:
  struct Message {
    uint64_t id = 0;
    HostId from;
    HostId to;
    VirtualTime sent;
    VirtualTime arrived = VirtualTime::Infinite();  // infinite: it never did
    std::string type;                               // "append"
    std::string text;
  };
  // A member from now on.
  struct State {
    VirtualTime when;
    HostId host;
    uint32_t role = 0;  // as engine::Role
    uint64_t term = 0;
    uint64_t commit = 0;
    uint64_t applied = 0;
    uint64_t last = 0;
  };
  // Something that happened to a host, or to the world (HostId()).
  struct Event {
    VirtualTime when;
    HostId host;
    std::string kind;
    std::string text;
  };

  // Messages kept, at most: the oldest go first.
  explicit Story(size_t max_messages) : max_messages_(max_messages) {}
  Story(const Story&) = delete;
  Story& operator=(const Story&) = delete;

  void Sent(Message message);
  // The first arrival counts.
  void Arrived(uint64_t id, VirtualTime when);
  // Equal ones in a row are kept once.
  void OnState(const State& state);
  // Takes from the trace what a reader wants to know beside messages, states and requests.
  void OnTrace(VirtualTime when, HostId host, const TraceKind& kind, uint64_t a, uint64_t b);

  const std::deque<Message>& messages() const { return messages_; }
  uint64_t messages_dropped() const { return dropped_; }
  const std::vector<State>& states() const { return states_; }
  const std::vector<Event>& events() const { return events_; }

 private:
  const size_t max_messages_;
  std::deque<Message> messages_;  // by id, ascending
  uint64_t dropped_ = 0;
  std::vector<State> states_;
  std::map<HostId, State> latest_;
  std::vector<Event> events_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_STORY_H_
