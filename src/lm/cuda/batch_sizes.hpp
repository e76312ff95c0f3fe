// Rows that a pass is padded to. Few sizes, so that each has its products chosen and its CUDA graph recorded once.
#pragma once

#include <algorithm>
#include <array>

namespace shoal::lm::cuda {

inline constexpr std::array batch_sizes{1,   2,   4,   8,   16,  24,  32,  48,  64,  96,  128, 160,
                                        192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024};
inline constexpr int most_rows = batch_sizes.back();

/// The smallest that holds @p rows, 1 to most_rows.
inline int padded_batch(int rows) { return *std::lower_bound(batch_sizes.begin(), batch_sizes.end(), rows); }

}  // namespace shoal::lm::cuda
