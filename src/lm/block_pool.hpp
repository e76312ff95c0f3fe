// BlockPool: reference-counted blocks of key/value storage, 16 positions of all layers each. Sequences share blocks by
// copying tables of ids; a block's data is copied only when two children grow from one half-filled block
// (PagedAttention, Kwon et al. 2023).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lm/aligned.hpp"
#include "shoal/ids.hpp"

namespace shoal::lm {

class BlockPool {
 public:
  explicit BlockPool(std::size_t block_bytes) : block_bytes_(block_bytes) {}

  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  /// A block with one reference and no position taken; its contents are unspecified.
  BlockId allocate();
  void retain(BlockId id) { ++blocks_[id.value()].references; }
  void release(BlockId id);
  [[nodiscard]] std::byte* data(BlockId id) { return blocks_[id.value()].data; }
  [[nodiscard]] const std::byte* data(BlockId id) const { return blocks_[id.value()].data; }

  /// Takes position @p slot of a sequence's last block for a new token. The first taker of a slot, or the only user
  /// of the block, gets it in place; another gets a copy of the block, and @p id is released.
  [[nodiscard]] BlockId claim(BlockId id, int slot);
  void set_claimed(BlockId id, int slots) { blocks_[id.value()].claimed = slots; }

  [[nodiscard]] std::size_t live() const { return live_; }

 private:
  struct Block {
    std::byte* data = nullptr;
    std::uint32_t references = 0;
    int claimed = 0;  ///< positions that some sequence has taken
  };
  void grow();

  std::size_t block_bytes_;
  std::vector<AlignedBytes> slabs_;
  std::vector<Block> blocks_;
  std::vector<BlockId> free_;
  std::size_t live_ = 0;
};

}  // namespace shoal::lm
