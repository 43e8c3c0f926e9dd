// One trial as a space-time diagram: members, messages, roles, terms, crashes. As text,
// as an SVG picture and as a self-contained HTML page.
//
//   Diagram diagram;
//   cluster.AddObserver(&diagram);
//   ...
//   std::cout << diagram.Text();
#ifndef QUORATE_SIM_STUDY_DIAGRAM_H_
#define QUORATE_SIM_STUDY_DIAGRAM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/study/cluster.h"

namespace quorate::sim::study {

class Diagram : public Observer {
 public:
  // Of more events than this only the first are kept; the diagram says so.
  static constexpr size_t kMaxEvents = 4000;

  // Shows what happens in [from, to] only.
  explicit Diagram(Instant from = Instant(), Instant to = Instant::Infinite())
      : from_(from), to_(to) {}

  void OnSent(const raft::Message& message, Instant at, Instant arrival) override;
  void OnState(const raft::Raft& member, Instant at) override;
  void OnCommitted(MemberId member, const raft::Entry& entry, Instant at) override;
  void OnConfig(const raft::Raft& member, Instant at) override;
  void OnCrashed(MemberId member, Instant at) override;
  void OnNote(absl::string_view text, Instant at) override;

  size_t events() const { return events_; }
  // A line an event, in order.
  std::string Text() const;
  std::string Svg() const;
  std::string Html(absl::string_view title, absl::string_view command) const;

 private:
  struct Arrow {
    uint64_t from = 0;
    uint64_t to = 0;
    int64_t sent = 0;
    int64_t arrival = 0;  // -1: lost
    std::string what;
    std::string colour;
  };
  // A member's role and term from `at` on.
  struct Span {
    int64_t at = 0;
    raft::Role role = raft::Role::kFollower;
    uint64_t term = 0;
    bool crashed = false;
  };
  struct Mark {
    uint64_t member = 0;  // 0: the whole cluster
    int64_t at = 0;
    std::string text;
  };
  struct Words {
    int64_t at = 0;
    std::string text;
  };

  bool Keep(Instant at);
  double X(int64_t at) const;
  double Y(uint64_t member) const;
  double Width() const;
  std::string Lifelines() const;
  std::string Arrows() const;
  std::string Marks() const;
  int64_t Begin() const;
  int64_t End() const;

  const Instant from_;
  const Instant to_;
  size_t events_ = 0;
  bool full_ = false;
  int64_t last_ = 0;
  std::map<uint64_t, std::vector<Span>> spans_;  // by member
  std::vector<Arrow> arrows_;
  std::vector<Mark> marks_;
  std::vector<Words> lines_;
};

// In the words of the field: "vote request", "append".
absl::string_view NameOf(raft::MessageType type);
absl::string_view NameOf(raft::Role role);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_DIAGRAM_H_
