// Products by dot-product instructions, two bf16 inputs or four of 8 bits of every output at a time: those of AVX-512
// (BF16, VNNI), of AVX2 in 8 bits, or of AMX, which take 16 rows, outputs and words at once. While some rows are
// multiplied by a part of the weights, the next part comes from memory: few rows, which oneDNN's kernels keep waiting
// for it, cost little more each than many.
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
  const std::uint32_t* panel;  ///< [words, panel_outputs] from the first output that is wanted on, at a cache line
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
/// Isa::avx512_vnni, the second AVX2, the third has_avx_vnni().
void multiply_int8(const PanelProduct& task, const Int8Scales& scales);
void multiply_int8_avx2(const PanelProduct& task, const Int8Scales& scales);
void multiply_int8_avx2_vnni(const PanelProduct& task, const Int8Scales& scales);
/// AVX2 and AVX-VNNI.
bool has_avx_vnni();

/// The same on Isa::amx. In bf16, every 32 inputs are summed for themselves and then added, denormals counting as zero.
void multiply_bf16_amx(const PanelProduct& task);
void multiply_int8_amx(const PanelProduct& task, const Int8Scales& scales);

/// What several workers that share a panel divide it by: rows, for each of which the panel is read again, or multiples
/// of 16 outputs.
enum class PanelParts { rows, outputs };

struct PanelProducts {
  void (*bf16)(const PanelProduct& task);
  void (*int8)(const PanelProduct& task, const Int8Scales& scales);
  PanelParts parts;
};

/// Those of the instruction set in use. Only if computes_int8(); in bf16, if has_fast_bf16().
/// @throws ModelError if AMX is in use and gives wrong numbers, see check_products()
PanelProducts panel_products();

/// Computes a small product of both types whose numbers are known.
/// @throws ModelError that names --isa avx512_bf16, if they differ
void check_products(const PanelProducts& products);

}  // namespace shoal::lm::cpu
