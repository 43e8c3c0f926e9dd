#include "engine/mvcc/segment_pins.h"

#include <utility>

namespace quorate::mvcc {

SegmentPins::Holder::~Holder() {
  if (revoked_) return;
  const bool outlived = Unpin();
  if (!place_.has_value()) return;
  if (outlived) ++pins_->outlived_;
  pins_->readers_.erase(*place_);
}

void SegmentPins::Holder::Begin() {
  if (!place_.has_value()) place_ = pins_->readers_.insert(pins_->readers_.end(), this);
}

void SegmentPins::Holder::Pin(const Bytes& segment) {
  if (revoked_ || !seen_.insert(segment.data()).second) return;
  pinned_.push_back(segment.data());
  Pinned& pinned = pins_->pinned_[segment.data()];
  if (pinned.holders++ == 0) pinned.segment = segment;
}

bool SegmentPins::Holder::Unpin() {
  bool dead = false;
  for (const char* const data : pinned_) {
    const auto at = pins_->pinned_.find(data);
    dead |= at->second.dead;
    if (--at->second.holders > 0) continue;
    if (at->second.dead) {
      pins_->dead_bytes_ -= at->second.segment.size();
      pins_->unpinned_.push_back(std::move(at->second.segment));
    }
    pins_->pinned_.erase(at);
  }
  pinned_ = {};
  seen_ = {};
  return dead;
}

void SegmentPins::Drop(const Bytes& segment) {
  const auto at = pinned_.find(segment.data());
  if (at == pinned_.end()) return;
  at->second.dead = true;
  dead_bytes_ += segment.size();
  while (dead_bytes_ > max_dead_bytes_ && !readers_.empty()) {
    Holder* const oldest = readers_.front();
    readers_.pop_front();
    oldest->Unpin();
    oldest->revoked_ = true;
    ++revoked_;
  }
}

bool SegmentPins::Release(Work* work) {
  for (; !unpinned_.empty(); unpinned_.pop_back()) {
    if (work->spent()) return false;
    work->SpendFind();
    work->SpendBytes(unpinned_.back().size());
  }
  return true;
}

}  // namespace quorate::mvcc
