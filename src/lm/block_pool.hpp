// BlockPool: reference-counted blocks of key/value storage, 16 positions of all layers each. Sequences share blocks by
// copying tables of ids; a block's data is copied only when two children grow from one half-filled block
// (PagedAttention, Kwon et al. 2023).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lm/block_memory.hpp"
#include "shoal/ids.hpp"

namespace shoal::lm {

class BlockPool {
 public:
  explicit BlockPool(std::size_t block_bytes, std::unique_ptr<BlockMemory> memory = std::make_unique<HostBlockMemory>())
      : block_bytes_(block_bytes), memory_(std::move(memory)) {}

  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  /// A block with one reference and no position taken; its contents are unspecified.
  BlockId allocate();
  void retain(BlockId id) { ++blocks_[id.value()].references; }
  void release(BlockId id);
  /// An address in the pool's memory.
  [[nodiscard]] std::byte* data(BlockId id) { return blocks_[id.value()].data; }
  [[nodiscard]] const std::byte* data(BlockId id) const { return blocks_[id.value()].data; }
  /// A block's contents from and to this process's memory, all of block_bytes().
  void read(BlockId from, std::span<std::byte> to) const { memory_->read(data(from), to); }
  void write(std::span<const std::byte> from, BlockId to) { memory_->write(from, data(to)); }
  void settle() { memory_->settle(); }

  /// Takes position @p slot of a sequence's last block for a new token. The first taker of a slot, or the only user
  /// of the block, gets it in place; another gets a copy of the block, and @p id is released.
  [[nodiscard]] BlockId claim(BlockId id, int slot);
  void set_claimed(BlockId id, int slots) { blocks_[id.value()].claimed = slots; }

  [[nodiscard]] std::size_t live() const { return live_; }
  /// Ids are below it.
  [[nodiscard]] std::size_t size() const { return blocks_.size(); }

 private:
  struct Block {
    std::byte* data = nullptr;
    std::uint32_t references = 0;
    int claimed = 0;  ///< positions that some sequence has taken
  };
  void grow();

  std::size_t block_bytes_;
  std::unique_ptr<BlockMemory> memory_;
  std::vector<Block> blocks_;
  std::vector<BlockId> free_;
  std::size_t live_ = 0;
};

}  // namespace shoal::lm
