// Copies of blocks that are made by one kernel, in any order (on emulated CUDA, which refuses copies that depend on
// each other).
#include "lm/cuda/block_copies.hpp"

#include <gtest/gtest.h>

namespace shoal::lm::cuda {
namespace {

constexpr std::size_t bytes = 256;

class BlockCopiesOf : public testing::Test {
 protected:
  BlockCopiesOf() {
    for (std::size_t i = 0; i < 4; ++i) memory.write(std::vector<std::byte>(bytes, std::byte(i + 1)), block(i));
  }
  [[nodiscard]] std::byte* block(std::size_t i) const { return blocks + i * bytes; }
  [[nodiscard]] int value(std::size_t i) const {
    std::vector<std::byte> host(bytes);
    memory.read(block(i), host);
    EXPECT_EQ(host, std::vector<std::byte>(bytes, host.front()));
    return static_cast<int>(host.front());
  }
  Stream stream;
  BlockCopies copies{stream};
  SpareSlabs spare;
  DeviceBlockMemory memory{0, &copies, &spare};
  std::byte* blocks = memory.allocate(4 * bytes);
};

TEST_F(BlockCopiesOf, ManyBlocks) {
  memory.copy(block(0), block(1), bytes);
  memory.copy(block(0), block(2), bytes);
  EXPECT_EQ(value(1), 1);
  EXPECT_EQ(value(2), 1);
}

TEST_F(BlockCopiesOf, ACopyIsOfWhatHasBeenCopied) {
  memory.copy(block(0), block(1), bytes);
  memory.copy(block(1), block(2), bytes);
  EXPECT_EQ(value(2), 1);
}

TEST_F(BlockCopiesOf, ABlockIsTakenAgainAfterItHasBeenRead) {
  memory.copy(block(0), block(1), bytes);
  memory.copy(block(2), block(0), bytes);
  EXPECT_EQ(value(1), 1);
  EXPECT_EQ(value(0), 3);
}

TEST_F(BlockCopiesOf, ABlockIsTakenAgainAfterItHasBeenWritten) {
  memory.copy(block(0), block(1), bytes);
  memory.copy(block(2), block(1), bytes);
  EXPECT_EQ(value(1), 3);
}

}  // namespace
}  // namespace shoal::lm::cuda
