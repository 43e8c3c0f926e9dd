#include "sim/study/page.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "sim/markup.h"
#include "sim/study/trials.h"

namespace quorate::sim::study {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 420;
constexpr double kLeft = 56;
constexpr double kRight = 250;  // the legend
constexpr double kTop = 34;
constexpr double kBottom = 48;
// Points of a curve: more would not show.
constexpr size_t kPoints = 240;
constexpr double kDecade = 10;

constexpr absl::string_view kColours[] = {"#1b6ca8", "#c8442b", "#2f8f46", "#8a4fbe", "#b8860b",
                                          "#0f8b8d", "#c2377e", "#555555", "#6b8e23", "#a0522d"};

absl::string_view ColourOf(size_t i) { return kColours[i % std::size(kColours)]; }

// Where values, in milliseconds, and shares go on the picture.
class Axes {
 public:
  Axes(double low, double high) {
    low = std::max(low, 1e-3);
    high = std::max(high, low * 1.001);
    logarithmic_ = high / low > kDecade;
    low_ = logarithmic_ ? low / 1.1 : std::max(0.0, low - (high - low) * 0.05);
    high_ = logarithmic_ ? high * 1.1 : high + (high - low) * 0.05;
  }
  double X(double value) const {
    const double clamped = std::clamp(value, low_, high_);
    const double part = logarithmic_ ? std::log(clamped / low_) / std::log(high_ / low_)
                                     : (clamped - low_) / (high_ - low_);
    return kLeft + part * (kWidth - kLeft - kRight);
  }
  static double Y(double share) { return kTop + (1 - share) * (kHeight - kTop - kBottom); }
  bool logarithmic() const { return logarithmic_; }

  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    if (logarithmic_) {
      for (double decade = std::pow(10, std::floor(std::log10(low_))); decade <= high_;
           decade *= 10) {
        for (const double factor : {1.0, 2.0, 5.0}) {
          const double tick = decade * factor;
          if (tick >= low_ && tick <= high_) ticks.push_back(tick);
        }
      }
      return ticks;
    }
    const double raw = (high_ - low_) / 6;
    const double decade = std::pow(10, std::floor(std::log10(raw)));
    double step = decade;
    for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
      step = decade * factor;
      if (step >= raw) break;
    }
    for (double tick = std::ceil(low_ / step) * step; tick <= high_; tick += step) {
      ticks.push_back(tick);
    }
    return ticks;
  }

 private:
  double low_ = 0;
  double high_ = 1;
  bool logarithmic_ = false;
};

std::vector<double> SortedMillis(const Plan& plan, const std::vector<Trial>& trials) {
  std::vector<double> values;
  for (const Trial& trial : trials) {
    values.push_back(static_cast<double>(trial.row[plan.headline]) / 1e6);
  }
  std::sort(values.begin(), values.end());
  return values;
}

std::string Line(double x1, double y1, double x2, double y2, absl::string_view stroke) {
  return absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
                         x1, y1, x2, y2, stroke);
}

std::string Label(double x, double y, absl::string_view anchor, absl::string_view text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                         Escaped(text));
}

std::string Frame(const Axes& axes, const Plan& plan, const Plot& plot) {
  std::string out = Label(kLeft, kTop - 14, "start", plot.title);
  for (int i = 0; i <= 4; ++i) {
    const double y = Axes::Y(i / 4.0);
    absl::StrAppend(&out, Line(kLeft, y, kWidth - kRight, y, "#dddddd"),
                    Label(kLeft - 6, y + 4, "end", absl::StrCat(i * 25, "%")));
  }
  for (const double tick : axes.Ticks()) {
    const double x = axes.X(tick);
    absl::StrAppend(&out, Line(x, kTop, x, kHeight - kBottom, "#eeeeee"),
                    Label(x, kHeight - kBottom + 16, "middle", absl::StrFormat("%g", tick)));
  }
  absl::StrAppend(&out, Line(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "#333"),
                  Line(kLeft, kTop, kLeft, kHeight - kBottom, "#333"),
                  Label((kLeft + kWidth - kRight) / 2, kHeight - 10, "middle",
                        absl::StrCat(plan.columns[plan.headline].name, ", ms",
                                     axes.logarithmic() ? " (logarithmic)" : "")));
  return out;
}

// Steps of the empirical distribution; trials that were cut are never reached.
std::string Curve(const Plan& plan, const Axes& axes, const std::vector<double>& values,
                  absl::string_view colour) {
  const double limit = static_cast<double>(plan.limit) / 1e6;
  const size_t stride = std::max<size_t>(1, values.size() / kPoints);
  std::string path = absl::StrFormat("M%.1f %.1f", axes.X(values.front()), Axes::Y(0));
  for (size_t i = 0; i < values.size();
       i = i + stride < values.size() || i + 1 == values.size() ? i + stride : values.size() - 1) {
    if (plan.limit != 0 && values[i] >= limit) break;
    const double share = static_cast<double>(i + 1) / static_cast<double>(values.size());
    absl::StrAppendFormat(&path, "H%.1fV%.1f", axes.X(values[i]), Axes::Y(share));
  }
  return absl::StrFormat("<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\"/>\n",
                         path, colour);
}

}  // namespace

