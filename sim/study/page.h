// The page of a study: tables and cumulative distributions in one self-contained HTML
// file (inline SVG, no script, nothing from a network), and the plots as SVG files.
#ifndef QUORATE_SIM_STUDY_PAGE_H_
#define QUORATE_SIM_STUDY_PAGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sim/study/plan.h"
#include "sim/study/report.h"

namespace quorate::sim::study {

// One plot: a curve a case, the share of trials (up) that ended within a time (right, on
// a logarithmic scale if it spans more than a decade). A ring at the slowest trial of
// each curve names the command that replays it.
std::string PlotSvg(const Plan& plan, const Results& results, const Plot& plot);

// `command` made the page.
std::string PageHtml(const Plan& plan, const Results& results, const std::vector<NamedTable>& more,
                     absl::string_view command);

// The frame of a page: head, styles, body.
std::string HtmlDocument(absl::string_view title, absl::string_view body);
std::string HtmlTable(const Table& table);

}  // namespace quorate::sim::study

#endif  // QUORATE_SIM_STUDY_PAGE_H_
