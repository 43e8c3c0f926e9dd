#include "server/config/url.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace quorate::config {
namespace {

absl::Status Malformed(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", text));
}

// What Go's URLs, and so etcd, take in a host: letters, digits and some punctuation, and whatever
// is beyond ASCII.
bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("-_.~!$&'()*+,;=:[]<>\"").find(c) != absl::string_view::npos ||
         static_cast<unsigned char>(c) >= 0x80;
}

// "host:port" or "[v6]:port" apart; false if it has not that form.
bool SplitHostPort(absl::string_view authority, Url* url) {
  const size_t colon = authority.rfind(':');
  if (colon == absl::string_view::npos) return false;
  absl::string_view host = authority.substr(0, colon);
  const absl::string_view port = authority.substr(colon + 1);
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']') return false;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != absl::string_view::npos) {
    return false;
  }
  if (!std::all_of(host.begin(), host.end(), IsHostCharacter)) return false;
  uint32_t number = 0;
  const bool digits = !port.empty() && std::all_of(port.begin(), port.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(port, &number) || number > 65535) return false;
  url->host = std::string(host);
  url->port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace

std::string Url::ToString() const {
  return absl::StrCat(scheme, "://", is_unix() ? host : Address());
}

std::string Url::Address() const {
  if (is_unix()) return absl::StrCat("unix:", host);
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  const absl::string_view whole = absl::StripAsciiWhitespace(text);
  const size_t mark = whole.find("://");
  if (mark == absl::string_view::npos) {
    return Malformed("URL must have the form scheme://host:port", whole);
  }
  Url url;
  url.scheme = absl::AsciiStrToLower(whole.substr(0, mark));
  if (url.is_unix()) {
    url.host = std::string(whole.substr(mark + 3));
    if (url.host.empty()) return Malformed("URL of a socket must have a path", whole);
    return url;
  }
  if (url.scheme != "http" && url.scheme != "https") {
    return Malformed("URL scheme must be http, https, unix, or unixs", whole);
  }
  const absl::string_view rest = whole.substr(mark + 3);
  const size_t end = rest.find_first_of("/?#");
  if (!SplitHostPort(rest.substr(0, end), &url)) {
    return Malformed("URL address does not have the form \"host:port\"", whole);
  }
  if (end != absl::string_view::npos) return Malformed("URL must not contain a path", whole);
  return url;
}

absl::StatusOr<std::vector<Url>> ParseUrls(absl::string_view text) {
  std::vector<Url> urls;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    ASSIGN_OR_RETURN(Url url, ParseUrl(part));
    urls.push_back(std::move(url));
  }
  if (urls.empty()) return absl::InvalidArgumentError("no valid URLs given");
  std::sort(urls.begin(), urls.end(),
            [](const Url& a, const Url& b) { return a.ToString() < b.ToString(); });
  return urls;
}

std::string JoinUrls(const std::vector<Url>& urls) { return absl::StrJoin(UrlStrings(urls), ","); }

std::vector<std::string> UrlStrings(const std::vector<Url>& urls) {
  std::vector<std::string> texts;
  texts.reserve(urls.size());
  for (const Url& url : urls) texts.push_back(url.ToString());
  return texts;
}

}  // namespace quorate::config
