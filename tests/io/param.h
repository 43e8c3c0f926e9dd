// Runs a conformance test in every world.
#ifndef QUORATE_TESTS_IO_PARAM_H_
#define QUORATE_TESTS_IO_PARAM_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/io/world.h"

namespace quorate::testing {

struct IoWorldParam {
  const char* name;
  std::unique_ptr<IoWorld> (*make)();
};

class IoTest : public ::testing::TestWithParam<IoWorldParam> {
 protected:
  IoTest() : world_(GetParam().make()) {}
  IoWorld& world() { return *world_; }

 private:
  // Base class state: outlives the streams and files of the test.
  const std::unique_ptr<IoWorld> world_;
};

inline auto AllIoWorlds() {
  return ::testing::Values(IoWorldParam{"Uv", &NewUvWorld}, IoWorldParam{"Sim", &NewSmoothSimWorld},
                           IoWorldParam{"RoughSim", &NewRoughSimWorld});
}

inline std::string IoWorldName(const ::testing::TestParamInfo<IoWorldParam>& info) {
  return info.param.name;
}

}  // namespace quorate::testing

#endif  // QUORATE_TESTS_IO_PARAM_H_
