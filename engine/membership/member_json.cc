#include "engine/membership/member_json.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace quorate::membership {
namespace {

constexpr int kMaxDepth = 32;

// A reader over one JSON text; every method takes what it names from the front.
class Reader {
 public:
  explicit Reader(absl::string_view json) : json_(json) {}

  absl::Status Object(MemberContext* out) {
    RETURN_IF_ERROR(Expect('{'));
    if (Take('}')) return absl::OkStatus();
    do {
      std::string name;
      RETURN_IF_ERROR(String(&name));
      RETURN_IF_ERROR(Expect(':'));
      RETURN_IF_ERROR(Field(name, out));
    } while (Take(','));
    return Expect('}');
  }

  absl::Status Objects(std::vector<Member>* out) {
    RETURN_IF_ERROR(Expect('['));
    if (Take(']')) return absl::OkStatus();
    do {
      MemberContext context;
      RETURN_IF_ERROR(Object(&context));
      out->push_back(std::move(context.member));
    } while (Take(','));
    return Expect(']');
  }

  absl::Status End() {
    SkipSpace();
    return at_ == json_.size() ? absl::OkStatus() : Malformed("something after the end");
  }

 private:
  absl::Status Field(const std::string& name, MemberContext* out) {
    if (TakeWord("null")) return absl::OkStatus();
    if (name == "id") {
      uint64_t id = 0;
      RETURN_IF_ERROR(Number(&id));
      out->member.id = MemberId(id);
      return absl::OkStatus();
    }
    if (name == "name") return String(&out->member.name);
    if (name == "peerURLs") return Strings(&out->member.peer_urls);
    if (name == "clientURLs") return Strings(&out->member.client_urls);
    if (name == "isLearner") return Boolean(&out->member.is_learner);
    if (name == "isPromote") return Boolean(&out->is_promote);
    return Skip(kMaxDepth);
  }

  absl::Status Number(uint64_t* out) {
    SkipSpace();
    const size_t begin = at_;
    *out = 0;
    while (at_ < json_.size() && json_[at_] >= '0' && json_[at_] <= '9') {
      const uint64_t digit = static_cast<uint64_t>(json_[at_] - '0');
      if (*out > (UINT64_MAX - digit) / 10) return Malformed("a number beyond 64 bits");
      *out = *out * 10 + digit;
      ++at_;
    }
    return at_ > begin ? absl::OkStatus() : Malformed("no number");
  }

  absl::Status Boolean(bool* out) {
    if (TakeWord("true")) {
      *out = true;
    } else if (TakeWord("false")) {
      *out = false;
    } else {
      return Malformed("neither true nor false");
    }
    return absl::OkStatus();
  }

  absl::Status Strings(std::vector<std::string>* out) {
    out->clear();
    RETURN_IF_ERROR(Expect('['));
    if (Take(']')) return absl::OkStatus();
    do {
      std::string item;
      RETURN_IF_ERROR(String(&item));
      out->push_back(std::move(item));
    } while (Take(','));
    return Expect(']');
  }

  absl::Status String(std::string* out) {
    RETURN_IF_ERROR(Expect('"'));
    out->clear();
    while (at_ < json_.size() && json_[at_] != '"') {
      const char c = json_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) return Malformed("a control character");
      if (c != '\\') {
        out->push_back(c);
      } else {
        RETURN_IF_ERROR(Escape(out));
      }
    }
    return at_++ < json_.size() ? absl::OkStatus() : Malformed("a string without end");
  }

  absl::Status Escape(std::string* out) {
    if (at_ >= json_.size()) return Malformed("a string without end");
    const char c = json_[at_++];
    static constexpr absl::string_view kNames = "\"\\/bfnrt";
    static constexpr absl::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const size_t known = kNames.find(c);
    if (known != absl::string_view::npos) {
      out->push_back(kMeanings[known]);
      return absl::OkStatus();
    }
    uint32_t unit = 0;
    if (c != 'u' || !Hex4(&unit)) return Malformed("an unknown escape");
    if (unit >= 0xd800 && unit < 0xdc00) {
      uint32_t low = 0;
      if (!TakeWord("\\u") || !Hex4(&low) || low < 0xdc00 || low > 0xdfff) {
        return Malformed("half of a surrogate pair");
      }
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(unit, out);
    return absl::OkStatus();
  }

  bool Hex4(uint32_t* out) {
    if (json_.size() - at_ < 4) return false;
    *out = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = json_[at_++];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return false;
      *out = *out << 4 | static_cast<uint32_t>(digit);
    }
    return true;
  }

