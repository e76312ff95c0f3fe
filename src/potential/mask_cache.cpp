#include "potential/mask_cache.hpp"

namespace shoal {

TokenMask empty_mask(const Vocabulary& vocabulary) {
  TokenMask mask;
  mask.bits.assign((static_cast<std::size_t>(vocabulary.size()) + 63) / 64, 0);
  return mask;
}

std::size_t MaskCache::size() const {
  const std::scoped_lock lock(mutex_);
  return entries_.size();
}

MaskPtr MaskCache::find(const Key& key) {
  const std::scoped_lock lock(mutex_);
  const auto place = places_.find(key);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return place->second->second;
}

MaskPtr MaskCache::insert(const Key& key, MaskPtr mask) {
  const auto bytes_of = [](const MaskPtr& m) { return sizeof(TokenMask) + m->bits.size() * sizeof(m->bits[0]); };
  const std::scoped_lock lock(mutex_);
  if (const auto place = places_.find(key); place != places_.end()) return place->second->second;
  entries_.emplace_front(key, mask);
  places_.emplace(key, entries_.begin());
  bytes_ += bytes_of(mask);
  while (bytes_ > byte_limit_ && entries_.size() > 1) {
    bytes_ -= bytes_of(entries_.back().second);
    places_.erase(entries_.back().first);
    entries_.pop_back();
  }
  return mask;
}

}  // namespace shoal
