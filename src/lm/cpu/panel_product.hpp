// Products by the dot-product instructions of AVX-512: two bf16 inputs (BF16) or four of 8 bits (VNNI) of every output
// at a time; in 8 bits also by those of AVX2. While some rows are multiplied by a tile of weights, the next tile comes
// from memory: few rows, which oneDNN's kernels keep waiting for it, cost little more each than many.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::lm::cpu {

/// Outputs of a panel of weights.
inline constexpr int panel_outputs = 64;

/// Words are the inputs that an instruction takes of one row or output: 4 bytes.
struct PanelProduct {
  const std::uint32_t* x;      ///< [rows, words]
  int rows;                    ///< at least 1
  int words;                   ///< a multiple of 4
  const std::uint32_t* panel;  ///< [words, panel_outputs]
  int outputs;                 ///< that are wanted, at most panel_outputs
  float* y;                    ///< first of them
  std::ptrdiff_t stride;       ///< between rows of y
};

/// What makes numbers of integer sums: (sum - offset) * (scale of the output * scale of the row).
struct Int8Scales {
  const float* of_rows;
  const float* of_outputs;
  const std::int32_t* offsets;  ///< by output
};

/// Every element is one sum in the order of the inputs, however many rows there are. Only if has_fast_bf16().
void multiply_bf16(const PanelProduct& task);
/// Rows are unsigned, weights signed; sums are exact, so that all three give the same bits. The first needs
/// Isa::avx512_vnni, the others AVX2, the last AVX-VNNI besides.
void multiply_int8(const PanelProduct& task, const Int8Scales& scales);
void multiply_int8_avx2(const PanelProduct& task, const Int8Scales& scales);
void multiply_int8_avx2_vnni(const PanelProduct& task, const Int8Scales& scales);

}  // namespace shoal::lm::cpu
