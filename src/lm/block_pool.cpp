#include "lm/block_pool.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "lm/available_memory.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

constexpr std::size_t slab_bytes = std::size_t{16} << 20U;

}  // namespace

void BlockPool::grow() {
  const std::size_t count = std::max<std::size_t>(1, slab_bytes / block_bytes_);
  if (count * block_bytes_ > available_memory())
    throw Error(
        ExitCode::internal,
        "out of memory in the middle of the run (other programs have taken what was free at its start) end them, "
        "or use fewer particles or tokens");
  slabs_.push_back(allocate_aligned(count * block_bytes_));
  for (std::size_t i = count; i-- > 0;) {
    free_.emplace_back(static_cast<std::uint32_t>(blocks_.size()));
    blocks_.push_back({slabs_.back().get() + i * block_bytes_});
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
  std::memcpy(data(copy), data(id), block_bytes_);
  blocks_[copy.value()].claimed = slot + 1;
  release(id);
  return copy;
}

}  // namespace shoal::lm
