#include "server/http1/message.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace quorate::http1 {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Response Whole(int status, absl::string_view type, absl::string_view body) {
  Response response;
  response.status = status;
  response.fields.Add("Content-Type", std::string(type));
  if (!body.empty()) response.body.push_back(Bytes::Copy(body));
  return response;
}

}  // namespace

std::optional<absl::string_view> Fields::Find(absl::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (absl::EqualsIgnoreCase(key, name)) return value;
  }
  return std::nullopt;
}

absl::string_view Request::raw_path() const {
  absl::string_view path = target;
  path = path.substr(0, path.find('?'));
  const size_t scheme = path.find("://");
  if (scheme != absl::string_view::npos && path[0] != '/') {
    const size_t slash = path.find('/', scheme + 3);
    path = slash == absl::string_view::npos ? "/" : path.substr(slash);
  }
  return path;
}

std::vector<std::string> Request::QueryValues(absl::string_view name) const {
  std::vector<std::string> values;
  for (const absl::string_view pair : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    std::string key;
    std::string value;
    if (!PercentDecode(parts.first, true, &key) || key != name) continue;
    if (PercentDecode(parts.second, true, &value)) values.push_back(std::move(value));
  }
  return values;
}

std::optional<std::string> Request::QueryValue(absl::string_view name) const {
  std::vector<std::string> values = QueryValues(name);
  if (values.empty()) return std::nullopt;
  return std::move(values.front());
}

Response Response::Text(int status, absl::string_view text) {
  Response response = Whole(status, "text/plain; charset=utf-8", text);
  if (status >= 400) response.fields.Add("X-Content-Type-Options", "nosniff");
  return response;
}

Response Response::Redirect(absl::string_view method, absl::string_view location) {
  Response response;
  response.status = 307;
  if (method == "GET" || method == "HEAD") {
    const std::string shown = absl::StrReplaceAll(
        location, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&#34;"}, {"'", "&#39;"}});
    response = Whole(307, "text/html; charset=utf-8",
                     absl::StrCat("<a href=\"", shown, "\">Temporary Redirect</a>.\n\n"));
  }
  response.fields.Add("Location", std::string(location));
  return response;
}

Response Response::Json(int status, absl::string_view json) {
  return Whole(status, "application/json", json);
}

absl::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Request Entity Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";
  }
}

std::string CleanPath(absl::string_view path) {
  std::vector<absl::string_view> kept;
  for (const absl::string_view element : absl::StrSplit(path, '/')) {
    if (element.empty() || element == ".") continue;
    if (element != "..") {
      kept.push_back(element);
    } else if (!kept.empty()) {
      kept.pop_back();
    }
  }
  std::string clean = absl::StrCat("/", absl::StrJoin(kept, "/"));
  if (!kept.empty() && absl::EndsWith(path, "/")) clean.push_back('/');
  return clean;
}

bool PercentDecode(absl::string_view text, bool plus_is_space, std::string* out) {
  out->clear();
  out->reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out->push_back(' ');
    } else if (text[i] != '%') {
      out->push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return true;
}

}  // namespace quorate::http1
