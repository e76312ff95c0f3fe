#include "lm/block_pool.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

namespace shoal::lm {
namespace {

TEST(BlockPool, BlocksBeginOnACacheLineAndDoNotOverlap) {
  BlockPool pool(1024);
  std::vector<BlockId> blocks;
  for (int i = 0; i < 40000; ++i) {  // more than one slab
    blocks.push_back(pool.allocate());
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(pool.data(blocks.back())) % 64, 0U);
    std::memset(pool.data(blocks.back()), i % 251, 1024);
  }

  for (int i = 0; i < 40000; ++i) {
    const std::byte* data = pool.data(blocks[static_cast<std::size_t>(i)]);
    ASSERT_EQ(data[0], std::byte(i % 251));
    ASSERT_EQ(data[1023], std::byte(i % 251));
  }
}

TEST(BlockPool, AReleasedBlockIsUsedAgain) {
  BlockPool pool(64);
  const BlockId first = pool.allocate();
  pool.retain(first);
  pool.release(first);
  EXPECT_EQ(pool.live(), 1U);
  pool.release(first);
  EXPECT_EQ(pool.live(), 0U);

  EXPECT_EQ(pool.allocate(), first);
  EXPECT_EQ(pool.live(), 1U);
}

TEST(BlockPool, TheFirstTakerOfASlotGetsItInPlaceAndTheNextACopy) {
  BlockPool pool(64);
  const BlockId block = pool.allocate();
  ASSERT_EQ(pool.claim(block, 0), block);
  pool.data(block)[0] = std::byte{42};
  pool.retain(block);  // two users

  const BlockId first = pool.claim(block, 1);
  const BlockId second = pool.claim(block, 1);

  EXPECT_EQ(first, block);
  EXPECT_NE(second, block);
  EXPECT_EQ(pool.data(second)[0], std::byte{42});
  EXPECT_EQ(pool.live(), 2U);
}

TEST(BlockPool, TheOnlyUserOfABlockOverwritesWhatOthersHadClaimed) {
  BlockPool pool(64);
  const BlockId block = pool.allocate();
  for (int slot = 0; slot < 5; ++slot) ASSERT_EQ(pool.claim(block, slot), block);

  EXPECT_EQ(pool.claim(block, 2), block);
  EXPECT_EQ(pool.live(), 1U);
}

TEST(BlockPool, ABlockLargerThanASlabIsAllocated) {
  BlockPool pool(std::size_t{20} << 20U);

  const BlockId block = pool.allocate();

  pool.data(block)[(std::size_t{20} << 20U) - 1] = std::byte{1};
  EXPECT_EQ(pool.live(), 1U);
}

}  // namespace
}  // namespace shoal::lm