std::string PlotSvg(const Plan& plan, const Results& results, const Plot& plot) {
  std::vector<std::vector<double>> curves;
  double low = 0;
  double high = 0;
  for (const size_t i : plot.cases) {
    curves.push_back(SortedMillis(plan, results[i]));
    if (curves.back().empty()) continue;
    low = low == 0 ? curves.back().front() : std::min(low, curves.back().front());
    high = std::max(high, curves.back().back());
  }
  const Axes axes(low, high);
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
      "height=\"%.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
      kWidth, kHeight, kWidth, kHeight);
  out += Frame(axes, plan, plot);
  const std::vector<Outlier> outliers = Outliers(plan, results);
  for (size_t k = 0; k < plot.cases.size(); ++k) {
    const absl::string_view colour = ColourOf(k);
    const double y = kTop + 6 + 18 * static_cast<double>(k);
    const size_t i = plot.cases[k];
    absl::StrAppend(&out, Line(kWidth - kRight + 14, y, kWidth - kRight + 38, y, colour),
                    Label(kWidth - kRight + 44, y + 4, "start",
                          plot.names.empty() ? plan.cases[i].label : plot.names[k]));
    if (curves[k].empty()) continue;
    out += Curve(plan, axes, curves[k], colour);
    for (const Outlier& outlier : outliers) {
      if (outlier.of_case != i) continue;
      absl::StrAppendFormat(&out,
                            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"white\" stroke=\"%s\" "
                            "stroke-width=\"2\"><title>%s</title></circle>\n",
                            axes.X(curves[k].back()), Axes::Y(1), colour,
                            Escaped(ReplayCommand(plan.cases[i], outlier.trial.seed)));
    }
  }
  return out + "</svg>\n";
}

std::string HtmlTable(const Table& table) {
  std::string out = "<table>\n";
  for (size_t r = 0; r < table.size(); ++r) {
    const absl::string_view tag = r == 0 ? "th" : "td";
    out += "<tr>";
    for (const std::string& cell : table[r]) {
      absl::StrAppend(&out, "<", tag, ">", Escaped(cell), "</", tag, ">");
    }
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string HtmlDocument(absl::string_view title, absl::string_view body) {
  return absl::StrCat(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>", Escaped(title),
      "</title>\n<style>\n"
      "body{font:14px/1.45 sans-serif;color:#222;margin:24px auto;max-width:1100px;"
      "padding:0 16px}\n"
      "table{border-collapse:collapse;margin:10px 0;font-variant-numeric:tabular-nums}\n"
      "th,td{border-bottom:1px solid #ddd;padding:3px 10px;text-align:right;"
      "white-space:nowrap}\n"
      "th:first-child,td:first-child{text-align:left}\n"
      "code{background:#f3f3f3;padding:1px 4px;overflow-wrap:anywhere}\n"
      "div.wide{overflow-x:auto}\n"
      "</style></head><body>\n",
      body, "</body></html>\n");
}

std::string PageHtml(const Plan& plan, const Results& results, const std::vector<NamedTable>& more,
                     absl::string_view command) {
  std::string body = absl::StrCat("<h1>", Escaped(plan.title), "</h1>\n<p>Made by <code>",
                                  Escaped(command), "</code></p>\n<ul>\n");
  for (const std::string& note : plan.notes) {
    absl::StrAppend(&body, "<li>", Escaped(note), "</li>\n");
  }
  body += "</ul>\n";
  for (const NamedTable& extra : more) {
    absl::StrAppend(&body, "<h2>", Escaped(extra.title), "</h2>\n<div class=\"wide\">",
                    HtmlTable(extra.table), "</div>\n");
    for (const std::string& note : extra.notes) {
      absl::StrAppend(&body, "<p>", Escaped(note), "</p>\n");
    }
  }
  body += "<h2>Distributions</h2>\n";
  for (const Plot& plot : plan.plots) {
    absl::StrAppend(&body, "<figure>", PlotSvg(plan, results, plot), "</figure>\n");
  }
  absl::StrAppend(&body, "<h2>Summary: ", Escaped(plan.columns[plan.headline].name),
                  "</h2>\n<p>In brackets: 95% confidence intervals by bootstrap.</p>\n",
                  "<div class=\"wide\">", HtmlTable(SummaryTable(plan, Summaries(plan, results))),
                  "</div>\n<h2>Means of what else was measured</h2>\n<div class=\"wide\">",
                  HtmlTable(MeansTable(plan, results)),
                  "</div>\n<h2>Slowest trials</h2>\n<p>Each command draws that trial as a "
                  "space-time diagram; <code>--html FILE</code> makes a page of it.</p>\n<table>\n"
                  "<tr><th>case</th><th>ms</th><th>command</th></tr>\n");
  for (const Outlier& outlier : Outliers(plan, results)) {
    const Case& of = plan.cases[outlier.of_case];
    absl::StrAppend(
        &body, "<tr><td>", Escaped(of.label), "</td><td>",
        Escaped(HeadlineText(plan, static_cast<double>(outlier.trial.row[plan.headline]))),
        "</td><td style=\"text-align:left;white-space:normal\"><code>",
        Escaped(ReplayCommand(of, outlier.trial.seed)), "</code></td></tr>\n");
  }
  return HtmlDocument(plan.title, body + "</table>\n");
}

}  // namespace quorate::sim::study
