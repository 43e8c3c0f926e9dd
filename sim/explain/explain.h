// Tells a person what happened in a run: as one HTML page that needs nothing else (a space-time
// diagram to look around in), as text, as JSON lines, and as the log that ShiViz reads.
//
// Each is a pure function of what the run left behind.
#ifndef QUORATE_SIM_EXPLAIN_EXPLAIN_H_
#define QUORATE_SIM_EXPLAIN_EXPLAIN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sim/history.h"
#include "sim/story.h"
#include "sim/world.h"

namespace quorate::sim::explain {

// Everything borrowed.
struct Run {
  const SeedReport* report = nullptr;
  const Story* story = nullptr;
  const History* history = nullptr;
  std::vector<std::string> hosts;  // by id; [0] is the world
  std::string replay;              // the command that shows the same again
};

enum class Format { kHtml, kText, kJsonLines, kShiViz };

// "html", "text", "jsonl", "shiviz". InvalidArgument, listing them, for anything else.
absl::StatusOr<Format> ParseFormat(absl::string_view name);

std::string Explain(const Run& run, Format format);

// The rule in words, for readers who do not know its name.
absl::string_view RuleInWords(Rule rule);

// For Explain().
std::string ToHtml(const Run& run);
std::string ToText(const Run& run);
std::string ToJsonLines(const Run& run);
std::string ToShiViz(const Run& run);

}  // namespace quorate::sim::explain

#endif  // QUORATE_SIM_EXPLAIN_EXPLAIN_H_
