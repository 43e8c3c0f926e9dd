// quorate-inspect: prints a data directory and verifies every byte of it, offline.
//
//   quorate-inspect [--json] [--progress] DATA_DIR
//
// Exit status: 0 everything is whole; 1 damage that a start would refuse; 2 wrong usage;
// 3 the directory cannot be looked at; 4 damage that a start makes good.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "io/uv/world.h"
#include "nlohmann/json.hpp"
#include "storage/inspect.h"

namespace quorate {
namespace {

constexpr int kWhole = 0;
constexpr int kDamaged = 1;
constexpr int kWrongUsage = 2;
constexpr int kUnreadable = 3;
constexpr int kRepairable = 4;

constexpr int kBarWidth = 40;

std::string Text(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

int ExitStatus(const storage::StorageReport& report) {
  if (report.verdict.ok()) return kWhole;
  return report.repairable ? kRepairable : kDamaged;
}

// A line that is drawn over and over.
class Bar {
 public:
  void Draw(uint64_t done, uint64_t total) {
    const int percent = total == 0 ? 100 : static_cast<int>(done * 100 / total);
    if (percent == drawn_) return;
    drawn_ = percent;
    const std::string filled(static_cast<size_t>(kBarWidth * percent / 100), '#');
    std::fprintf(stderr, "\r[%-*s] %3d%%", kBarWidth, filled.c_str(), percent);
  }
  void Clear() { std::fprintf(stderr, "\r%*s\r", kBarWidth + 8, ""); }

 private:
  int drawn_ = -1;
};

// Paths need not be UTF-8; JSON must.
std::string Dump(const nlohmann::ordered_json& document) {
  return document.dump(2, ' ', /*ensure_ascii=*/false,
                       nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

// Of what cannot be looked at.
nlohmann::ordered_json ErrorJson(const std::string& error) {
  nlohmann::ordered_json out;
  out["whole"] = false;
  out["repairable"] = false;
  out["error"] = error;
  return out;
}

nlohmann::ordered_json ToJson(const storage::StorageReport& report) {
  nlohmann::ordered_json out;
  out["cluster_id"] = absl::StrFormat("%x", report.identity.cluster_id.value());
  out["member_id"] = absl::StrFormat("%x", report.identity.member_id.value());
  out["whole"] = report.verdict.ok();
  out["repairable"] = report.repairable;
  out["error"] = nullptr;
  out["damage"] = nullptr;
  if (!report.verdict.ok()) out["damage"] = Text(report.verdict);
  out["checkpoint"] = {{"index", report.checkpoint.value()},
                       {"bytes", report.checkpoint_bytes},
                       {"previous_index", report.previous_checkpoint.value()}};
  out["segments"] = nlohmann::ordered_json::array();
  for (const storage::SegmentReport& segment : report.segments) {
    nlohmann::ordered_json line;
    line["path"] = segment.path;
    line["role"] = std::string(storage::SegmentRoleName(segment.role));
    line["file_bytes"] = segment.file_bytes;
    line["log_bytes"] = segment.log_bytes;
    line["writes"] = segment.writes;
    line["last_index_before"] = segment.last_index_before.value();
    out["segments"].push_back(line);
  }
  out["last_index"] = report.last_index.value();
  out["last_term"] = report.last_term.value();
  out["hard_state"] = {{"term", report.hard_state.term.value()},
                       {"vote", absl::StrFormat("%x", report.hard_state.vote.value())},
                       {"commit", report.hard_state.commit.value()}};
  out["notes"] = nlohmann::ordered_json::array();
  for (const storage::RecoveryNote& note : report.notes) out["notes"].push_back(note.message);
  return out;
}

int Inspect(const std::string& directory, bool json, bool progress) {
  io::uv::World world;
  Bar bar;
  std::optional<absl::StatusOr<storage::StorageReport>> report;
  const std::unique_ptr<storage::PendingOpen> inspection = storage::InspectStorage(
      world.env(), directory,
      [&](absl::StatusOr<storage::StorageReport> found) { report = std::move(found); },
      [&](uint64_t done, uint64_t total) {
        if (progress) bar.Draw(done, total);
      });
  while (!report.has_value()) world.RunOnce();
  if (progress) bar.Clear();
  if (!report->ok()) {
    if (json) {
      std::fputs(Dump(ErrorJson(Text(report->status()))).c_str(), stdout);
    } else {
      std::fprintf(stderr, "quorate-inspect: %s\n", Text(report->status()).c_str());
    }
    return absl::IsDataLoss(report->status()) ? kDamaged : kUnreadable;
  }
  const std::string text = json ? Dump(ToJson(**report)) : DescribeReport(**report);
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fputs("quorate-inspect: the report could not be written\n", stderr);
    return kUnreadable;
  }
  return ExitStatus(**report);
}

int Main(int argc, char** argv) {
  CLI::App app("Prints and verifies a data directory, which is not changed.", "quorate-inspect");
  std::string directory;
  bool json = false;
  bool progress = isatty(STDERR_FILENO) == 1;
  app.add_option("DATA_DIR", directory, "The --data-dir of a server that is not running")
      ->required();
  app.add_flag("--json", json, "Print JSON");
  app.add_flag("--progress,!--no-progress", progress,
               "Draw a progress bar on standard error (the default on a terminal)");
  app.footer(
      "Exit status: 0 whole; 1 damage that a start would refuse; 2 wrong usage; 3 the directory "
      "cannot be looked at; 4 damage that a start makes good.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // A script that asks for JSON gets JSON, whatever else it asks for.
    const bool wrong = error.get_exit_code() != 0;
    const bool wants_json = std::any_of(
        argv + 1, argv + argc, [](absl::string_view argument) { return argument == "--json"; });
    if (wrong && wants_json) std::fputs(Dump(ErrorJson(error.what())).c_str(), stdout);
    return app.exit(error) == 0 ? kWhole : kWrongUsage;
  }
  return Inspect(directory, json, progress);
}

}  // namespace
}  // namespace quorate

int main(int argc, char** argv) { return quorate::Main(argc, argv); }