  static void AppendUtf8(uint32_t c, std::string* out) {
    const auto add = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
    if (c < 0x80) return add(c);
    if (c < 0x800) {
      add(0xc0 | c >> 6);
    } else if (c < 0x10000) {
      add(0xe0 | c >> 12);
      add(0x80 | (c >> 6 & 0x3f));
    } else {
      add(0xf0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3f));
      add(0x80 | (c >> 6 & 0x3f));
    }
    add(0x80 | (c & 0x3f));
  }

  // Any value of a field that means nothing here.
  absl::Status Skip(int depth) {
    if (depth == 0) return Malformed("values nested too deeply");
    SkipSpace();
    std::string ignored;
    const char c = at_ < json_.size() ? json_[at_] : '\0';
    if (c == '"') return String(&ignored);
    if (c == '{' || c == '[') {
      ++at_;
      const char close = c == '{' ? '}' : ']';
      if (Take(close)) return absl::OkStatus();
      do {
        if (c == '{') {
          RETURN_IF_ERROR(String(&ignored));
          RETURN_IF_ERROR(Expect(':'));
        }
        RETURN_IF_ERROR(Skip(depth - 1));
      } while (Take(','));
      return Expect(close);
    }
    if (TakeWord("true") || TakeWord("false") || TakeWord("null")) return absl::OkStatus();
    const size_t end = json_.find_first_not_of("0123456789+-.eE", at_);
    const size_t stop = end == absl::string_view::npos ? json_.size() : end;
    if (stop == at_) return Malformed("no value");
    at_ = stop;
    return absl::OkStatus();
  }

  void SkipSpace() {
    while (at_ < json_.size() &&
           absl::string_view(" \t\r\n").find(json_[at_]) != absl::string_view::npos) {
      ++at_;
    }
  }
  bool Take(char c) {
    SkipSpace();
    if (at_ >= json_.size() || json_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool TakeWord(absl::string_view word) {
    SkipSpace();
    if (json_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  absl::Status Expect(char c) {
    return Take(c) ? absl::OkStatus() : Malformed(absl::StrCat("no '", std::string(1, c), "'"));
  }
  absl::Status Malformed(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("member JSON: ", what, " at byte ", at_));
  }

  absl::string_view json_;
  size_t at_ = 0;
};

void AppendString(absl::string_view s, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  for (const char c : s) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (byte < 0x20 || c == '<' || c == '>' || c == '&') {
      absl::StrAppend(out, "\\u00");
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendStrings(const std::vector<std::string>& list, std::string* out) {
  out->push_back('[');
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendString(list[i], out);
  }
  out->push_back(']');
}

}  // namespace

absl::StatusOr<MemberContext> ParseMemberJson(absl::string_view json) {
  MemberContext context;
  Reader reader(json);
  RETURN_IF_ERROR(reader.Object(&context));
  RETURN_IF_ERROR(reader.End());
  return context;
}

absl::StatusOr<std::vector<Member>> ParseMembersJson(absl::string_view json) {
  std::vector<Member> members;
  Reader reader(json);
  RETURN_IF_ERROR(reader.Objects(&members));
  RETURN_IF_ERROR(reader.End());
  return members;
}

std::string EncodeMemberJson(const Member& member) {
  std::string out = absl::StrCat("{\"id\":", member.id.value(), ",\"peerURLs\":");
  AppendStrings(member.peer_urls, &out);
  if (member.is_learner) absl::StrAppend(&out, ",\"isLearner\":true");
  if (!member.name.empty()) {
    absl::StrAppend(&out, ",\"name\":");
    AppendString(member.name, &out);
  }
  if (!member.client_urls.empty()) {
    absl::StrAppend(&out, ",\"clientURLs\":");
    AppendStrings(member.client_urls, &out);
  }
  out.push_back('}');
  return out;
}

std::string EncodeMembersJson(const std::vector<Member>& members) {
  std::string out = "[";
  for (const Member& member : members) {
    if (out.size() > 1) out.push_back(',');
    out += EncodeMemberJson(member);
  }
  out.push_back(']');
  return out;
}

std::string EncodePromotionJson(MemberId id) {
  return absl::StrCat("{\"id\":", id.value(), ",\"peerURLs\":null,\"isPromote\":true}");
}

}  // namespace quorate::membership
