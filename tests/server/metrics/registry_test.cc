// What a Prometheus scraper reads.
#include "server/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace quorate::metrics {
namespace {

using ::testing::HasSubstr;

TEST(RegistryTest, CountersAndGaugesWithHelpAndType) {
  Registry registry;
  registry.AddCounter("b_total", "Things seen.")->Add(3);
  registry.AddGauge("a_bytes", "Size.")->Set(1.5);
  EXPECT_EQ(registry.Text(),
            "# HELP a_bytes Size.\n# TYPE a_bytes gauge\na_bytes 1.5\n"
            "# HELP b_total Things seen.\n# TYPE b_total counter\nb_total 3\n");
}

TEST(RegistryTest, SeriesOfOneFamilyStandTogether) {
  Registry registry;
  registry.AddCounter("x_total", "X.", {{"code", "b"}})->Add(2);
  registry.AddCounter("y_total", "Y.");
  registry.AddCounter("x_total", "X.", {{"code", "a"}})->Add();
  EXPECT_THAT(registry.Text(), HasSubstr("# TYPE x_total counter\nx_total{code=\"a\"} 1\n"
                                         "x_total{code=\"b\"} 2\n# HELP y_total"));
}

TEST(RegistryTest, TheSameNameAndLabelsAreTheSameSeries) {
  Registry registry;
  EXPECT_EQ(registry.AddCounter("x", "X.", {{"a", "1"}}),
            registry.AddCounter("x", "X.", {{"a", "1"}}));
  EXPECT_NE(registry.AddCounter("x", "X.", {{"a", "1"}}),
            registry.AddCounter("x", "X.", {{"a", "2"}}));
}

TEST(RegistryTest, LabelValuesAreEscaped) {
  Registry registry;
  registry.AddGauge("x", "X.", {{"path", "a\"b\\c\nd"}});
  EXPECT_THAT(registry.Text(), HasSubstr("x{path=\"a\\\"b\\\\c\\nd\"} 0\n"));
}

TEST(RegistryTest, HistogramBucketsAreCumulativeSeconds) {
  Registry registry;
  Histogram* time = registry.AddHistogram("t_seconds", "T.", Milliseconds(1), 3);
  time->Observe(Microseconds(500));
  time->Observe(Milliseconds(1));  // a bound belongs to its bucket
  time->Observe(Milliseconds(3));
  time->Observe(Seconds(1));
  EXPECT_EQ(registry.Text(),
            "# HELP t_seconds T.\n# TYPE t_seconds histogram\n"
            "t_seconds_bucket{le=\"0.001\"} 2\nt_seconds_bucket{le=\"0.002\"} 2\n"
            "t_seconds_bucket{le=\"0.004\"} 3\nt_seconds_bucket{le=\"+Inf\"} 4\n"
            "t_seconds_sum 1.0045\nt_seconds_count 4\n");
}

TEST(RegistryTest, BucketsMayHaveAnyBounds) {
  Registry registry;
  const std::vector<Duration> bounds = {Milliseconds(5), Milliseconds(10), Milliseconds(25)};
  Histogram* time = registry.AddHistogram("t_seconds", "T.", bounds, {{"m", "x"}});
  EXPECT_EQ(registry.AddHistogram("t_seconds", "T.", bounds, {{"m", "x"}}), time);
  time->Observe(Milliseconds(10));
  time->Observe(Milliseconds(11));
  EXPECT_THAT(registry.Text(), HasSubstr("t_seconds_bucket{m=\"x\",le=\"0.01\"} 1\n"
                                         "t_seconds_bucket{m=\"x\",le=\"0.025\"} 2\n"));
}

TEST(RegistryTest, WholeNumbersArePrintedWhole) {
  Registry registry;
  registry.AddGauge("big", "B.")->Set(2147483648.0);
  registry.AddGauge("negative", "N.")->Set(-1);
  registry.AddRealCounter("cpu_seconds_total", "C.")->Set(0.25);
  const std::string text = registry.Text();
  EXPECT_THAT(text, HasSubstr("big 2147483648\n"));
  EXPECT_THAT(text, HasSubstr("negative -1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE cpu_seconds_total counter\ncpu_seconds_total 0.25\n"));
}

TEST(RegistryTest, ValuesAreRefreshedAtEachScrape) {
  Registry registry;
  Gauge* gauge = registry.AddGauge("x", "X.");
  int scrapes = 0;
  registry.OnScrape([&] { gauge->Set(++scrapes); });
  EXPECT_THAT(registry.Text(), HasSubstr("x 1\n"));
  EXPECT_THAT(registry.Text(), HasSubstr("x 2\n"));
}

}  // namespace
}  // namespace quorate::metrics
