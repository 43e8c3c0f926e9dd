#include "engine/mvcc/page_counts.h"

#include <utility>

#include "base/coding.h"

namespace quorate::mvcc {

std::string PageCounts::NameOf(const KeyRange& range, Revision at) {
  char head[17];
  StoreBe64(head, static_cast<uint64_t>(at.value()));
  StoreBe64(head + 8, range.end.size());
  head[16] = static_cast<char>(range.kind);
  std::string name(head, sizeof(head));
  name.append(range.end.data(), range.end.size());
  name.append(range.begin.data(), range.begin.size());
  return name;
}

void PageCounts::Note(const KeyRange& range, Revision at, uint64_t count) {
  if (range.begin.size() > kMaxKeyBytes || range.end.size() > kMaxKeyBytes) return;
  const auto [noted, fresh] = counts_.emplace(NameOf(range, at), count);
  if (!fresh) return;
  oldest_first_.push_back(noted);
  if (oldest_first_.size() <= kMaxCounts) return;
  counts_.erase(oldest_first_.front());
  oldest_first_.pop_front();
}

std::optional<PageCounts::Noted> PageCounts::Find(const KeyRange& range, Revision at) const {
  if (range.begin.size() > kMaxKeyBytes || range.end.size() > kMaxKeyBytes) return std::nullopt;
  const std::string name = NameOf(range, at);
  auto noted = counts_.upper_bound(name);
  if (noted == counts_.begin()) return std::nullopt;
  --noted;
  const size_t head = name.size() - range.begin.size();
  if (noted->first.compare(0, head, name, 0, head) != 0) return std::nullopt;
  return Noted{noted->first.substr(head), noted->second};
}

void PageCounts::Clear() {
  oldest_first_.clear();
  counts_.clear();
}

}  // namespace quorate::mvcc
