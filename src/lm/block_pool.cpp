#include "lm/block_pool.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace shoal::lm {
void BlockPool::grow() {
  const std::size_t count = std::max<std::size_t>(1, memory_->slab_bytes() / block_bytes_);
  std::byte* const slab = memory_->allocate(count * block_bytes_);
  for (std::size_t i = count; i-- > 0;) {
    free_.emplace_back(static_cast<std::uint32_t>(blocks_.size()));
    blocks_.push_back({slab + i * block_bytes_});
  }
}

BlockId BlockPool::allocate() {
  if (free_.empty()) grow();
  const BlockId id = free_.back();
  free_.pop_back();
  blocks_[id.value()].references = 1;
  blocks_[id.value()].claimed = 0;
  ++live_;
  return id;
}

void BlockPool::release(BlockId id) {
  Block& block = blocks_[id.value()];
  SHOAL_EXPECT(block.references > 0);
  if (--block.references > 0) return;
  free_.push_back(id);
  --live_;
}

BlockId BlockPool::claim(BlockId id, int slot) {
  Block& block = blocks_[id.value()];
  if (block.claimed == slot || block.references == 1) {
    block.claimed = slot + 1;
    return id;
  }
  const BlockId copy = allocate();
  memory_->copy(data(id), data(copy), block_bytes_);
  blocks_[copy.value()].claimed = slot + 1;
  release(id);
  return copy;
}

}  // namespace shoal::lm
