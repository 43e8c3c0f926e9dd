#include <algorithm>

#include "absl/container/btree_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "server/config/config_file.h"
#include "server/config/flag.h"
#include "server/config/flags.h"

namespace quorate::config {
namespace {

// One argument, apart.
struct Argument {
  absl::string_view name;
  absl::string_view value;
  bool has_value = false;
};

absl::StatusOr<Argument> SplitArgument(absl::string_view text) {
  Argument argument;
  argument.name = text;
  if (!absl::ConsumePrefix(&argument.name, "--")) absl::ConsumePrefix(&argument.name, "-");
  if (argument.name.empty() || argument.name.front() == '-' || argument.name.front() == '=') {
    return absl::InvalidArgumentError(absl::StrCat("bad flag syntax: ", text));
  }
  const size_t equals = argument.name.find('=');
  if (equals != absl::string_view::npos) {
    argument.value = argument.name.substr(equals + 1);
    argument.name = argument.name.substr(0, equals);
    argument.has_value = true;
  }
  return argument;
}

std::string VariableOf(absl::string_view flag) {
  return absl::StrCat("ETCD_", absl::AsciiStrToUpper(absl::StrReplaceAll(flag, {{"-", "_"}})));
}

// Gathers settings from wherever they come into one configuration.
class Builder {
 public:
  explicit Builder(CommandLine* line) : line_(line) {}

  // `name` may be one of earlier releases. InvalidArgument says what is wrong with the
  // value, without saying whose value it is.
  absl::Status Set(absl::string_view name, absl::string_view value, const std::string& origin,
                   bool in_file = false) {
    const Flag* const flag = FindFlag(name);
    std::string text(value);
    const Alias alias = AliasOf(name);
    if (!alias.gate.empty()) text = absl::StrCat(alias.gate, "=", value);
    if (!in_file || !flag->any_in_file) RETURN_IF_ERROR(flag->set(text, &line_->config));
    if (!alias.name.empty()) {
      Warn(absl::StrCat("--", name, " is deprecated; use --", alias.name,
                        alias.gate.empty() ? "" : absl::StrCat("=", text)));
    }
    if (!flag->no_effect.empty() && text != flag->fallback) {
      Warn(absl::StrCat("--", flag->name, " has no effect: ", flag->no_effect));
    }
    Setting& setting = line_->settings[std::string(flag->name)];
    // Gates of several origins add up.
    const bool adds = !alias.gate.empty() && !setting.value.empty();
    setting.value = adds ? absl::StrCat(setting.value, ",", text) : text;
    setting.origin = origin;
    return absl::OkStatus();
  }

  bool IsSet(absl::string_view flag) const { return line_->settings.contains(std::string(flag)); }
  void Warn(std::string text) { line_->config.notices.push_back(std::move(text)); }

