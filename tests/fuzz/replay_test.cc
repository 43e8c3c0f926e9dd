// The fuzz target of this binary on every file of its corpus, and on those files cut
// short at every length: what the fuzzer found interesting, in every ordinary test run.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

TEST(Fuzz, TheCorpusHoldsWhatMustHold) {
  const char* const corpus = std::getenv("CORPUS");
  ASSERT_NE(corpus, nullptr);
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(corpus)) {
    std::ostringstream text;
    text << std::ifstream(file.path(), std::ios::binary).rdbuf();
    const std::string bytes = text.str();
    ++files;
    SCOPED_TRACE(file.path().string());
    for (size_t size = 0; size <= bytes.size(); ++size) {
      // A buffer of its own, so that a read past the end is seen.
      const std::string cut = bytes.substr(0, size);
      EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(cut.data()), size), 0);
    }
  }
  EXPECT_GT(files, 10u);
}

}  // namespace
