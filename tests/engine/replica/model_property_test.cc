// Long random sequences of commands of every kind at once, with time, watches and disturbances in
// between, against the model. What fails shrinks to the few commands that it takes.
//
// QUORATE_LONG=1: sequences of thousands of commands.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "tests/engine/replica/model_world.h"

namespace quorate::engine {
namespace {

size_t MaxCommands() { return std::getenv("QUORATE_LONG") != nullptr ? 10'000 : 300; }

// A command is its seed: what it asks for follows from it and from what is there.
using Commands = std::vector<uint64_t>;

// The same without a half, a quarter and so on of it, down to single commands. (Of RapidCheck's own
// way to shrink a list the number of attempts grows with the square of its length.)
rc::Seq<Commands> Fewer(const Commands& commands) {
  std::vector<std::pair<size_t, size_t>> chunks;
  for (size_t size = (commands.size() + 1) / 2; size > 0; size /= 2) {
    // From the end: the last one is mostly the one that shows the difference.
    for (size_t end = commands.size(); end > 0; end -= std::min(end, size)) {
      chunks.emplace_back(end - std::min(end, size), end);
    }
  }
  return rc::seq::map(
      rc::seq::fromContainer(std::move(chunks)),
      [commands](const std::pair<size_t, size_t>& chunk) {
        Commands rest(commands.begin(), commands.begin() + static_cast<ptrdiff_t>(chunk.first));
        rest.insert(rest.end(), commands.begin() + static_cast<ptrdiff_t>(chunk.second),
                    commands.end());
        return rest;
      });
}

rc::Gen<Commands> AnyCommands() {
  const auto seed = rc::gen::inRange<uint64_t>(0, std::numeric_limits<uint64_t>::max());
  const auto count = rc::gen::inRange<size_t>(1, MaxCommands());
  const auto list =
      rc::gen::mapcat(count, [seed](size_t n) { return rc::gen::container<Commands>(n, seed); });
  // Of any length from the first one on.
  return rc::gen::shrink(rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, list)), Fewer);
}

RC_GTEST_PROP(ModelProperty, EveryCommandDoesWhatTheModelDoes, ()) {
  const Commands commands = *AnyCommands();
  ModelWorld world;
  for (const uint64_t seed : commands) {
    world.Do(seed);
    if (!world.difference().empty()) RC_FAIL(world.difference());
  }
  world.CompareEverything();
  if (!world.difference().empty()) RC_FAIL(world.difference());
}

}  // namespace
}  // namespace quorate::engine