 private:
  CommandLine* const line_;
};

absl::Status Invalid(absl::StatusCode code, absl::string_view value, absl::string_view where,
                     const absl::Status& why) {
  return absl::Status(
      code, absl::StrCat("invalid value \"", value, "\" for ", where, ": ", why.message()));
}

// One "NAME=value" of the environment whose name begins with ETCD_.
absl::Status UseVariable(absl::string_view variable, absl::string_view value,
                         const absl::btree_map<std::string, absl::string_view>& by_variable,
                         Builder* builder, Config* config) {
  const auto known = by_variable.find(std::string(variable));
  std::string name = known == by_variable.end() ? "" : std::string(known->second);
  if (name.empty() && absl::StartsWith(variable, "ETCD_EXPERIMENTAL_")) {
    name = absl::AsciiStrToLower(
        absl::StrReplaceAll(absl::StripPrefix(variable, "ETCD_"), {{"_", "-"}}));
  }
  const Flag* const flag = name.empty() ? nullptr : FindFlag(name);
  if (flag == nullptr) {
    config->environment_unknown.emplace_back(variable);
    return absl::OkStatus();
  }
  if (builder->IsSet(flag->name) && flag->name != "feature-gates") {
    return absl::FailedPreconditionError(
        absl::StrCat("conflicting environment variable \"", variable,
                     "\" is shadowed by corresponding command-line flag --", flag->name,
                     " (either unset environment variable or disable flag)"));
  }
  const absl::Status status = builder->Set(name, value, std::string(variable));
  if (!status.ok()) {
    return Invalid(absl::StatusCode::kFailedPrecondition, value, variable, status);
  }
  config->environment_used.emplace_back(variable);
  return absl::OkStatus();
}

// In the order of names: the environment's own order tells nothing.
absl::Status UseEnvironment(absl::Span<const absl::string_view> environment, Builder* builder,
                            Config* config) {
  absl::btree_map<std::string, absl::string_view> by_variable;
  for (const Flag& flag : AllFlags()) by_variable[VariableOf(flag.name)] = flag.name;
  std::vector<absl::string_view> entries(environment.begin(), environment.end());
  std::sort(entries.begin(), entries.end());
  for (const absl::string_view entry : entries) {
    const size_t equals = entry.find('=');
    if (!absl::StartsWith(entry, "ETCD_") || equals == absl::string_view::npos) continue;
    const absl::string_view value = entry.substr(equals + 1);
    if (value.empty()) continue;  // as if it were not set
    RETURN_IF_ERROR(UseVariable(entry.substr(0, equals), value, by_variable, builder, config));
  }
  return absl::OkStatus();
}

// What is written counts, unless only what YAML takes it for fits: "1e2" is a name as well.
absl::Status UseEntry(const Flag& flag, const FileEntry& entry, const std::string& origin,
                      Builder* builder) {
  if (flag.is_duration && ParseNumber(entry.meaning).ok()) {
    return builder->Set(entry.key, absl::StrCat(entry.meaning, "ns"), origin, true);
  }
  const absl::Status status = builder->Set(entry.key, entry.value, origin, true);
  if (status.ok() || entry.meaning == entry.value) return status;
  return builder->Set(entry.key, entry.meaning, origin, true).ok() ? absl::OkStatus() : status;
}

// A file replaces flags and environment altogether, as etcd's does.
absl::Status UseFile(const std::string& path, const FileReader& read, Builder* builder) {
  if (!read) return absl::FailedPreconditionError("there is no way to read " + path);
  ASSIGN_OR_RETURN(const std::string text, read(path));
  const auto in_file = [&](const absl::Status& status) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": ", status.message()));
  };
  const absl::StatusOr<std::vector<FileEntry>> entries = ParseConfigFile(text);
  if (!entries.ok()) return in_file(entries.status());
  for (const FileEntry& entry : *entries) {
    const std::string origin = absl::StrCat(path, ":", entry.line);
    const Flag* const flag = FindFlag(entry.key);
    if (flag == nullptr) {
      builder->Warn(absl::StrCat(origin, ": unknown key ", entry.key, " is ignored"));
      continue;
    }
    const absl::Status status = UseEntry(*flag, entry, origin, builder);
    if (!status.ok()) {
      return in_file(Invalid(absl::StatusCode::kInvalidArgument, entry.value,
                             absl::StrCat(entry.key, " in line ", entry.line), status));
    }
  }
  return absl::OkStatus();
}

// The --config-file of arguments and environment; empty if there is none.
absl::StatusOr<std::string> ConfigFileOf(absl::Span<const absl::string_view> arguments,
                                         absl::Span<const absl::string_view> environment) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    // What is no flag is refused later.
    if (arguments[i].size() < 2 || arguments[i].front() != '-' || arguments[i] == "--") continue;
    ASSIGN_OR_RETURN(const Argument argument, SplitArgument(arguments[i]));
    if (argument.name != "config-file") continue;
    if (argument.has_value) return std::string(argument.value);
    if (i + 1 == arguments.size()) {
      return absl::InvalidArgumentError("flag needs an argument: --config-file");
    }
    return std::string(arguments[i + 1]);
  }
  for (absl::string_view entry : environment) {
    if (absl::ConsumePrefix(&entry, "ETCD_CONFIG_FILE=")) return std::string(entry);
  }
  return std::string();
}

