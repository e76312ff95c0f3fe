// Sums and maxima over the threads of a block, in an order that only the number of threads sets.
#pragma once

#include "lm/cuda/kernels/device_math.hpp"

namespace shoal::lm::cuda {

inline constexpr int warp_size = 32;

template <class Block, class T, class Combine>
SHOAL_DEVICE T over_warp(Block& block, T x, Combine combine) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) x = combine(x, block.shuffle_xor(x, distance));
  return x;
}

template <class Block, class T>
SHOAL_DEVICE T sum_over_warp(Block& block, T x) {
  return over_warp(block, x, [](T a, T b) { return a + b; });
}

template <class Block>
SHOAL_DEVICE float max_over_warp(Block& block, float x) {
  return over_warp(block, x, [](float a, float b) { return larger(a, b); });
}

/// On every thread. @p scratch: shared, an entry per warp, free again after it.
template <class Block, class T, class Combine>
SHOAL_DEVICE T over_block(Block& block, T x, T* scratch, Combine combine) {
  x = over_warp(block, x, combine);
  if (block.thread() % warp_size == 0) scratch[block.thread() / warp_size] = x;
  block.sync();
  x = scratch[0];
  for (int warp = 1; warp < block.threads() / warp_size; ++warp) x = combine(x, scratch[warp]);
  block.sync();
  return x;
}

}  // namespace shoal::lm::cuda
