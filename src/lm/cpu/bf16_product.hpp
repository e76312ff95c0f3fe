// Products in bf16 by the instructions that AVX-512 BF16 has for them. While some rows are multiplied by a tile of
// weights, the next tile comes from memory: few rows, which oneDNN's kernels keep waiting for it, cost little more each
// than many.
#pragma once

#include <cstddef>

#include "lm/number_formats.hpp"

namespace shoal::lm::cpu {

/// Outputs of a panel of weights: pairs of inputs, each for all outputs, [inputs / 2][panel_outputs][2].
inline constexpr int panel_outputs = 64;

struct Bf16Task {
  const Bf16* x;  ///< [rows, inputs]
  int rows;
  int inputs;  ///< a multiple of 16
  const Bf16* panel;
  int outputs;            ///< that are wanted, at most panel_outputs
  float* y;               ///< first of them
  std::ptrdiff_t stride;  ///< between rows of y
};

/// Every element is one sum in the order of the inputs, however many rows there are. Only if has_fast_bf16().
void multiply_bf16(const Bf16Task& task);

}  // namespace shoal::lm::cpu