// What can only be judged once all settings are known.
absl::Status Complete(const Builder& builder, CommandLine* line) {
  if (builder.IsSet("listen-client-urls") && !builder.IsSet("advertise-client-urls")) {
    return absl::FailedPreconditionError(
        "--advertise-client-urls is required when --listen-client-urls is set explicitly");
  }
  return line->config.Validate();
}

// True if the argument was about something else than a setting.
bool TakeAction(absl::string_view name, CommandLine* line) {
  using Action = CommandLine::Action;
  if (name == "help" || name == "h") {
    line->action = Action::kShowHelp;
  } else if (name == "version") {
    line->action = Action::kShowVersion;
  } else if (name == "print-flags-page") {
    line->action = Action::kShowFlagsPage;
  } else if (name == "config-check") {
    line->action = Action::kCheckConfig;
  } else if (name == "print-config") {
    line->action = Action::kPrintConfig;
  } else {
    return false;
  }
  return true;
}

absl::Status NotAFlag(absl::string_view word) {
  return absl::FailedPreconditionError(absl::StrCat("\"", word, "\" is not a valid flag"));
}

absl::Status UseArguments(absl::Span<const absl::string_view> arguments, bool set, Builder* builder,
                          CommandLine* line) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view text = arguments[i];
    if (text == "gateway" || text == "grpc-proxy") {
      return absl::InvalidArgumentError(
          absl::StrCat("'", text, "' is not there: this server is no proxy"));
    }
    if (text == "--") {  // flags end here, and nothing else is expected
      if (i + 1 == arguments.size()) break;
      return NotAFlag(arguments[i + 1]);
    }
    if (text.size() < 2 || text.front() != '-') return NotAFlag(text);
    ASSIGN_OR_RETURN(Argument argument, SplitArgument(text));
    if (TakeAction(argument.name, line)) {
      if (line->ends_parsing()) return absl::OkStatus();
      continue;
    }
    const bool is_file = argument.name == "config-file";
    const Flag* const flag = FindFlag(argument.name);
    if (flag == nullptr && !is_file) {
      return absl::InvalidArgumentError(
          absl::StrCat("flag provided but not defined: --", argument.name));
    }
    if (!argument.has_value && !is_file &&
        (flag->is_bool || !AliasOf(argument.name).gate.empty())) {
      argument.value = "true";
    } else if (!argument.has_value) {
      if (i + 1 == arguments.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag needs an argument: --", argument.name));
      }
      argument.value = arguments[++i];
    }
    if (is_file) continue;
    if (!set) {
      builder->Warn(absl::StrCat("--", argument.name, " is ignored: there is a --config-file"));
      continue;
    }
    const absl::Status status = builder->Set(argument.name, argument.value, "flag");
    if (!status.ok()) {
      return Invalid(absl::StatusCode::kInvalidArgument, argument.value,
                     absl::StrCat("flag --", argument.name), status);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(absl::Span<const absl::string_view> arguments,
                                             absl::Span<const absl::string_view> environment,
                                             const FileReader& read) {
  CommandLine line;
  Builder builder(&line);
  ASSIGN_OR_RETURN(const std::string file, ConfigFileOf(arguments, environment));
  RETURN_IF_ERROR(UseArguments(arguments, file.empty(), &builder, &line));
  if (line.ends_parsing()) return line;
  if (file.empty()) {
    RETURN_IF_ERROR(UseEnvironment(environment, &builder, &line.config));
  } else {
    RETURN_IF_ERROR(UseFile(file, read, &builder));
  }
  RETURN_IF_ERROR(Complete(builder, &line));
  return line;
}

}  // namespace quorate::config
