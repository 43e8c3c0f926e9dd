#include "sim/study/diagram.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/raft/conf_change.h"
#include "sim/markup.h"
#include "sim/study/page.h"

namespace quorate::sim::study {
namespace {

using raft::Message;
using raft::MessageType;
using raft::Role;

constexpr double kLeft = 90;
constexpr double kRight = 40;
constexpr double kTop = 60;
constexpr double kRowHeight = 90;
constexpr double kMinWidth = 960;
constexpr double kMaxWidth = 12000;
// Room for the arrows of one event, so that they can be told apart.
constexpr double kPixelsAnEvent = 9;

absl::string_view ColourOf(MessageType type) {
  switch (type) {
    case MessageType::kVote:
      return "#c8442b";
    case MessageType::kVoteResp:
      return "#e08a2c";
    case MessageType::kPreVote:
      return "#8a4fbe";
    case MessageType::kPreVoteResp:
      return "#b48ad6";
    case MessageType::kApp:
    case MessageType::kSnap:
      return "#1b6ca8";
    case MessageType::kAppResp:
      return "#7fb2d9";
    default:
      return "#b9b9b9";
  }
}

absl::string_view ColourOf(Role role) {
  switch (role) {
    case Role::kFollower:
      return "#9aa5ad";
    case Role::kPreCandidate:
      return "#b48ad6";
    case Role::kCandidate:
      return "#e08a2c";
    case Role::kLeader:
      return "#2f8f46";
  }
  return "#000000";
}

std::string Details(const Message& m) {
  std::string text = absl::StrCat(NameOf(m.type), " of term ", m.term.value());
  switch (m.type) {
    case MessageType::kVote:
    case MessageType::kPreVote:
      absl::StrAppend(&text, ", log ends at ", m.index.value(), " of term ", m.log_term.value());
      break;
    case MessageType::kApp:
      absl::StrAppend(&text, ", ", m.entries.size(), " entries after ", m.index.value(),
                      ", commit ", m.commit.value());
      break;
    case MessageType::kAppResp:
      absl::StrAppend(&text, m.reject ? ", refused at " : ", up to ", m.index.value());
      break;
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      absl::StrAppend(&text, m.reject ? ", refused" : ", granted");
      break;
    default:
      break;
  }
  return text;
}

std::string At(int64_t nanos) { return absl::StrFormat("%11.3f ms", nanos / 1e6); }

}  // namespace

absl::string_view NameOf(MessageType type) {
  switch (type) {
    case MessageType::kProp:
      return "proposal";
    case MessageType::kApp:
      return "append";
    case MessageType::kAppResp:
      return "append answer";
    case MessageType::kVote:
      return "vote request";
    case MessageType::kVoteResp:
      return "vote";
    case MessageType::kSnap:
      return "snapshot";
    case MessageType::kHeartbeat:
      return "heartbeat";
    case MessageType::kHeartbeatResp:
      return "heartbeat answer";
    case MessageType::kTransferLeader:
      return "leadership transfer";
    case MessageType::kTimeoutNow:
      return "timeout now";
    case MessageType::kReadIndex:
      return "read index";
    case MessageType::kReadIndexResp:
      return "read index answer";
    case MessageType::kPreVote:
      return "pre-vote request";
    case MessageType::kPreVoteResp:
      return "pre-vote";
    default:
      return "local message";
  }
}

absl::string_view NameOf(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "?";
}

bool Diagram::Keep(Instant at) {
  if (at < from_ || at > to_) return false;
  if (events_ == kMaxEvents) {
    full_ = true;
    return false;
  }
  ++events_;
  last_ = std::max(last_, at.nanos());
  return true;
}

void Diagram::OnSent(const Message& m, Instant at, Instant arrival) {
  if (!Keep(at)) return;
  // Both ends have a lifeline, also one that has never been up.
  spans_[m.from.value()];
  spans_[m.to.value()];
  const bool lost = arrival == Instant::Infinite();
  const std::string what = Details(m);
  lines_.push_back(
      {at.nanos(),
       absl::StrCat(
           m.from.value(), " -> ", m.to.value(), "  ", what,
           lost ? ": lost" : absl::StrCat(": arrives at ", Millis(arrival - Instant()), " ms"))});
  arrows_.push_back({m.from.value(), m.to.value(), at.nanos(), lost ? -1 : arrival.nanos(), what,
                     std::string(ColourOf(m.type))});
}

void Diagram::OnState(const raft::Raft& member, Instant at) {
  std::vector<Span>& spans = spans_[member.id().value()];
  const Span span = {at.nanos(), member.role(), member.term().value(), false};
  if (at < from_ || spans.empty()) {
    // What it was when the window opens.
    spans.assign(1, span);
    if (at < from_) return;
  }
  if (!Keep(at)) return;
  spans.push_back(span);
  lines_.push_back(
      {at.nanos(), absl::StrCat(member.id().value(), "       is ", NameOf(member.role()),
                                " in term ", member.term().value())});
}

void Diagram::OnCommitted(MemberId member, const raft::Entry& entry, Instant at) {
  if (!Keep(at)) return;
  const std::string text =
      absl::StrCat("commits ", entry.index.value(), " of term ", entry.term.value());
  lines_.push_back({at.nanos(), absl::StrCat(member.value(), "       ", text)});
  marks_.push_back({member.value(), at.nanos(), text});
}

void Diagram::OnConfig(const raft::Raft& member, Instant at) {
  if (!Keep(at)) return;
  const std::string text = raft::Describe(member.conf_state());
  lines_.push_back({at.nanos(), absl::StrCat(member.id().value(), "       ", text)});
  marks_.push_back({member.id().value(), at.nanos(), text});
}

void Diagram::OnCrashed(MemberId member, Instant at) {
  if (!Keep(at)) return;
  spans_[member.value()].push_back({at.nanos(), Role::kFollower, 0, true});
  lines_.push_back({at.nanos(), absl::StrCat(member.value(), "       crashes")});
}

void Diagram::OnNote(absl::string_view text, Instant at) {
  if (!Keep(at)) return;
  lines_.push_back({at.nanos(), absl::StrCat("*       ", text)});
  marks_.push_back({0, at.nanos(), std::string(text)});
}

std::string Diagram::Text() const {
  std::string out;
  for (const Words& line : lines_) absl::StrAppend(&out, At(line.at), "  ", line.text, "\n");
  if (full_) {
    absl::StrAppend(&out, "... and more: only the first ", kMaxEvents,
                    " events are shown; choose a --window\n");
  }
  return out;
}

int64_t Diagram::Begin() const { return from_.nanos(); }

int64_t Diagram::End() const {
  int64_t end = last_;
  for (const Arrow& arrow : arrows_) end = std::max(end, arrow.arrival);
  if (to_ != Instant::Infinite()) end = std::min(end, to_.nanos());
  return std::max(end, Begin() + 1);
}

double Diagram::Width() const {
  return std::clamp(kLeft + kRight + kPixelsAnEvent * static_cast<double>(events_), kMinWidth,
                    kMaxWidth);
}

double Diagram::X(int64_t at) const {
  const double part = static_cast<double>(std::clamp(at, Begin(), End()) - Begin()) /
                      static_cast<double>(End() - Begin());
  return kLeft + part * (Width() - kLeft - kRight);
}

double Diagram::Y(uint64_t member) const {
  const auto at = spans_.find(member);
  const auto row = at == spans_.end() ? static_cast<std::ptrdiff_t>(spans_.size())
                                      : std::distance(spans_.begin(), at);
  return kTop + kRowHeight * (static_cast<double>(row) + 0.5);
}

std::string Diagram::Lifelines() const {
  std::string out;
  for (const auto& [member, spans] : spans_) {
    const double y = Y(member);
    absl::StrAppendFormat(&out, "<text x=\"8\" y=\"%.1f\">member %d</text>\n", y + 4, member);
    uint64_t term = 0;
    for (size_t i = 0; i < spans.size(); ++i) {
      const Span& span = spans[i];
      const double from = X(span.at);
      const double to = i + 1 < spans.size() ? X(spans[i + 1].at) : X(End());
      const std::string says =
          span.crashed ? "crashed" : absl::StrCat(NameOf(span.role), ", term ", span.term);
      absl::StrAppendFormat(&out,
                            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                            "stroke-width=\"%d\"%s><title>member %d: %s</title></line>\n",
                            from, y, to, y, span.crashed ? "#dddddd" : ColourOf(span.role),
                            span.role == Role::kFollower ? 3 : 8,
                            span.crashed ? " stroke-dasharray=\"3 5\"" : "", member, says);
      if (span.crashed) {
        absl::StrAppendFormat(&out, "<text x=\"%.1f\" y=\"%.1f\" fill=\"#c00\">crash</text>\n",
                              from, y - 8);
      } else if (span.term != term) {
        absl::StrAppendFormat(&out, "<text x=\"%.1f\" y=\"%.1f\" fill=\"#555\">t%d</text>\n", from,
                              y - 7, span.term);
        term = span.term;
      }
    }
  }
  return out;
}

std::string Diagram::Arrows() const {
  std::string out;
  for (const Arrow& arrow : arrows_) {
    const double x1 = X(arrow.sent);
    const double y1 = Y(arrow.from);
    const bool lost = arrow.arrival < 0;
    // A lost one ends on its way.
    const double x2 = lost ? x1 + 10 : X(arrow.arrival);
    const double y2 = lost ? y1 + (Y(arrow.to) - y1) * 0.3 : Y(arrow.to);
    absl::StrAppendFormat(
        &out,
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"%s "
        "marker-end=\"url(#%s)\"><title>%s, %d to %d, %s</title></line>\n",
        x1, y1, x2, y2, arrow.colour, lost ? " stroke-dasharray=\"4 3\"" : "",
        lost ? "lost" : "arrow", Escaped(arrow.what), arrow.from, arrow.to,
        lost ? absl::StrCat("sent at ", Millis(Nanoseconds(arrow.sent)), " ms, lost")
             : absl::StrCat(Millis(Nanoseconds(arrow.sent)), " to ",
                            Millis(Nanoseconds(arrow.arrival)), " ms"));
  }
  return out;
}

std::string Diagram::Marks() const {
  std::string out;
  const double bottom = kTop + kRowHeight * static_cast<double>(spans_.size());
  for (const Mark& mark : marks_) {
    const double x = X(mark.at);
    if (mark.member == 0) {
      absl::StrAppendFormat(&out,
                            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
                            "stroke=\"#c00\" stroke-dasharray=\"2 4\"/>\n"
                            "<text x=\"%.1f\" y=\"%.1f\" fill=\"#c00\">%s</text>\n",
                            x, kTop - 18, x, bottom, x + 4, kTop - 22, Escaped(mark.text));
      continue;
    }
    absl::StrAppendFormat(&out,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"#14532d\">"
                          "<title>member %d %s</title></circle>\n",
                          x, Y(mark.member), mark.member, Escaped(mark.text));
  }
  // The scale: about ten ticks of a round length.
  const double raw = static_cast<double>(End() - Begin()) / 1e7;
  const double step = std::max(1e-3, std::pow(10, std::ceil(std::log10(raw))));
  for (double ms = std::ceil(static_cast<double>(Begin()) / 1e6 / step) * step;
       ms * 1e6 <= static_cast<double>(End()); ms += step) {
    absl::StrAppendFormat(&out,
                          "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#777\">%g ms"
                          "</text>\n",
                          X(static_cast<int64_t>(ms * 1e6)), bottom + 18, ms);
  }
  return out;
}

std::string Diagram::Svg() const {
  const double height = kTop + kRowHeight * static_cast<double>(spans_.size()) + 34;
  return absl::StrCat(
      absl::StrFormat(
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
          "height=\"%.0f\" font-family=\"sans-serif\" font-size=\"11\">\n",
          Width(), height, Width(), height),
      "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" "
      "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker>\n"
      "<marker id=\"lost\" viewBox=\"0 0 8 8\" refX=\"4\" refY=\"4\" markerWidth=\"8\" "
      "markerHeight=\"8\"><path d=\"M1 1L7 7M7 1L1 7\" stroke=\"#c00\"/></marker></defs>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      Arrows(), Lifelines(), Marks(), "</svg>\n");
}

std::string Diagram::Html(absl::string_view title, absl::string_view command) const {
  std::string body = absl::StrCat(
      "<h1>", Escaped(title), "</h1>\n<p>Made by <code>", Escaped(command),
      "</code></p>\n<p>Time goes to the right. A lifeline is thick and orange for a candidate, "
      "violet for a pre-candidate, green for a leader; tN marks a new term. Arrows: red vote "
      "requests, orange votes, violet pre-votes, blue appends, grey heartbeats; dashed ones are "
      "lost. Dots are commits and configurations. Point at anything for its details.</p>\n"
      "<div class=\"wide\">",
      Svg(), "</div>\n<h2>The same in words</h2>\n<pre>", Escaped(Text()), "</pre>\n");
  return HtmlDocument(title, body);
}

}  // namespace quorate::sim::study
