// Structured log lines, one JSON object each, in the shape of etcd's zap logger:
//
//   {"level":"info","ts":"2026-01-02T15:04:05.000000Z","caller":"node/node.cc:12",
//    "msg":"became leader","term":7,"leader":"8e9e05c52164694d"}
//
//   LOG_INFO(logger, "became leader", {"term", term.value()}, {"leader", name});
//   LOG_WARN(logger, "peer stream failed", {"peer", id}, {status});   // "error":"..."
//
// or, for people (Format::kConsole), tab between time, level, caller, message and fields:
//
//   2026-01-02T15:04:05.000000Z	info	node/node.cc:12	became leader	{"term": 7, ...}
//
// A Logger belongs to one server instance: it is not global, and its time comes from
// that server's loop. A line below the level costs one comparison: its fields are not
// evaluated.
#ifndef QUORATE_SERVER_LOG_LOGGER_H_
#define QUORATE_SERVER_LOG_LOGGER_H_

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "io/log_sink.h"
#include "io/loop.h"

namespace quorate::log {

// In rising order; names are zap's.
enum class Level : uint8_t { kDebug, kInfo, kWarn, kError, kPanic, kFatal };

// Shapes of a line; names are zap's, "json" and "console".
enum class Format : uint8_t { kJson, kConsole };

// "debug", "info", "warn", "error", "panic", "fatal".
absl::string_view LevelName(Level level);
// The level with that name (lower case), or InvalidArgument naming it.
absl::StatusOr<Level> ParseLevel(absl::string_view name);

// One key with its value. Refers to its arguments: use it within one log statement.
class Field {
 public:
  Field(absl::string_view key, absl::string_view value)  // NOLINT: built in braces
      : key_(key), kind_(Kind::kString), text_(value) {}
  Field(absl::string_view key, const std::string& value) : Field(key, absl::string_view(value)) {}
  Field(absl::string_view key, const char* value) : Field(key, absl::string_view(value)) {}
  Field(absl::string_view key, bool value) : key_(key), kind_(Kind::kBool), number_(value) {}
  template <std::signed_integral T>
  Field(absl::string_view key, T value)
      : key_(key), kind_(Kind::kSigned), number_(static_cast<uint64_t>(int64_t{value})) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Field(absl::string_view key, T value)
      : key_(key), kind_(Kind::kUnsigned), number_(uint64_t{value}) {}
  // A span of time, printed as Go does: "1.5ms", "2m3s".
  Field(absl::string_view key, Duration value)
      : key_(key), kind_(Kind::kDuration), number_(static_cast<uint64_t>(value.nanos())) {}
  // A list of strings.
  Field(absl::string_view key, const std::vector<std::string>& values)
      : key_(key), kind_(Kind::kStrings), strings_(&values) {}
  // The text of a status, under the key "error".
  Field(const absl::Status& status)  // NOLINT: built in braces
      : key_("error"), kind_(Kind::kStatus), status_(&status) {}

 private:
  friend class Logger;
  enum class Kind : uint8_t { kString, kBool, kSigned, kUnsigned, kDuration, kStrings, kStatus };

  // "key":value; with `space` after colons and commas.
  void AppendTo(std::string* line, absl::string_view space) const;

  absl::string_view key_;
  Kind kind_;
  absl::string_view text_;
  union {
    uint64_t number_ = 0;
    const std::vector<std::string>* strings_;
    const absl::Status* status_;
  };
};

class Logger {
 public:
  // Neither is owned. `loop` gives the time of each line.
  Logger(io::LogSink* sink, const io::Loop* loop, Level level = Level::kInfo,
         Format format = Format::kJson)
      : sink_(sink), loop_(loop), format_(format), level_(level) {}
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  bool enabled(Level level) const { return level >= level_; }
  Level level() const { return level_; }
  // Takes effect at once.
  void set_level(Level level) { level_ = level; }

  // Writes a line whatever the level; the macros below ask first. `file` is a path
  // from the root; the line shows its last two parts.
  void Write(Level level, absl::string_view file, int line, absl::string_view message,
             std::initializer_list<Field> fields);

 private:
  void AppendHead(Level level, absl::string_view file, int line, absl::string_view message,
                  std::string* text) const;

  io::LogSink* const sink_;
  const io::Loop* const loop_;
  const Format format_;
  Level level_;
  std::string buffer_;  // kept between lines for its capacity
};

// Appends `text` as a JSON string with its quotes. Bytes that are not valid UTF-8
// become U+FFFD.
void AppendJsonString(absl::string_view text, std::string* out);

// Appends "2026-01-02T15:04:05.000000Z".
void AppendTimestamp(WallTime time, std::string* out);

// Appends a span as Go prints one: "0s", "350ns", "1.5ms", "1m0.25s", "2h0m0s".
void AppendGoDuration(Duration span, std::string* out);

}  // namespace quorate::log

// `logger` is a Logger*; each field is a braced pair {key, value} or {status}.
#define QUORATE_LOG(logger, log_level, message, ...)                                 \
  do {                                                                               \
    ::quorate::log::Logger* const quorate_logger_ = (logger);                        \
    if (quorate_logger_->enabled(log_level)) {                                       \
      quorate_logger_->Write(log_level, __FILE__, __LINE__, message, {__VA_ARGS__}); \
    }                                                                                \
  } while (false)

#define LOG_DEBUG(logger, ...) QUORATE_LOG(logger, ::quorate::log::Level::kDebug, __VA_ARGS__)
#define LOG_INFO(logger, ...) QUORATE_LOG(logger, ::quorate::log::Level::kInfo, __VA_ARGS__)
#define LOG_WARN(logger, ...) QUORATE_LOG(logger, ::quorate::log::Level::kWarn, __VA_ARGS__)
#define LOG_ERROR(logger, ...) QUORATE_LOG(logger, ::quorate::log::Level::kError, __VA_ARGS__)

#endif  // QUORATE_SERVER_LOG_LOGGER_H_
