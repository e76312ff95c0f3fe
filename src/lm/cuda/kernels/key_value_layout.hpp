// Where a key or value lies in a block of 16 positions: in the order in which the tensor cores' threads take them
// (mma.m16n8k16, the B operand), so that a warp reads 512 bytes in a row per 16 positions x 16 dimensions, 16 bytes a
// thread, and needs no shared memory.
// A block is [layer][kv head][keys, values][dimensions / 16][32 threads][8].
#pragma once

#include "lm/cuda/kernels/device_math.hpp"

namespace shoal::lm::cuda {

inline constexpr int block_positions = 16;

/// Of B[k, n] within a chunk of 16 x 16: its thread, then which of the thread's 8.
SHOAL_DEVICE int fragment_offset(int k, int n) {
  const int thread = (n % 8) * 4 + (k % 8) / 2;
  return thread * 8 + (n / 8) * 4 + (k / 8) * 2 + k % 2;
}

/// In scores = Q K^T keys' dimensions are summed over.
SHOAL_DEVICE int key_offset(int position, int dimension) {
  return dimension / 16 * 256 + fragment_offset(dimension % 16, position);
}

/// In P V positions are.
SHOAL_DEVICE int value_offset(int position, int dimension) {
  return dimension / 16 * 256 + fragment_offset(position, dimension % 16);
}

/// Elements of one layer's one head: keys, then values.
SHOAL_DEVICE std::int64_t head_elements(int head_dim) { return 2LL * block_positions * head_dim; }

}  // namespace shoal::lm::cuda
